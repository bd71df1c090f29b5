//! Why a roll-out does not go on at once, for people who look at it.

use swarm_api::cell::Progress;

use crate::gate;
use crate::members::Turn;
use crate::state::{Rollout, Standing, State};
use crate::view::CellView;

/// So many cells are named; of the others only their number.
const NAMED: usize = 10;

/// What an unfinished roll-out waits for, in a sentence each. Empty = it has ended, or goes on with the next step.
pub fn waits_for(rollout: &Rollout, cells: &[CellView], now_unix: i64) -> Vec<String> {
    let turn = Turn::new(rollout, cells, now_unix);
    let mut sentences = Vec::new();
    match &rollout.state {
        State::Done { .. } | State::Failed { .. } | State::Aborted { .. } | State::Superseded { .. } => {}
        State::Paused { reason, .. } => sentences.push(format!("it is paused: {reason}")),
        State::Running { .. } => {
            sentences = cells_that_hesitate(&turn);
            if sentences.is_empty() && !turn.hears_a_taker() {
                sentences.push(nobody_to_learn_from(rollout));
            }
        }
        State::Observing { observed_s, .. } => {
            let gates = &rollout.plan.gates;
            let runs = gate::runs(rollout.stage_counts);
            if !turn.hears_a_taker() {
                sentences.push(nobody_to_learn_from(rollout));
            }
            if *observed_s < gates.observe_s {
                sentences.push(format!("the stage was observed for {observed_s} of {} s", gates.observe_s));
            }
            if runs < gates.min_runs {
                sentences.push(format!("the stage has seen {runs} of {} runs", gates.min_runs));
            }
        }
    }
    sentences
}

fn cells_that_hesitate(turn: &Turn<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut more = 0;
    for (site_id, member) in &turn.rollout.members {
        if !matches!(member.standing, Standing::Assigned { .. }) || !turn.is_online(site_id) {
            continue;
        }
        if sentences.len() == NAMED {
            more += 1;
            continue;
        }
        let report = turn.cells.get(site_id.as_str()).and_then(|cell| cell.report.as_ref());
        let outcome = report.and_then(|report| report.outcome.as_ref());
        let about_this = outcome.filter(|outcome| outcome.digest == turn.rollout.plan.artifact);
        sentences.push(match about_this {
            None => format!("{site_id} has not answered yet"),
            Some(outcome) => match outcome.state {
                Progress::Downloading => format!("{site_id} downloads it"),
                Progress::Waiting => format!("{site_id} has it and waits: {}", outcome.detail),
                Progress::Failed => {
                    format!("{site_id} cannot take it up, and tries again: {}", outcome.detail)
                }
                Progress::Deployed | Progress::Refused => format!("{site_id}: {}", outcome.detail),
            },
        });
    }
    if more > 0 {
        sentences.push(format!("{more} more cells have not taken it up"));
    }
    sentences
}

fn nobody_to_learn_from(rollout: &Rollout) -> String {
    let summary = rollout.summary();
    if summary.assigned + summary.taken > 0 {
        "no cell that has the artifact can be heard, so that nothing is known of it; it goes no further until one is back"
            .to_owned()
    } else if rollout.members.is_empty() {
        "the registry knows none of the roll-out's cells".to_owned()
    } else {
        "none of the stage's cells can be reached".to_owned()
    }
}
