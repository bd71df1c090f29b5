//! What waits for a second person.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use swarm_api::approval::{Approval, ApprovalPage, State as Standing};

use super::api::{Api, Failure};
use super::layout::{self, Confirmation, Tab, badge, live, moment};
use super::visit::{Sent, Visit};

const PATH: &str = "/api/v1/approvals?limit=100";

pub(super) async fn list(State(api): State<Api>, visit: Visit) -> Result<Response, Failure> {
    let page: ApprovalPage = api.get(&visit, PATH).await?;
    let body = html! {
        @if page.items.is_empty() {
            div.empty { p { "Nothing waits for a second person, and nothing did." } }
        } @else {
            div.panel {
                table {
                    thead { tr { th { "What" } th { "Asked for by" } th { "State" } th { "Until" } th {} } }
                    tbody {
                        @for approval in &page.items {
                            tr {
                                th scope="row" { (approval.detail) }
                                td { (approval.requested_by) div.small { (moment(&approval.requested_at)) } }
                                td { (standing(approval)) }
                                td { (moment(&approval.expires_at)) }
                                td { @if approval.state == Standing::Waiting { a href={ "/approvals/" (approval.id) } { "Confirm" } } }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(layout::page(&visit, Tab::Approvals, "Approvals", &live("/approvals", &body)))
}

fn standing(approval: &Approval) -> maud::Markup {
    match approval.state {
        Standing::Waiting => badge("warning", "waits"),
        Standing::Expired => badge("silent", "expired"),
        Standing::Confirmed => html! {
            (badge("good", "confirmed"))
            @if let Some(by) = &approval.confirmed_by { div.small { "by " (by) } }
        },
    }
}

pub(super) async fn ask(
    State(api): State<Api>,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let page: ApprovalPage = api.get(&visit, PATH).await?;
    let approval = page.items.into_iter().find(|it| it.id.to_string() == id);
    let approval = approval
        .ok_or_else(|| Failure::NotFound("There is no such approval among the last hundred.".to_owned()))?;
    let to = format!("/approvals/{}", approval.id);
    let form = Confirmation {
        says: html! {
            p { b { (approval.detail) } }
            p { "Asked for by " (approval.requested_by) ", " (moment(&approval.requested_at)) ". It is done as soon as you confirm it." }
        },
        fields: &[],
        reason: None,
        button: "Confirm it",
        grave: true,
        to: &to,
        back: "/approvals",
    };
    Ok(layout::page(&visit, Tab::Approvals, "Confirm this?", &form.form(&visit)))
}

pub(super) async fn confirm(
    State(api): State<Api>,
    visit: Visit,
    Path(id): Path<String>,
    _: Sent,
) -> Result<Response, Failure> {
    let id: i64 = id.parse().map_err(|_| Failure::NotFound("There is no such approval.".to_owned()))?;
    api.post(&visit, &format!("/api/v1/approvals/{id}/confirm"), &serde_json::json!({})).await?;
    Ok(Redirect::to("/approvals").into_response())
}
