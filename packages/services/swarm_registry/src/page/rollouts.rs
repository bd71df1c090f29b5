//! How far roll-outs are; pausing, resuming and ending one.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use swarm_api::artifact::{Artifact, Reason, Status};
use swarm_api::cell::{CellPage, Running};
use swarm_rollout::{Rollout, RolloutPage, RolloutStatus, Stage, Standing, State, Summary};

use super::api::{Api, Failure, encoded};
use super::layout::{self, Confirmation, Names, Tab, badge, live, moment, more, tile};
use super::visit::{Asked, Sent, Visit};

/// Cells that are listed; of more, only the numbers are shown.
const MAX_LISTED: usize = 500;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    after: Option<i64>,
}

pub(super) async fn list(
    Shared(api): Shared<Api>,
    visit: Visit,
    Asked(query): Asked<ListQuery>,
) -> Result<Response, Failure> {
    let suffix = |first: &str| query.after.map(|after| format!("{first}after={after}")).unwrap_or_default();
    let page: RolloutPage = api.get(&visit, &format!("/api/v1/rollouts?limit=50{}", suffix("&"))).await?;
    let body = html! {
        @if page.items.is_empty() {
            div.empty {
                p { "There is no roll-out." }
                p { "Begin one with a plan:" }
                pre { code { "csactl rollout start plan.yaml" } }
            }
        } @else {
            div.panel {
                table {
                    thead { tr { th.number { "No." } th { "Artifact" } th { "State" } th { "Cells that have it" } th { "Begun" } } }
                    tbody {
                        @for listed in &page.items {
                            tr {
                                td.number { a href={ "/rollouts/" (listed.id) } { (listed.id) } }
                                th scope="row" { a href={ "/rollouts/" (listed.id) } { (listed.skill_name) " " (listed.version) } }
                                td {
                                    (state_badge(&listed.state))
                                    @if let Some(stage) = listed.state.stage() { div.small { "stage " (stage + 1) } }
                                }
                                td { (progress(&listed.summary)) }
                                td { (moment(&listed.created_at)) div.faint { "by " (listed.created_by) } }
                            }
                        }
                    }
                }
            }
            (more(page.next_after.map(|after| format!("/rollouts?after={after}")), "Older roll-outs"))
        }
    };
    Ok(layout::page(&visit, Tab::Rollouts, "Roll-outs", &live(&format!("/rollouts{}", suffix("?")), &body)))
}

fn state_badge(state: &State) -> Markup {
    let kind = match state {
        State::Running { .. } | State::Observing { .. } | State::Done { .. } => "good",
        State::Paused { .. } => "warning",
        State::Failed { .. } => "critical",
        State::Aborted { .. } | State::Superseded { .. } => "silent",
    };
    badge(kind, state.name())
}

fn progress(summary: &Summary) -> Markup {
    let Summary { pending, already, assigned, taken, refused, taken_back, left } = summary;
    let have = already + taken;
    let all = have + pending + assigned + refused + taken_back + left;
    html! {
        progress class=(if have == all && all > 0 { "good" } else { "" }) max=(all.max(1)) value=(have) {}
        div.small { (have) " of " (all) }
    }
}

