//! Running a compiled script against the blackboard.

use smol_str::{SmolStrBuilder, ToSmolStr};

use super::{AssignOp, BinaryOp, CompareOp, Expr, ExprId, Script, UnaryOp};
use crate::state::SlotId;
use crate::value::PortType;
use crate::value::{Value, exact_int, parse};

/// A script that failed while it ran.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("script `{script}`: {kind}")]
pub struct ScriptError {
    pub script: String,
    pub kind: ScriptErrorKind,
}

/// Why.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScriptErrorKind {
    #[error("blackboard entry '{0}' does not exist yet (`:=` creates it)")]
    Missing(String),
    #[error("operator `{op}` cannot be applied to {operands}")]
    Operands { op: &'static str, operands: String },
    #[error("{value} is not an integer that fits into 64 bits, as operator `{op}` needs")]
    NotInteger { op: &'static str, value: f64 },
    #[error("{value} is neither true nor false")]
    NotBool { value: String },
    #[error("cannot assign {value} to blackboard entry '{key}', which holds {}", .holds.with_article())]
    Assign { key: String, holds: PortType, value: String },
}

/// What a script can see and change.
pub(crate) trait Blackboard {
    fn get(&self, slot: SlotId) -> Option<&Value>;
    /// Stores a value of the type that is to be held.
    fn put(&mut self, slot: SlotId, value: Value);
    fn exists(&self, slot: SlotId) -> bool;
    /// The type declared by a port, if any.
    fn declared(&self, slot: SlotId) -> PortType;
    fn key(&self, slot: SlotId) -> &str;
    fn enum_value(&self, name: &str) -> Option<i64>;
}

type Eval<T> = Result<T, ScriptErrorKind>;

/// Two numbers are equal in a script when they differ by no more than this (`std::numeric_limits<float>::epsilon()`).
const EQUAL_WITHIN: f64 = f32::EPSILON as f64;

impl Script {
    /// The value of the last statement.
    pub(crate) fn run(&self, board: &mut dyn Blackboard) -> Result<Value, ScriptError> {
        let mut last = Value::Bool(false);
        for &statement in &*self.statements {
            last = self
                .eval(statement, board)
                .map_err(|kind| ScriptError { script: self.source.to_string(), kind })?;
        }
        Ok(last)
    }

    /// The value of the last statement as a condition.
    pub(crate) fn run_bool(&self, board: &mut dyn Blackboard) -> Result<bool, ScriptError> {
        let value = self.run(board)?;
        truth(&value).map_err(|kind| ScriptError { script: self.source.to_string(), kind })
    }

    fn eval(&self, id: ExprId, board: &mut dyn Blackboard) -> Eval<Value> {
        match &self.exprs[id as usize] {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Slot(slot) => {
                board.get(*slot).cloned().ok_or_else(|| ScriptErrorKind::Missing(board.key(*slot).to_owned()))
            }
            Expr::Unary(op, operand) => unary(*op, &self.eval(*operand, board)?),
            Expr::Binary(op, left, right) => {
                let left = self.eval(*left, board)?;
                let right = self.eval(*right, board)?;
                binary(*op, &left, &right)
            }
            Expr::Compare(first, links) => {
                let mut left = self.eval(*first, board)?;
                for (op, operand) in links {
                    let right = self.eval(*operand, board)?;
                    if !compare(*op, &left, &right, board)? {
                        return Ok(Value::Float(0.0));
                    }
                    left = right;
                }
                Ok(Value::Float(1.0))
            }
            Expr::If { condition, then, otherwise } => {
                let condition = self.eval(*condition, board)?;
                let holds = match &condition {
                    Value::Str(s) if !s.is_empty() => true,
                    other => {
                        other.number().ok_or_else(|| ScriptErrorKind::NotBool { value: quoted(other) })?
                            != 0.0
                    }
                };
                self.eval(if holds { *then } else { *otherwise }, board)
            }
            Expr::Assign(op, slot, right) => self.assign(*op, *slot, *right, board),
        }
    }

    fn assign(&self, op: AssignOp, slot: SlotId, right: ExprId, board: &mut dyn Blackboard) -> Eval<Value> {
        // BehaviorTree.CPP looks the entry up before it evaluates the right side, so that `x = (x := 1)` fails.
        if op != AssignOp::Create && !board.exists(slot) {
            return Err(ScriptErrorKind::Missing(board.key(slot).to_owned()));
        }
        let value = self.eval(right, board)?;
        let combined = match op {
            AssignOp::Create | AssignOp::Set => value,
            _ => {
                let held =
                    board.get(slot).ok_or_else(|| ScriptErrorKind::Missing(board.key(slot).to_owned()))?;
                combine(op, held, &value)?
            }
        };
        let stored = fit(combined, slot, board)?;
        board.put(slot, stored.clone());
        Ok(stored)
    }
}

/// The value in the type that the slot holds: that of its declared port, else that of its first value.
fn fit(value: Value, slot: SlotId, board: &dyn Blackboard) -> Eval<Value> {
    let held = board.get(slot);
    let holds = match board.declared(slot) {
        PortType::Any => match held {
            None => return Ok(value),
            Some(held) => held.port_type(),
        },
        declared => declared,
    };
    let refused = |value: &Value| ScriptErrorKind::Assign {
        key: board.key(slot).to_owned(),
        holds,
        value: quoted(value),
    };
    match (&value, holds) {
        // A number never becomes text silently: only `..` does that.
        (v, PortType::Str) if v.is_number() => Err(refused(&value)),
        (Value::Str(text), to) if to != PortType::Str => {
            // An undeclared number takes the enum's or the text's value and is a float from then on.
            let number = || text_number(text, board).map(Value::Float);
            let converted = if board.declared(slot) == PortType::Any {
                number()
            } else {
                parse(text, to).or_else(number)
            };
            let converted = converted.ok_or_else(|| refused(&value))?;
            if board.declared(slot) == PortType::Any {
                Ok(converted)
            } else {
                converted.convert(to).map_err(|_| refused(&value))
            }
        }
        _ => value.convert(holds).map_err(|_| refused(&value)),
    }
}

fn combine(op: AssignOp, held: &Value, value: &Value) -> Eval<Value> {
    let (binary_op, symbol) = match op {
        AssignOp::Add | AssignOp::Create | AssignOp::Set => (BinaryOp::Add, "+="),
        AssignOp::Subtract => (BinaryOp::Subtract, "-="),
        AssignOp::Multiply => (BinaryOp::Multiply, "*="),
        AssignOp::Divide => (BinaryOp::Divide, "/="),
    };
    binary(binary_op, held, value).map_err(|_| operands(symbol, held, value))
}

fn unary(op: UnaryOp, operand: &Value) -> Eval<Value> {
    let symbol = match op {
        UnaryOp::Negate => "-",
        UnaryOp::Complement => "~",
        UnaryOp::Not => "!",
    };
    let number = operand
        .number()
        .ok_or_else(|| ScriptErrorKind::Operands { op: symbol, operands: quoted(operand) })?;
    Ok(Value::Float(match op {
        UnaryOp::Negate => -number,
        UnaryOp::Not => f64::from(u8::from(number == 0.0)),
        // Like C's conversion, the fraction is dropped.
        UnaryOp::Complement => {
            let i =
                exact_int(number.trunc()).ok_or(ScriptErrorKind::NotInteger { op: symbol, value: number })?;
            !i as f64
        }
    }))
}

fn binary(op: BinaryOp, left: &Value, right: &Value) -> Eval<Value> {
    let symbol = symbol(op);
    let text = matches!(left, Value::Str(_)) || matches!(right, Value::Str(_));
    let both_text = matches!((left, right), (Value::Str(_), Value::Str(_)));
    if both_text && op == BinaryOp::Add || text && op == BinaryOp::Concat {
        let mut joined = SmolStrBuilder::new();
        for part in [left, right] {
            match part {
                Value::Str(s) => joined.push_str(s),
                Value::Vector(_) => return Err(operands(symbol, left, right)),
                number => joined.push_str(&number.to_smolstr()),
            }
        }
        return Ok(Value::Str(joined.finish()));
    }
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Err(operands(symbol, left, right));
    };
    let integer = |x: f64| exact_int(x).ok_or(ScriptErrorKind::NotInteger { op: symbol, value: x });
    Ok(Value::Float(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide => a / b,
        BinaryOp::BitAnd => (integer(a)? & integer(b)?) as f64,
        BinaryOp::BitOr => (integer(a)? | integer(b)?) as f64,
        BinaryOp::BitXor => (integer(a)? ^ integer(b)?) as f64,
        BinaryOp::And | BinaryOp::Or => {
            let (a, b) = (truth(left)?, truth(right)?);
            f64::from(u8::from(if op == BinaryOp::And { a && b } else { a || b }))
        }
        BinaryOp::Concat => return Err(operands(symbol, left, right)),
    }))
}

