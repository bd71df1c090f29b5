//! Tokens to a flat expression arena, by precedence climbing with BehaviorTree.CPP 4.10's binding powers.
//!
//! From loose to tight: assignment, `?:`, `||`, `&&`, comparisons (they chain), `| ^`, `&`, `+ - ..`, `* /`, prefixes.
//! Binary operators associate to the left: `10-3-2` is 5. (Versions before 4.9 gave 9.)

use super::fast::Fast;
use super::lexer::{Spanned, Token, tokenize};
use super::{AssignOp, BinaryOp, CompareOp, Expr, ExprId, Script, UnaryOp};
use crate::state::SlotId;
use crate::value::Value;

/// Why a text is not a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("script `{script}`, byte {offset}: {message}")]
pub struct SyntaxError {
    pub script: String,
    /// Byte offset in `script`.
    pub offset: usize,
    pub message: String,
}

/// What a name in a script stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    Slot(SlotId),
    Enum(i64),
}

/// How deeply a script may nest. It bounds the stack of parser and evaluation.
const MAX_DEPTH: usize = 100;

/// Compiles `source`; `resolve` says what each name stands for.
pub(crate) fn compile(source: &str, resolve: &mut dyn FnMut(&str) -> Name) -> Result<Script, SyntaxError> {
    let error = |(offset, message)| SyntaxError { script: source.to_owned(), offset, message };
    let tokens = tokenize(source).map_err(error)?;
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        end: source.len(),
        depth: 0,
        exprs: Vec::new(),
        depths: Vec::new(),
        resolve,
    };
    let statements = parser.statements().map_err(error)?;
    if statements.is_empty() {
        return Err(error((0, "empty script".to_owned())));
    }
    Ok(Script {
        source: source.into(),
        fast: statements.iter().map(|root| Fast::compile(&parser.exprs, *root)).collect(),
        exprs: parser.exprs.into(),
        statements: statements.into(),
    })
}

struct Parser<'a> {
    tokens: &'a [Spanned<'a>],
    at: usize,
    end: usize,
    depth: usize,
    exprs: Vec<Expr>,
    /// How deep the arena nests below each expression: a chain of operators nests to the left without recursion here.
    depths: Vec<usize>,
    resolve: &'a mut dyn FnMut(&str) -> Name,
}

type Parsed<T> = Result<T, (usize, String)>;

/// Left binding powers, as in `script_parser.cpp`.
const ASSIGN: u8 = 2;
const TERNARY: u8 = 4;
const COMPARE: u8 = 10;
const PREFIX: u8 = 20;

fn binary(op: &str) -> Option<(u8, BinaryOp)> {
    Some(match op {
        "||" => (6, BinaryOp::Or),
        "&&" => (8, BinaryOp::And),
        "|" => (12, BinaryOp::BitOr),
        "^" => (12, BinaryOp::BitXor),
        "&" => (14, BinaryOp::BitAnd),
        "+" => (16, BinaryOp::Add),
        "-" => (16, BinaryOp::Subtract),
        ".." => (16, BinaryOp::Concat),
        "*" => (18, BinaryOp::Multiply),
        "/" => (18, BinaryOp::Divide),
        _ => return None,
    })
}

fn comparison(op: &str) -> Option<CompareOp> {
    Some(match op {
        "==" => CompareOp::Equal,
        "!=" => CompareOp::NotEqual,
        "<" => CompareOp::Less,
        ">" => CompareOp::Greater,
        "<=" => CompareOp::LessEqual,
        ">=" => CompareOp::GreaterEqual,
        _ => return None,
    })
}

fn assignment(op: &str) -> Option<AssignOp> {
    Some(match op {
        ":=" => AssignOp::Create,
        "=" => AssignOp::Set,
        "+=" => AssignOp::Add,
        "-=" => AssignOp::Subtract,
        "*=" => AssignOp::Multiply,
        "/=" => AssignOp::Divide,
        _ => return None,
    })
}

