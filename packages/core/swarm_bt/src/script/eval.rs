//! Running a compiled script against the blackboard.
//!
//! This is the general way, taken for a statement for which [`fast`](super::fast) is of no use.
//!
//! Part of the tick: nothing here panics, and the lints below keep it so.
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

use smol_str::{SmolStrBuilder, ToSmolStr};

use super::{AssignOp, BinaryOp, CompareOp, EQUAL_WITHIN, Expr, ExprId, Script, UnaryOp};
use crate::board::Board;
use crate::state::SlotId;
use crate::value::{PortType, Value, exact_int, parse};

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
    #[error("operator `{op}` on {left} and {right} gives {value}")]
    NotFinite { op: &'static str, left: f64, right: f64, value: f64 },
    #[error("{value} is not an integer that fits into 64 bits, as operator `{op}` needs")]
    NotInteger { op: &'static str, value: f64 },
    #[error(
        "operator `{op}` gives text of {bytes} bytes; an entry of this tree may have {limit}: a script that makes text longer in every tick would take all memory"
    )]
    TooLong { op: &'static str, bytes: usize, limit: usize },
    #[error("{value} is neither true nor false")]
    NotBool { value: String },
    #[error("cannot assign {value} to blackboard entry '{key}', which holds {}", .holds.with_article())]
    Assign { key: String, holds: PortType, value: String },
}

/// Boxed, because the reason is far larger than any value, and rare.
struct Refused(Box<ScriptErrorKind>);

impl From<ScriptErrorKind> for Refused {
    fn from(kind: ScriptErrorKind) -> Self {
        Refused(Box::new(kind))
    }
}

type Eval<T> = Result<T, Refused>;

impl Script {
    /// The value of the last statement.
    pub(crate) fn run(&self, board: &mut Board<'_>) -> Result<Value, Box<ScriptError>> {
        let mut last = Value::Bool(false);
        for (&statement, fast) in self.statements.iter().zip(&self.fast) {
            last = match fast.as_ref().and_then(|fast| fast.run(board)) {
                Some(number) => number.into(),
                None => self.eval(statement, board).map_err(|refused| Box::new(self.error(refused)))?,
            };
        }
        Ok(last)
    }

    /// As [`Script::run`], when nobody asks for the value.
    #[inline]
    pub(crate) fn run_unit(&self, board: &mut Board<'_>) -> Result<(), Box<ScriptError>> {
        if let [Some(only)] = &*self.fast
            && only.run(board).is_some()
        {
            return Ok(());
        }
        self.run(board).map(|_| ())
    }

    /// The value of the last statement as a condition.
    #[inline]
    pub(crate) fn run_bool(&self, board: &mut Board<'_>) -> Result<bool, Box<ScriptError>> {
        if let [Some(only)] = &*self.fast
            && let Some(holds) = only.holds(board)
        {
            return Ok(holds);
        }
        self.run_any_bool(board)
    }

    fn run_any_bool(&self, board: &mut Board<'_>) -> Result<bool, Box<ScriptError>> {
        let value = self.run(board)?;
        truth(&value).map_err(|refused| Box::new(self.error(refused)))
    }

    #[inline]
    fn expr(&self, id: ExprId) -> &Expr {
        // The parser gives out no other ids than those of the arena.
        const NONE: Expr = Expr::Literal(Value::Bool(false));
        self.exprs.get(id as usize).unwrap_or(const { &NONE })
    }

    #[cold]
    fn error(&self, refused: Refused) -> ScriptError {
        ScriptError { script: self.source.to_string(), kind: *refused.0 }
    }

