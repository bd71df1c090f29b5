//! Documents that are made to cost a lot: each is refused soon, with a reason.
//!
//! Sizes are such that without its limit each would take hours, or more memory than there is.

use std::fmt::Write as _;

use swarm_bt::{LeafModel, LoadErrorKind, Loader, PortType, Registry};

/// The first message for these trees, of which `T` is the main one; and how many there are.
fn refused(trees: &str) -> (String, usize) {
    let registry = Registry::new().leaf(LeafModel::action("Act").input("in", PortType::Str));
    let xml = format!(r#"<root BTCPP_format="4" main_tree_to_execute="T">{trees}</root>"#);
    let errors = Loader::new(&registry).document("t.xml", &xml).load().expect_err("refused");
    (errors.0[0].kind.to_string(), errors.0.len())
}

fn of_body(body: &str) -> (String, usize) {
    refused(&format!(r#"<BehaviorTree ID="T">{body}</BehaviorTree>"#))
}

#[test]
fn an_element_with_very_many_attributes() {
    let mut attributes = String::new();
    for i in 0..300_000 {
        let _ = write!(attributes, r#" a{i}="""#);
    }
    assert_eq!(
        of_body(&format!("<Act{attributes}/>")),
        ("more than 256 attributes in one element".to_owned(), 1)
    );
}

#[test]
fn a_long_script_in_a_tree_that_is_used_very_often() {
    let mut trees =
        format!(r#"<BehaviorTree ID="X0"><Script code="{}"/></BehaviorTree>"#, "a;".repeat(50_000));
    for i in 1..=15 {
        let sub = format!(r#"<SubTree ID="X{}"/>"#, i - 1);
        let _ = write!(trees, r#"<BehaviorTree ID="X{i}"><Sequence>{sub}{sub}</Sequence></BehaviorTree>"#);
    }
    let main = r#"<BehaviorTree ID="T"><SubTree ID="X15"/></BehaviorTree>"#;
    let (message, count) = refused(&format!("{trees}{main}"));
    assert_eq!(
        (message.as_str(), count),
        ("more than 16777216 bytes of attributes after all SubTrees are expanded", 1)
    );
}

#[test]
fn long_names_in_long_paths() {
    let name = "n".repeat(100_000);
    let leaves = "<AlwaysSuccess/>".repeat(20_000);
    let trees = format!(
        r#"<BehaviorTree ID="T"><SubTree ID="S" name="{name}"/></BehaviorTree><BehaviorTree ID="S"><Sequence>{leaves}</Sequence></BehaviorTree>"#
    );
    let (message, count) = refused(&trees);
    assert_eq!(
        (message.as_str(), count),
        ("more than 67108864 bytes of paths after all SubTrees are expanded", 1)
    );
}

#[test]
fn an_id_of_great_length() {
    let id = "n".repeat(1_000_000);
    let expected = "node id 'nnnnnnnnnnnnnnnnnnnn..' is longer than 256 bytes";
    for body in [format!("<{id}/>"), format!(r#"<Action ID="{id}"/>"#), format!(r#"<SubTree ID="{id}"/>"#)] {
        assert_eq!(of_body(&body), (expected.to_owned(), 1));
    }
}

#[test]
fn very_many_mistakes_among_very_many_names() {
    let mut trees = String::new();
    let mut uses = String::new();
    for i in 0..40_000 {
        let _ =
            write!(trees, r#"<BehaviorTree ID="a_tree_of_some_length_{i}"><AlwaysSuccess/></BehaviorTree>"#);
        let _ = write!(uses, r#"<SubTree ID="b_tree_of_some_length_{i}"/>"#);
    }
    let (first, count) =
        refused(&format!(r#"{trees}<BehaviorTree ID="T"><Sequence>{uses}</Sequence></BehaviorTree>"#));
    assert_eq!((first.as_str(), count), ("more than 200 mistakes; these are the first", 201));
}

#[test]
fn a_document_larger_than_any_tree() {
    let registry = Registry::new();
    let xml = format!("<root BTCPP_format=\"4\">{}</root>", " ".repeat(17 << 20));
    let errors = Loader::new(&registry).document("t.xml", &xml).load().expect_err("refused");
    assert!(matches!(errors.0[..], [ref e] if matches!(e.kind, LoadErrorKind::TooLarge { .. })), "{errors}");
}

#[test]
fn a_tree_of_the_largest_size_loads() {
    let body = format!(
        "<Sequence>{}</Sequence>",
        r#"<Act name="leaf" in="{entry}" _note="as people write it"/>"#.repeat(65_534)
    );
    let registry = Registry::new().leaf(LeafModel::action("Act").input("in", PortType::Str));
    let xml = format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#);
    let tree = Loader::new(&registry).document("t.xml", &xml).load().expect("loads");
    assert_eq!(tree.nodes().len(), 65_535);
}
