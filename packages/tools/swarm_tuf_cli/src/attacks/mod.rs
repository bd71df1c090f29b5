//! Attacks on a cell, carried out: each begins with an honest server from which the cell updates, then a thief has the server,
//! the way to it, or keys. An attack is refused when the cell says why in the words of the rule that is meant against it, and
//! keeps what it had.
//!
//! `specification` has the attacks that the specification of The Update Framework names (1.5.2), `uptane` the seven
//! demonstrations of Uptane's reference implementation (its README, 3.1 to 3.7) on director and image repository.

mod specification;
mod uptane;
mod world;

use std::fmt::Debug;

use crate::HostError;

/// One attack. It is refused if [`Attack::carry_out`] is fine; otherwise that says what happened instead.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// The specification's word, and what the thief does.
    pub name: &'static str,
    run: fn() -> Result<(), String>,
}

impl Attack {
    pub fn carry_out(&self) -> Result<(), String> {
        (self.run)()
    }
}

/// All attacks, those of the specification first.
pub fn all() -> Vec<Attack> {
    specification::ATTACKS.iter().chain(uptane::ATTACKS).copied().collect()
}

/// What came is the refusal that is meant for it, by its code.
fn refused<T: Debug>(result: Result<T, HostError>, code: &str) -> Result<(), String> {
    match result {
        Err(error) if error.code() == code => Ok(()),
        Err(error) => {
            Err(format!("expected it to be refused as '{code}', and it is as '{}': {error}", error.code()))
        }
        Ok(taken) => Err(format!("expected it to be refused as '{code}', and it is taken: {taken:?}")),
    }
}

/// What came is what was expected.
fn same<T: Debug + PartialEq>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}
