//! How a cell stands to its registry, in a word, in a sentence, and as the outcome of its assignment.

use std::fmt::Write as _;

use swarm_api::cell::{Outcome, Progress};

use crate::plan::{Plan, Rest, Step};
use crate::values::{Belief, Have, Now, Trouble, Want};

/// As in `swarm_msgs/BridgeStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    InStep,
    Working,
    Waiting,
    Offline,
    Expired,
    Refused,
}

/// What is shown and reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    /// In a sentence: why.
    pub detail: String,
    /// Of the assignment; none if there is none.
    pub outcome: Option<Outcome>,
    /// What is wrong, in a sentence each.
    pub troubles: Vec<String>,
}

impl Standing {
    pub fn of(have: &Have<'_>, want: &Want, plan: &Plan, now: Now) -> Self {
        let (mut state, mut detail) = by_plan(have, want, plan);
        match &have.registry.trouble {
            _ if plan.rest == Rest::Expired => {}
            Some(Trouble::Away(why)) => {
                if matches!(state, State::InStep | State::Starting | State::Waiting) {
                    state = State::Offline;
                }
                let since =
                    have.memory.last_contact_unix_s.map(|last| now.unix_s.saturating_sub(last).max(0));
                let since = since.map_or_else(
                    || "has not been heard yet".to_owned(),
                    |since| format!("was last heard {since} s ago"),
                );
                let _ = write!(detail, "; the registry {since}: {why}");
            }
            Some(Trouble::NotBelieved(why)) => {
                state = State::Refused;
                let _ = write!(detail, "; what the registry sends is not believed: {why}");
            }
            None => {}
        }
        let outcome = outcome(want, plan, &detail);
        Self { state, troubles: troubles(have, plan), detail, outcome }
    }
}

fn by_plan(have: &Have<'_>, want: &Want, plan: &Plan) -> (State, String) {
    let wanted = match want {
        Want::Artifact(wanted) => wanted.to_string(),
        _ => String::new(),
    };
    if let Some(step) = plan.steps.iter().find(|step| !matches!(step, Step::Refresh | Step::Evict(_))) {
        return (State::Working, step.to_string());
    }
    match &plan.rest {
        Rest::InStep => (State::InStep, format!("{wanted} runs, as assigned")),
        Rest::NothingAssigned => (State::InStep, "the director assigns nothing to this cell".to_owned()),
        Rest::NothingKnown => (State::Starting, "no metadata is believed yet".to_owned()),
        Rest::Expired => (State::Expired, expired(have)),
        Rest::RuntimeSilent => (State::Waiting, format!("{wanted} waits: the skill runtime is silent")),
        Rest::Moving => (State::Waiting, format!("{wanted} waits until nothing moves")),
        Rest::Window { opens_in_s } => (
            State::Waiting,
            format!("{wanted} waits for the maintenance window, which opens in {opens_in_s} s"),
        ),
        Rest::NotDownloaded { why } => (State::Waiting, format!("{wanted} is not here yet: {why}")),
        Rest::NotDeployed { why } => (State::Waiting, format!("{wanted} is not deployed yet: {why}")),
        Rest::NoRoom(no_room) => (State::Refused, format!("there is no room for {wanted}: {no_room}")),
        Rest::Left => (
            State::Refused,
            format!(
                "{wanted} was left by hand on this cell; it is not brought back until something else is assigned"
            ),
        ),
        Rest::Refused { why } => (State::Refused, format!("{wanted} is not taken: {why}")),
        Rest::Disagreed { why } => (State::Refused, format!("the assignment is not taken: {why}")),
    }
}

fn expired(have: &Have<'_>) -> String {
    let runs = if have.memory.runs_refused { "no run is begun" } else { "what is deployed may be run on" };
    let why =
        have.registry.trouble.as_ref().map(|trouble| format!(": {}", trouble.why())).unwrap_or_default();
    format!(
        "the registry has not been believed for longer than the policy allows{why}; {runs}, and nothing is deployed"
    )
}

fn outcome(want: &Want, plan: &Plan, detail: &str) -> Option<Outcome> {
    let (artifact, state) = match want {
        Want::Artifact(wanted) => {
            let downloading = plan.steps.iter().any(|step| matches!(step, Step::Download(_)));
            let exchanging =
                plan.steps.iter().any(|step| matches!(step, Step::Deploy { .. } | Step::RollBackTo { .. }));
            let state = match plan.rest {
                _ if downloading => Progress::Downloading,
                _ if exchanging => Progress::Waiting,
                Rest::InStep => Progress::Deployed,
                Rest::Moving | Rest::Window { .. } | Rest::RuntimeSilent => Progress::Waiting,
                Rest::Refused { .. } => Progress::Refused,
                _ => Progress::Failed,
            };
            (wanted.artifact, state)
        }
        Want::Disagreed { artifact: Some(artifact), .. } => (*artifact, Progress::Refused),
        _ => return None,
    };
    Some(Outcome { digest: artifact.to_string(), state, detail: detail.to_owned() })
}

fn troubles(have: &Have<'_>, plan: &Plan) -> Vec<String> {
    let mut troubles = Vec::new();
    match &plan.rest {
        Rest::Left => troubles.push("the assignment was left by hand on this cell".to_owned()),
        Rest::Refused { why } | Rest::Disagreed { why } | Rest::NotDeployed { why } => {
            troubles.push(why.clone());
        }
        Rest::NoRoom(no_room) => troubles.push(no_room.to_string()),
        Rest::RuntimeSilent => troubles.push("the skill runtime is silent".to_owned()),
        Rest::Expired => troubles.push(expired(have)),
        _ => {}
    }
    if let Some(Trouble::NotBelieved(why)) = &have.registry.trouble {
        troubles.push(format!("what the registry sends is not believed: {why}"));
    }
    if have.withdrawn() {
        let why = match have.running_believed {
            Belief::ToLeave => "the director has this cell leave it",
            _ => "the image repository has it no more",
        };
        troubles.push(format!("what runs is withdrawn: {why}"));
    }
    troubles
}
