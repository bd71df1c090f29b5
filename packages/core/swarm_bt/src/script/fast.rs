//! Scripts on numbers, several times faster than the general way.
//!
//! Most scripts are one comparison or one assignment of arithmetic on numbers. Those are also compiled to a list of steps with
//! an accumulator of type `f64`. As soon as an entry holds something else, or the result is none that every rule agrees on
//! (not finite, not representable), the steps are given up and the statement is evaluated in the general way. Nobody notices,
//! because the steps change nothing before they have come through.
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

use super::{AssignOp, BinaryOp, CompareOp, EQUAL_WITHIN, Expr, ExprId, UnaryOp};
use crate::board::Board;
use crate::state::SlotId;
use crate::value::{PortType, Value, exact_int};

/// A statement as steps.
#[derive(Clone, Debug)]
pub(super) struct Fast {
    /// What the accumulator begins with.
    first: Operand,
    then: Then,
    target: Option<(AssignOp, SlotId)>,
}

/// What follows the first number.
#[derive(Clone, Debug)]
enum Then {
    Nothing,
    /// As in most statements; kept here, so that it need not be looked up elsewhere.
    One(Operation, Operand),
    Steps(Box<[Step]>),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Load(Operand),
    /// Puts the accumulator aside.
    Push,
    Negate,
    Not,
    Do(Operation, Operand),
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    And,
    Or,
    Compare(CompareOp),
}

/// The right side of an operation, whose left side is the accumulator.
#[derive(Clone, Copy, Debug)]
enum Operand {
    Number(f64),
    Slot(SlotId),
    /// The accumulator itself; the left side is what was put aside last.
    Accumulator,
}

/// How many numbers can be put aside.
const DEPTH: usize = 8;

impl Fast {
    /// `None` for a statement that is anything but arithmetic, comparisons and logic on numbers, possibly assigned.
    pub(super) fn compile(exprs: &[Expr], root: ExprId) -> Option<Self> {
        let (value, target) = match exprs.get(root as usize)? {
            Expr::Assign(op, slot, value) => (*value, Some((*op, *slot))),
            // As a condition an entry of type int follows other rules than a float.
            Expr::Literal(_) | Expr::Slot(_) => return None,
            _ => (root, None),
        };
        let mut steps = Vec::new();
        emit(exprs, value, 0, &mut steps)?;
        // The steps begin with the leftmost number.
        let Step::Load(first) = steps.remove(0) else { return None };
        let then = match *steps {
            [] => Then::Nothing,
            [Step::Do(operation, operand)] => Then::One(operation, operand),
            _ => Then::Steps(steps.into()),
        };
        Some(Fast { first, then, target })
    }

    /// The value of the statement; `None` if it has to be evaluated in the general way.
    #[inline]
    pub(super) fn run(&self, board: &mut Board<'_>) -> Option<Number> {
        let number = self.number(board)?;
        match self.target {
            None => Some(Number::Float(number)),
            Some((op, slot)) => assign(op, slot, number, board),
        }
    }

    /// The value of a statement that assigns nothing, as a condition.
    #[inline]
    pub(super) fn holds(&self, board: &Board<'_>) -> Option<bool> {
        if self.target.is_some() {
            return None;
        }
        let number = self.number(board)?;
        (number >= 0.0).then_some(number != 0.0)
    }

    #[inline]
    fn number(&self, board: &Board<'_>) -> Option<f64> {
        let first = load(self.first, board)?;
        match &self.then {
            Then::Nothing => Some(first),
            Then::One(operation, operand) => perform(*operation, first, load(*operand, board)?),
            Then::Steps(steps) => Self::go_through(steps, first, board),
        }
    }

    fn go_through(steps: &[Step], first: f64, board: &Board<'_>) -> Option<f64> {
        let mut aside = [0.0_f64; DEPTH];
        let mut count = 0_usize;
        let mut accumulator = first;
        for step in steps {
            accumulator = match *step {
                Step::Load(operand) => load(operand, board)?,
                Step::Push => {
                    *aside.get_mut(count)? = accumulator;
                    count = count.wrapping_add(1);
                    accumulator
                }
                Step::Negate => -accumulator,
                Step::Not => truth(accumulator == 0.0),
                Step::Do(operation, operand) => {
                    let (left, right) = if let Operand::Accumulator = operand {
                        count = count.wrapping_sub(1);
                        (*aside.get(count)?, accumulator)
                    } else {
                        (accumulator, load(operand, board)?)
                    };
                    perform(operation, left, right)?
                }
            };
        }
        Some(accumulator)
    }
}

/// What a statement on numbers gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Float(f64),
    Int(i64),
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Float(x) => Value::Float(x),
            Number::Int(i) => Value::Int(i),
        }
    }
}

