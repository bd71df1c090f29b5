//! What is a document and what is not, whoever wrote it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use swarm_yaml::{Document, MAX_DEPTH, MAX_SIZE, Value, quoted, read};

#[track_caller]
fn refused(text: &str) -> String {
    Document::parse(text).unwrap_err().to_string()
}

#[test]
fn a_text_that_is_not_yaml_is_refused_where_the_parser_gave_up() {
    assert_eq!(
        refused("name: a\nsize: [3\n"),
        "line 3, column 1: not YAML: while parsing a flow sequence, expected ',' or ']' (in what begins on line 2, column 7)"
    );
    assert_eq!(
        refused("name: a: 3\n"),
        "line 1, column 8: not YAML: mapping values are not allowed in this context"
    );
    assert_eq!(
        refused("name: *nobody\n"),
        "line 1, column 7: not YAML: while parsing node, found unknown anchor"
    );
}

#[test]
fn an_empty_file_and_a_second_document_are_refused() {
    assert_eq!(refused(""), "line 1, column 1: the file is empty");
    assert_eq!(refused("# a comment\n"), "line 1, column 1: the file is empty");
    assert_eq!(refused("a: 1\n---\nb: 2\n"), "line 2, column 1: a second document; a file has one");
}

#[test]
fn line_ends_of_another_system_and_a_byte_order_mark_are_no_part_of_the_text() {
    let document = Document::parse("\u{feff}a: x\r\nb: y\r\n").unwrap();
    assert_eq!(document.get("a"), Some(&Value::Text("x".to_owned())));
    assert_eq!(document.get("b"), Some(&Value::Text("y".to_owned())));
    assert_eq!(document.get("c"), None);
}

#[test]
fn what_only_yaml_has_is_refused_except_aliases() {
    assert_eq!(
        refused("a: !!str 1\n"),
        "line 1, column 4: a tag (!name); the form of the file says what each value is"
    );
    assert_eq!(refused("[a]: 1\n"), "line 1, column 1: a list or mapping as a field's name");
    assert_eq!(refused("a: &x b\n*x : 1\n"), "line 2, column 1: an alias (*name) as a field's name");
}

#[test]
fn an_alias_within_what_it_stands_for_is_refused() {
    assert_eq!(
        refused("a: &x [1, *x]\n"),
        "line 1, column 11: an alias (*name) within what it stands for, or for a field's name"
    );
}

#[test]
fn a_document_may_be_as_deep_as_the_bound_and_no_deeper() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    Document::parse(&nested(MAX_DEPTH)).unwrap();
    assert!(refused(&nested(MAX_DEPTH + 1)).contains("nested too deeply; at most 32 "));
    assert_eq!(MAX_DEPTH, 32);
    let blocks = "- ".repeat(100_000);
    assert!(refused(&blocks).contains("nested too deeply"), "block lists nest too");
}

/// Each alias adds one level to what the one before stands for.
#[test]
fn aliases_do_not_nest_deeper_than_the_bound() {
    let chain = |links: usize| {
        (1..links).fold("- &a0 [x]\n".to_owned(), |mut text, i| {
            let _ = writeln!(text, "- &a{i} [*a{}]", i - 1);
            text
        })
    };
    Document::parse(&chain(MAX_DEPTH - 1)).unwrap();
    assert!(refused(&chain(MAX_DEPTH)).contains("nested too deeply"));
}

/// "Billion laughs": ten aliases each for ten aliases each.
#[test]
fn a_document_that_unfolds_without_end_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        let _ = writeln!(text, "a{level}: &a{level} [{}]", [before.as_str(); 10].join(", "));
    }
    let error = refused(&text);
    assert!(error.starts_with("line 5, "), "{error}");
    assert!(error.contains("the document is too large"), "{error}");
}

/// One long text behind many aliases is as large as many long texts.
#[test]
fn a_long_text_behind_many_aliases_is_refused() {
    let text = |aliases| format!("- &a {}\n{}", "x".repeat(MAX_SIZE / 8), "- *a\n".repeat(aliases));
    Document::parse(&text(5)).unwrap();
    assert!(refused(&text(6)).contains("the document is too large"));
}

#[test]
fn a_document_of_very_many_values_is_refused() {
    let values = |count| format!("[{}]", "1,".repeat(count));
    Document::parse(&values(100_000)).unwrap();
    let error = refused(&values(200_000));
    assert!(error.contains("too large; with all aliases written out it may have 2 MiB"), "{error}");
    assert_eq!(MAX_SIZE, 2 << 20);
}

#[test]
fn what_yaml_takes_for_a_line_end_or_a_mark_is_quoted_as_a_number() {
    assert_eq!(quoted("a\"\\\n\u{85}\u{2028}\u{2029}\u{feff}é"), r#""a\"\\\u000a\u0085\u2028\u2029\ufeffé""#);
}

/// A text with the marks of YAML in it.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,80}",
        "([-\\[\\]{}:,&*!|>'\"%@`#?~]|[ \n\t]|[a-z0-9.]){0,80}",
        "((a|b|'c'): ?|- |\n {0,3}|&a |\\*a|1\\.5|null|\\[|\\]|\\{|\\}|, ?){0,40}",
    ]
}

proptest! {
    // A failing text is printed whole; there is no need for a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_text_is_a_document_or_one_mistake_within_it(text in any_text()) {
        match Document::parse(&text) {
            Ok(document) => {
                let lines = text.lines().count();
                if let Err(mistakes) = document.read(|_| Some(())) {
                    prop_assert!(mistakes.as_slice().iter().all(|mistake| mistake.line <= lines), "{mistakes}");
                }
            }
            Err(mistakes) => {
                prop_assert_eq!(mistakes.as_slice().len(), 1);
                prop_assert!(mistakes.as_slice()[0].line <= text.lines().count() + 1, "{mistakes}");
            }
        }
    }

    #[test]
    fn what_is_quoted_is_read_back(name in any::<String>(), text in any::<String>()) {
        let written = format!("{}: {}\n", quoted(&name), quoted(&text));
        let back = read(&written, |at| {
            at.mapping("a mapping", |_, at| at.text())
        });
        prop_assert_eq!(back.unwrap(), BTreeMap::from([(name, text)]));
    }
}