pub(super) async fn show(
    Shared(api): Shared<Api>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let entry: RolloutStatus = api.get(&visit, &format!("/api/v1/rollouts/{}", encoded(&id))).await?;
    let rollout = &entry.rollout;
    let place = format!("/rollouts/{}", entry.id);
    let cells = Cells::learn(&api, &visit, rollout).await?;
    let body = html! {
        p { (state_badge(&rollout.state)) " begun " (moment(&entry.created_at)) " by " (entry.created_by) }
        div.actions {
            @for action in actions(&rollout.state) {
                a.button.grave[action.is_grave()] href={ (place) "/" (action.as_str()) } { (action.button()) }
            }
            a.button href={ "/artifacts/" (rollout.plan.artifact) } { "The artifact" }
        }
        (said(&entry, cells.names.get(&rollout.plan.artifact)))
        h2 { "Stages" }
        (stages(rollout))
        h2 { "Gates" }
        (gates(rollout))
        h2 { "Cells" }
        (members(rollout, &cells))
        h2 { "What happened" }
        @if entry.history.is_empty() {
            p.faint { "Nothing yet." }
        } @else {
            div.panel {
                table { tbody { @for it in entry.history.iter().rev() { tr { td.narrow { (moment(&it.at)) } td { (it.text) } } } } }
            }
        }
    };
    let title = format!("Roll-out {} of {} {}", entry.id, rollout.skill_name, rollout.version);
    Ok(layout::page(&visit, Tab::Rollouts, &title, &live(&place, &body)))
}

/// What the cells of a roll-out run now, as far as whoever looks may see it.
#[derive(Debug, Default)]
struct Cells {
    running: BTreeMap<String, Running>,
    names: Names,
}

impl Cells {
    async fn learn(api: &Api, visit: &Visit, rollout: &Rollout) -> Result<Self, Failure> {
        let mut names = Names::default();
        names.learn(api, visit, &rollout.plan.artifact).await?;
        let page: Option<CellPage> = api.get_if_permitted(visit, "/api/v1/cells?limit=1000").await?;
        let cells = page.into_iter().flat_map(|page| page.items);
        let mut running = BTreeMap::new();
        for cell in cells.filter(|cell| rollout.members.contains_key(&cell.site_id)) {
            let Some(runs) = cell.report.and_then(|report| report.running) else { continue };
            names.learn(api, visit, &runs.digest).await?;
            running.insert(cell.site_id, runs);
        }
        Ok(Self { running, names })
    }
}

/// What it does, in a sentence, and why it does not go on.
fn said(entry: &RolloutStatus, artifact: Option<&Artifact>) -> Markup {
    let gates = &entry.rollout.plan.gates;
    let sentence = match &entry.rollout.state {
        State::Running { .. } => "It hands the artifact out to the cells of this stage.".to_owned(),
        State::Observing { observed_s, .. } => {
            format!(
                "It watches the cells of this stage: {} of {} s.",
                observed_s.min(&gates.observe_s),
                gates.observe_s
            )
        }
        State::Paused { reason, .. } => format!("It is paused: {reason}"),
        State::Done { .. } => "Every stage has passed.".to_owned(),
        State::Failed { reason, .. } => {
            format!("A gate failed, and every cell was given back what it had: {reason}")
        }
        State::Aborted { reason, taken_back: true, .. } => {
            format!("It was ended, and every cell was given back what it had: {reason}")
        }
        State::Aborted { reason, taken_back: false, .. } => {
            format!("It was ended; cells keep what they have: {reason}")
        }
        State::Superseded { by, .. } => format!("Roll-out {by} of the same skill has the cells now."),
    };
    let failed = matches!(entry.rollout.state, State::Failed { .. });
    let withdrawn = artifact.is_some_and(|artifact| artifact.status == Status::Quarantined);
    html! {
        div.notice[failed].critical[failed] {
            p { (sentence) }
            @if withdrawn { p { "The artifact is quarantined: nobody gets it from this registry, and no cell can be assigned it." } }
        }
        @if !entry.waits_for.is_empty() {
            p { "It waits:" }
            ul { @for reason in &entry.waits_for { li { (reason) } } }
        }
    }
}

