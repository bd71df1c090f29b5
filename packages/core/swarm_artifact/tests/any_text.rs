//! Whatever text comes as a manifest, trust file or signature file: no panic, and what is accepted is written and read back.

use std::fmt::Write as _;

use proptest::prelude::*;
use swarm_artifact::{Manifest, SignatureFile, Trust};

const MANIFEST: &str = r#"schema_version: 1
skill_id: cooperative_assembly
version: 1.2.0
roles:
  leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader, policy: mate}
policies:
  mate: {file: policies/mate.onnx, golden: policies/mate.golden.json, deadline_us: 2000}
envelope: safety_envelope.yaml
provenance: {trainer: "train.py: \"v1\"", demonstrations: "200"}
files:
- {path: trees/leader.xml, size: 1, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
- {path: policies/mate.onnx, size: 3, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
- {path: policies/mate.golden.json, size: 4, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
- {path: safety_envelope.yaml, size: 5, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
"#;

const TRUST: &str = r#"schema_version: 1
threshold: 1
keys:
- key_id: "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e"
  public_key: "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="
  signer: site_a
  roles: [artifact]
  not_after: 2100-01-01T00:00:00Z
  revoked: false
"#;

/// The text with some pieces replaced by others of it, or by odd characters.
fn spoilt(text: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        "[-\\[\\]{}:,&*!|>'\"%@`#\\n \\t0-9a-z\\PC]{1,6}",
        (0..text.len(), 0_usize..40)
            .prop_map(move |(at, count)| text[at..(at + count).min(text.len())].to_owned()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, piece), 1..4).prop_map(move |changes| {
        let mut spoilt: Vec<char> = text.chars().collect();
        for (at, count, piece) in changes {
            let at = at.index(spoilt.len() + 1);
            spoilt.splice(at..(at + count).min(spoilt.len()), piece.chars());
        }
        spoilt.into_iter().collect()
    })
}

proptest! {
    // A failing text is printed whole; there is no need for a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_spoilt_manifest_is_refused_with_lines_or_survives_writing(text in spoilt(MANIFEST)) {
        match Manifest::parse(&text) {
            Ok(manifest) => prop_assert_eq!(Manifest::parse(&manifest.to_yaml()).unwrap(), manifest),
            Err(error) => prop_assert!(error.to_string().starts_with("manifest.yaml "), "{error}"),
        }
    }

    #[test]
    fn a_spoilt_trust_file_is_refused_with_lines_or_survives_writing(text in spoilt(TRUST)) {
        match Trust::parse(&text) {
            Ok(trust) => {
                prop_assert!(trust.threshold >= 1);
                prop_assert_eq!(Trust::parse(&trust.to_yaml()).unwrap(), trust);
            }
            Err(error) => prop_assert!(!error.mistakes.as_slice().is_empty()),
        }
    }

    #[test]
    fn any_signature_file_is_refused_with_lines_or_survives_writing(text in "\\PC{0,60}|schema_version: 1\nsignatures: \\PC{0,40}") {
        match SignatureFile::parse(&text) {
            Ok(file) => prop_assert_eq!(SignatureFile::parse(&file.to_yaml()).unwrap(), file),
            Err(error) => prop_assert!(!error.mistakes.as_slice().is_empty()),
        }
    }
}

#[test]
fn the_texts_that_are_spoilt_are_sound() {
    Manifest::parse(MANIFEST).unwrap();
    Trust::parse(TRUST).unwrap();
}

/// Aliases that multiply ("billion laughs") end in an error, soon.
#[test]
fn a_document_that_unfolds_without_end_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        let _ = writeln!(text, "a{level}: &a{level} [{}]", [before.as_str(); 10].join(", "));
    }
    let error = Manifest::parse(&text).unwrap_err().to_string();
    assert!(error.contains("the document is too large"), "{error}");
}