    fn eval(&self, id: ExprId, board: &mut Board<'_>) -> Eval<Value> {
        match self.expr(id) {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Slot(slot) => board.get(*slot).cloned().ok_or_else(|| missing(*slot, board)),
            Expr::Assign(op, slot, right) => self.assign(*op, *slot, *right, board),
            Expr::If { condition, then, otherwise } => {
                let condition = self.eval(*condition, board)?;
                let holds = match &condition {
                    Value::Str(s) if !s.is_empty() => true,
                    other => other.number().ok_or_else(|| not_bool(other))? != 0.0,
                };
                self.eval(if holds { *then } else { *otherwise }, board)
            }
            Expr::Unary(op, operand) => unary(*op, &self.eval(*operand, board)?),
            Expr::Binary(op, left, right) => {
                let left = self.eval(*left, board)?;
                let right = self.eval(*right, board)?;
                binary(*op, symbol(*op), &left, &right, board)
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
        }
    }

    fn assign(&self, op: AssignOp, slot: SlotId, right: ExprId, board: &mut Board<'_>) -> Eval<Value> {
        // BehaviorTree.CPP looks the entry up before it evaluates the right side, so that `x = (x := 1)` fails.
        if op != AssignOp::Create && !board.exists(slot) {
            return Err(missing(slot, board));
        }
        let value = self.eval(right, board)?;
        let combined = match op {
            AssignOp::Create | AssignOp::Set => value,
            _ => {
                let held = board.get(slot).ok_or_else(|| missing(slot, board))?;
                combine(op, held, &value, board)?
            }
        };
        let stored = fit(combined, slot, board)?;
        board.put(slot, stored.clone());
        Ok(stored)
    }
}

#[cold]
fn missing(slot: SlotId, board: &Board<'_>) -> Refused {
    ScriptErrorKind::Missing(board.key(slot).to_owned()).into()
}

#[cold]
fn not_bool(value: &Value) -> Refused {
    ScriptErrorKind::NotBool { value: quoted(value) }.into()
}

#[cold]
fn not_integer(op: &'static str, value: f64) -> Refused {
    ScriptErrorKind::NotInteger { op, value }.into()
}

#[cold]
fn operands(op: &'static str, left: &Value, right: &Value) -> Refused {
    ScriptErrorKind::Operands { op, operands: format!("{} and {}", quoted(left), quoted(right)) }.into()
}

/// The value in the type that the slot holds: that of its declared port, else that of its first value.
fn fit(value: Value, slot: SlotId, board: &Board<'_>) -> Eval<Value> {
    let declared = board.declared(slot);
    let holds = match (declared, board.get(slot)) {
        (PortType::Any, None) => return Ok(value),
        (PortType::Any, Some(held)) => held.port_type(),
        (declared, _) => declared,
    };
    let fitting = match &value {
        // A number never becomes text silently: only `..` does that.
        number if number.is_number() && holds == PortType::Str => None,
        Value::Float(x) if holds == PortType::Float => Some(Value::Float(*x)),
        // Over an undeclared number, text is the number it stands for, and the entry a float from then on.
        Value::Str(text) if declared == PortType::Any && holds != PortType::Str => {
            text_number(text, board).map(Value::Float)
        }
        Value::Str(text) if holds != PortType::Str => parse(text, holds)
            .or_else(|| text_number(text, board).and_then(|x| Value::Float(x).convert(holds).ok())),
        other => other.convert(holds).ok(),
    };
    let refused =
        || ScriptErrorKind::Assign { key: board.key(slot).to_owned(), holds, value: quoted(&value) };
    fitting.ok_or_else(|| refused().into())
}

fn combine(op: AssignOp, held: &Value, value: &Value, board: &Board<'_>) -> Eval<Value> {
    let (binary_op, symbol) = match op {
        AssignOp::Add | AssignOp::Create | AssignOp::Set => (BinaryOp::Add, "+="),
        AssignOp::Subtract => (BinaryOp::Subtract, "-="),
        AssignOp::Multiply => (BinaryOp::Multiply, "*="),
        AssignOp::Divide => (BinaryOp::Divide, "/="),
    };
    binary(binary_op, symbol, held, value, board)
}

fn unary(op: UnaryOp, operand: &Value) -> Eval<Value> {
    let symbol = match op {
        UnaryOp::Negate => "-",
        UnaryOp::Complement => "~",
        UnaryOp::Not => "!",
    };
    let refused = || ScriptErrorKind::Operands { op: symbol, operands: quoted(operand) };
    let number = operand.number().ok_or_else(refused)?;
    Ok(Value::Float(match op {
        UnaryOp::Negate => -number,
        UnaryOp::Not => f64::from(u8::from(number == 0.0)),
        // Like C's conversion, the fraction is dropped.
        UnaryOp::Complement => !exact_int(number.trunc()).ok_or_else(|| not_integer(symbol, number))? as f64,
    }))
}

/// `symbol` is how the operator is written, for messages. A strict script stops where finite numbers give none.
fn binary(op: BinaryOp, symbol: &'static str, left: &Value, right: &Value, board: &Board<'_>) -> Eval<Value> {
    let text = matches!(left, Value::Str(_)) || matches!(right, Value::Str(_));
    let both_text = matches!((left, right), (Value::Str(_), Value::Str(_)));
    if both_text && op == BinaryOp::Add || text && op == BinaryOp::Concat {
        return join(symbol, left, right, board.text_limit());
    }
    let (Some(a), Some(b)) = (left.number(), right.number()) else {
        return Err(operands(symbol, left, right));
    };
    let integer = |x: f64| exact_int(x).ok_or_else(|| not_integer(symbol, x));
    let value = match op {
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
    };
    if board.strict() && !value.is_finite() && a.is_finite() && b.is_finite() {
        return Err(ScriptErrorKind::NotFinite { op: symbol, left: a, right: b, value }.into());
    }
    Ok(Value::Float(value))
}

/// Text behind text; numbers become text.
fn join(symbol: &'static str, left: &Value, right: &Value, limit: usize) -> Eval<Value> {
    let part = |value: &Value| match value {
        Value::Str(s) => Some(s.clone()),
        Value::Vector(_) => None,
        number => Some(number.to_smolstr()),
    };
    let (Some(a), Some(b)) = (part(left), part(right)) else {
        return Err(operands(symbol, left, right));
    };
    let bytes = a.len().saturating_add(b.len());
    if bytes > limit {
        return Err(ScriptErrorKind::TooLong { op: symbol, bytes, limit }.into());
    }
    let mut joined = SmolStrBuilder::new();
    joined.push_str(&a);
    joined.push_str(&b);
    Ok(Value::Str(joined.finish()))
}

fn compare(op: CompareOp, left: &Value, right: &Value, board: &Board<'_>) -> Eval<bool> {
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
    Ok(compare_numbers(op, a, b, board.strict()))
}

/// Written as BehaviorTree.CPP has it, which decides what NaN gives there: `<` is "not >=", equality is "within epsilon", so
/// that NaN is below and above everything. In strict mode NaN is only different.
#[allow(clippy::neg_cmp_op_on_partial_ord)]
fn compare_numbers(op: CompareOp, a: f64, b: f64, strict: bool) -> bool {
    if strict && (a.is_nan() || b.is_nan()) {
        return op == CompareOp::NotEqual;
    }
    match op {
        CompareOp::Equal => (a - b).abs() <= EQUAL_WITHIN,
        CompareOp::NotEqual => !((a - b).abs() <= EQUAL_WITHIN),
        CompareOp::Less => !(a >= b),
        CompareOp::Greater => !(a <= b),
        CompareOp::LessEqual => !(a > b),
        CompareOp::GreaterEqual => !(a < b),
    }
}

/// The number that a text stands for in a script: `true`, `false`, an enum's name, or digits.
fn text_number(text: &str, board: &Board<'_>) -> Option<f64> {
    match text {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => board.constant(text).map(|i| i as f64).or_else(|| text.trim().parse().ok()),
    }
}

/// As `Any::cast<bool>`: zero is false and any positive float true. A negative float, an integer other than 0 and 1, and text
/// are neither.
fn truth(value: &Value) -> Eval<bool> {
    match *value {
        Value::Bool(b) => Ok(b),
        Value::Float(x) if x < 0.0 => Err(not_bool(value)),
        // NaN counts as true, as in C.
        Value::Float(x) => Ok(x != 0.0),
        Value::Int(i @ (0 | 1)) => Ok(i == 1),
        _ => Err(not_bool(value)),
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

fn quoted(value: &Value) -> String {
    match value {
        Value::Str(s) => format!("string '{s}'"),
        other => format!("{} {other}", other.port_type()),
    }
}
