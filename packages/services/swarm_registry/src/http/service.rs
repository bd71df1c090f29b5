//! Health, version, counters and the description of the interface. Open to everybody: they name no artifact and no person.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use swarm_api::service::{Health, Version};
use swarm_base::ErrorChain;
use utoipa::IntoResponses;
use utoipa::openapi::{Content, Ref, RefOr, response};

use super::App;
use super::problem::Problem;
use crate::metrics;

/// The refusals that every route may answer with.
pub(super) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        let refusals = [
            ("400", "The request cannot be read."),
            ("401", "Who asks is not known."),
            ("403", "Whoever asks may not do this, or the artifact is quarantined."),
            ("404", "There is no such thing."),
            ("405", "Not with this method."),
            ("408", "The sender fell silent."),
            ("409", "It contradicts what is there."),
            ("413", "Too large."),
            ("415", "The body has another type than expected."),
            ("416", "The artifact does not have these bytes."),
            ("422", "The artifact is not believed, or a field is not what it has to be."),
            ("429", "Too much at once."),
            (
                "503",
                "Database or artifact store do not answer, or the registry lacks a file that it needs for this.",
            ),
        ];
        let problem = |text: &str| {
            let body = Content::new(Some(Ref::from_schema_name("Problem")));
            response::Response::builder()
                .description(text)
                .content("application/problem+json", body)
                .build()
                .into()
        };
        refusals.into_iter().map(|(status, text)| (status.to_owned(), problem(text))).collect()
    }
}

fn answer(checked: &'static str, result: Result<(), &dyn std::error::Error>) -> Response {
    let (status, word) = match result {
        Ok(()) => (StatusCode::OK, "ok"),
        Err(error) => {
            tracing::error!("health of the {checked}: {}", ErrorChain(error));
            (StatusCode::SERVICE_UNAVAILABLE, "failed")
        }
    };
    (status, Json(Health { status: word.to_owned(), checked: checked.to_owned() })).into_response()
}

/// Whether the program answers.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "service", responses((status = 200, body = Health)))]
pub(super) async fn health() -> Response {
    answer("service", Ok(()))
}

/// The same under the path of the older manual.
#[utoipa::path(get, path = "/api/system/health", operation_id = "health_alias", tag = "service", responses((status = 200, body = Health)))]
pub(super) async fn health_alias() -> Response {
    health().await
}

/// Whether the database answers.
#[utoipa::path(get, path = "/health/database", operation_id = "health_database", tag = "service",
    responses((status = 200, body = Health), (status = 503, body = Health),
        (status = 429, description = "Too much at once.", body = swarm_api::problem::Problem, content_type = "application/problem+json")))]
pub(super) async fn database(State(app): State<Arc<App>>) -> Response {
    let result = app.database.ping().await;
    answer("database", result.as_ref().map_err(|error| error as &dyn std::error::Error).copied())
}

/// Whether the artifact store answers.
#[utoipa::path(get, path = "/health/models", operation_id = "health_models", tag = "service",
    responses((status = 200, body = Health), (status = 503, body = Health),
        (status = 429, description = "Too much at once.", body = swarm_api::problem::Problem, content_type = "application/problem+json")))]
pub(super) async fn models(State(app): State<Arc<App>>) -> Response {
    let result = app.intake.blobs.ping().await;
    answer("artifact store", result.as_ref().map_err(|error| error as &dyn std::error::Error).copied())
}

/// Which program answers.
#[utoipa::path(get, path = "/version", operation_id = "version", tag = "service", responses((status = 200, body = Version)))]
pub(super) async fn version(State(app): State<Arc<App>>) -> Json<Version> {
    Json(Version {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        database: app.database.kind().as_str().to_owned(),
    })
}

/// Counters, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "service",
    responses((status = 200, description = "Prometheus text.", body = String, content_type = "text/plain"), Problems))]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let totals = app.catalogue.totals().await?;
    let now_unix = (app.now_unix)();
    let census = app.fleet.census(now_unix).await?;
    let (image, director) = app.updates.heads().await?;
    let expiries = app.updates.expiries().await?;
    let text = app.metrics.text(totals, census, [image, director], &expiries, now_unix);
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// The text of `/openapi.json`: the same for every router of this program.
static DESCRIPTION: LazyLock<String> =
    LazyLock::new(|| super::description().to_json().expect("a description is JSON"));

/// This description.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "service",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")))]
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION.as_str()).into_response()
}
