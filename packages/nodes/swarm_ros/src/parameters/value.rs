//! Parameter values and the Rust types that they are read as.

use r2r::rcl_interfaces::msg::ParameterValue as ValueMsg;

/// A parameter's value, as the middleware's bindings have it.
pub type Value = r2r::ParameterValue;

/// A type that a parameter can be declared with.
pub trait ParameterType: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// `rcl_interfaces/msg/ParameterType`.
    const TYPE_ID: u8;
    /// Name of the type, as `ros2 param` prints it.
    const TYPE_NAME: &'static str;

    fn from_value(value: &Value) -> Option<Self>;
    fn into_value(self) -> Value;
}

macro_rules! parameter_type {
    ($rust:ty, $variant:ident, $id:literal, $name:literal) => {
        impl ParameterType for $rust {
            const TYPE_ID: u8 = $id;
            const TYPE_NAME: &'static str = $name;

            fn from_value(value: &Value) -> Option<Self> {
                if let Value::$variant(value) = value { Some(value.clone()) } else { None }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    };
}

parameter_type!(bool, Bool, 1, "boolean");
parameter_type!(i64, Integer, 2, "integer");
parameter_type!(String, String, 4, "string");
parameter_type!(Vec<i64>, IntegerArray, 7, "integer array");
parameter_type!(Vec<f64>, DoubleArray, 8, "double array");
parameter_type!(Vec<String>, StringArray, 9, "string array");

/// Takes a whole number too: nobody who types `rate:=2` means anything else.
impl ParameterType for f64 {
    const TYPE_ID: u8 = 3;
    const TYPE_NAME: &'static str = "double";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Double(value) => Some(*value),
            Value::Integer(value) => Some(*value as Self),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Double(self)
    }
}

pub(crate) fn type_id(value: &Value) -> u8 {
    match value {
        Value::NotSet => 0,
        Value::Bool(_) => 1,
        Value::Integer(_) => 2,
        Value::Double(_) => 3,
        Value::String(_) => 4,
        Value::ByteArray(_) => 5,
        Value::BoolArray(_) => 6,
        Value::IntegerArray(_) => 7,
        Value::DoubleArray(_) => 8,
        Value::StringArray(_) => 9,
    }
}

/// A value as people type it.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::NotSet => "not set".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Double(value) => format!("{value:?}"),
        Value::String(value) => format!("'{value}'"),
        Value::ByteArray(values) => format!("{values:?}"),
        Value::BoolArray(values) => format!("{values:?}"),
        Value::IntegerArray(values) => format!("{values:?}"),
        Value::DoubleArray(values) => format!("{values:?}"),
        Value::StringArray(values) => format!("{values:?}"),
    }
}

pub(crate) fn to_msg(value: &Value) -> ValueMsg {
    let mut msg = ValueMsg { type_: type_id(value), ..ValueMsg::default() };
    match value.clone() {
        Value::NotSet => {}
        Value::Bool(value) => msg.bool_value = value,
        Value::Integer(value) => msg.integer_value = value,
        Value::Double(value) => msg.double_value = value,
        Value::String(value) => msg.string_value = value,
        Value::ByteArray(values) => msg.byte_array_value = values,
        Value::BoolArray(values) => msg.bool_array_value = values,
        Value::IntegerArray(values) => msg.integer_array_value = values,
        Value::DoubleArray(values) => msg.double_array_value = values,
        Value::StringArray(values) => msg.string_array_value = values,
    }
    msg
}

/// A type number that no ROS release knows counts as not set.
pub(crate) fn from_msg(msg: ValueMsg) -> Value {
    match msg.type_ {
        1 => Value::Bool(msg.bool_value),
        2 => Value::Integer(msg.integer_value),
        3 => Value::Double(msg.double_value),
        4 => Value::String(msg.string_value),
        5 => Value::ByteArray(msg.byte_array_value),
        6 => Value::BoolArray(msg.bool_array_value),
        7 => Value::IntegerArray(msg.integer_array_value),
        8 => Value::DoubleArray(msg.double_array_value),
        9 => Value::StringArray(msg.string_array_value),
        _ => Value::NotSet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_survives_the_message() {
        let values = [
            Value::NotSet,
            Value::Bool(true),
            Value::Integer(-4),
            Value::Double(0.5),
            Value::String("s".to_owned()),
            Value::ByteArray(vec![1]),
            Value::BoolArray(vec![true, false]),
            Value::IntegerArray(vec![3]),
            Value::DoubleArray(vec![1.5]),
            Value::StringArray(vec!["a".to_owned()]),
        ];
        for value in values {
            assert_eq!(from_msg(to_msg(&value)), value);
        }
    }

    #[test]
    fn a_whole_number_is_a_double_and_a_fraction_is_no_integer() {
        assert_eq!(f64::from_value(&Value::Integer(2)), Some(2.0));
        assert_eq!(i64::from_value(&Value::Double(2.5)), None);
    }
}
