//! What a person asks for. A plan that comes from outside is checked as a whole, so that one answer names all its mistakes.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use swarm_api::cell::REPORT_EVERY_S;

const MAX_STAGES: usize = 20;
const MAX_NAMED_CELLS: usize = 10_000;
const MAX_NAME: usize = 64;
/// The largest whole number that every reader of JSON keeps.
const MAX_NUMBER: u64 = (1 << 53) - 1;
/// A year; longer is a slip of the keyboard, and later sums of seconds cannot overflow.
const MAX_SECONDS: u64 = 366 * 86_400;

/// A roll-out as it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutPlan))]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Digest of the artifact.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub artifact: String,
    pub cells: Cells,
    /// In their order; each goes on from the one before.
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 20))]
    pub stages: Vec<Stage>,
    pub gates: Gates,
    /// A cell is offline when nothing was heard of it for longer than this, in seconds.
    #[serde(default = "default_offline_after_s")]
    #[cfg_attr(feature = "schema", schema(minimum = 10, maximum = 31_622_400))]
    pub offline_after_s: u64,
    /// How long a stage waits for cells that are online and do not exchange their artifact yet (motion, window, full disk), in
    /// seconds. After that it goes on without them; they still may.
    #[serde(default = "default_take_up_s")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 31_622_400))]
    pub take_up_s: u64,
    /// Withdraws the artifact when a gate fails.
    #[serde(default = "default_quarantine")]
    pub quarantine_on_failure: bool,
    /// Draws which cells come first.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub seed: u64,
}

/// Which cells a roll-out is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutCells))]
#[serde(rename_all = "snake_case")]
pub enum Cells {
    /// Every cell of the artifact's skill, those that come while the roll-out goes on too.
    All,
    /// These, whatever skill they have now.
    Named(Vec<String>),
}

/// One step of a roll-out: either a share of the cells, or cells by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutStage))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 64))]
    pub name: String,
    /// So much of all the roll-out's cells has it at the end of this stage, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 100))]
    pub percent: Option<u8>,
    /// Site identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(min_items = 1, max_items = 10_000))]
    pub cells: Option<Vec<String>>,
}

/// What must hold for a roll-out to go on. Counts are those of runs with the new artifact on the roll-out's cells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = RolloutGates))]
#[serde(deny_unknown_fields)]
pub struct Gates {
    /// How long each stage is watched after its cells have taken the artifact up, in seconds.
    #[cfg_attr(feature = "schema", schema(maximum = 31_622_400))]
    pub observe_s: u64,
    /// How many runs each stage must have seen.
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub min_runs: u64,
    /// Share of a stage's runs that must succeed, 0 to 1. Fails as soon as `min_runs` can no longer reach it.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 1))]
    pub min_success_rate: f64,
    /// Over the whole roll-out; more than this many stops of safety monitors fail it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub max_safety_violations: u64,
    /// Over the whole roll-out; more than this many crashes of skill runtimes fail it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub max_crashes: u64,
    /// Over the whole roll-out; more than this many cells that refuse the artifact, or leave it by themselves, fail it.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub max_refused: u64,
}

const fn default_offline_after_s() -> u64 {
    3 * REPORT_EVERY_S
}

const fn default_take_up_s() -> u64 {
    86_400
}

const fn default_quarantine() -> bool {
    true
}

/// One mistake in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Such as `stages[1].percent`.
    pub field: String,
    /// What it is, and what it should be.
    pub problem: String,
}

