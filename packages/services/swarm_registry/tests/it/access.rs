//! Who may do what: tokens of people, certificates of sites, and nobody else.

use std::sync::Arc;

use crate::common::artifacts::{FORM_TYPE, Signed};
use crate::common::{NOW, Place, Registry};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};
use swarm_artifact::public_key_to_pem;
use swarm_registry::access::{Audience, RateLimit, TokenKeys};
use swarm_registry::approval::{Approvals, TwoPerson};
use swarm_registry::current::Current;
use swarm_registry::http::{Access, Stranger};
use swarm_registry::serve::{SiteFiles, Tls, serve};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn token(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes()))
}

fn claims(role: &str) -> Value {
    json!({"sub": format!("the {role}"), "aud": "swarm_registry", "exp": NOW + 600, "roles": [role]})
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "ops"})
}

fn as_role(role: &str) -> String {
    token(&header(), &claims(role), &key(1))
}

fn access() -> Access {
    let pem = public_key_to_pem(&key(1).verifying_key()).unwrap();
    let roles = ["admin", "engineer", "operator", "auditor"];
    let keys = json!({"keys": [{"id": "ops", "public_key": pem, "roles": roles}]});
    let keys = TokenKeys::parse(&keys.to_string()).unwrap();
    Access::Required { keys: Current::new(Some(keys)), audience: Audience("swarm_registry".to_owned()) }
}

async fn registry() -> Registry {
    Registry::with_access(Arc::new(Place::local()), access()).await
}