fn compare(op: CompareOp, left: &Value, right: &Value, board: &dyn Blackboard) -> Eval<bool> {
    let symbol = match op {
        CompareOp::Equal => "==",
        CompareOp::NotEqual => "!=",
        CompareOp::Less => "<",
        CompareOp::Greater => ">",
        CompareOp::LessEqual => "<=",
        CompareOp::GreaterEqual => ">=",
    };
    if let (Value::Str(a), Value::Str(b)) = (left, right) {
        return Ok(match op {
            CompareOp::Equal => a == b,
            CompareOp::NotEqual => a != b,
            CompareOp::Less => a < b,
            CompareOp::Greater => a > b,
            CompareOp::LessEqual => a <= b,
            CompareOp::GreaterEqual => a >= b,
        });
    }
    // Text against a number: the text's value, or that of the enum it names.
    let number = |value: &Value| match value {
        Value::Str(text) => text_number(text, board),
        other => other.number(),
    };
    let (Some(a), Some(b)) = (number(left), number(right)) else {
        return Err(operands(symbol, left, right));
    };
    // Written as BehaviorTree.CPP has it, which decides what NaN gives: `<` is "not >=", equality is "within epsilon".
    #[allow(clippy::neg_cmp_op_on_partial_ord)]
    Ok(match op {
        CompareOp::Equal => (a - b).abs() <= EQUAL_WITHIN,
        CompareOp::NotEqual => !((a - b).abs() <= EQUAL_WITHIN),
        CompareOp::Less => !(a >= b),
        CompareOp::Greater => !(a <= b),
        CompareOp::LessEqual => !(a > b),
        CompareOp::GreaterEqual => !(a < b),
    })
}