/// Of the cells to which a stage hands the artifact out, how many run it, and how many they are. Cells that had it before the
/// roll-out began are not among them.
fn reached(rollout: &Rollout, stage: &Stage) -> (usize, usize) {
    let ours = |standing: &Standing| !matches!(standing, Standing::Already);
    let members = rollout.members.iter().filter(|(_, member)| ours(&member.standing));
    let taken = |standing: &Standing| matches!(standing, Standing::Taken { .. });
    if let Some(named) = &stage.cells {
        let mine: Vec<_> = members.filter(|(site_id, _)| named.contains(site_id)).collect();
        (mine.iter().filter(|(_, member)| taken(&member.standing)).count(), mine.len())
    } else {
        let all: Vec<_> = members.collect();
        let goal = (all.len() * usize::from(stage.percent.unwrap_or(100))).div_ceil(100);
        (all.iter().filter(|(_, member)| taken(&member.standing)).count().min(goal), goal)
    }
}

fn stages(rollout: &Rollout) -> Markup {
    let present = rollout.state.stage();
    let done = matches!(rollout.state, State::Done { .. });
    html! {
        div.panel {
            ol.stages {
                @for (index, stage) in rollout.plan.stages.iter().enumerate() {
                    @let (have, goal) = reached(rollout, stage);
                    @let passed = done || present.is_some_and(|present| index < present);
                    @let now = present == Some(index);
                    @let full = goal.max(1);
                    li.now[now].later[!passed && !now] {
                        b { (index + 1) ". " (stage.name) }
                        progress class=(if passed { "good" } else { "" }) max=(full) value=(if passed { full } else if now { have } else { 0 }) {}
                        span {
                            @if passed { "passed" } @else if now { (have) " of " (goal) @if goal == 1 { " cell" } @else { " cells" } } @else { "up to " (goal) @if goal == 1 { " cell" } @else { " cells" } }
                        }
                    }
                }
            }
        }
    }
}

