//! Going back to an older artifact: choose one, confirm, done. One cell, or every cell of the skill.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use swarm_api::artifact::{Artifact, ArtifactPage};
use swarm_api::cell::{Cell, CellPage};
use swarm_api::deployment::Rollback;

use super::api::{Api, Failure, encoded};
use super::layout::{self, Confirmation, Names, Tab, digest, moment};
use super::visit::{Asked, Sent, Visit};

/// The name that means every cell of the artifact's skill.
const ALL: &str = "ALL";

#[derive(Debug, Deserialize)]
pub(super) struct RollbackQuery {
    /// A cell, or `ALL`.
    site: String,
    /// Number of the artifact to go back to; chosen first where it is missing.
    to: Option<i64>,
}

pub(super) async fn ask(
    State(api): State<Api>,
    visit: Visit,
    Asked(query): Asked<RollbackQuery>,
) -> Result<Response, Failure> {
    match (query.site.as_str(), query.to) {
        (ALL, None) => Err(Failure::NotFound(
            "All cells go back together to one artifact: open that artifact, and roll back from its page."
                .to_owned(),
        )),
        (ALL, Some(to)) => ask_for_all(&api, &visit, to).await,
        (site, to) => {
            let cell: Cell = api.get(&visit, &format!("/api/v1/cells/{}", encoded(site))).await?;
            match to {
                None => choose(&api, &visit, &cell).await,
                Some(to) => ask_for_one(&api, &visit, &cell, to).await,
            }
        }
    }
}

/// Digest of what a cell is to run, or else runs.
fn present(cell: &Cell) -> Option<&str> {
    let running = cell.report.as_ref().and_then(|report| report.running.as_ref());
    cell.assigned.as_deref().or(running.map(|it| it.digest.as_str()))
}

async fn choose(api: &Api, visit: &Visit, cell: &Cell) -> Result<Response, Failure> {
    let mut names = Names::default();
    if let Some(digest) = present(cell) {
        names.learn(api, visit, digest).await?;
    }
    let now = present(cell).and_then(|digest| names.get(digest));
    let body = match now {
        None => {
            html! { p { "It is not known which skill " b { (cell.site_id) } " has, so that there is nothing to go back to." } }
        }
        Some(now) => {
            let path =
                format!("/api/v1/csa/list?limit=200&status=active&skill_name={}", encoded(&now.skill_name));
            let page: ArtifactPage = api.get(visit, &path).await?;
            choices(cell, now, &page.items)
        }
    };
    Ok(layout::page(visit, Tab::Cells, &format!("Roll {} back", cell.site_id), &body))
}

fn choices(cell: &Cell, now: &Artifact, artifacts: &[Artifact]) -> Markup {
    let last_good = cell.report.as_ref().and_then(|report| report.last_good.as_deref());
    let others: Vec<_> = artifacts.iter().filter(|it| it.digest != now.digest).collect();
    html! {
        p { "It is to run " (layout::artifact_link(now)) ". Which one instead?" }
        @if others.is_empty() {
            div.empty { p { "There is no other artifact of this skill that is not quarantined." } }
        } @else {
            div.panel {
                table {
                    thead { tr { th { "Version" } th { "Handed in" } th { "Digest" } th {} } }
                    tbody {
                        @for artifact in others {
                            tr {
                                th scope="row" {
                                    (layout::artifact_link(artifact))
                                    @if last_good == Some(&artifact.digest) { " " (layout::badge("good", "the cell's last good one")) }
                                }
                                td { (moment(&artifact.uploaded_at)) }
                                td { (digest(&artifact.digest)) }
                                td { a href={ "/rollback?site=" (encoded(&cell.site_id)) "&to=" (artifact.id) } { "Choose" } }
                            }
                        }
                    }
                }
            }
        }
    }
}

async fn ask_for_one(api: &Api, visit: &Visit, cell: &Cell, to: i64) -> Result<Response, Failure> {
    let artifact: Artifact = api.get(visit, &format!("/api/v1/csa/{to}")).await?;
    let says = html! {
        p { b { (cell.site_id) } " goes to " b { (artifact.skill_name) " " (artifact.version) } " (" (digest(&artifact.digest)) ")." }
        p { "It changes as soon as its arms stand still, and does not wait for its maintenance window." }
        @if !cell.online { p.notice.warning { "The cell cannot be reached. It goes back when it is heard of again." } }
    };
    let back = format!("/cells/{}", encoded(&cell.site_id));
    Ok(confirmation(visit, says, &cell.site_id, &artifact, &format!("Roll {} back?", cell.site_id), &back))
}

async fn ask_for_all(api: &Api, visit: &Visit, to: i64) -> Result<Response, Failure> {
    let artifact: Artifact = api.get(visit, &format!("/api/v1/csa/{to}")).await?;
    let cells: CellPage = api.get(visit, "/api/v1/cells?limit=1000").await?;
    let mut names = Names::default();
    for cell in &cells.items {
        if let Some(digest) = &cell.assigned {
            names.learn(api, visit, digest).await?;
        }
    }
    let same_skill = |cell: &&Cell| {
        let now = cell.assigned.as_deref().and_then(|digest| names.get(digest));
        now.is_some_and(|it| it.skill_name == artifact.skill_name && it.digest != artifact.digest)
    };
    let count = cells.items.iter().filter(same_skill).count();
    let says = html! {
        p { "Every cell that is to run another version of " b { (artifact.skill_name) } " goes to " b { (artifact.version) } " (" (digest(&artifact.digest)) ")." }
        p {
            "As of now that is "
            @if cells.next_after.is_some() { b { "at least " (count) } } @else { b { (count) } }
            @if count == 1 { " cell." } @else { " cells." }
            " Each changes as soon as its arms stand still; one that cannot be reached does so when it is heard of again."
        }
        p.faint { "Where this registry is set so, a second person has to confirm it first." }
    };
    let back = format!("/artifacts/{}", artifact.digest);
    let title = format!("Roll all cells back to {} {}?", artifact.skill_name, artifact.version);
    Ok(confirmation(visit, says, ALL, &artifact, &title, &back))
}

fn confirmation(
    visit: &Visit,
    says: Markup,
    site: &str,
    artifact: &Artifact,
    title: &str,
    back: &str,
) -> Response {
    let to = artifact.id.to_string();
    let form = Confirmation {
        says,
        fields: &[("site", site), ("to", &to)],
        reason: Some(1000),
        button: "Roll back",
        grave: true,
        to: "/rollback",
        back,
    };
    layout::page(visit, Tab::Cells, title, &form.form(visit))
}

pub(super) async fn roll_back(State(api): State<Api>, visit: Visit, form: Sent) -> Result<Response, Failure> {
    let site = form.field("site");
    let Ok(target_csa_id) = form.field("to").parse() else { return Err(Failure::NotOurForm) };
    let asked = Rollback { site_id: site.to_owned(), target_csa_id, reason: form.field("reason").to_owned() };
    let answer = api.post(&visit, "/api/v1/deployment/rollback", &asked).await?;
    let place = match (answer.status, site) {
        (StatusCode::ACCEPTED, _) => "/approvals".to_owned(),
        (_, ALL) => "/cells".to_owned(),
        (_, site) => format!("/cells/{}", encoded(site)),
    };
    Ok(Redirect::to(&place).into_response())
}
