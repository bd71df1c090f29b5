//! Which cell runs what, and what one cell has run.

use std::collections::BTreeMap;

use axum::extract::{Path, State as Shared};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use swarm_api::cell::{Cell, CellPage, Motion, Progress, Report, Running};
use swarm_api::deployment::{Cause, Deployment, DeploymentPage, State};

use super::api::{Api, Failure, encoded};
use super::layout::{self, Names, Tab, badge, live, moment, more, tile};
use super::visit::{Asked, Visit};

/// Cells on one page.
const PAGE: usize = 200;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    after: Option<String>,
}

pub(super) async fn list(
    Shared(api): Shared<Api>,
    visit: Visit,
    Asked(query): Asked<ListQuery>,
) -> Result<Response, Failure> {
    let after = query.after.as_deref().filter(|after| !after.is_empty());
    let suffix =
        |first: &str| after.map(|after| format!("{first}after={}", encoded(after))).unwrap_or_default();
    let page: CellPage = api.get(&visit, &format!("/api/v1/cells?limit={PAGE}{}", suffix("&"))).await?;
    let names = learn(&api, &visit, &page.items).await?;
    let body = html! {
        @if page.items.is_empty() {
            div.empty {
                p { "No cell has reported yet." }
                p { "A cell appears here when its bridge first reaches this registry." }
            }
        } @else {
            (tiles(&page, &names))
            (table(&page.items, &names))
            (more(page.next_after.map(|after| format!("/cells?after={}", encoded(&after))), "Further cells"))
        }
    };
    Ok(layout::page(&visit, Tab::Cells, "Cells", &live(&format!("/cells{}", suffix("?")), &body)))
}

async fn learn(api: &Api, visit: &Visit, cells: &[Cell]) -> Result<Names, Failure> {
    let mut names = Names::default();
    for cell in cells {
        let running = running(cell).map(|it| &it.digest);
        for digest in [cell.assigned.as_ref(), running].into_iter().flatten() {
            names.learn(api, visit, digest).await?;
        }
    }
    Ok(names)
}

fn running(cell: &Cell) -> Option<&Running> {
    cell.report.as_ref()?.running.as_ref()
}

/// It runs what it is to run.
fn in_step(cell: &Cell) -> bool {
    cell.assigned.is_some() && running(cell).map(|it| &it.digest) == cell.assigned.as_ref()
}

fn tiles(page: &CellPage, names: &Names) -> Markup {
    let cells = &page.items;
    let count = |holds: fn(&Cell) -> bool| cells.iter().filter(|cell| holds(cell)).count();
    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for running in cells.iter().filter_map(running) {
        *versions.entry(format!("{} {}", running.skill_name, running.version)).or_default() += 1;
    }
    let in_trouble = |cell: &Cell| cell.report.as_ref().is_some_and(|report| !report.troubles.is_empty());
    let withdrawn = |cell: &&Cell| {
        let artifact = running(cell).and_then(|it| names.get(&it.digest));
        artifact.is_some_and(|it| it.quarantine.is_some())
    };
    let withdrawn = cells.iter().filter(withdrawn).count();
    html! {
        @if withdrawn > 0 {
            p.notice.critical { (withdrawn) @if withdrawn == 1 { " cell runs" } @else { " cells run" } " an artifact that is quarantined." }
        }
        div.tiles {
            (tile(cells.len(), if page.next_after.is_some() { "cells on this page" } else { "cells" }))
            (tile(count(|cell| cell.online), "can be reached"))
            (tile(count(in_step), "run what they are to run"))
            (tile(count(in_trouble), "report a trouble"))
            @for (version, count) in versions { (tile(count, &version)) }
        }
    }
}

fn table(cells: &[Cell], names: &Names) -> Markup {
    html! {
        div.panel {
            table {
                thead {
                    tr {
                        th { "Cell" } th { "Runs" } th { "Is to run" } th.number { "Runs that went well" }
                        th.number { "Safety stops" } th.number { "Crashes" } th { "Last heard" } th {}
                    }
                }
                tbody {
                    @for cell in cells {
                        @let health = running(cell).map(|it| it.health);
                        tr {
                            th scope="row" {
                                a href={ "/cells/" (encoded(&cell.site_id)) } { (cell.site_id) }
                                div { (presence(cell)) }
                            }
                            td { @match running(cell) { Some(running) => (names.link(&running.digest)), None => { span.faint { "nothing" } } } }
                            td { (wanted(cell, names)) }
                            @match health {
                                Some(health) => {
                                    td.number { (health.runs_succeeded) " of " (health.runs_succeeded.saturating_add(health.runs_failed)) }
                                    td.number { (counted(health.safety_violations)) }
                                    td.number { (counted(health.crashes)) }
                                }
                                None => { td {} td {} td {} }
                            }
                            td { @if let Some(seen) = &cell.seen_at { (moment(seen)) } }
                            td.act { a href={ "/rollback?site=" (encoded(&cell.site_id)) } { "Roll back" } }
                        }
                    }
                }
            }
        }
    }
}

fn counted(count: u64) -> Markup {
    html! { @if count > 0 { b.critical { (count) } } @else { "0" } }
}