#[inline]
fn load(operand: Operand, board: &Board<'_>) -> Option<f64> {
    match operand {
        Operand::Number(x) => Some(x),
        Operand::Slot(slot) => board.get(slot)?.number(),
        Operand::Accumulator => None,
    }
}

/// `None` where the modes differ, and for what is neither true nor false.
#[inline]
fn perform(operation: Operation, left: f64, right: f64) -> Option<f64> {
    let result = match operation {
        Operation::Add => left + right,
        Operation::Subtract => left - right,
        Operation::Multiply => left * right,
        Operation::Divide => left / right,
        Operation::And | Operation::Or if left < 0.0 || right < 0.0 => return None,
        Operation::And => truth(left != 0.0 && right != 0.0),
        Operation::Or => truth(left != 0.0 || right != 0.0),
        Operation::Compare(_) if left.is_nan() || right.is_nan() => return None,
        Operation::Compare(op) => truth(match op {
            CompareOp::Equal => (left - right).abs() <= EQUAL_WITHIN,
            // Of two infinities neither holds, in the original.
            CompareOp::NotEqual => (left - right).abs() > EQUAL_WITHIN,
            CompareOp::Less => left < right,
            CompareOp::Greater => left > right,
            CompareOp::LessEqual => left <= right,
            CompareOp::GreaterEqual => left >= right,
        }),
    };
    result.is_finite().then_some(result)
}

#[inline]
fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Only into an entry that holds a float or an int already, and may go on holding one.
#[inline]
fn assign(op: AssignOp, slot: SlotId, number: f64, board: &mut Board<'_>) -> Option<Number> {
    let declared = board.declared(slot);
    let operation = match op {
        AssignOp::Create | AssignOp::Set => None,
        AssignOp::Add => Some(Operation::Add),
        AssignOp::Subtract => Some(Operation::Subtract),
        AssignOp::Multiply => Some(Operation::Multiply),
        AssignOp::Divide => Some(Operation::Divide),
    };
    board.state.change(slot, |held| {
        let number = match operation {
            None => number,
            Some(operation) => perform(operation, held.number()?, number)?,
        };
        match (held, declared) {
            (Value::Float(held), PortType::Any | PortType::Float) => {
                *held = number;
                Some(Number::Float(number))
            }
            (Value::Int(held), PortType::Any | PortType::Int) => {
                *held = exact_int(number)?;
                Some(Number::Int(*held))
            }
            _ => None,
        }
    })
}

/// Adds the steps that leave the value of an expression in the accumulator, with `aside` numbers put aside before.
fn emit(exprs: &[Expr], id: ExprId, aside: usize, steps: &mut Vec<Step>) -> Option<()> {
    if let Some(operand) = operand(exprs, id) {
        steps.push(Step::Load(operand));
        return Some(());
    }
    let (operation, left, right) = match exprs.get(id as usize)? {
        Expr::Unary(op, operand) => {
            let step = match op {
                UnaryOp::Negate => Step::Negate,
                UnaryOp::Not => Step::Not,
                UnaryOp::Complement => return None,
            };
            emit(exprs, *operand, aside, steps)?;
            steps.push(step);
            return Some(());
        }
        Expr::Binary(op, left, right) => {
            let operation = match op {
                BinaryOp::Add => Operation::Add,
                BinaryOp::Subtract => Operation::Subtract,
                BinaryOp::Multiply => Operation::Multiply,
                BinaryOp::Divide => Operation::Divide,
                BinaryOp::And => Operation::And,
                BinaryOp::Or => Operation::Or,
                BinaryOp::Concat | BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor => return None,
            };
            let logic = matches!(operation, Operation::And | Operation::Or);
            // What an operator gives is a float; an entry may be an int, for which other rules of truth hold.
            if logic && (operand(exprs, *left).is_some() || operand(exprs, *right).is_some()) {
                return None;
            }
            (operation, *left, *right)
        }
        Expr::Compare(first, links) => match **links {
            [(op, right)] => (Operation::Compare(op), *first, right),
            _ => return None,
        },
        Expr::Literal(_) | Expr::Slot(_) | Expr::If { .. } | Expr::Assign(..) => return None,
    };
    emit(exprs, left, aside, steps)?;
    if let Some(operand) = operand(exprs, right) {
        steps.push(Step::Do(operation, operand));
        return Some(());
    }
    let aside = aside.checked_add(1).filter(|aside| *aside <= DEPTH)?;
    steps.push(Step::Push);
    emit(exprs, right, aside, steps)?;
    steps.push(Step::Do(operation, Operand::Accumulator));
    Some(())
}

fn operand(exprs: &[Expr], id: ExprId) -> Option<Operand> {
    match exprs.get(id as usize)? {
        Expr::Literal(value) => value.number().map(Operand::Number),
        Expr::Slot(slot) => Some(Operand::Slot(*slot)),
        _ => None,
    }
}
