//! Who may do what: tokens of people, certificates of sites, and nobody else.

mod common;

use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::artifacts::{FORM_TYPE, Signed};
use common::{NOW, Place, Registry};
use ed25519_dalek::{Signer, SigningKey};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use swarm_artifact::public_key_to_pem;
use swarm_registry::access::{Audience, TokenKeys};
use swarm_registry::http::Access;
use swarm_registry::serve::{Tls, serve};

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
    Access::Required { keys: Some(keys), audience: Audience("swarm_registry".to_owned()) }
}

async fn registry() -> Registry {
    Registry::with_access(Arc::new(Place::local()), access()).await
}

#[tokio::test]
async fn nobody_gets_anything_but_health_without_saying_who_asks() {
    let registry = registry().await;
    for (method, template) in registry.description().operations() {
        let path = template.replace("{csa}", "1").replace("{skill_id}", "a").replace("{version}", "1.0.0");
        let path = path.replace("{upload_id}", &"0".repeat(32));
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
            ask(role, "GET", "/api/v1/audit", "").await,
            ask(role, "POST", quarantine, reason).await,
            ask(role, "POST", "/api/v1/csa/1/release", reason).await,
        ]
    };
    assert_eq!(may("admin").await, [200, 200, 200, 200, 200]);
    assert_eq!(may("engineer").await, [200, 200, 403, 200, 200]);
    assert_eq!(may("operator").await, [200, 200, 403, 403, 403]);
    assert_eq!(may("auditor").await, [403, 403, 200, 403, 403]);

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
    let tls = Tls::read(
        &write("server.pem", &certificate),
        &write("server.key", &key),
        Some(&write("sites.pem", &sites.certificate)),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, Some(tls.unwrap()), registry.router(), async move {
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
    let site = client(Some(sites.certify("cell-7.example", ExtendedKeyUsagePurpose::ClientAuth)));
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
    drop((site, nobody));
    end.send(()).unwrap();
    serving.await.unwrap();
}
