//! The scripting language of BehaviorTree.CPP 4.10: `Script`, `ScriptCondition`, pre- and post-conditions.
//!
//! 1. [`lexer`] cuts the text into tokens.
//! 2. [`parser`] builds a flat expression arena with every name already resolved to a blackboard slot or an enum constant.
//! 3. [`eval`] runs it against the slots of a state, statements on numbers by way of [`fast`].
//!
//! Evaluation allocates nothing unless it makes a string longer than 23 bytes.
//!
//! The rules are BehaviorTree.CPP's, also where they surprise: every literal but integers and strings is a float,
//! `&&` and `||` evaluate both sides, `==` on numbers allows a difference of 1.2e-7, comparisons chain (`1 < x < 5`),
//! and a slot keeps the type of its first value.

mod accesses;
mod eval;
mod fast;
#[cfg(test)]
mod fast_tests;
mod lexer;
mod parser;

pub use eval::{ScriptError, ScriptErrorKind};
pub use parser::SyntaxError;
pub(crate) use parser::{Name, compile};

use fast::Fast;

use crate::state::SlotId;
use crate::value::Value;

/// A compiled script.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) source: Box<str>,
    exprs: Box<[Expr]>,
    /// The roots of the statements, in order; never empty. The last one's value is the script's.
    statements: Box<[ExprId]>,
    /// Each statement again, as steps on numbers where that is possible.
    fast: Box<[Option<Fast>]>,
}

type ExprId = u32;

/// Two numbers are equal in a script when they differ by no more than this (`std::numeric_limits<float>::epsilon()`).
const EQUAL_WITHIN: f64 = f32::EPSILON as f64;

#[derive(Clone, Debug)]
enum Expr {
    Literal(Value),
    Slot(SlotId),
    Unary(UnaryOp, ExprId),
    Binary(BinaryOp, ExprId, ExprId),
    Compare(ExprId, Box<[(CompareOp, ExprId)]>),
    If { condition: ExprId, then: ExprId, otherwise: ExprId },
    Assign(AssignOp, SlotId, ExprId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnaryOp {
    Negate,
    Complement,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BinaryOp {
    Add,
    Subtract,
    Multiply,
    Divide,
    Concat,
    BitAnd,
    BitOr,
    BitXor,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CompareOp {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AssignOp {
    /// `:=`: creates the entry if need be.
    Create,
    /// `=`: the entry must exist.
    Set,
    Add,
    Subtract,
    Multiply,
    Divide,
}
