//! `cargo xtask test`: everything that has to hold before a change is taken, quickest first; the first stage that fails ends
//! the run.
//!
//! | stage | what | needs ROS |
//! |---|---|---|
//! | `format` | rustfmt | |
//! | `arrows` | dependencies between crates, see [`crate::arrows`] | |
//! | `tests` | tests of the crates, those against other people's programs among them | partly |
//! | `docs` | examples in their documentation | partly |
//! | `loom` | every order of the threads that share a cell | |
//! | `lints` | clippy without a warning | partly |
//! | `install` | the install tree in colcon's two layouts | yes |
//! | `launch` | the launch files against that tree | yes |
//! | `deployment` | images, compose files, chart, units, alerts and dashboards | yes |
//! | `ros` | the nodes driven from rclpy, several at once | yes |
//!
//! Partly: with `--fast` only `default-members` are looked at, without ROS and without the tests against other programs.

mod counts;
mod stages;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use counts::Counts;
pub use stages::STAGES;
use stages::{Run, Stage};

use crate::doctor;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ui::seconds;

/// Which stages to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    All,
    /// Those that need no ROS.
    Fast,
    One(&'a str),
}

/// How a stage ended.
#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(Error),
    /// A stage before it failed.
    NotReached,
}

#[derive(Debug)]
struct Record {
    name: &'static str,
    outcome: Outcome,
    counts: Counts,
    duration: Duration,
}

/// Runs the selected stages, prints a table and the closing count; true when all passed.
pub fn run(layout: &Layout, selection: Selection<'_>) -> Result<bool> {
    let stages = select(selection)?;
    if selection == Selection::All
        && let Some(short) = doctor::short_of_disk(layout)
    {
        eprintln!("{short}");
    }
    let mut run = Run::new(layout, selection == Selection::Fast);
    let mut records: Vec<Record> = Vec::new();
    for stage in stages {
        let broken = records.iter().any(|record| !matches!(record.outcome, Outcome::Passed));
        records.push(if broken { skipped(stage) } else { perform(stage, &mut run) });
    }
    eprintln!();
    for record in &records {
        eprintln!("{}", row(record));
    }
    let mut total = Counts::default();
    for record in &records {
        total += record.counts;
    }
    let passed = records.iter().all(|record| matches!(record.outcome, Outcome::Passed));
    for record in &records {
        if let Outcome::Failed(error) = &record.outcome {
            eprintln!("\nstage {} failed: {}", record.name, error.with_causes());
        }
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(passed)
}

fn select(selection: Selection<'_>) -> Result<Vec<&'static Stage>> {
    let chosen: Vec<&Stage> = match selection {
        Selection::All => STAGES.iter().collect(),
        Selection::Fast => STAGES.iter().filter(|stage| stage.is_fast()).collect(),
        Selection::One(name) => STAGES.iter().filter(|stage| stage.name == name).collect(),
    };
    match (selection, chosen.is_empty()) {
        (Selection::One(asked), true) => {
            let known = STAGES.iter().map(|stage| stage.name).collect::<Vec<_>>().join(", ");
            Err(Error::UnknownStage { asked: asked.to_owned(), known })
        }
        _ => Ok(chosen),
    }
}

fn perform(stage: &Stage, run: &mut Run<'_>) -> Record {
    eprintln!("\n== {}: {}", stage.name, stage.about);
    let started = Instant::now();
    let mut counts = Counts::default();
    let result = (stage.perform)(run, &mut counts);
    // A stage that ran no test runner is one check in itself; one whose runner died before counting has failed once.
    match &result {
        Ok(()) if counts == Counts::default() => counts.passed = 1,
        Err(_) if counts.failed == 0 => counts.failed = 1,
        _ => {}
    }
    let outcome = result.map_or_else(Outcome::Failed, |()| Outcome::Passed);
    Record { name: stage.name, outcome, counts, duration: started.elapsed() }
}

fn skipped(stage: &Stage) -> Record {
    Record {
        name: stage.name,
        outcome: Outcome::NotReached,
        counts: Counts::default(),
        duration: Duration::ZERO,
    }
}

fn row(record: &Record) -> String {
    let Counts { passed, failed, skipped, rerun } = record.counts;
    let name = record.name;
    let mark = match record.outcome {
        Outcome::Passed => '✓',
        Outcome::Failed(_) => '✗',
        Outcome::NotReached => return format!("- {name:<10}       not reached"),
    };
    let mut counts = format!("{passed:>5} passed");
    for (count, word) in [(failed, "failed"), (skipped, "skipped"), (rerun, "rerun")] {
        if count > 0 {
            let _ = write!(counts, ", {count} {word}"); // into a String: never fails
        }
    }
    format!("{mark} {name:<10} {counts}  {:>12}", seconds(record.duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_stage_is_refused_with_the_known_ones() {
        let text = select(Selection::One("lint")).unwrap_err().to_string();
        assert_eq!(
            text,
            "no stage is called `lint`; there are: format, arrows, tests, docs, loom, lints, install, launch, deployment, ros"
        );
    }

    #[test]
    fn the_fast_selection_needs_no_ros() {
        let names: Vec<&str> = select(Selection::Fast).unwrap().iter().map(|stage| stage.name).collect();
        assert_eq!(names, ["format", "arrows", "tests", "docs", "loom", "lints"]);
    }

    #[test]
    fn a_failed_stage_counts_even_when_its_runner_said_nothing() {
        let layout = Layout::at("/nowhere");
        let mut run = Run::new(&layout, true);
        let stage = Stage {
            name: "x",
            about: "",
            needs_ros: stages::NeedsRos::No,
            perform: |_, _| Err(Error::Failed("broken".into())),
        };
        let record = perform(&stage, &mut run);
        assert_eq!(record.counts, Counts { failed: 1, ..Counts::default() });
        assert!(row(&record).starts_with("✗ x "));
    }

    #[test]
    fn a_test_that_was_run_again_is_told_in_the_stages_row() {
        let counts = Counts { passed: 12, rerun: 2, ..Counts::default() };
        let record = Record { name: "ros", outcome: Outcome::Passed, counts, duration: Duration::ZERO };
        assert!(row(&record).starts_with("✓ ros           12 passed, 2 rerun  "), "{}", row(&record));
    }
}