fn gates(rollout: &Rollout) -> Markup {
    let (gates, here, all) = (&rollout.plan.gates, &rollout.stage_counts, &rollout.counts);
    let runs = here.runs_succeeded.saturating_add(here.runs_failed);
    let rate = here.runs_succeeded as f64 / runs.max(1) as f64;
    let most = [
        ("Safety stops, in all", all.safety_violations, gates.max_safety_violations),
        ("Crashes, in all", all.crashes, gates.max_crashes),
        ("Cells that refused it, in all", rollout.refused, gates.max_refused),
    ];
    html! {
        div.panel {
            table {
                thead { tr { th { "Gate" } th.number { "Seen" } th.number { "Demanded" } } }
                tbody {
                    tr { th scope="row" { "Runs in this stage" } td.number { (runs) } td.number { "at least " (gates.min_runs) } }
                    tr { th scope="row" { "Runs of this stage that went well" } td.number {
                            @if runs == 0 { "no run yet" } @else if rate < gates.min_success_rate { b.critical { (percent(rate)) } } @else { (percent(rate)) }
                        } td.number { "at least " (percent(gates.min_success_rate)) } }
                    @for (name, seen, limit) in most {
                        tr { th scope="row" { (name) } td.number { @if seen > limit { b.critical { (seen) } } @else { (seen) } } td.number { "at most " (limit) } }
                    }
                }
            }
        }
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

fn members(rollout: &Rollout, cells: &Cells) -> Markup {
    let summary = rollout.summary();
    html! {
        div.tiles {
            @for (count, what) in [
                (summary.taken, "run it"),
                (summary.already, "had it before"),
                (summary.assigned, "are to run it"),
                (summary.pending, if rollout.state.has_ended() { "never had it" } else { "come later" }),
                (summary.refused, "refused it"),
                (summary.taken_back, "were given back what they had"),
                (summary.left, "were taken out by hand"),
            ] {
                @if count > 0 { (tile(count, what)) }
            }
        }
        @if rollout.members.is_empty() {
            p.faint { "No cell belongs to it yet." }
        } @else if rollout.members.len() > MAX_LISTED {
            p.faint { "More than " (MAX_LISTED) " cells; they are not listed one by one." }
        } @else {
            div.panel {
                table {
                    thead { tr { th { "Cell" } th { "Standing" } th { "Runs now" } th.number { "Of its runs went well" } } }
                    tbody {
                        @for (site_id, member) in &rollout.members {
                            tr {
                                th scope="row" { a href={ "/cells/" (encoded(site_id)) } { (site_id) } }
                                td { (standing_badge(&rollout.state, &member.standing)) }
                                @match cells.running.get(site_id) {
                                    Some(Running { digest, health, .. }) => {
                                        td { (cells.names.link(digest)) }
                                        td.number { (health.runs_succeeded) " of " (health.runs_succeeded.saturating_add(health.runs_failed)) }
                                    }
                                    None => { td.faint { "not heard" } td {} }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn standing_badge(state: &State, standing: &Standing) -> Markup {
    match standing {
        Standing::Pending if state.has_ended() => badge("silent", "never had it"),
        Standing::Pending => badge("silent", "comes later"),
        Standing::Already => badge("good", "had it before"),
        Standing::Assigned { .. } => badge("warning", "is to run it"),
        Standing::Taken { .. } => badge("good", "runs it"),
        Standing::Refused => badge("critical", "refused it"),
        Standing::TakenBack => badge("silent", "given back what it had"),
        Standing::Left { .. } => badge("silent", "taken out by hand"),
    }
}

/// What a person can do to a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Pause,
    Resume,
    Abort,
}

fn actions(state: &State) -> &'static [Action] {
    match state {
        State::Running { .. } | State::Observing { .. } => &[Action::Pause, Action::Abort],
        State::Paused { .. } => &[Action::Resume, Action::Abort],
        State::Done { .. } | State::Failed { .. } | State::Aborted { .. } | State::Superseded { .. } => &[],
    }
}

impl Action {
    fn of(text: &str) -> Result<Self, Failure> {
        let found = [Self::Pause, Self::Resume, Self::Abort].into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| Failure::NotFound("There is no such page of a roll-out.".to_owned()))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }

    const fn button(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Abort => "End it and take back",
        }
    }

    const fn is_grave(self) -> bool {
        matches!(self, Self::Abort)
    }

    const fn says(self) -> &'static str {
        match self {
            Self::Pause => {
                "No further cell gets the artifact. Cells that have it keep it, and the gates go on guarding them."
            }
            Self::Resume => "It goes on with the stage where it was paused, and watches that stage anew.",
            Self::Abort => {
                "It ends for good. Every cell that has the artifact from this roll-out is given back what it had before."
            }
        }
    }
}

pub(super) async fn ask(
    Shared(api): Shared<Api>,
    visit: Visit,
    Path((id, action)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let action = Action::of(&action)?;
    let entry: RolloutStatus = api.get(&visit, &format!("/api/v1/rollouts/{}", encoded(&id))).await?;
    let rollout = &entry.rollout;
    let place = format!("/rollouts/{}", entry.id);
    let to = format!("{place}/{}", action.as_str());
    let form = Confirmation {
        says: html! {
            p { "Roll-out " (entry.id) " of " b { (rollout.skill_name) " " (rollout.version) } " " (state_badge(&rollout.state)) }
            p { (action.says()) }
        },
        fields: &[],
        reason: Some(1000),
        button: action.button(),
        grave: action.is_grave(),
        to: &to,
        back: &place,
    };
    Ok(layout::page(&visit, Tab::Rollouts, &format!("{}?", action.button()), &form.form(&visit)))
}

pub(super) async fn change(
    Shared(api): Shared<Api>,
    visit: Visit,
    Path((id, action)): Path<(String, String)>,
    form: Sent,
) -> Result<Response, Failure> {
    let (id, action) = (encoded(&id), Action::of(&action)?);
    let reason = Reason { reason: form.field("reason").to_owned() };
    api.post(&visit, &format!("/api/v1/rollouts/{id}/{}", action.as_str()), &reason).await?;
    Ok(Redirect::to(&format!("/rollouts/{id}")).into_response())
}
