//! Pages for people: what there is, where it runs, how far a roll-out is; quarantine and rollback behind a confirmation.
//!
//! The pages are a client of the registry's own interface, within the same program: what they show they ask of the routes under
//! `/api/v1`, and what they do they do through them, with the token of whoever looks. Permissions, limits and audit log are those
//! of the interface, so that a page can neither show nor do what its visitor could not do without it.
//!
//! - [`visit`]: who looks, signing in and out, and whether a form comes from a page of ours.
//! - [`api`]: the interface, asked in process.
//! - [`layout`]: what every page has, and the small things that many show.
//! - [`artifacts`], [`family`] (the provenance graph), [`cells`], [`rollback`], [`rollouts`], [`approvals`]: the pages.
//!
//! Everything works without a script. With it, htmx 2.0.11 (`htmx.min.js`, licence in `htmx.LICENSE`) brings what changes up to date in place.

mod api;
mod approvals;
mod artifacts;
mod cells;
mod family;
mod layout;
mod rollback;
mod rollouts;
mod visit;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sha2::{Digest, Sha256};

use api::Api;
use visit::Visit;

/// The pages beside the interface that they ask.
pub(crate) fn with(interface: Router) -> Router {
    Router::new()
        .route("/", get(artifacts::list))
        .route("/artifacts/{digest}", get(artifacts::show))
        .route("/artifacts/{digest}/{action}", get(artifacts::ask).post(artifacts::change))
        .route("/cells", get(cells::list))
        .route("/cells/{site_id}", get(cells::show))
        .route("/rollback", get(rollback::ask).post(rollback::roll_back))
        .route("/rollouts", get(rollouts::list))
        .route("/rollouts/{id}", get(rollouts::show))
        .route("/rollouts/{id}/{action}", get(rollouts::ask).post(rollouts::change))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{id}", get(approvals::ask).post(approvals::confirm))
        .route("/sign-in", get(visit::ask).post(visit::sign_in))
        .route("/sign-out", post(visit::sign_out))
        .route("/page/style.css", get(async |headers: HeaderMap| STYLE.answer(&headers)))
        .route("/page/htmx.js", get(async |headers: HeaderMap| SCRIPT.answer(&headers)))
        .route("/page/icon.svg", get(async |headers: HeaderMap| ICON.answer(&headers)))
        .method_not_allowed_fallback(async || {
            layout::not_so("A page is looked at, or sent as the form that it shows.")
        })
        .with_state(Api::new(interface.clone()))
        .layer(from_fn(around))
        .merge(interface)
}

/// Only what the registry itself serves is loaded, run or sent to; nobody puts a page into a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Finds out who looks, and gives every answer what keeps strangers out.
async fn around(mut request: Request, next: Next) -> Response {
    let visit = Visit::read(request.headers());
    let address = request.uri().path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let partial = request.headers().contains_key("hx-request");
    request.extensions_mut().insert(visit.clone());
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        response = visit::to_sign_in(&address, partial);
    }
    let headers = response.headers_mut();
    // Who signed in just now has a better one.
    if let Some(cookie) = visit.cookie_to_set().filter(|_| !headers.contains_key(header::SET_COOKIE)) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Without an origin of its own (`no-referrer`) a form could not be told from a stranger's.
        (header::REFERRER_POLICY, "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A file that pages load. It is asked for each time, and sent when it has changed.
struct Asset {
    bytes: &'static [u8],
    kind: &'static str,
    tag: String,
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(include_bytes!("style.css"), "text/css; charset=utf-8"));
static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new(include_bytes!("icon.svg"), "image/svg+xml"));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new(include_bytes!("htmx.min.js"), "text/javascript; charset=utf-8"));

impl Asset {
    fn new(bytes: &'static [u8], kind: &'static str) -> Self {
        Self { bytes, kind, tag: format!("\"{}\"", api::hex(&Sha256::digest(bytes))) }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let known =
            asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == self.tag.as_bytes());
        let headers = [
            (header::ETAG, self.tag.as_str()),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_TYPE, self.kind),
        ];
        if known {
            (StatusCode::NOT_MODIFIED, headers).into_response()
        } else {
            (headers, self.bytes).into_response()
        }
    }
}
