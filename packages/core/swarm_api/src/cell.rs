//! What a cell says of itself, and what the registry knows of the cells.

use serde::{Deserialize, Serialize};

/// A cell's report. Sent at every change, and otherwise every [`REPORT_EVERY_S`] seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The cell's clock, seconds since 1970-01-01 UTC.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub at_unix: i64,
    /// Counts up with each report of this run of the bridge; together with `started_unix` it orders reports.
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub sequence: u64,
    /// When this run of the bridge began, seconds since 1970-01-01 UTC.
    #[cfg_attr(feature = "schema", schema(minimum = 0, maximum = 9_007_199_254_740_991_i64))]
    pub started_unix: i64,
    pub motion: Motion,
    /// Whether the cell's maintenance window is open; a new artifact waits for it, a rollback does not.
    pub window_open: bool,
    /// Version of the timestamp metadata that the cell believes; 0 = none yet.
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub image: u64,
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub director: u64,
    /// What is deployed.
    pub running: Option<Running>,
    /// Digest of the artifact to which the cell would go back by itself.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub last_good: Option<String>,
    /// What became of the last assignment that the cell took up.
    pub outcome: Option<Outcome>,
    /// What is wrong on the cell, in a sentence each; empty = nothing.
    #[cfg_attr(feature = "schema", schema(max_items = 20))]
    pub troubles: Vec<String>,
}

/// Seconds between two reports of a cell where nothing changes.
pub const REPORT_EVERY_S: u64 = 10;

/// Whether anything on the cell moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Motion {
    AtRest,
    Moving,
    /// The runtime does not answer; nothing is exchanged.
    Unknown,
}

/// What a cell has deployed, and how it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Running {
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    #[cfg_attr(feature = "schema", schema(max_length = 64))]
    pub skill_name: String,
    #[cfg_attr(feature = "schema", schema(max_length = 64))]
    pub version: String,
    pub health: Health,
}

/// Counts since this artifact was deployed on this cell, or since this run of the bridge began (`started_unix`), whichever came
/// later. In between they never go down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = SkillHealth))]
#[serde(deny_unknown_fields)]
pub struct Health {
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub runs_succeeded: u64,
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub runs_failed: u64,
    /// Stops of the safety monitor that were not pressed by a person.
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub safety_violations: u64,
    /// Ends of the skill runtime that nobody asked for.
    #[cfg_attr(feature = "schema", schema(maximum = 9_007_199_254_740_991_i64))]
    pub crashes: u64,
}

/// What became of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Of the assigned artifact.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    pub state: Progress,
    /// In the cell's words: why it waits, or why it was refused.
    #[cfg_attr(feature = "schema", schema(max_length = 2000))]
    pub detail: String,
}

/// How far a cell is with an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    Downloading,
    /// Verified and in the cache; it waits for rest or for the window.
    Waiting,
    Deployed,
    /// The cell does not take it, and never will: it did not verify, or the runtime refused it.
    Refused,
    /// Something is in the way; the cell goes on trying.
    Failed,
}

/// What a cell is told when it reports. A hint and no more: the cell acts on signed metadata only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ReportAnswer {
    /// Versions of the newest timestamp metadata.
    pub image: u64,
    pub director: u64,
}

/// A cell as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Cell {
    #[cfg_attr(feature = "schema", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub site_id: String,
    /// When the registry last heard of it.
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub seen_at: Option<String>,
    /// It was heard of within three reports' time.
    pub online: bool,
    /// Digest of the artifact that it is to run.
    pub assigned: Option<String>,
    /// What it said last.
    pub report: Option<Report>,
}

/// A page of cells, in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CellPage {
    pub items: Vec<Cell>,
    /// Ask with `after` = this name for the next page; null at the end.
    pub next_after: Option<String>,
}
