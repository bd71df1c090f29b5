//! Cells: their reports, and what is known of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use swarm_api::cell::{Cell, CellPage, Report, ReportAnswer};
use swarm_base::ErrorChain;
use utoipa::IntoParams;

use super::App;
use super::problem::{Problem, sentence};
use super::request::{Asked, Asker, Body, Named, digest, number, text};
use super::service::Problems;
use crate::access::{Permission, Role};
use crate::fleet::{FleetError, SiteId};

/// Who may see the fleet: who watches it, and who changes it.
pub(super) const SEES_FLEET: &[Permission] = &[Permission::MonitoringRead, Permission::DeploymentsWrite];
/// The largest whole number that every reader of JSON keeps.
const MAX_COUNT: u64 = (1 << 53) - 1;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CellsQuery {
    /// The page after the cell of this name.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    after: Option<String>,
    /// At most so many; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

pub(super) fn site(name: &str) -> Result<SiteId, Problem> {
    name.parse()
        .map_err(|error| Problem::bad_request("bad_site_id", format!("The name of the cell: {error}.")))
}

/// A cell says how it is. A site reports for itself alone.
#[utoipa::path(post, path = "/api/v1/cells/{site_id}/report", operation_id = "cell_report", tag = "fleet", security(("bearer" = [])),
    params(("site_id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")), request_body = Report,
    responses((status = 200, body = ReportAnswer), Problems))]
pub(super) async fn report(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(site_id): Named<String>,
    Body(report): Body<Report>,
) -> Result<Json<ReportAnswer>, Problem> {
    let caller = asker.needs(Permission::CellsReport)?;
    let site_id = site(&site_id)?;
    if caller.roles.contains(&Role::Site) && caller.name != site_id.as_str() {
        let shown = caller.name.escape_debug();
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not_this_cell",
            format!("'{shown}' reports for cell '{site_id}', and may report for itself alone."),
            "Report with the certificate of that cell.",
        ));
    }
    let report = check(report)?;
    let answer = app.fleet.report(&site_id, &report, (app.now_unix)()).await?;
    app.rollouts.nudge();
    Ok(Json(answer))
}

/// Holds a report against what the description says of it.
fn check(report: Report) -> Result<Report, Problem> {
    let count = |field: &str, value: u64| {
        if value <= MAX_COUNT {
            return Ok(());
        }
        let detail = format!("The field '{field}': expected at most {MAX_COUNT}, found {value}.");
        Err(Problem::bad_request("out_of_range", detail))
    };
    for (field, value) in [("at_unix", report.at_unix), ("started_unix", report.started_unix)] {
        if !(0..=MAX_COUNT.cast_signed()).contains(&value) {
            let detail = format!("The field '{field}': expected 0 to {MAX_COUNT}, found {value}.");
            return Err(Problem::bad_request("out_of_range", detail));
        }
    }
    let numbers = [("sequence", report.sequence), ("image", report.image), ("director", report.director)];
    numbers.into_iter().try_for_each(|(field, value)| count(field, value))?;
    if let Some(running) = &report.running {
        digest("running.digest", &running.digest)?;
        text("running.skill_name", running.skill_name.clone(), 0..=64)?;
        text("running.version", running.version.clone(), 0..=64)?;
        let health = running.health;
        for (field, value) in [
            ("runs_succeeded", health.runs_succeeded),
            ("runs_failed", health.runs_failed),
            ("safety_violations", health.safety_violations),
            ("crashes", health.crashes),
        ] {
            count(field, value)?;
        }
    }
    if let Some(last_good) = &report.last_good {
        digest("last_good", last_good)?;
    }
    if let Some(outcome) = &report.outcome {
        digest("outcome.digest", &outcome.digest)?;
        text("outcome.detail", outcome.detail.clone(), 0..=2000)?;
    }
    if report.troubles.len() > 20 {
        let found = report.troubles.len();
        let detail = format!("The field 'troubles': expected at most 20 sentences, found {found}.");
        return Err(Problem::bad_request("out_of_range", detail));
    }
    for trouble in &report.troubles {
        text("troubles", trouble.clone(), 0..=2000)?;
    }
    Ok(report)
}

/// Cells in the order of their names, page by page.
#[utoipa::path(get, path = "/api/v1/cells", operation_id = "cells", tag = "fleet", params(CellsQuery), security(("bearer" = [])),
    responses((status = 200, body = CellPage), Problems))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    Asked(query): Asked<CellsQuery>,
) -> Result<Json<CellPage>, Problem> {
    asker.needs_one(SEES_FLEET)?;
    let after = query.after.as_deref().map(site).transpose()?;
    let limit = number("limit", query.limit, 100, 1..=1000)?;
    Ok(Json(app.fleet.cells(after.as_ref(), limit as usize, (app.now_unix)()).await?))
}

/// One cell.
#[utoipa::path(get, path = "/api/v1/cells/{site_id}", operation_id = "cell", tag = "fleet", security(("bearer" = [])),
    params(("site_id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")),
    responses((status = 200, body = Cell), Problems))]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(site_id): Named<String>,
) -> Result<Json<Cell>, Problem> {
    asker.needs_one(SEES_FLEET)?;
    let site_id = site(&site_id)?;
    let cell = app.fleet.cell(&site_id, (app.now_unix)()).await?;
    Ok(Json(cell.ok_or(FleetError::NoSuchCell { site_id })?))
}

/// Takes a cell out of the fleet: the director names it no longer, and its history stays. Revoke its certificate as well
/// (`csactl ca revoke`): a cell that goes on reporting is listed again.
#[utoipa::path(delete, path = "/api/v1/cells/{site_id}", operation_id = "decommission", tag = "fleet", security(("bearer" = [])),
    params(("site_id" = String, Path, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")),
    responses((status = 204, description = "Taken out."), Problems))]
pub(super) async fn decommission(
    State(app): State<Arc<App>>,
    asker: Asker,
    Named(site_id): Named<String>,
) -> Result<StatusCode, Problem> {
    let caller = asker.needs(Permission::KeysWrite)?;
    app.fleet.decommission(&site(&site_id)?, &caller.name, (app.now_unix)()).await?;
    app.rollouts.nudge();
    Ok(StatusCode::NO_CONTENT)
}

impl From<FleetError> for Problem {
    fn from(error: FleetError) -> Self {
        let detail = sentence(&ErrorChain(&error));
        let conflict = |code, action| Self::new(StatusCode::CONFLICT, code, detail.clone(), action);
        match error {
            FleetError::NoSuchArtifact { reference } => Self::no_artifact(reference),
            FleetError::Quarantined { .. } => {
                conflict("quarantined", "Use another version, or lift the quarantine first.")
            }
            FleetError::NotInImage { .. } => conflict(
                "not_in_image",
                "Publish it with the skill's key first (csactl publish); what was withdrawn stays away.",
            ),
            FleetError::OtherInImage { .. } => conflict(
                "other_in_image",
                "Publish this artifact's digest with the skill's key, or use another version.",
            ),
            FleetError::NoSuchCell { .. } => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_cell",
                detail,
                "List the cells with GET /api/v1/cells.",
            ),
            FleetError::Update(error) => error.into(),
            FleetError::Database(error) => error.into(),
        }
    }
}
