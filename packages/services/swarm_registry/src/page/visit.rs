//! Who looks at a page: the session, signing in and out, and whether a form comes from a page of ours.
//!
//! 1. A person pastes a token once. It is kept in a cookie that scripts cannot read and that other sites cannot have sent
//!    (`HttpOnly`, `SameSite=Strict`); the registry itself keeps nothing, so that any replica serves the next page. It ends with the
//!    token, with the browser, or by signing out.
//! 2. A form counts when the browser says that a page of the same origin sent it, and when it holds the key that is derived from
//!    the session. A stranger's page can see neither.
//! 3. Under the development profile nobody signs in. The cookie is a random number then, for the forms; and it is given only
//!    to visitors who name this computer by a loopback address or `localhost`: a stranger's name that was made to point here gets nowhere.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maud::{Markup, html};
use rand::RngExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use swarm_api::artifact::ArtifactPage;

use super::api::{Api, Failure, encoded, hex};
use super::layout;
use crate::access::names_this_computer;

/// Over plain HTTP on this computer.
const LOCAL_COOKIE: &str = "swarm_session";
/// Everywhere else: browsers take a cookie of this name over TLS only, and from this host only.
const COOKIE: &str = "__Host-swarm_session";
/// A browser keeps 4096 bytes of name and value.
const MAX_TOKEN: usize = 4000;

/// Who looks at a page.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    host: String,
    /// A token, or a random number; see the module's text.
    secret: Option<String>,
    /// The browser does not have it yet.
    fresh: bool,
}

impl Visit {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let host =
            headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        let local = names_this_computer(&host);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let secret = cookies
            .flat_map(|cookies| cookies.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .find(|(name, value)| *name == cookie_name(local) && is_token(value))
            .map(|(_, value)| value.to_owned());
        let fresh = secret.is_none() && local;
        let secret = secret.or_else(|| fresh.then(|| hex(&rand::rng().random::<[u8; 32]>())));
        Self { host, secret, fresh }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Neither signed in, nor a visitor of this computer under its own name.
    pub(super) const fn is_stranger(&self) -> bool {
        self.secret.is_none()
    }

    /// What is shown to the interface. A visitor who never signed in shows nothing.
    pub(super) fn token(&self) -> Option<&str> {
        self.secret.as_deref().filter(|secret| secret.contains('.'))
    }

    /// The name in the token. The interface has believed the token where a page is shown; here it is only read.
    pub(super) fn name(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
        }
        let claims = URL_SAFE_NO_PAD.decode(self.token()?.split('.').nth(1)?).ok()?;
        Some(serde_json::from_slice::<Claims>(&claims).ok()?.sub)
    }

    /// What a form has to hold.
    pub(super) fn form_key(&self) -> String {
        let secret = self.secret.as_deref().unwrap_or_default();
        hex(&Sha256::new().chain_update("swarm_registry form\n").chain_update(secret).finalize())
    }

    pub(super) fn cookie_to_set(&self) -> Option<HeaderValue> {
        let secret = self.secret.as_deref().filter(|_| self.fresh)?;
        Some(cookie(names_this_computer(&self.host), secret, ""))
    }

    /// Whether the browser says that a page of ours sent this. Browsers older than `Sec-Fetch-Site` send `Origin` with forms.
    fn sent_this(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match (text("sec-fetch-site"), text("origin")) {
            (Some(site), _) => site == "same-origin",
            (None, Some(origin)) => origin.split_once("://").is_some_and(|(_, from)| from == self.host),
            (None, None) => false,
        }
    }
}

const fn cookie_name(local: bool) -> &'static str {
    if local { LOCAL_COOKIE } else { COOKIE }
}

fn cookie(local: bool, value: &str, more: &str) -> HeaderValue {
    let secure = if local { "" } else { "; Secure" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{more}", cookie_name(local));
    HeaderValue::from_str(&text).expect("tokens and random numbers are printable ASCII")
}

/// The letters that tokens have; and nothing that would end a cookie.
fn is_token(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(letter)
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self::read(&parts.headers)))
    }
}

