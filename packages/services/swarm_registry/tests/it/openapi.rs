//! The description is the interface: no route without it, nothing in it that is no route. That answers are as it says is held
//! against every answer of the other tests (`crate::common::description`).

use crate::common::{Place, Registry};
use axum::body::Body;

#[tokio::test]
async fn every_described_operation_is_a_route() {
    let registry = Registry::new(Place::local()).await;
    let operations = registry.description().operations();
    assert!(operations.len() > 20, "{operations:?}");
    for (method, template) in operations {
        let path = template
            .replace("{csa}", "1")
            .replace("{skill_id}", "a")
            .replace("{version}", "1.0.0")
            .replace("{upload_id}", &"0".repeat(32))
            .replace("{site_id}", "a")
            .replace("{repository}", "image")
            .replace("{file}", "timestamp.json")
            .replace("{approval_id}", "1")
            .replace("{rollout_id}", "1")
            .replace("{bag_id}", "1");
        assert!(!path.contains('{'), "{path}");
        let answer = registry.call(&method, &path, &[], Body::empty()).await;
        assert_ne!(answer.status, 405, "{method} {template}");
        if answer.status == 404 {
            assert_ne!(answer.refusal().1, "no_such_route", "{method} {template}");
        }
    }
}

#[tokio::test]
async fn every_route_is_described() {
    // Handlers and their descriptions are added by one macro, `routes!`. A route that is added in another way, or a handler that
    // is described and not added, shows here.
    let mut described = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http")).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        described += text.matches("#[utoipa::path(").count();
        for other in [".route(", ".route_service(", ".nest(", ".nest_service(", ".merge("] {
            assert!(!text.contains(other), "{other} in {}", path.display());
        }
    }
    let registry = Registry::new(Place::local()).await;
    assert_eq!(registry.description().operations().len(), described);
}

#[tokio::test]
async fn the_served_document_is_openapi_3_1_with_the_security_of_each_operation() {
    let registry = Registry::new(Place::local()).await;
    let document = registry.get("/openapi.json").await.expect(200).json();
    assert_eq!(document, registry.description().document);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    for (method, path) in registry.description().operations() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let needs_somebody = path.starts_with("/api/v1") || path == "/api/model/versions";
        assert_eq!(operation["security"].is_array(), needs_somebody, "{method} {path}");
        assert!(operation["summary"].is_string(), "{method} {path}");
    }
}
