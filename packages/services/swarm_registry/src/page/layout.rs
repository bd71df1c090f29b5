//! What every page has, and the small things that many show.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use swarm_api::artifact::{Artifact, Status};

use super::api::{Api, Failure};
use super::visit::Visit;

/// Which of the lists a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Artifacts,
    Cells,
    Rollouts,
    Approvals,
    None,
}

const TABS: [(Tab, &str, &str); 4] = [
    (Tab::Artifacts, "/", "Artifacts"),
    (Tab::Cells, "/cells", "Cells"),
    (Tab::Rollouts, "/rollouts", "Roll-outs"),
    (Tab::Approvals, "/approvals", "Approvals"),
];

/// htmx adds no style of its own and evaluates no text: the policy of the pages forbids both.
const HTMX: &str =
    r#"{"includeIndicatorStyles":false,"allowEval":false,"selfRequestsOnly":true,"historyCacheSize":0}"#;

pub(super) fn page(visit: &Visit, tab: Tab, title: &str, body: &Markup) -> Response {
    let name = visit.name();
    let who = html! {
        @if let Some(name) = &name {
            form method="post" action="/sign-out" {
                (form_key(visit))
                span { (name) }
                button.plain type="submit" { "Sign out" }
            }
        } @else if tab != Tab::None {
            span { "development profile: everybody on this computer" }
        }
    };
    document(tab, title, &who, body)
}

fn document(tab: Tab, title: &str, who: &Markup, body: &Markup) -> Response {
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="htmx-config" content=(HTMX);
                title { (title) " - Swarm registry" }
                link rel="stylesheet" href="/page/style.css";
                link rel="icon" href="/page/icon.svg";
                script src="/page/htmx.js" defer {}
            }
            body {
                header.top {
                    a.name href="/" { "Swarm registry" }
                    nav aria-label="Lists" {
                        @for (it, place, name) in TABS {
                            a href=(place) aria-current=[(it == tab).then_some("page")] { (name) }
                        }
                    }
                    div.who { (who) }
                }
                main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    };
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text.into_string()).into_response()
}

/// A part of a page that is brought up to date in place, every few seconds.
pub(super) fn live(address: &str, body: &Markup) -> Markup {
    html! {
        div #live hx-get=(address) hx-trigger="every 3s" hx-select="#live" hx-swap="outerHTML" { (body) }
    }
}

pub(super) fn form_key(visit: &Visit) -> Markup {
    html! { input type="hidden" name="form_key" value=(visit.form_key()); }
}

/// The last page before something is done: what will happen, why it is asked for, and the way back.
pub(super) struct Confirmation<'a> {
    pub(super) says: Markup,
    /// Hidden fields.
    pub(super) fields: &'a [(&'a str, &'a str)],
    /// Longest reason in characters; none is asked for where it is absent.
    pub(super) reason: Option<u32>,
    pub(super) button: &'a str,
    /// Colours the button.
    pub(super) grave: bool,
    pub(super) to: &'a str,
    pub(super) back: &'a str,
}

impl Confirmation<'_> {
    pub(super) fn form(&self, visit: &Visit) -> Markup {
        html! {
            div.panel { (self.says) }
            form.stacked method="post" action=(self.to) {
                (form_key(visit))
                @for (name, value) in self.fields { input type="hidden" name=(name) value=(value); }
                @if let Some(longest) = self.reason {
                    label for="reason" { "Why? It goes into the audit log, and to those who ask later." }
                    textarea #reason name="reason" rows="3" required maxlength=(longest) autofocus {}
                }
                div.actions {
                    button type="submit" class=(if self.grave { "grave" } else { "primary" }) { (self.button) }
                    a href=(self.back) { "Do not" }
                }
            }
        }
    }
}

/// A digest, short to look at and whole to copy.
pub(super) fn digest(digest: &str) -> Markup {
    html! { code title=(digest) { (digest.get(..12).unwrap_or(digest)) } }
}

/// A moment as the interface writes it, RFC 3339 in UTC.
pub(super) fn moment(text: &str) -> Markup {
    let shown = text.replacen('T', " ", 1).replace('Z', " UTC");
    html! { time datetime=(text) { (shown) } }
}

pub(super) fn badge(kind: &str, text: &str) -> Markup {
    html! { span class={ "badge " (kind) } { (text) } }
}

