//! The registry's HTTP interface. Handlers are thin: read the request, ask the rule, answer.
//!
//! Every route is added with its description ([`OpenApiRouter`]), so that `/openapi.json` cannot leave one out.

mod artifacts;
mod body;
mod log;
mod parts;
mod problem;
mod request;
mod service;
mod submit;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{Audience, TokenKeys};
use crate::catalogue::Catalogue;
use crate::database::Database;
use crate::intake::{Intake, Staging};
use crate::metrics::Metrics;
use crate::uploads::Uploads;

pub use problem::PROBLEM_TYPE;
pub use request::Site;

/// How callers are told apart.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever reaches the address may do everything. Settings allow it on loopback only.
    Development,
    /// A token or a certificate is needed.
    Required { keys: Option<TokenKeys>, audience: Audience },
}

/// Everything that a request needs.
#[derive(Clone, Debug)]
pub struct App {
    pub intake: Intake,
    pub staging: Staging,
    pub uploads: Uploads,
    pub catalogue: Catalogue,
    pub database: Database,
    pub metrics: Arc<Metrics>,
    pub access: Access,
    /// Seconds since 1970-01-01 UTC.
    pub now_unix: fn() -> i64,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Swarm registry", description = "Signed skill artifacts for robot cells."),
    components(schemas(problem::ProblemBody)),
    tags(
        (name = "artifacts", description = "Take in, list, hand out, withdraw."),
        (name = "uploads", description = "Uploads in parts, which go on after a cut."),
        (name = "audit", description = "Who did what, in a chain of hashes."),
        (name = "service", description = "Health and counters.")
    )
)]
struct Document;

/// All routes and their description.
pub fn router(app: App) -> (Router, utoipa::openapi::OpenApi) {
    let metrics = Arc::clone(&app.metrics);
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(submit::upload))
        .routes(routes!(artifacts::list))
        .routes(routes!(artifacts::list_alias))
        .routes(routes!(artifacts::show))
        .routes(routes!(artifacts::show_version))
        .routes(routes!(artifacts::download))
        .routes(routes!(artifacts::download_version))
        .routes(routes!(artifacts::signature))
        .routes(routes!(artifacts::quarantine))
        .routes(routes!(artifacts::release))
        .routes(routes!(parts::begin))
        .routes(routes!(parts::status, parts::append, parts::abandon))
        .routes(routes!(parts::complete))
        .routes(routes!(log::entries))
        .routes(routes!(log::verify))
        .routes(routes!(service::health))
        .routes(routes!(service::health_alias))
        .routes(routes!(service::database))
        .routes(routes!(service::models))
        .routes(routes!(service::version))
        .routes(routes!(service::metrics))
        .routes(routes!(service::openapi))
        .with_state(app)
        .split_for_parts();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.components.get_or_insert_default().add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
    );
    let text: Arc<str> = document.to_json().expect("a description is JSON").into();
    let router = router
        .fallback(async |request: Request| problem::no_route(request.uri().path()))
        .method_not_allowed_fallback(async |request: Request| {
            problem::no_method(request.method(), request.uri().path())
        })
        .layer(axum::Extension(service::DocumentText(text)))
        .layer(from_fn_with_state(metrics, count));
    (router, document)
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // The route, not the path: a path is the client's choice, and each would be a counter of its own.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PATCH" | "DELETE" | "PUT" | "OPTIONS") => known,
        _ => "other",
    }
    .to_owned();
    let response = next.run(request).await.into_response();
    metrics.requests.with_label_values(&[&route, &method, &response.status().as_u16().to_string()]).inc();
    metrics.durations.with_label_values(&[&route]).observe(begun.elapsed().as_secs_f64());
    response
}