/// The fields of a form that a page of ours sent.
#[derive(Debug)]
pub(super) struct Sent(BTreeMap<String, String>);

impl Sent {
    /// A field without the blanks around it; empty where it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

impl FromRequest<Api> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let visit = Visit::read(request.headers());
        let form = from_here(&visit, request, api).await?;
        let key = form.0.get("form_key").map_or("", String::as_str);
        // The key is a hash that nobody but this browser's pages has seen: how long the comparison takes teaches nothing.
        if visit.secret.is_some() && key == visit.form_key() { Ok(form) } else { Err(Failure::NotOurForm) }
    }
}

async fn from_here(visit: &Visit, request: Request, api: &Api) -> Result<Sent, Failure> {
    if !visit.sent_this(request.headers()) {
        return Err(Failure::NotOurForm);
    }
    let Form(fields) = Form::from_request(request, api).await.map_err(|_| Failure::NotOurForm)?;
    Ok(Sent(fields))
}

/// The form of somebody who has no session yet.
#[derive(Debug)]
pub(super) struct Newcomer(Sent);

impl FromRequest<Api> for Newcomer {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        let visit = Visit::read(request.headers());
        Ok(Self(from_here(&visit, request, api).await?))
    }
}

/// What the address asks for behind its `?`.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Failure> {
        let read = Query::try_from_uri(&parts.uri);
        let Query(query) = read
            .map_err(|error| Failure::NotFound(format!("This address is none of a page here: {error}.")))?;
        Ok(Self(query))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SignInQuery {
    #[serde(default)]
    next: String,
}

/// Sends a visitor who is not known to the page for signing in, and afterwards back.
pub(super) fn to_sign_in(address: &str, partial: bool) -> Response {
    let place = format!("/sign-in?next={}", encoded(address));
    if partial {
        return (StatusCode::UNAUTHORIZED, [("hx-redirect", place)]).into_response();
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

pub(super) async fn ask(visit: Visit, Asked(query): Asked<SignInQuery>) -> Response {
    layout::page(&visit, layout::Tab::None, "Sign in", &sign_in_form(&query.next, None))
}

fn sign_in_form(next: &str, problem: Option<&str>) -> Markup {
    html! {
        @if let Some(problem) = problem { p.notice.critical role="alert" { (problem) } }
        p { "Paste a token. Whoever runs this registry issues them: " code { "csactl token issue --subject YOU --role operator" } "." }
        form.stacked method="post" action="/sign-in" {
            input type="hidden" name="next" value=(next);
            label for="token" { "Token" }
            input #token type="password" name="token" autocomplete="off" required maxlength=(MAX_TOKEN) autofocus;
            div.actions { button.primary type="submit" { "Sign in" } }
        }
        p.faint { "It is kept in a cookie until you sign out, close the browser, or the token ends. Scripts cannot read it." }
    }
}

pub(super) async fn sign_in(State(api): State<Api>, visit: Visit, Newcomer(form): Newcomer) -> Response {
    let token = form.field("token");
    let token = token.strip_prefix("Bearer ").unwrap_or(token);
    let again = |status: StatusCode, problem: &str| {
        let page = layout::page(
            &visit,
            layout::Tab::None,
            "Sign in",
            &sign_in_form(form.field("next"), Some(problem)),
        );
        (status, page).into_response()
    };
    if !is_token(token) || !token.contains('.') {
        let problem =
            format!("That is no token: expected up to {MAX_TOKEN} letters, digits, '-', '_' and two '.'.");
        return again(StatusCode::UNPROCESSABLE_ENTITY, &problem);
    }
    let signed_in = Visit { host: visit.host.clone(), secret: Some(token.to_owned()), fresh: false };
    match api.get::<ArtifactPage>(&signed_in, "/api/v1/csa/list?limit=1").await {
        Err(Failure::Refused { status: StatusCode::UNAUTHORIZED, problem }) => {
            return again(StatusCode::FORBIDDEN, &problem.to_string());
        }
        // An auditor is known, and may not see artifacts.
        Ok(_) | Err(Failure::Refused { status: StatusCode::FORBIDDEN, .. }) => {}
        Err(other) => return other.into_response(),
    }
    let cookie = cookie(names_this_computer(&visit.host), token, "");
    let place = inside(form.field("next"));
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, place)]).into_response()
}