/// Why a plan is not begun: everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlanError {
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan of the roll-out is not usable: ")?;
        for (i, Mistake { field, problem }) in self.mistakes.iter().enumerate() {
            write!(f, "{}{field}: {problem}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Plan {
    /// Finds every mistake.
    pub fn check(&self) -> Result<(), PlanError> {
        let mut found = Mistakes::default();
        if !is_digest(&self.artifact) {
            found.add("artifact", "is no digest; give the SHA-256 of the archive, 64 lower-case hex digits");
        }
        if let Cells::Named(cells) = &self.cells {
            found.names("cells.named", cells);
        }
        if self.stages.is_empty() || self.stages.len() > MAX_STAGES {
            found.add("stages", format!("are {}; there must be 1 to {MAX_STAGES}", self.stages.len()));
        }
        self.check_stages(&mut found);
        let rate = self.gates.min_success_rate;
        if !(0.0..=1.0).contains(&rate) {
            found.add("gates.min_success_rate", format!("is {rate}; it must be from 0 to 1"));
        }
        found.range("gates.observe_s", self.gates.observe_s, 0, MAX_SECONDS);
        found.range("gates.min_runs", self.gates.min_runs, 0, MAX_NUMBER);
        found.range("gates.max_safety_violations", self.gates.max_safety_violations, 0, MAX_NUMBER);
        found.range("gates.max_crashes", self.gates.max_crashes, 0, MAX_NUMBER);
        found.range("gates.max_refused", self.gates.max_refused, 0, MAX_NUMBER);
        // Below the time between two reports every cell would be offline now and then.
        found.range("offline_after_s", self.offline_after_s, REPORT_EVERY_S, MAX_SECONDS);
        found.range("take_up_s", self.take_up_s, 1, MAX_SECONDS);
        found.range("seed", self.seed, 0, MAX_NUMBER);
        if found.0.is_empty() { Ok(()) } else { Err(PlanError { mistakes: found.0 }) }
    }

    fn check_stages(&self, found: &mut Mistakes) {
        let mut names = BTreeSet::new();
        let mut placed = BTreeSet::new();
        let mut reached = 0;
        for (i, stage) in self.stages.iter().enumerate() {
            let field = |name: &str| format!("stages[{i}].{name}");
            if stage.name.is_empty() || stage.name.chars().count() > MAX_NAME {
                found.add(field("name"), format!("must have 1 to {MAX_NAME} characters"));
            } else if !names.insert(&stage.name) {
                found.add(field("name"), format!("'{}' is the name of an earlier stage too", stage.name));
            }
            match (stage.percent, &stage.cells) {
                (Some(percent), None) => {
                    if !(1..=100).contains(&percent) {
                        found.add(field("percent"), format!("is {percent}; it must be from 1 to 100"));
                    } else if percent <= reached {
                        let problem = format!("is {percent}; an earlier stage is for {reached} already");
                        found.add(field("percent"), problem);
                    }
                    reached = reached.max(percent);
                }
                (None, Some(cells)) => {
                    found.names(&field("cells"), cells);
                    for cell in cells.iter().collect::<BTreeSet<_>>() {
                        if !placed.insert(cell) {
                            found.add(field("cells"), format!("'{cell}' is in an earlier stage already"));
                        }
                        if matches!(&self.cells, Cells::Named(named) if !named.contains(cell)) {
                            let problem = format!("'{cell}' is not among the roll-out's cells");
                            found.add(field("cells"), problem);
                        }
                    }
                }
                (Some(_), Some(_)) => {
                    found.add(format!("stages[{i}]"), "has both percent and cells; give one of them");
                }
                (None, None) => {
                    found.add(format!("stages[{i}]"), "has neither percent nor cells; give one of them");
                }
            }
        }
    }
}

#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(Mistake { field: field.into(), problem: problem.into() });
    }

    fn range(&mut self, field: &str, value: u64, least: u64, most: u64) {
        if !(least..=most).contains(&value) {
            self.add(field, format!("is {value}; it must be from {least} to {most}"));
        }
    }

    fn names(&mut self, field: &str, names: &[String]) {
        if names.is_empty() || names.len() > MAX_NAMED_CELLS {
            self.add(field, format!("has {} cells; it must have 1 to {MAX_NAMED_CELLS}", names.len()));
        }
        let mut once = BTreeSet::new();
        for name in names {
            if !is_site_id(name) {
                let shown: String = name.escape_debug().take(80).collect();
                self.add(
                    field,
                    format!("'{shown}' is no cell's name: 1 to 64 letters, digits, '.', '_' or '-'"),
                );
            } else if !once.insert(name) {
                self.add(field, format!("'{name}' is named twice"));
            }
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_site_id(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= MAX_NAME
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().all(rest)
}