impl Parser<'_> {
    /// Statements are separated by `;`, and as in BehaviorTree.CPP the separator may be left out.
    fn statements(&mut self) -> Parsed<Vec<ExprId>> {
        let mut statements = Vec::new();
        while self.at < self.tokens.len() {
            statements.push(self.expr(0)?);
            while self.op() == Some(";") {
                self.at += 1;
            }
        }
        Ok(statements)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |t| t.0)
    }

    fn op(&self) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some((_, Token::Op(op))) => Some(op),
            _ => None,
        }
    }

    fn push(&mut self, expr: Expr) -> Parsed<ExprId> {
        let of = |id: ExprId| self.depths[id as usize];
        let below = match &expr {
            Expr::Literal(_) | Expr::Slot(_) => 0,
            Expr::Unary(_, a) | Expr::Assign(_, _, a) => of(*a),
            Expr::Binary(_, a, b) => of(*a).max(of(*b)),
            Expr::Compare(a, links) => links.iter().map(|(_, id)| of(*id)).fold(of(*a), usize::max),
            Expr::If { condition, then, otherwise } => of(*condition).max(of(*then)).max(of(*otherwise)),
        };
        if below >= MAX_DEPTH {
            return Err((self.offset(), format!("nested more than {MAX_DEPTH} deep")));
        }
        self.depths.push(below + 1);
        self.exprs.push(expr);
        Ok((self.exprs.len() - 1) as ExprId)
    }

    fn expr(&mut self, min: u8) -> Parsed<ExprId> {
        if self.depth >= MAX_DEPTH {
            return Err((self.offset(), format!("nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let result = self.climb(min);
        self.depth -= 1;
        result
    }

    fn climb(&mut self, min: u8) -> Parsed<ExprId> {
        let start = self.offset();
        let mut left = self.prefix()?;
        while let Some(op) = self.op() {
            if let Some(op) = assignment(op) {
                if ASSIGN < min {
                    break;
                }
                self.at += 1;
                let Some(Expr::Slot(slot)) = self.exprs.get(left as usize) else {
                    return Err((
                        start,
                        "only a blackboard entry can stand left of an assignment".to_owned(),
                    ));
                };
                let slot = *slot;
                let right = self.expr(0)?;
                return self.push(Expr::Assign(op, slot, right));
            } else if op == "?" {
                if TERNARY < min {
                    break;
                }
                self.at += 1;
                let then = self.expr(0)?;
                self.expect(":")?;
                let otherwise = self.expr(TERNARY)?;
                return self.push(Expr::If { condition: left, then, otherwise });
            } else if comparison(op).is_some() {
                if COMPARE < min {
                    break;
                }
                let mut links = Vec::new();
                while let Some(op) = self.op().and_then(comparison) {
                    self.at += 1;
                    links.push((op, self.expr(COMPARE + 1)?));
                }
                left = self.push(Expr::Compare(left, links.into()))?;
            } else if let Some((power, op)) = binary(op) {
                if power < min {
                    break;
                }
                self.at += 1;
                let right = self.expr(power + 1)?;
                left = self.push(Expr::Binary(op, left, right))?;
            } else {
                break;
            }
        }
        Ok(left)
    }

    fn prefix(&mut self) -> Parsed<ExprId> {
        let at = self.offset();
        let Some(&(_, token)) = self.tokens.get(self.at) else {
            return Err((at, "expected a value, found the end of the script".to_owned()));
        };
        self.at += 1;
        let expr = match token {
            Token::Integer(i) => Expr::Literal(Value::Int(i)),
            Token::Real(x) => Expr::Literal(Value::Float(x)),
            Token::Bool(b) => Expr::Literal(Value::Float(f64::from(u8::from(b)))),
            Token::Str(s) => Expr::Literal(Value::from(s)),
            Token::Name(name) => match (self.resolve)(name) {
                Name::Slot(slot) => Expr::Slot(slot),
                Name::Enum(i) => Expr::Literal(Value::Float(i as f64)),
            },
            Token::Op("-") => Expr::Unary(UnaryOp::Negate, self.expr(PREFIX)?),
            Token::Op("~") => Expr::Unary(UnaryOp::Complement, self.expr(PREFIX)?),
            Token::Op("!") => Expr::Unary(UnaryOp::Not, self.expr(PREFIX)?),
            Token::Op("(") => {
                let inner = self.expr(0)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Op(op) => return Err((at, format!("expected a value, found '{op}'"))),
        };
        self.push(expr)
    }

    fn expect(&mut self, op: &str) -> Parsed<()> {
        if self.op() == Some(op) {
            self.at += 1;
            return Ok(());
        }
        Err((self.offset(), format!("expected '{op}'")))
    }
}
