//! The registry's OpenAPI description, and whether an answer is as it says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Answer;

#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) document: Value,
}

impl Description {
    pub(crate) fn new(text: &str) -> Self {
        Self { document: serde_json::from_str(text).unwrap() }
    }

    /// Each method and path.
    pub(crate) fn operations(&self) -> BTreeSet<(String, String)> {
        let mut operations = BTreeSet::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                operations.insert((method.to_uppercase(), path.clone()));
            }
        }
        operations
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let paths = self.document["paths"].as_object().unwrap();
        let segments: Vec<_> = path.split('/').collect();
        let fits = |template: &str| {
            let template: Vec<_> = template.split('/').collect();
            template.len() == segments.len()
                && template.iter().zip(&segments).all(|(have, want)| have.starts_with('{') || have == want)
        };
        let exact = paths.get(path).or_else(|| paths.iter().find(|(it, _)| fits(it)).map(|(_, item)| item));
        exact?.get(method.to_lowercase())
    }

    /// Fails where the answer has a status, a type or a shape that the description does not give it.
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path} answered {}", answer.status);
        let Some(operation) = self.operation(method, path) else {
            assert!([404, 405].contains(&answer.status.as_u16()), "{what} and is not described");
            self.validate(&what, &json!({"$ref": "#/components/schemas/Problem"}), &answer.json());
            return;
        };
        let response = &operation["responses"][answer.status.as_str()];
        assert!(response.is_object(), "{what}, which is not described");
        let Some(content) = response.get("content").and_then(Value::as_object) else {
            assert!(
                answer.body.is_empty() || answer.headers["content-type"] == "application/gzip",
                "{what} with a body"
            );
            return;
        };
        let kind = answer.header("content-type").split(';').next().unwrap();
        let media = content.get(kind).unwrap_or_else(|| panic!("{what} as {kind}; described: {content:?}"));
        if kind.ends_with("json") && kind != "application/gzip" {
            self.validate(&what, &media["schema"], &answer.json());
        }
    }

    fn validate(&self, what: &str, schema: &Value, body: &Value) {
        assert!(schema.is_object(), "{what} without a schema");
        let mut schema = schema.clone();
        schema["components"] = self.document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mistakes: Vec<_> = validator.iter_errors(body).map(|error| error.to_string()).collect();
        assert!(mistakes.is_empty(), "{what}, not as described: {mistakes:?} in {body}");
    }
}
