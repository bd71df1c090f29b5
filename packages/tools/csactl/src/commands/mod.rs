//! One module per command: its arguments, and a function that reads top to bottom.

pub(crate) mod approvals;
pub(crate) mod artifacts;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bags;
pub(crate) mod ca;
pub(crate) mod crl;
pub(crate) mod diagnostics;
pub(crate) mod evidence_restore;
pub(crate) mod fleet;
pub(crate) mod keys;
pub(crate) mod metadata;
pub(crate) mod provenance;
pub(crate) mod publish;
pub(crate) mod rollout;
pub(crate) mod token;
pub(crate) mod upload;
pub(crate) mod verify_all;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Asks at the terminal; without one, the answer is no.
fn confirmed(question: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{question} Type yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
