//! Deliberate defects of the decision, one at a time, compiled for real: whoever claims to check it must find each.
//!
//! Flow
//! 1. The crates needed are copied to a workspace of their own under the target folder; only what differs is written, so that a
//!    second run builds little.
//! 2. Unchanged, exploration and tests must pass there, else nothing that follows means anything.
//! 3. Per [`Mutant`]: one edit that must fit exactly once; build; the short exploration; the core's tests; undo.
//!
//! A mutant is *killed* by the invariants that the exploration saw broken and the tests that failed. One that does not apply or
//! does not build is a mistake of the table, and an error. One that hangs is ended and counts as killed.

mod bench;
mod table;

use std::path::{Path, PathBuf};

pub use bench::{Bench, MutantError, Result};
pub use table::{MUTANTS, Mutant};

/// What became of a mutant.
#[derive(Clone, Debug)]
pub struct Fate {
    pub mutant: &'static Mutant,
    /// Invariants that the exploration saw broken.
    pub invariants: Vec<String>,
    /// Tests of the core that failed.
    pub tests: Vec<String>,
}

impl Fate {
    pub fn killed(&self) -> bool {
        !(self.invariants.is_empty() && self.tests.is_empty())
    }
}

/// Tries each mutant; `say` hears of each fate.
pub fn try_all(
    root: &Path,
    scratch: &Path,
    mutants: &[&'static Mutant],
    say: &mut dyn FnMut(&Fate),
) -> Result<Vec<Fate>> {
    let bench = Bench::set_up(root, scratch)?;
    bench.unchanged()?;
    let mut fates = Vec::new();
    for mutant in mutants {
        let fate = bench.fate(mutant)?;
        say(&fate);
        fates.push(fate);
    }
    Ok(fates)
}

/// A Markdown table of who killed which.
pub fn table(fates: &[Fate]) -> String {
    let mut lines = vec![
        "| mutant | would let happen | invariants broken | tests failed |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    lines.extend(fates.iter().map(|fate| {
        let tests = match fate.tests.as_slice() {
            [] => "-".to_owned(),
            [only] => format!("`{only}`"),
            [first, others @ ..] => format!("`{first}` and {} more", others.len()),
        };
        let invariants = if fate.invariants.is_empty() { "-".to_owned() } else { fate.invariants.join(", ") };
        let survived = if fate.killed() { "" } else { " **SURVIVED**" };
        format!("| `{}`{survived} | {} | {invariants} | {tests} |", fate.mutant.id, fate.mutant.danger)
    }));
    lines.join("\n") + "\n"
}

/// Where the mutated file stands below a workspace's root.
fn source(mutant: &Mutant) -> PathBuf {
    Path::new("packages/core/swarm_safety_core/src").join(mutant.file)
}

/// The text with the mutant's one edit.
pub fn mutated(mutant: &Mutant, text: &str) -> Result<String> {
    match text.matches(mutant.find).count() {
        1 => Ok(text.replacen(mutant.find, mutant.replace, 1)),
        found => Err(MutantError::DoesNotApply { id: mutant.id, file: mutant.file, found }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mutant_applies_to_the_source_as_it_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        for mutant in MUTANTS {
            let text = std::fs::read_to_string(root.join(source(mutant))).unwrap();
            let mutated = mutated(mutant, &text).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(mutated, text, "{}", mutant.id);
        }
        let ids: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.id).collect();
        assert_eq!(ids.len(), MUTANTS.len(), "two mutants share a name");
    }

    #[test]
    fn a_mutant_that_fits_nowhere_or_twice_is_an_error() {
        let mutant =
            Mutant { id: "x", file: "step.rs", find: "a == b", replace: "a != b", danger: "nothing" };
        assert_eq!(mutated(&mutant, "if a == b {").unwrap(), "if a != b {");
        for (text, found) in [("a = b", 0), ("a == b && a == b", 2)] {
            let error = mutated(&mutant, text).unwrap_err();
            assert!(matches!(error, MutantError::DoesNotApply { found: n, .. } if n == found), "{error}");
        }
    }

    #[test]
    fn the_table_shows_who_killed_whom_and_who_survived() {
        let fate = |invariants: &[&str], tests: &[&str]| Fate {
            mutant: &MUTANTS[0],
            invariants: invariants.iter().map(ToString::to_string).collect(),
            tests: tests.iter().map(ToString::to_string).collect(),
        };
        let table = table(&[fate(&["estop-wins"], &["stops::a", "stops::b"]), fate(&[], &[])]);
        assert!(table.contains("| estop-wins | `stops::a` and 1 more |"), "{table}");
        assert!(table.contains("**SURVIVED**"), "{table}");
    }
}
