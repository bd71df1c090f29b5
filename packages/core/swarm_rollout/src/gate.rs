//! What the cells' counts say about the artifact.

use swarm_api::cell::{Health, Report};

use crate::plan::Gates;
use crate::state::{Counted, Rollout};

/// What happened between the counts that were taken over last and those of this report.
///
/// Counts begin anew with a run of the bridge, or when the artifact is deployed again. Then all of them are new: what
/// happened before was taken over already, and nothing that was reported is lost or taken away.
pub(crate) fn since(last: Option<Counted>, report: &Report, health: Health) -> Health {
    let Some(last) = last.filter(|last| last.started_unix == report.started_unix) else { return health };
    let differences = [
        health.runs_succeeded.checked_sub(last.health.runs_succeeded),
        health.runs_failed.checked_sub(last.health.runs_failed),
        health.safety_violations.checked_sub(last.health.safety_violations),
        health.crashes.checked_sub(last.health.crashes),
    ];
    let [Some(runs_succeeded), Some(runs_failed), Some(safety_violations), Some(crashes)] = differences
    else {
        return health;
    };
    Health { runs_succeeded, runs_failed, safety_violations, crashes }
}

pub(crate) fn sum(one: Health, other: Health) -> Health {
    Health {
        runs_succeeded: one.runs_succeeded.saturating_add(other.runs_succeeded),
        runs_failed: one.runs_failed.saturating_add(other.runs_failed),
        safety_violations: one.safety_violations.saturating_add(other.safety_violations),
        crashes: one.crashes.saturating_add(other.crashes),
    }
}

pub(crate) fn runs(health: Health) -> u64 {
    health.runs_succeeded.saturating_add(health.runs_failed)
}

/// Why the roll-out fails; `None` while every gate holds.
///
/// `mute` is how many of its cells have a runtime that is silent for too long: a crash of which no runtime is left to tell.
pub(crate) fn violated(rollout: &Rollout, mute: u64) -> Option<String> {
    let gates = &rollout.plan.gates;
    let over = |what: &str, count: u64, most: u64| {
        (count > most).then(|| format!("{count} {what}, and the plan allows {most}"))
    };
    over("safety violations", rollout.counts.safety_violations, gates.max_safety_violations)
        .or_else(|| {
            let crashes = rollout.counts.crashes.saturating_add(mute);
            over("crashes of skill runtimes", crashes, gates.max_crashes)
        })
        .or_else(|| over("cells refused the artifact or left it", rollout.refused, gates.max_refused))
        .or_else(|| too_few_succeed(gates, rollout.stage_counts))
}

/// Before `min_runs` are reached, the missing ones are taken for successes: what even they cannot save fails at once.
fn too_few_succeed(gates: &Gates, counts: Health) -> Option<String> {
    let runs = runs(counts);
    let judged = runs.max(gates.min_runs);
    // The product is not exact; a billionth of a run decides nothing.
    let allowed = (1.0 - gates.min_success_rate) * judged as f64;
    let failed = counts.runs_failed;
    (failed as f64 > allowed + 1e-9 * judged as f64).then(|| {
        let wanted = (gates.min_success_rate * 10_000.0).round() / 100.0;
        format!(
            "{failed} of {runs} runs failed, and the plan asks for {wanted} % of at least {judged} to succeed"
        )
    })
}