fn presence(cell: &Cell) -> Markup {
    html! {
        @if cell.online {
            @match cell.report.as_ref().map(|report| report.motion) {
                Some(Motion::AtRest) => (badge("good", "at rest")),
                Some(Motion::Moving) => (badge("warning", "moving")),
                Some(Motion::Unknown) | None => (badge("warning", "runtime silent")),
            }
        } @else { (badge("silent", "offline")) }
        @if let Some(report) = &cell.report {
            @for trouble in &report.troubles { div.critical.small { (trouble) } }
        }
    }
}

/// The assignment, and how far the cell is with it.
fn wanted(cell: &Cell, names: &Names) -> Markup {
    let Some(assigned) = &cell.assigned else { return html! { span.faint { "nothing" } } };
    if in_step(cell) {
        return html! { "the same" };
    }
    let outcome =
        cell.report.as_ref().and_then(|report| report.outcome.as_ref()).filter(|it| it.digest == *assigned);
    html! {
        (names.link(assigned))
        div.small {
            @match outcome {
                Some(outcome) => {
                    (state_badge(outcome.state.into())) " "
                    @if outcome.state != Progress::Downloading { (outcome.detail) }
                }
                None => { span.faint { "has not answered yet" } }
            }
        }
    }
}

pub(super) fn state_badge(state: State) -> Markup {
    match state {
        State::Assigned => badge("silent", "assigned"),
        State::Downloading => badge("silent", "downloading"),
        State::Waiting => badge("warning", "waiting"),
        State::Deployed => badge("good", "deployed"),
        State::Refused => badge("critical", "refused"),
        State::Failed => badge("critical", "failed"),
        State::Superseded => badge("silent", "superseded"),
    }
}

pub(super) async fn show(
    Shared(api): Shared<Api>,
    visit: Visit,
    Path(site_id): Path<String>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Response, Failure> {
    let site = encoded(&site_id);
    let cell: Cell = api.get(&visit, &format!("/api/v1/cells/{site}")).await?;
    let after = query.after.map(|after| format!("&after={after}")).unwrap_or_default();
    let history: DeploymentPage =
        api.get(&visit, &format!("/api/v1/deployments?limit=50&site_id={site}{after}")).await?;
    let names = learn(&api, &visit, std::slice::from_ref(&cell)).await?;
    let place = format!("/cells/{site}");
    let address = query.after.map_or_else(|| place.clone(), |after| format!("{place}?after={after}"));
    let body = html! {
        div.actions { a.button href={ "/rollback?site=" (site) } { "Roll back" } }
        (live(&address, &html! {
            div.panel { (facts(&cell, &names)) }
            h2 { "What it was given" }
            (past(&history.items))
            (more(history.next_after.map(|after| format!("{place}?after={after}")), "Earlier"))
        }))
    };
    Ok(layout::page(&visit, Tab::Cells, &format!("Cell {}", cell.site_id), &body))
}

#[derive(Debug, Deserialize)]
pub(super) struct HistoryQuery {
    after: Option<i64>,
}

fn facts(cell: &Cell, names: &Names) -> Markup {
    html! {
        dl {
            dt { "State" } dd { (presence(cell)) }
            @if let Some(seen) = &cell.seen_at { dt { "Last heard" } dd { (moment(seen)) } }
            dt { "Is to run" } dd { (wanted(cell, names)) }
            @if let Some(report) = &cell.report { (reported(report, names)) }
        }
    }
}

fn reported(report: &Report, names: &Names) -> Markup {
    html! {
        dt { "Runs" }
        dd {
            @match &report.running {
                Some(running) => {
                    (names.link(&running.digest))
                    div.small {
                        (running.health.runs_succeeded) " runs went well, " (running.health.runs_failed) " failed, "
                        (running.health.safety_violations) " safety stops, " (running.health.crashes) " crashes"
                    }
                }
                None => { "nothing" }
            }
        }
        dt { "Goes back to by itself" } dd { @match &report.last_good { Some(digest) => (layout::digest(digest)), None => { "nothing" } } }
        dt { "Maintenance window" } dd { @if report.window_open { "open" } @else { "closed: a new artifact waits, a rollback does not" } }
        dt { "Believes metadata" } dd { "image " (report.image) ", director " (report.director) }
    }
}

fn past(history: &[Deployment]) -> Markup {
    html! {
        @if history.is_empty() {
            p.faint { "Nothing yet." }
        } @else {
            div.panel {
                table {
                    thead { tr { th { "When" } th { "Artifact" } th { "Because of" } th { "By" } th { "What became of it" } } }
                    tbody {
                        @for entry in history {
                            tr {
                                td { (moment(&entry.requested_at)) }
                                th scope="row" { a href={ "/artifacts/" (entry.digest) } { (entry.skill_name) " " (entry.version) } }
                                td { (cause(entry)) div.small.faint { (entry.reason) } }
                                td { (entry.requested_by) }
                                td { (state_badge(entry.state)) " " (moment(&entry.state_at)) div.small.faint { (entry.detail) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cause(entry: &Deployment) -> Markup {
    let says = match entry.cause {
        Cause::Deploy => "a deployment",
        Cause::Rollback => "a rollback",
        Cause::Rollout => "a roll-out",
        Cause::RolloutFailed => "a roll-out that failed",
    };
    html! {
        @match entry.rollout_id {
            Some(id) => { a href={ "/rollouts/" (id) } { (says) } }
            None => { (says) }
        }
    }
}