pub(super) fn status_badge(status: Status) -> Markup {
    match status {
        Status::Active => badge("good", "active"),
        Status::Quarantined => badge("critical", "quarantined"),
    }
}

pub(super) fn artifact_link(artifact: &Artifact) -> Markup {
    html! { a href={ "/artifacts/" (artifact.digest) } { (artifact.skill_name) " " (artifact.version) } }
}

pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

pub(super) fn tile(value: impl std::fmt::Display, what: &str) -> Markup {
    html! { div.tile { b { (value) } span { (what) } } }
}

/// The link to what did not fit on this page.
pub(super) fn more(place: Option<String>, what: &str) -> Markup {
    html! { @if let Some(place) = place { p { a href=(place) { (what) } } } }
}

/// Names of artifacts by their digests: a cell says only the digest.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Option<Artifact>>);

/// More different artifacts than this are not looked up for one page.
const MAX_NAMES: usize = 100;

impl Names {
    pub(super) async fn learn(&mut self, api: &Api, visit: &Visit, digest: &str) -> Result<(), Failure> {
        if self.0.contains_key(digest) || self.0.len() >= MAX_NAMES {
            return Ok(());
        }
        let found = match api.get(visit, &format!("/api/v1/csa/{digest}")).await {
            Ok(artifact) => Some(artifact),
            Err(Failure::Refused { status: StatusCode::NOT_FOUND | StatusCode::FORBIDDEN, .. }) => None,
            Err(other) => return Err(other),
        };
        self.0.insert(digest.to_owned(), found);
        Ok(())
    }

    pub(super) fn get(&self, digest: &str) -> Option<&Artifact> {
        self.0.get(digest).and_then(Option::as_ref)
    }

    pub(super) fn link(&self, wanted: &str) -> Markup {
        html! {
            @match self.get(wanted) {
                Some(artifact) => {
                    (artifact_link(artifact))
                    @if artifact.status == Status::Quarantined { " " (status_badge(artifact.status)) }
                }
                None => { (digest(wanted)) }
            }
        }
    }
}

/// Something that a page cannot do.
pub(super) fn not_so(what: &str) -> Response {
    let body = html! { p.notice.critical role="alert" { (what) } };
    (StatusCode::METHOD_NOT_ALLOWED, document(Tab::None, "Not so", &html! {}, &body)).into_response()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, title, says, todo) = match self {
            Self::Refused { status, problem } => {
                let title = match status {
                    StatusCode::NOT_FOUND => "Not here".to_owned(),
                    StatusCode::FORBIDDEN => "Not permitted".to_owned(),
                    StatusCode::CONFLICT => "Not now".to_owned(),
                    StatusCode::TOO_MANY_REQUESTS => "Too much at once".to_owned(),
                    _ => problem.title.clone(),
                };
                (status, title, problem.detail.clone(), problem.action.clone())
            }
            Self::Stranger => (
                StatusCode::UNAUTHORIZED,
                "Sign in".to_owned(),
                "It is not known who you are.".to_owned(),
                "Sign in.".to_owned(),
            ),
            Self::NotOurForm => (
                StatusCode::FORBIDDEN,
                "Not carried out".to_owned(),
                "This form was not sent from a page of this session, so nothing was done.".to_owned(),
                "Go back, load the page again, and send it from there.".to_owned(),
            ),
            Self::NotFound(what) => {
                (StatusCode::NOT_FOUND, "Not here".to_owned(), what, "Choose from a list above.".to_owned())
            }
            Self::Unreadable { path, problem } => {
                tracing::error!("a page cannot read the answer of {path}: {problem}");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "A mistake of this program".to_owned(),
                    format!("The page cannot read what {path} answers."),
                    "The registry's log says more; please report it.".to_owned(),
                )
            }
        };
        let body = html! {
            p.notice.critical role="alert" { (says) }
            p { (todo) }
        };
        (status, document(Tab::None, &title, &html! {}, &body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_digits_that_count() {
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_345, "12 kB"),
            (999_600, "1.0 MB"),
            (41_900_000, "42 MB"),
            (4_294_967_296, "4.3 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn what_strangers_write_stays_text() {
        let markup = badge("good", "<script>alert(1)</script>").into_string();
        assert!(markup.contains("&lt;script&gt;") && !markup.contains("<script>"), "{markup}");
    }
}
