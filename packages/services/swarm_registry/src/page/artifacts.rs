//! What there is: the list, one artifact, and its quarantine.

use std::fmt::Write;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use swarm_api::artifact::{Artifact, ArtifactPage, Reason, Status};
use swarm_api::cell::CellPage;
use swarm_api::provenance::ProvenanceGraph;

use super::api::{Api, Failure, encoded};
use super::family;
use super::layout::{self, Confirmation, Tab, bytes, digest, live, moment, more, status_badge};
use super::visit::{Asked, Sent, Visit};

const PAGE: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    skill_name: String,
    #[serde(default)]
    status: String,
    after: Option<i64>,
}

impl ListQuery {
    fn address(&self, base: &str, after: Option<i64>) -> String {
        let mut address = format!("{base}?limit={PAGE}");
        for (name, value) in [("skill_name", &self.skill_name), ("status", &self.status)] {
            if !value.is_empty() {
                let _ = write!(address, "&{name}={}", encoded(value));
            }
        }
        if let Some(after) = after {
            let _ = write!(address, "&after={after}");
        }
        address
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    visit: Visit,
    Asked(query): Asked<ListQuery>,
) -> Result<Response, Failure> {
    let page: ArtifactPage = api.get(&visit, &query.address("/api/v1/csa/list", query.after)).await?;
    let cells: Option<CellPage> = api.get_if_permitted(&visit, "/api/v1/cells?limit=1000").await?;
    let filtered = !query.skill_name.is_empty() || !query.status.is_empty();
    let body = html! {
        form.filters method="get" action="/" {
            label { "Skill " input type="search" name="skill_name" value=(query.skill_name) placeholder="all"; }
            label {
                "Status "
                select name="status" {
                    @for (value, text) in [("", "all"), ("active", "active"), ("quarantined", "quarantined")] {
                        option value=(value) selected[query.status == value] { (text) }
                    }
                }
            }
            button type="submit" { "Show" }
        }
        @if page.items.is_empty() {
            (nothing(filtered || query.after.is_some()))
        } @else {
            (table(&page.items, cells.as_ref()))
            (more(page.next_after.map(|after| query.address("/", Some(after)).replace(&format!("limit={PAGE}&"), "")), "Older artifacts"))
        }
    };
    Ok(layout::page(&visit, Tab::Artifacts, "Artifacts", &body))
}

fn nothing(looked_for: bool) -> Markup {
    html! {
        div.empty {
            @if looked_for {
                p { "No artifact fits." }
                p { a href="/" { "Show all" } }
            } @else {
                p { "There is no artifact yet." }
                p { "Hand a signed one in:" }
                pre { code { "csactl upload skill_v1.0.0.tar.gz" } }
            }
        }
    }
}

/// On how many cells an artifact runs; unknown to those who may not see cells.
fn running_on(cells: &CellPage, digest: &str) -> usize {
    let runs =
        |report: &swarm_api::cell::Report| report.running.as_ref().is_some_and(|it| it.digest == digest);
    cells.items.iter().filter(|cell| cell.report.as_ref().is_some_and(runs)).count()
}

fn table(artifacts: &[Artifact], cells: Option<&CellPage>) -> Markup {
    html! {
        div.panel {
            table {
                thead {
                    tr {
                        th { "Artifact" } th { "Status" } th { "Signed by" } th { "Handed in" } th.number { "Size" }
                        @if cells.is_some() { th.number { "Runs on" } }
                        th { "Digest" }
                    }
                }
                tbody {
                    @for artifact in artifacts {
                        tr {
                            th scope="row" { (layout::artifact_link(artifact)) }
                            td {
                                (status_badge(artifact.status))
                                @if let Some(quarantine) = &artifact.quarantine { div.faint { (quarantine.reason) } }
                            }
                            td { (artifact.signers.join(", ")) }
                            td { (moment(&artifact.uploaded_at)) div.faint { "by " (artifact.provenance.uploader) } }
                            td.number { (bytes(artifact.size)) }
                            @if let Some(cells) = cells {
                                @let count = running_on(cells, &artifact.digest);
                                td.number { @if count > 0 { (count) @if count == 1 { " cell" } @else { " cells" } } }
                            }
                            td { (digest(&artifact.digest)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn show(
    State(api): State<Api>,
    visit: Visit,
    Path(csa): Path<String>,
) -> Result<Response, Failure> {
    let family: ProvenanceGraph =
        api.get(&visit, &format!("/api/v1/csa/{}/provenance", encoded(&csa))).await?;
    let artifact = &family.artifact.artifact;
    let place = format!("/artifacts/{}", artifact.digest);
    let title = format!("{} {}", artifact.skill_name, artifact.version);
    let body = html! {
        @if let Some(quarantine) = &artifact.quarantine {
            p.notice.critical { b { "Quarantined" } " by " (quarantine.by) ", " (moment(&quarantine.since)) ": " (quarantine.reason) }
        }
        div.actions {
            @if artifact.status == Status::Active {
                a.button href={ (place) "/download" } { "Download" }
                a.button href={ "/rollback?site=ALL&to=" (artifact.id) } { "Roll all cells back to this" }
                a.button.grave href={ (place) "/quarantine" } { "Quarantine" }
            } @else {
                a.button href={ (place) "/release" } { "Lift the quarantine" }
            }
            a.button href={ (place) "/signature" } { "Signature" }
        }
        div.panel { (facts(artifact)) }
        h2 { "Where it comes from, and what came of it" }
        (family::drawing(&family))
        h2 { "Cells that were given it" }
        (live(&place, &ran(&family)))
    };
    Ok(layout::page(&visit, Tab::Artifacts, &title, &body))
}

fn facts(artifact: &Artifact) -> Markup {
    let from = &artifact.provenance;
    html! {
        dl {
            dt { "Status" } dd { (status_badge(artifact.status)) }
            dt { "Digest" } dd { code { (artifact.digest) } }
            dt { "Number, size" } dd { (artifact.id) ", " (bytes(artifact.size)) }
            dt { "Signed by" } dd { (artifact.signers.join(", ")) }
            dt { "Handed in" } dd { (moment(&artifact.uploaded_at)) " by " (from.uploader) @if from.uploaded_by != from.uploader { " (says: " (from.uploaded_by) ")" } }
            @if let Some(base) = &from.base_version { dt { "Made from version" } dd { (base) } }
            @if let Some(data) = &from.training_data { dt { "Trained on" } dd { (data) } }
            @for (name, note) in &from.notes { dt { (name) } dd { (note) } }
        }
    }
}

fn ran(family: &ProvenanceGraph) -> Markup {
    let cells = &family.artifact.cells;
    html! {
        @if cells.is_empty() {
            p.faint { "No cell was given it yet." }
        } @else {
            div.panel {
                table {
                    thead { tr { th { "Cell" } th { "What became of it" } th { "Since" } } }
                    tbody {
                        @for cell in cells {
                            tr {
                                th scope="row" { a href={ "/cells/" (encoded(&cell.site_id)) } { (cell.site_id) } }
                                td { (super::cells::state_badge(cell.state)) }
                                td { (moment(&cell.state_at)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What can be done to an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Quarantine,
    Release,
}

impl Action {
    fn of(text: &str) -> Result<Self, Failure> {
        match text {
            "quarantine" => Ok(Self::Quarantine),
            "release" => Ok(Self::Release),
            _ => Err(Failure::NotFound("There is no such page of an artifact.".to_owned())),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Release => "release",
        }
    }
}

pub(super) async fn ask(
    State(api): State<Api>,
    visit: Visit,
    Path((csa, action)): Path<(String, String)>,
) -> Result<Response, Failure> {
    if action == "download" || action == "signature" {
        return api.pass_on(&visit, &format!("/api/v1/csa/{}/{action}", encoded(&csa))).await;
    }
    let action = Action::of(&action)?;
    let artifact: Artifact = api.get(&visit, &format!("/api/v1/csa/{}", encoded(&csa))).await?;
    let cells: Option<CellPage> = api.get_if_permitted(&visit, "/api/v1/cells?limit=1000").await?;
    let name = format!("{} {}", artifact.skill_name, artifact.version);
    let place = format!("/artifacts/{}", artifact.digest);
    let says = match action {
        Action::Quarantine => html! {
            p { "From now on nobody gets " b { (name) } " from this registry, and it can be assigned to no cell. It stays listed, with your reason." }
            @match cells.as_ref().map(|cells| running_on(cells, &artifact.digest)) {
                Some(0) => { p { "No cell runs it." } }
                Some(1) => { p.notice.warning { "One cell runs it, and goes on until it is assigned another one. Roll it back as well." } }
                Some(count) => { p.notice.warning { (count) " cells run it, and go on until they are assigned another one. Roll them back as well." } }
                None => {}
            }
        },
        Action::Release => html! {
            p { b { (name) } " is handed out again, and can be assigned to cells." }
            @if let Some(quarantine) = &artifact.quarantine {
                p { "It was withdrawn by " (quarantine.by) ", " (moment(&quarantine.since)) ": " (quarantine.reason) }
            }
        },
    };
    let to = format!("{place}/{}", action.as_str());
    let form = Confirmation {
        says,
        fields: &[],
        reason: Some(1000),
        button: if action == Action::Quarantine { "Quarantine it" } else { "Lift the quarantine" },
        grave: action == Action::Quarantine,
        to: &to,
        back: &place,
    };
    let title = if action == Action::Quarantine {
        format!("Quarantine {name}?")
    } else {
        format!("Hand {name} out again?")
    };
    Ok(layout::page(&visit, Tab::Artifacts, &title, &form.form(&visit)))
}

pub(super) async fn change(
    State(api): State<Api>,
    visit: Visit,
    Path((csa, action)): Path<(String, String)>,
    form: Sent,
) -> Result<Response, Failure> {
    let action = Action::of(&action)?;
    let reason = Reason { reason: form.field("reason").to_owned() };
    let path = format!("/api/v1/csa/{}/{}", encoded(&csa), action.as_str());
    let artifact: Artifact = api.post(&visit, &path, &reason).await?.read()?;
    Ok(Redirect::to(&format!("/artifacts/{}", artifact.digest)).into_response())
}
