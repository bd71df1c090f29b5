//! The pages as a browser meets them: cookies are kept, forms are sent with what the page put into them.

mod browser;
#[cfg(feature = "peer-tests")]
mod chromium;
mod fleet;

use std::sync::Arc;

use crate::common::artifacts::Signed;
use crate::common::{NOW, Place, Registry};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use browser::{Browser, Page, field};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use swarm_artifact::public_key_to_pem;
use swarm_registry::access::{Audience, TokenKeys};
use swarm_registry::current::Current;
use swarm_registry::http::Access;

const LOCAL: &str = "127.0.0.1:8080";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn token(name: &str, role: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"sub": name, "aud": "swarm_registry", "exp": NOW + 600, "roles": [role]});
    let signed = format!("{}.{}", encode(&json!({"alg": "EdDSA", "kid": "ops"})), encode(&claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).to_bytes()))
}

fn access() -> Access {
    let pem = public_key_to_pem(&key().verifying_key()).unwrap();
    let roles = ["admin", "engineer", "operator", "auditor"];
    let keys = json!({"keys": [{"id": "ops", "public_key": pem, "roles": roles}]});
    let keys = TokenKeys::parse(&keys.to_string()).unwrap();
    Access::Required { keys: Current::new(Some(keys)), audience: Audience("swarm_registry".to_owned()) }
}

/// A registry where people sign in, with one artifact.
async fn guarded() -> (Registry, Signed) {
    let place = Arc::new(Place::local());
    let signed = Signed::version("1.0.0");
    Registry::with_access(Arc::clone(&place), Access::Development).await.upload(&signed).await.expect(201);
    (Registry::with_access(place, access()).await, signed)
}

async fn sign_in(browser: &mut Browser, token: &str) -> Page {
    browser.post("/sign-in", &[field("next", "/"), field("token", token)]).await
}

#[tokio::test]
async fn an_empty_registry_says_what_to_do() {
    let registry = Registry::new(Place::local()).await;
    let mut browser = Browser::new(&registry, LOCAL);
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    page.shows(&[
        "There is no artifact yet",
        "csactl upload",
        "development profile",
        "aria-current=\"page\">Artifacts",
    ]);
    browser.get("/cells").await.shows(&["No cell has reported yet"]);
    browser.get("/approvals").await.shows(&["Nothing waits"]);
    browser.get("/?status=quarantined").await.shows(&["No artifact fits"]);
}

#[tokio::test]
async fn artifacts_are_listed_with_their_family() {
    let registry = Registry::new(Place::local()).await;
    let (first, second) = (Signed::version("1.0.0"), Signed::version("1.1.0"));
    registry.upload(&first).await.expect(201);
    registry
        .upload_form(&second.form(&[("parent", &first.digest()), ("training_data", "<b>12 runs</b>")]))
        .await
        .expect(201);
    let mut browser = Browser::new(&registry, LOCAL);
    browser.get("/").await.shows(&["cooperative_assembly 1.0.0", "cooperative_assembly 1.1.0", "site_a"]);
    let page = browser.get(&format!("/artifacts/{}", second.digest())).await;
    // The drawing has both, and a stranger's text stays text.
    page.shows(&[
        "<svg",
        &format!("/artifacts/{}", first.digest()),
        "&lt;b&gt;12 runs&lt;/b&gt;",
        "No cell was given it",
    ]);
    assert!(!page.text.contains("<b>12 runs"));
    let download = browser.get(&format!("/artifacts/{}/download", first.digest())).await;
    assert_eq!((download.status, download.header("content-type")), (StatusCode::OK, "application/gzip"));
    assert_eq!(download.header("etag"), format!("\"{}\"", first.digest()));
}

#[tokio::test]
async fn an_artifact_is_quarantined_after_a_confirmation_and_the_log_says_by_whom() {
    let (registry, signed) = guarded().await;
    let mut browser = Browser::new(&registry, "registry.example.com");
    assert_eq!(sign_in(&mut browser, &token("ada", "engineer")).await.status, 303);
    let place = format!("/artifacts/{}", signed.digest());
    let ask = browser.get(&format!("{place}/quarantine")).await;
    ask.shows(&["Quarantine cooperative_assembly 1.0.0?", "Why?", "Quarantine it", "Do not"]);
    let mut fields = ask.hidden();
    fields.push(field("reason", "drops the peg & stops"));
    let done = browser.post(&format!("{place}/quarantine"), &fields).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, place.as_str()));
    browser.get(&place).await.shows(&[
        "Quarantined",
        "by ada",
        "drops the peg &amp; stops",
        "Lift the quarantine",
    ]);
    browser.get("/").await.shows(&["quarantined", "drops the peg &amp; stops"]);
    // Twice is refused in words.
    let again = browser.post(&format!("{place}/quarantine"), &fields).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    again.shows(&["role=\"alert\""]);
    let bearer = format!("Bearer {}", token("lin", "auditor"));
    let log = registry.call("GET", "/api/v1/audit", &[("authorization", &bearer)], Body::empty()).await;
    let entries = log.expect(200).json();
    let last = entries["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["who"], &last["action"]), (&json!("ada"), &json!("quarantine")));
}

