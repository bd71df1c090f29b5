//! The registry's HTTP interface. Handlers are thin: read the request, ask the rule, answer.
//!
//! Every route is added with its description ([`OpenApiRouter`]), so that `/openapi.json` cannot leave one out.

mod approvals;
mod artifacts;
mod bags;
mod body;
mod cells;
mod deltas;
mod deployments;
mod lists;
mod log;
mod parts;
mod problem;
mod provenance;
mod ranged;
mod request;
mod rollouts;
mod service;
mod submit;
mod update;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::problem::Problem;
use crate::access::{Audience, RateLimit, TokenKeys};
use crate::approval::Approvals;
use crate::bags::Bags;
use crate::catalogue::Catalogue;
use crate::current::Current;
use crate::database::Database;
use crate::deltas::Deltas;
use crate::fleet::Fleet;
use crate::intake::{Intake, Staging};
use crate::metrics::Metrics;
use crate::rollout::Rollouts;
use crate::update::Updates;
use crate::uploads::Uploads;

pub use lists::Lists;
pub use problem::PROBLEM_TYPE;
pub use request::{Site, Stranger};

/// How callers are told apart.
#[derive(Clone, Debug)]
pub enum Access {
    /// Whoever reaches the address may do everything. Settings allow it on loopback only.
    Development,
    /// A token or a certificate is needed.
    Required { keys: Current<Option<TokenKeys>>, audience: Audience },
}

/// Everything that a request needs.
#[derive(Clone, Debug)]
pub struct App {
    pub intake: Intake,
    pub staging: Staging,
    pub uploads: Uploads,
    pub deltas: Deltas,
    pub bags: Bags,
    pub catalogue: Catalogue,
    pub updates: Updates,
    pub fleet: Fleet,
    pub rollouts: Rollouts,
    pub approvals: Approvals,
    pub database: Database,
    pub lists: Lists,
    pub metrics: Arc<Metrics>,
    pub access: Access,
    /// How often one caller may ask.
    pub limit: Option<Arc<RateLimit>>,
    /// Seconds since 1970-01-01 UTC.
    pub now_unix: fn() -> i64,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Swarm registry", description = "Signed skill artifacts for robot cells."),
    components(schemas(swarm_api::problem::Problem)),
    tags(
        (name = "artifacts", description = "Take in, list, hand out, withdraw."),
        (name = "uploads", description = "Uploads in parts, which go on after a cut."),
        (name = "bags", description = "Recordings that cells hand in."),
        (name = "updates", description = "Signed metadata: what exists, and which cell runs what."),
        (name = "fleet", description = "Cells, what they are assigned, and what became of it."),
        (name = "roll-outs", description = "An artifact for many cells, in stages and behind gates."),
        (name = "approvals", description = "What a second person has to confirm."),
        (name = "audit", description = "Who did what, in a chain of hashes."),
        (name = "service", description = "Health and counters.")
    )
)]
struct Document;

/// All routes and their description.
pub fn router(app: App) -> (Router, utoipa::openapi::OpenApi) {
    let (metrics, limit) = (Arc::clone(&app.metrics), app.limit.clone());
    let (router, document) = routes();
    // Shared: each request takes the state several times.
    let router = router
        .with_state(Arc::new(app))
        .fallback(async |request: Request| problem::no_route(request.uri().path()))
        .method_not_allowed_fallback(async |request: Request| {
            problem::no_method(request.method(), request.uri().path())
        })
        .layer(from_fn_with_state(limit, spare))
        .layer(from_fn_with_state(metrics, count));
    (crate::page::with(router), document)
}

/// The description alone.
fn description() -> utoipa::openapi::OpenApi {
    routes().1
}

fn routes() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(submit::upload))
        .routes(routes!(artifacts::list))
        .routes(routes!(artifacts::list_alias))
        .routes(routes!(artifacts::show))
        .routes(routes!(artifacts::show_version))
        .routes(routes!(artifacts::download))
        .routes(routes!(artifacts::download_version))
        .routes(routes!(deltas::delta))
        .routes(routes!(artifacts::signature))
        .routes(routes!(artifacts::quarantine))
        .routes(routes!(artifacts::release))
        .routes(routes!(parts::begin))
        .routes(routes!(parts::status, parts::append, parts::abandon))
        .routes(routes!(parts::complete))
        .routes(routes!(bags::begin))
        .routes(routes!(bags::complete))
        .routes(routes!(bags::list))
        .routes(routes!(bags::show, bags::remove))
        .routes(routes!(bags::download))
        .routes(routes!(provenance::graph))
        .routes(routes!(update::metadata))
        .routes(routes!(update::versions))
        .routes(routes!(update::target))
        .routes(routes!(update::publish))
        .routes(routes!(cells::report))
        .routes(routes!(cells::list))
        .routes(routes!(cells::show, cells::decommission))
        .routes(routes!(deployments::deploy, deployments::list))
        .routes(routes!(deployments::rollback))
        .routes(routes!(rollouts::begin, rollouts::list))
        .routes(routes!(rollouts::show))
        .routes(routes!(rollouts::pause))
        .routes(routes!(rollouts::resume))
        .routes(routes!(rollouts::abort))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::confirm))
        .routes(routes!(log::entries))
        .routes(routes!(log::verify))
        .routes(routes!(service::health))
        .routes(routes!(service::health_alias))
        .routes(routes!(service::database))
        .routes(routes!(service::models))
        .routes(routes!(service::version))
        .routes(routes!(service::metrics))
        .routes(routes!(service::openapi))
        .split_for_parts();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.components.get_or_insert_default().add_security_scheme(
        "bearer",
        SecurityScheme::Http(Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
    );
    (router, document)
}

/// Before anything is asked of the database: an address that nobody vouches for has a bound, whatever it asks. Whoever wants to know
/// whether the program lives is always answered.
async fn spare(State(limit): State<Option<Arc<RateLimit>>>, request: Request, next: Next) -> Response {
    if let Some(limit) = limit
        && let Some(Stranger(address)) = request.extensions().get::<Stranger>()
        && request.uri().path() != "/health"
        && let Err(wait) = limit.take_address(*address)
    {
        return Problem::too_many(&format!("address {address}"), wait).into_response();
    }
    next.run(request).await
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // The route, not the path: a path is the client's choice, and each would be a counter of its own.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    metrics.requests.with_label_values(&[route, method, response.status().as_str()]).inc();
    metrics.durations.with_label_values(&[route]).observe(begun.elapsed().as_secs_f64());
    response
}