#[tokio::test]
async fn nobody_gets_anything_but_health_without_saying_who_asks() {
    let registry = registry().await;
    for (method, template) in registry.description().operations() {
        let path = template.replace("{csa}", "1").replace("{skill_id}", "a").replace("{version}", "1.0.0");
        let path = path.replace("{upload_id}", &"0".repeat(32)).replace("{site_id}", "a");
        let path = path
            .replace("{repository}", "image")
            .replace("{file}", "x")
            .replace("{approval_id}", "1")
            .replace("{rollout_id}", "1")
            .replace("{bag_id}", "1");
        let answer = registry.call(&method, &path, &[], Body::empty()).await;
        if path.starts_with("/api/v1") || path == "/api/model/versions" {
            assert_eq!(answer.refusal(), (401, "not_signed_in".to_owned()), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        } else {
            assert_eq!(answer.status, 200, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn bad_tokens_are_refused_and_never_repeated() {
    let registry = registry().await;
    let with = |mut value: Value, name: &str, to: Value| {
        value[name] = to;
        value
    };
    let good = as_role("engineer");
    let cases = [
        ("wrong_token_algorithm", token(&with(header(), "alg", json!("none")), &claims("admin"), &key(1))),
        ("wrong_token_algorithm", token(&with(header(), "alg", json!("HS256")), &claims("admin"), &key(1))),
        ("unknown_token_key", token(&with(header(), "kid", json!("other")), &claims("admin"), &key(1))),
        ("bad_token_signature", token(&header(), &claims("admin"), &key(2))),
        (
            "wrong_token_audience",
            token(&header(), &with(claims("admin"), "aud", json!("coordinator")), &key(1)),
        ),
        ("expired_token", token(&header(), &with(claims("admin"), "exp", json!(NOW - 3600)), &key(1))),
        ("token_role_not_given", token(&header(), &claims("site"), &key(1))),
        ("malformed_token", "Bearer nonsense".to_owned()),
        ("not_signed_in", "Basic YWRtaW46YWRtaW4=".to_owned()),
        ("not_signed_in", good.trim_start_matches("Bearer ").to_owned()),
    ];
    for (code, value) in cases {
        let answer =
            registry.call("GET", "/api/v1/csa/list", &[("authorization", &value)], Body::empty()).await;
        assert_eq!(answer.refusal(), (401, code.to_owned()));
        let secret = value.rsplit('.').next().unwrap();
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "{code}");
    }
    registry.call("GET", "/api/v1/csa/list", &[("authorization", &good)], Body::empty()).await.expect(200);
}

#[tokio::test]
async fn each_role_may_what_it_is_for_and_the_log_says_who_it_was() {
    let registry = registry().await;
    let signed = Signed::version("1.0.0");
    let upload = async |role: &str| {
        let headers = [("authorization", as_role(role)), ("content-type", FORM_TYPE.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        registry.call("POST", "/api/v1/csa/upload", &headers, signed.form(&[])).await
    };
    let ask = async |role: &str, method: &str, path: &str, body: &str| {
        let headers = [("authorization", as_role(role)), ("content-type", "application/json".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        registry.call(method, path, &headers, body.to_owned()).await.status.as_u16()
    };
    for role in ["operator", "auditor"] {
        assert_eq!(upload(role).await.refusal(), (403, "not_permitted".to_owned()), "{role}");
    }
    let accepted = upload("engineer").await.expect(201).json();
    assert_eq!(accepted["provenance"]["uploader"], "the engineer");

    let quarantine = "/api/v1/csa/1/quarantine";
    let reason = r#"{"reason": "x"}"#;
    let may = async |role: &str| {
        [
            ask(role, "GET", "/api/v1/csa/list", "").await,
            ask(role, "GET", "/api/v1/csa/1/download", "").await,
            // There is no delta from an artifact to itself; whether it may be asked for shows before that.
            ask(role, "GET", "/api/v1/csa/1/delta?from=1", "").await,
            ask(role, "GET", "/api/v1/audit", "").await,
            ask(role, "GET", "/api/v1/bags", "").await,
            ask(role, "POST", "/api/v1/bags/uploads", r#"{"length": 1}"#).await,
            ask(role, "POST", quarantine, reason).await,
            ask(role, "POST", "/api/v1/csa/1/release", reason).await,
        ]
    };
    assert_eq!(may("admin").await, [200, 200, 400, 200, 200, 201, 200, 200]);
    assert_eq!(may("engineer").await, [200, 200, 400, 403, 200, 201, 200, 200]);
    assert_eq!(may("operator").await, [200, 200, 400, 403, 403, 403, 403, 403]);
    assert_eq!(may("auditor").await, [403, 403, 403, 200, 403, 403, 403, 403]);

    assert_eq!(ask("engineer", "POST", quarantine, reason).await, 200);
    assert_eq!(ask("operator", "GET", "/api/v1/csa/1/download?allow_quarantined=true", "").await, 403);
    assert_eq!(ask("engineer", "GET", "/api/v1/csa/1/download?allow_quarantined=true", "").await, 200);
    let page =
        registry.call("GET", "/api/v1/audit", &[("authorization", &as_role("auditor"))], Body::empty()).await;
    let who: Vec<_> = page.json()["items"].as_array().unwrap().iter().map(|it| it["who"].clone()).collect();
    assert_eq!(
        who,
        ["the engineer", "the admin", "the admin", "the engineer", "the engineer", "the engineer"]
    );
}

#[tokio::test]
async fn who_may_deploy_and_who_may_only_watch() {
    let registry = registry().await;
    let ask = async |role: &str, method: &str, path: &str, body: &Value| {
        let headers = [("authorization", as_role(role)), ("content-type", "application/json".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        registry.call(method, path, &headers, body.to_string()).await.status.as_u16()
    };
    let root = json!({"files": [{"role": "root", "text": "{}"}]});
    let targets = json!({"files": [{"role": "targets", "text": "{}"}]});
    let deploy = json!({"site_id": "a", "csa_id": 1, "reason": "x"});
    let back = json!({"site_id": "ALL", "target_csa_id": 1, "reason": "x"});
    let nothing = json!(null);
    let may = async |role: &str| {
        [
            ask(role, "GET", "/api/v1/cells", &nothing).await,
            ask(role, "GET", "/api/v1/deployments", &nothing).await,
            ask(role, "GET", "/api/v1/approvals", &nothing).await,
            ask(role, "GET", "/api/v1/update/image/versions", &nothing).await,
            ask(role, "POST", "/api/v1/deployments", &deploy).await,
            ask(role, "POST", "/api/v1/deployment/rollback", &back).await,
            ask(role, "POST", "/api/v1/update/image/publish", &root).await,
            ask(role, "POST", "/api/v1/update/image/publish", &targets).await,
            ask(role, "DELETE", "/api/v1/cells/a", &nothing).await,
            ask(role, "POST", "/api/v1/cells/a/report", &crate::common::fleet::report(1)).await,
        ]
    };
    // 404: there is no such artifact or cell; 409 and 422: there is no root yet, and this is none.
    assert_eq!(may("engineer").await, [200, 200, 200, 200, 404, 404, 403, 409, 403, 403]);
    assert_eq!(may("operator").await, [200, 200, 403, 200, 403, 403, 403, 403, 403, 403]);
    assert_eq!(may("auditor").await, [403, 403, 200, 403, 403, 403, 403, 403, 403, 403]);
    assert_eq!(may("admin").await, [200, 200, 200, 200, 404, 404, 422, 409, 404, 200]);
}

#[tokio::test]
async fn a_second_person_confirms_what_concerns_everybody() {
    let place = Arc::new(Place::local());
    let mut app = place.app(Access::Development).await;
    let prepared = Registry::of(Arc::clone(&place), app.clone());
    let mut people = prepared.begin_updates().await;
    let ids = prepared.release(&mut people, &["1.0.0", "1.1.0"]).await;
    let deploy = json!({"site_id": "cell-1", "csa_id": ids[1], "reason": "x"});
    prepared.post("/api/v1/deployments", &deploy).await.expect(200);
    app.access = access();
    app.approvals = Approvals::new(app.database.clone(), TwoPerson::Required);
    let registry = Registry::of(place, app.clone());
    let named = |name: &str, role: &str| {
        let mut claims = claims(role);
        // Longer than an approval lives.
        (claims["sub"], claims["exp"]) = (json!(name), json!(NOW + 7200));
        token(&header(), &claims, &key(1))
    };
    let post = async |registry: &Registry, who: &str, path: &str, body: &Value| {
        let headers = [("authorization", who), ("content-type", "application/json")];
        registry.call("POST", path, &headers, body.to_string()).await
    };
    let (ann, bob, eve) = (named("ann", "engineer"), named("bob", "engineer"), named("eve", "operator"));
    let (root_1, root_2) = (named("ann", "admin"), named("carol", "admin"));
    let nothing = json!(null);

    let back = json!({"site_id": "ALL", "target_csa_id": ids[0], "reason": "it drops parts"});
    let asked = post(&registry, &ann, "/api/v1/deployment/rollback", &back).await.expect(202).json();
    assert_eq!((&asked["action"], &asked["state"]), (&json!("rollback_all"), &json!("waiting")));
    assert!(asked["detail"].as_str().unwrap().contains("it drops parts"), "{asked}");
    let confirm = format!("/api/v1/approvals/{}/confirm", asked["id"]);
    assert_eq!(post(&registry, &ann, &confirm, &nothing).await.refusal(), (403, "same_person".to_owned()));
    assert_eq!(post(&registry, &eve, &confirm, &nothing).await.refusal(), (403, "not_permitted".to_owned()));
    let cell = async || prepared_assigned(&registry, &ann).await;
    assert_eq!(cell().await, Signed::version("1.1.0").digest());
    let done = post(&registry, &bob, &confirm, &nothing).await.expect(200).json();
    assert_eq!(done["assigned"]["deployments"][0]["site_id"], "cell-1");
    assert_eq!(done["assigned"]["deployments"][0]["requested_by"], "ann");
    assert_eq!(
        (&done["approval"]["confirmed_by"], &done["approval"]["state"]),
        (&json!("bob"), &json!("confirmed"))
    );
    assert_eq!(cell().await, Signed::version("1.0.0").digest());
    let again = post(&registry, &bob, &confirm, &nothing).await;
    assert_eq!(again.refusal(), (409, "already_confirmed".to_owned()));
    // One cell needs one person.
    let one = json!({"site_id": "cell-1", "target_csa_id": ids[1], "reason": "x"});
    post(&registry, &ann, "/api/v1/deployment/rollback", &one).await.expect(200);

    // Other keys: an engineer may not confirm them. What fails stays waiting.
    people.repository.touch("root").unwrap();
    let root = people.sign();
    let path = people.path();
    let asked = post(&registry, &root_1, &path, &root).await.expect(202).json();
    let confirm = format!("/api/v1/approvals/{}/confirm", asked["id"]);
    assert_eq!(post(&registry, &bob, &confirm, &nothing).await.refusal(), (403, "not_permitted".to_owned()));
    let done = post(&registry, &root_2, &confirm, &nothing).await.expect(200).json();
    assert_eq!(done["versions"]["root"], 2);
    let stale = post(&registry, &root_1, &path, &root).await.expect(202).json();
    let confirm = format!("/api/v1/approvals/{}/confirm", stale["id"]);
    let refused = post(&registry, &root_2, &confirm, &nothing).await;
    assert_eq!(refused.refusal(), (409, "not_the_next_version".to_owned()));
    let listed = async |registry: &Registry| {
        let list = registry.call("GET", "/api/v1/approvals", &[("authorization", &ann)], Body::empty()).await;
        let list = list.expect(200).json();
        let states = list["items"].as_array().unwrap().iter().map(|it| it["state"].clone());
        states.collect::<Vec<_>>()
    };
    assert_eq!(listed(&registry).await, ["waiting", "confirmed", "confirmed"]);
    app.now_unix = || NOW + 3600;
    let later = Registry::of(Arc::clone(&registry.place), app);
    assert_eq!(listed(&later).await, ["expired", "confirmed", "confirmed"]);
    let late = post(&later, &root_2, &confirm, &nothing).await;
    assert_eq!(late.refusal(), (409, "approval_expired".to_owned()));
}

#[tokio::test]
async fn no_roll_out_is_a_way_around_the_second_person() {
    let place = Arc::new(Place::local());
    let mut app = place.app(Access::Development).await;
    let prepared = Registry::of(Arc::clone(&place), app.clone());
    let mut people = prepared.begin_updates().await;
    let ids = prepared.release(&mut people, &["1.0.0", "1.1.0", "1.2.0"]).await;
    app.approvals = Approvals::new(app.database.clone(), TwoPerson::Required);
    let registry = Registry::of(place, app);
    for cell in ["cell-1", "cell-2"] {
        let deploy = json!({"site_id": cell, "csa_id": ids[1], "reason": "x"});
        registry.post("/api/v1/deployments", &deploy).await.expect(200);
    }
    let begin = async |version: &str, cells: &Value, stages: Value| {
        let artifact = Signed::version(version).digest();
        let plan = json!({"artifact": artifact, "cells": cells, "stages": stages, "gates": {"observe_s": 0, "min_runs": 0, "min_success_rate": 0.0}});
        registry.post("/api/v1/rollouts", &plan).await
    };
    let at_once = || json!([{"name": "all", "percent": 100}]);
    let nearly = || json!([{"name": "nearly all", "percent": 99}, {"name": "all", "percent": 100}]);
    let by_name = || json!([{"name": "both", "cells": ["cell-1", "cell-2"]}]);
    let (all, both) = (json!("all"), json!({"named": ["cell-1", "cell-2"]}));
    for (cells, stages) in
        [(&all, at_once()), (&both, at_once()), (&all, nearly()), (&both, by_name()), (&all, by_name())]
    {
        let refused = begin("1.0.0", cells, stages.clone()).await;
        assert_eq!(refused.refusal(), (403, "second_person_needed".to_owned()), "{cells}, {stages}");
    }
    let canary = json!([{"name": "canary", "percent": 10}, {"name": "all", "percent": 100}]);
    begin("1.0.0", &all, canary).await.expect(201);
    begin("1.0.0", &json!({"named": ["cell-2"]}), at_once()).await.expect(201);
    begin("1.2.0", &all, at_once()).await.expect(201);
}

async fn prepared_assigned(registry: &Registry, who: &str) -> Value {
    let cell = registry.call("GET", "/api/v1/cells/cell-1", &[("authorization", who)], Body::empty()).await;
    cell.expect(200).json()["assigned"].clone()
}

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let place = Arc::new(Place::local());
    let mut app = place.app(access()).await;
    app.limit = Some(Arc::new(RateLimit::per_second(std::num::NonZeroU32::MIN)));
    let registry = Registry::of(place, app);
    let ask = async |role: &str| {
        registry.call("GET", "/api/v1/csa/list", &[("authorization", &as_role(role))], Body::empty()).await
    };
    let answers = futures::future::join_all((0..40).map(|_| ask("engineer"))).await;
    let (allowed, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.status == 200);
    assert!(allowed.len() >= 2 && !refused.is_empty(), "{} of 40", allowed.len());
    assert_eq!(refused[0].refusal(), (429, "too_many_requests".to_owned()));
    assert_eq!(refused[0].header("retry-after"), "1");
    ask("operator").await.expect(200);
    registry.get("/health").await.expect(200);
}

#[tokio::test]
async fn an_address_that_nobody_vouches_for_has_a_bound_whatever_it_asks() {
    let place = Arc::new(Place::local());
    let mut app = place.app(access()).await;
    app.limit = Some(Arc::new(RateLimit::per_second(std::num::NonZeroU32::MIN)));
    let registry = Registry::of(place, app);
    let from = async |address: &str, path: &str| {
        let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Stranger(address.parse().unwrap()));
        registry.send(request).await
    };
    for path in ["/metrics", "/health/database"] {
        let answers = futures::future::join_all((0..60).map(|_| from("192.0.2.1", path))).await;
        let refused = answers.iter().find(|answer| answer.status == 429);
        let refused = refused.unwrap_or_else(|| panic!("nothing of 60 requests to {path} was refused"));
        assert_eq!(refused.refusal(), (429, "too_many_requests".to_owned()));
    }
    from("192.0.2.1", "/health").await.expect(200);
    from("192.0.2.2", "/metrics").await.expect(200);
    registry.get("/metrics").await.expect(200);
}

#[tokio::test]
async fn an_upload_in_parts_belongs_to_whoever_began_it() {
    let registry = registry().await;
    let admin = as_role("admin");
    let headers = [("authorization", admin.as_str()), ("content-type", "application/json")];
    let begun = registry.call("POST", "/api/v1/csa/uploads", &headers, r#"{"length": 10}"#).await.expect(201);
    let place = begun.header("location");
    registry.call("GET", place, &[("authorization", &admin)], Body::empty()).await.expect(200);
    let other = registry.call("GET", place, &[("authorization", &as_role("engineer"))], Body::empty()).await;
    assert_eq!(other.refusal(), (404, "no_such_upload".to_owned()));
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Certificate and key, PEM.
    fn certify(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A list of these certificates.
    fn revoke(&self, certificates: &[&str]) -> String {
        let entry = |certificate: &&str| {
            let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap();
            let serial = pem.parse_x509().unwrap().raw_serial().to_vec();
            let serial_number = SerialNumber::from(serial);
            let revocation_time = date_time_ymd(2026, 1, 1);
            RevokedCertParams { serial_number, revocation_time, reason_code: None, invalidity_date: None }
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            // Long ago: an old list is better than none.
            next_update: date_time_ymd(2026, 1, 2),
            crl_number: SerialNumber::from(7),
            issuing_distribution_point: None,
            revoked_certs: certificates.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

#[tokio::test]
async fn a_site_signs_in_with_its_certificate_and_no_stranger_does() {
    let (servers, sites, strangers) =
        (Authority::new("servers"), Authority::new("sites"), Authority::new("strangers"));
    let registry = registry().await;
    let folder = registry.place.folder.path();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = servers.certify("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let (certificate, key) = (write("server.pem", &certificate), write("server.key", &key));
    let authorities = write("sites.pem", &sites.certificate);
    let read = |list: Option<&str>| {
        let list = list.map(|list| write("crl.pem", list));
        Tls::read(&certificate, &key, Some(SiteFiles { ca: &authorities, crl: list.as_deref() }))
    };
    let tls = read(None).unwrap();
    let serving_tls = tls.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Some(serving_tls), registry.router(), async move {
        let _ = ended.await;
    }));

    let client = |identity: Option<(String, String)>| {
        let root = reqwest::Certificate::from_pem(servers.certificate.as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([root]).no_proxy();
        if let Some((certificate, key)) = identity {
            builder = builder
                .identity(reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap());
        }
        builder.build().unwrap()
    };
    let at = |path: &str| format!("https://localhost:{port}{path}");
    let (site_certificate, site_key) = sites.certify("cell-7.example", ExtendedKeyUsagePurpose::ClientAuth);
    let site = client(Some((site_certificate.clone(), site_key)));
    let signed = Signed::version("1.0.0");
    let upload = site.post(at("/api/v1/csa/upload")).header("content-type", FORM_TYPE).body(signed.form(&[]));
    let answer = upload.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let accepted: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(accepted["provenance"]["uploader"], "cell-7.example");
    let download = site.get(at("/api/v1/csa/1/download")).send().await.unwrap();
    assert!(download.bytes().await.unwrap() == signed.archive);
    for forbidden in ["/api/v1/csa/1/quarantine", "/api/v1/csa/1/release"] {
        let body =
            site.post(at(forbidden)).header("content-type", "application/json").body(r#"{"reason": "x"}"#);
        assert_eq!(body.send().await.unwrap().status(), 403, "{forbidden}");
    }
    assert_eq!(site.get(at("/api/v1/audit")).send().await.unwrap().status(), 403);
    // It reports for itself, and for nobody else.
    for (name, status) in [("cell-7.example", 200), ("cell-8.example", 403)] {
        let report = site.post(at(&format!("/api/v1/cells/{name}/report")));
        let report = report.header("content-type", "application/json");
        let report = report.body(crate::common::fleet::report(1).to_string());
        assert_eq!(report.send().await.unwrap().status(), status, "{name}");
    }
    assert_eq!(site.get(at("/api/v1/update/director/versions")).send().await.unwrap().status(), 200);

    // Without a certificate the connection stands, but nobody is signed in; a token does.
    let nobody = client(None);
    assert_eq!(nobody.get(at("/api/v1/csa/list")).send().await.unwrap().status(), 401);
    let person = nobody.get(at("/api/v1/csa/list")).header("authorization", as_role("operator"));
    assert_eq!(person.send().await.unwrap().status(), 200);
    // A certificate of somebody else's authority, or one for servers, ends the connection.
    for identity in [
        strangers.certify("cell-7.example", ExtendedKeyUsagePurpose::ClientAuth),
        sites.certify("cell-7.example", ExtendedKeyUsagePurpose::ServerAuth),
    ] {
        assert!(client(Some(identity)).get(at("/health")).send().await.is_err());
    }

    // What is revoked ends, also on connections that stand; the others go on.
    let other = client(Some(sites.certify("cell-8.example", ExtendedKeyUsagePurpose::ClientAuth)));
    let status = async |who: &reqwest::Client| {
        let asked = who.get(at("/api/v1/update/director/versions")).send().await;
        asked.map(|answer| answer.status().as_u16()).ok()
    };
    assert_eq!((status(&site).await, status(&other).await), (Some(200), Some(200)));
    for (list, expected) in [
        (sites.revoke(&[]), (Some(200), Some(200))),
        (sites.revoke(&[&site_certificate]), (None, Some(200))),
        // Of an authority without a list nobody knows what it has taken back.
        (strangers.revoke(&[]), (None, None)),
        (sites.revoke(&[]), (Some(200), Some(200))),
    ] {
        tls.exchange(&read(Some(&list)).unwrap());
        assert_eq!((status(&site).await, status(&other).await), expected);
        assert_eq!(status(&nobody).await, Some(401));
    }
    for (list, problem) in
        [("", "holds no revocation list"), (&sites.certificate, "holds no revocation list")]
    {
        assert!(read(Some(list)).unwrap_err().contains(problem));
    }
    drop((site, other, nobody));
    end.send(()).unwrap();
    serving.await.unwrap();
}