#[tokio::test]
async fn a_form_that_no_page_of_the_session_sent_does_nothing() {
    let (registry, signed) = guarded().await;
    let mut browser = Browser::new(&registry, "registry.example.com");
    sign_in(&mut browser, &token("ada", "engineer")).await;
    let place = format!("/artifacts/{}/quarantine", signed.digest());
    let mut fields = browser.get(&place).await.hidden();
    fields.push(field("reason", "forged"));
    let other_session = {
        let mut other = Browser::new(&registry, "registry.example.com");
        sign_in(&mut other, &token("eve", "engineer")).await;
        let mut fields = other.get(&place).await.hidden();
        fields.push(field("reason", "forged"));
        fields
    };
    for (from, fields) in [
        ("cross-site", fields.clone()),
        ("same-site", fields.clone()),
        ("none", fields.clone()),
        ("same-origin", other_session),
        ("same-origin", vec![field("reason", "forged")]),
        ("same-origin", vec![field("form_key", ""), field("reason", "forged")]),
    ] {
        let page = browser.post_from(from, &place, &fields).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{from} {fields:?}");
        page.shows(&["nothing was done"]);
    }
    // Signed in or not: the site's certificate, or a header, is no session.
    let request = Request::post(&place).header("sec-fetch-site", "same-origin");
    let request = request.header("authorization", format!("Bearer {}", token("ada", "admin")));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let page = Browser::new(&registry, "registry.example.com").send(request, "reason=forged").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/").await.text.matches("quarantined</span>").count(), 0);
    assert_eq!(browser.post(&place, &fields).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn strangers_are_sent_to_sign_in_and_come_back_afterwards() {
    let (registry, _) = guarded().await;
    let mut browser = Browser::new(&registry, "registry.example.com");
    let page = browser.get("/cells?after=a").await;
    assert_eq!(
        (page.status, page.header("location")),
        (StatusCode::SEE_OTHER, "/sign-in?next=%2Fcells%3Fafter%3Da")
    );
    let form = browser.get("/sign-in?next=%2Fcells%3Fafter%3Da").await;
    form.shows(&["Paste a token", "value=\"/cells?after=a\""]);
    for (wrong, says) in [
        ("nonsense", "That is no token"),
        ("a.b.c; Domain=evil.example", "That is no token"),
        ("a.b.c", "cannot be read"),
        (&token("ada", "king"), "role"),
        (&token("ada", "admin").replacen('.', ".e30", 1), "signature"),
    ] {
        let page = sign_in(&mut browser, wrong).await;
        assert!(page.status.is_client_error() && page.header("set-cookie").is_empty(), "{wrong}");
        page.shows(&[says, "Paste a token"]);
        assert!(!page.text.contains(wrong), "a token is repeated");
    }
    let fields =
        [field("next", "/cells?after=a"), field("token", &format!("Bearer {}", token("ada", "operator")))];
    let page = browser.post("/sign-in", &fields).await;
    assert_eq!((page.status, page.header("location")), (StatusCode::SEE_OTHER, "/cells?after=a"));
    let page = browser.get("/").await;
    page.shows(&["ada", "Sign out"]);
    // Only signing out from a page ends the session.
    assert_eq!(browser.post("/sign-out", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/sign-out", &page.hidden()).await.header("location"), "/sign-in");
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_a_person_may_not_do_is_said_and_not_done() {
    let (registry, signed) = guarded().await;
    let mut browser = Browser::new(&registry, "registry.example.com");
    sign_in(&mut browser, &token("olga", "operator")).await;
    let place = format!("/artifacts/{}/quarantine", signed.digest());
    let mut fields = browser.get(&place).await.hidden();
    fields.push(field("reason", "not mine to say"));
    let page = browser.post(&place, &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.shows(&["Not permitted", "olga", "models:write"]);
    assert!(!browser.get("/").await.text.contains("not mine to say"));
    // Known, but an auditor sees no artifacts.
    let mut auditor = Browser::new(&registry, "registry.example.com");
    assert_eq!(sign_in(&mut auditor, &token("lin", "auditor")).await.status, StatusCode::SEE_OTHER);
    let page = auditor.get("/").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.shows(&["Not permitted", "models:read"]);
}

#[tokio::test]
async fn a_name_that_was_made_to_point_at_a_development_registry_shows_nothing() {
    let registry = Registry::new(Place::local()).await;
    let signed = Signed::version("1.0.0");
    registry.upload(&signed).await.expect(201);
    let mut browser = Browser::new(&registry, "evil.example:8080");
    for path in [
        "/",
        "/cells",
        &format!("/artifacts/{}", signed.digest()),
        &format!("/artifacts/{}/download", signed.digest()),
    ] {
        let page = browser.get(path).await;
        assert!(page.header("location").starts_with("/sign-in?"), "{path}: {page:?}");
        assert!(browser.cookies.is_empty());
    }
    Browser::new(&registry, "localhost:8080").get("/").await.shows(&["cooperative_assembly"]);
}

#[tokio::test]
async fn every_answer_forbids_what_pages_do_not_need() {
    let registry = Registry::new(Place::local()).await;
    let mut browser = Browser::new(&registry, LOCAL);
    for path in [
        "/",
        "/cells",
        "/sign-in",
        "/artifacts/0",
        "/artifacts/x/y",
        "/rollback",
        "/page/style.css",
        "/page/htmx.js",
    ] {
        let page = browser.get(path).await;
        let policy = page.header("content-security-policy");
        for part in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        // The policy would stop them: so nobody comes to rely on one.
        for inline in [" style=", "<style", " onclick=", "javascript:"] {
            assert!(!page.text.contains(inline) || path.starts_with("/page/"), "{path} has {inline}");
        }
        let cached = if path.starts_with("/page/") { "no-cache" } else { "no-store" };
        assert_eq!(page.header("cache-control"), cached, "{path}");
    }
    let style = browser.get("/page/style.css").await;
    let again = Request::get("/page/style.css").header("if-none-match", style.header("etag"));
    assert_eq!(browser.send(again, Body::empty()).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn addresses_that_are_none_are_said_in_words() {
    let registry = Registry::new(Place::local()).await;
    let mut browser = Browser::new(&registry, LOCAL);
    for path in [
        "/artifacts/nonsense",
        &format!("/artifacts/{}", "0".repeat(64)),
        "/artifacts/1/frobnicate",
        "/cells/nobody",
        "/cells/..%2F..%2Fadmin",
        "/rollback",
        "/rollback?site=ALL",
        "/rollback?site=cell-a&to=x",
        "/approvals/7",
        "/?after=x",
    ] {
        let page = browser.get(path).await;
        assert!(page.status.is_client_error(), "{path}: {}", page.status);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        page.shows(&["role=\"alert\"", "<h1>"]);
    }
    let page = browser.send(Request::delete("/cells"), Body::empty()).await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    // What is no page is the interface's to answer.
    registry.call("GET", "/nothing/here", &[], Body::empty()).await.expect(404);
}

#[tokio::test]
async fn htmx_is_told_where_to_sign_in() {
    let (registry, _) = guarded().await;
    let mut browser = Browser::new(&registry, "registry.example.com");
    let page = browser.send(Request::get("/cells").header("hx-request", "true"), Body::empty()).await;
    assert_eq!(
        (page.status, page.header("hx-redirect")),
        (StatusCode::UNAUTHORIZED, "/sign-in?next=%2Fcells")
    );
}

/// A browser that was led here by a stranger's name sends the stranger's scripts with it (DNS rebinding).
#[tokio::test]
async fn under_the_development_profile_the_interface_hears_only_who_names_this_computer() {
    let registry = Registry::new(Place::local()).await;
    let list = async |host: &str| {
        let headers: &[_] = if host.is_empty() { &[] } else { &[("host", host)] };
        registry.call("GET", "/api/v1/csa/list", headers, Body::empty()).await
    };
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", ""] {
        list(host).await.expect(200);
    }
    for host in ["evil.example:8080", "localhost.evil.example", "10.0.0.1:8080"] {
        assert_eq!(list(host).await.refusal(), (403, "foreign_host".to_owned()), "{host}");
    }
    let headers = [("host", "evil.example"), ("content-type", "application/json")];
    let reason = r#"{"reason": "x"}"#;
    let refused = registry.call("POST", "/api/v1/csa/1/quarantine", &headers, reason).await;
    assert_eq!(refused.refusal(), (403, "foreign_host".to_owned()));
    // Health names nobody and nothing.
    registry.call("GET", "/health", &[("host", "probe")], Body::empty()).await.expect(200);
}