pub(super) async fn sign_out(visit: Visit, _: Sent) -> Response {
    let cookie = cookie(names_this_computer(&visit.host), "", "; Max-Age=0");
    let place = HeaderValue::from_static("/sign-in");
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, place)]).into_response()
}

/// A place on this registry; whatever else was asked for is the first page.
fn inside(next: &str) -> HeaderValue {
    let here = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let place = if here { next } else { "/" };
    HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_counts_when_the_browser_says_that_a_page_of_ours_sent_it() {
        let sent = |list: &[(&'static str, &str)]| {
            let headers = headers(&[&[("host", "registry:8080")], list].concat());
            Visit::read(&headers).sent_this(&headers)
        };
        assert!(sent(&[("sec-fetch-site", "same-origin")]));
        assert!(sent(&[("origin", "https://registry:8080")]));
        for strange in [
            &[][..],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://registry:8080")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://registry:8081")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
        ] {
            assert!(!sent(strange), "{strange:?}");
        }
    }

    #[test]
    fn a_name_that_was_made_to_point_here_gets_no_session() {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.0.0.1", "localhost"] {
            assert!(Visit::read(&headers(&[("host", host)])).cookie_to_set().is_some(), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1:8080", ""]
        {
            let visit = Visit::read(&headers(&[("host", host), ("cookie", "swarm_session=abc")]));
            assert!(visit.cookie_to_set().is_none() && visit.secret.is_none(), "{host}");
        }
    }

    #[test]
    fn the_cookie_of_a_host_is_the_one_that_browsers_guard() {
        let both = "a=b; swarm_session=aa.bb.cc; __Host-swarm_session=dd.ee.ff";
        let token = |host: &str| {
            Visit::read(&headers(&[("host", host), ("cookie", both)])).token().map(str::to_owned)
        };
        assert_eq!(token("registry.example.com"), Some("dd.ee.ff".to_owned()));
        assert_eq!(token("127.0.0.1:8080"), Some("aa.bb.cc".to_owned()));
        let set = cookie(false, "x.y.z", "");
        assert_eq!(set, "__Host-swarm_session=x.y.z; Path=/; HttpOnly; SameSite=Strict; Secure");
    }

    #[test]
    fn each_session_has_another_form_key() {
        let key = |secret: &str| {
            let cookie = format!("swarm_session={secret}");
            Visit::read(&headers(&[("host", "localhost"), ("cookie", &cookie)])).form_key()
        };
        assert_eq!(key("a.b.c"), key("a.b.c"));
        assert_ne!(key("a.b.c"), key("a.b.d"));
        assert!(!key("a.b.c").contains("a.b.c"));
    }

    #[test]
    fn after_signing_in_one_stays_here() {
        assert_eq!(inside("/cells?after=a"), "/cells?after=a");
        for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "cells", "", "/a\nb"] {
            assert_eq!(inside(elsewhere), "/", "{elsewhere:?}");
        }
    }

    #[test]
    fn a_visitors_name_is_read_from_the_token() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"ada","roles":["admin"]}"#);
        let cookie = format!("swarm_session=x.{claims}.y");
        assert_eq!(
            Visit::read(&headers(&[("host", "localhost"), ("cookie", &cookie)])).name(),
            Some("ada".to_owned())
        );
        assert_eq!(
            Visit::read(&headers(&[("host", "localhost"), ("cookie", "swarm_session=x.y.z")])).name(),
            None
        );
    }
}