/// The number that a text stands for in a script: `true`, `false`, an enum's name, or digits.
fn text_number(text: &str, board: &dyn Blackboard) -> Option<f64> {
    match text {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => board.enum_value(text).map(|i| i as f64).or_else(|| text.trim().parse().ok()),
    }
}

/// As `Any::cast<bool>`: any float but zero is true; a negative integer is neither true nor false; nor is text.
fn truth(value: &Value) -> Eval<bool> {
    match *value {
        Value::Bool(b) => Ok(b),
        Value::Float(x) => Ok(x != 0.0),
        Value::Int(i) if i >= 0 => Ok(i != 0),
        _ => Err(ScriptErrorKind::NotBool { value: quoted(value) }),
    }
}

fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Subtract => "-",
        BinaryOp::Multiply => "*",
        BinaryOp::Divide => "/",
        BinaryOp::Concat => "..",
        BinaryOp::BitAnd => "&",
        BinaryOp::BitOr => "|",
        BinaryOp::BitXor => "^",
        BinaryOp::And => "&&",
        BinaryOp::Or => "||",
    }
}

fn operands(op: &'static str, left: &Value, right: &Value) -> ScriptErrorKind {
    ScriptErrorKind::Operands { op, operands: format!("{} and {}", quoted(left), quoted(right)) }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Str(s) => format!("string '{s}'"),
        other => format!("{} {other}", other.port_type()),
    }
}
