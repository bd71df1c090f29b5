//! What a script does to the blackboard, without running it.

use super::{AssignOp, Expr, ExprId, Script};
use crate::state::SlotId;
use crate::value::Value;
use crate::view::Access;

impl Script {
    /// Reads and writes in the order of evaluation; `exists` says which entries a port has made.
    pub(crate) fn accesses(&self, exists: &dyn Fn(SlotId) -> bool, out: &mut Vec<Access>) {
        for &statement in &*self.statements {
            self.walk(statement, exists, out);
        }
    }

    /// Literals, each once.
    pub(crate) fn literals(&self) -> Vec<Value> {
        let mut literals: Vec<Value> = Vec::new();
        for expr in &*self.exprs {
            if let Expr::Literal(value) = expr
                && !literals.contains(value)
            {
                literals.push(value.clone());
            }
        }
        literals
    }

    /// Recurses as deep as the parser lets scripts nest.
    fn walk(&self, id: ExprId, exists: &dyn Fn(SlotId) -> bool, out: &mut Vec<Access>) {
        match &self.exprs[id as usize] {
            Expr::Literal(_) => {}
            Expr::Slot(slot) => out.push(Access::Read(*slot)),
            Expr::Unary(_, operand) => self.walk(*operand, exists, out),
            Expr::Binary(_, left, right) => {
                self.walk(*left, exists, out);
                self.walk(*right, exists, out);
            }
            Expr::Compare(first, links) => {
                self.walk(*first, exists, out);
                for (_, operand) in links {
                    self.walk(*operand, exists, out);
                }
            }
            Expr::If { condition, then, otherwise } => {
                self.walk(*condition, exists, out);
                for branch in [*then, *otherwise] {
                    let from = out.len();
                    self.walk(branch, exists, out);
                    for access in &mut out[from..] {
                        if let Access::Write(slot) = *access {
                            *access = Access::MayWrite(slot);
                        }
                    }
                }
            }
            Expr::Assign(op, slot, right) => {
                match op {
                    AssignOp::Create => {}
                    AssignOp::Set if exists(*slot) => {}
                    _ => out.push(Access::Read(*slot)),
                }
                self.walk(*right, exists, out);
                out.push(Access::Write(*slot));
            }
        }
    }
}
