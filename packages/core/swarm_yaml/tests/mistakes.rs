//! All mistakes of a document at once, each with its place, its field and its exact words.

use swarm_yaml::{Cursor, MAX_LISTED, read};

#[derive(Debug, PartialEq)]
struct Robot {
    name: String,
    axes: u64,
    reach_m: f64,
    at: [f64; 3],
    held: bool,
}

fn robot(at: &Cursor<'_>) -> Option<Robot> {
    let [name, axes, reach_m, place, held] = at.fields(["name", "axes", "reach_m", "at", "held"])?;
    let name = name.required("the robot's name", |at| at.text_that(|text| !text.is_empty(), "a name"));
    let axes = axes.required("the number of axes", |at| at.integer(1..=7));
    let reach_m = reach_m.required("the reach (m)", |at| at.number(0.0..=2.0, "m"));
    let at = place.required("the place (m)", |at| at.triple(-1.0..=1.0, "m"));
    let held = held.optional(false, Cursor::boolean);
    Some(Robot { name: name?, axes: axes?, reach_m: reach_m?, at: at?, held: held? })
}

#[track_caller]
fn assert_mistakes(text: &str, expected: &str) {
    assert_eq!(read(text, robot).unwrap_err().to_string(), expected);
}

#[test]
fn a_sound_document_is_read() {
    let text = "# a robot\nname: left\naxes: 6\nreach_m: 1\nat: [0, 0.5, -1]\n";
    let left = Robot { name: "left".to_owned(), axes: 6, reach_m: 1.0, at: [0.0, 0.5, -1.0], held: false };
    assert_eq!(read(text, robot).unwrap(), left);
}

#[test]
fn json_is_read_too() {
    let text = r#"{"name": "left", "axes": 6, "reach_m": 1e0, "at": [0, 0, 0], "held": true}"#;
    assert!(read(text, robot).unwrap().held);
}

#[test]
fn every_mistake_is_listed_in_the_order_of_the_lines() {
    assert_mistakes(
        "colour: red\nnaem: left\naxes: 6.5\nreach_m: .nan\nat: [0, high, 0, 1]\nheld: yes\naxes: 7\n",
        "8 mistakes\n  \
         line 1, column 1: colour: unknown field; known: name, axes, reach_m, at, held\n  \
         line 1, column 1: name: missing; expected the robot's name\n  \
         line 2, column 1: naem: unknown field; did you mean name?\n  \
         line 3, column 7: axes: expected a whole number from 1 to 7, found the number 6.5\n  \
         line 4, column 10: reach_m: expected a finite number from 0 to 2 m, found the number NaN\n  \
         line 5, column 5: at: expected three numbers (m), found a list of 4\n  \
         line 6, column 7: held: expected true or false, found 'yes'\n  \
         line 7, column 1: axes: stands a second time, first on line 3",
    );
}

#[test]
fn one_mistake_stands_on_one_line() {
    assert_mistakes(
        "name: left\naxes: 6\nreach_m: 2.5\nat: [0, 0, 0]\n",
        "line 3, column 10: reach_m: expected a number from 0 to 2 m, found the number 2.5",
    );
}

#[test]
fn each_kind_of_value_is_found_in_words_of_its_own() {
    let found = |value: &str| {
        let error = read(value, |at| at.one_of(&[("fast", 1), ("slow", 2), ("off", 0)])).unwrap_err();
        error.as_slice()[0].problem.strip_prefix("expected fast, slow or off, found ").unwrap().to_owned()
    };
    assert_eq!(found("~"), "nothing");
    assert_eq!(found("true"), "true");
    assert_eq!(found("1"), "the number 1");
    assert_eq!(found("1.0"), "the number 1.0");
    assert_eq!(found("'1'"), "'1'");
    assert_eq!(found("[fast, slow]"), "a list of 2");
    assert_eq!(found("{fast: 1}"), "a mapping of 1");
}

#[test]
fn a_field_with_nothing_behind_its_colon_is_there_and_holds_nothing() {
    assert_mistakes(
        "name: left\naxes: 6\nreach_m: 1\nat: [0, 0, 0]\nheld:\n",
        "line 5, column 5: held: expected true or false, found nothing",
    );
}

#[test]
fn ranges_are_told_as_far_as_they_reach() {
    use std::ops::Bound::{Excluded, Unbounded};
    let number = |range: (std::ops::Bound<f64>, std::ops::Bound<f64>)| {
        read(".inf", |at| at.number(range, "N")).unwrap_err().as_slice()[0].problem.clone()
    };
    assert_eq!(number((Unbounded, Unbounded)), "expected a finite number N, found the number inf");
    assert_eq!(
        number((Excluded(0.0), Unbounded)),
        "expected a finite number above 0 N, found the number inf"
    );
    assert_eq!(
        number((Unbounded, Excluded(1.0))),
        "expected a finite number below 1 N, found the number inf"
    );
    let negative = read("-4", |at| at.integer(0..)).unwrap_err();
    assert_eq!(negative.as_slice()[0].problem, "expected a whole number from 0, found the number -4");
}

#[test]
fn a_value_behind_an_alias_is_wrong_where_it_is_written_and_in_every_field_that_has_it() {
    let walk = |at: &Cursor<'_>| {
        let [left, right] = at.fields(["left", "right"])?;
        let left = left.required("a force", |at| at.number(0.0..=9.0, "N"));
        Some((left?, right.required("a force", |at| at.number(0.0..=5.0, "N"))?))
    };
    assert_eq!(read("left: &force 4\nright: *force\n", walk), Ok((4.0, 4.0)));
    assert_eq!(
        read("left: &force 6\nright: *force\n", walk).unwrap_err().to_string(),
        "line 1, column 7: right: expected a number from 0 to 5 N, found the number 6"
    );
}

#[test]
fn a_name_that_stands_twice_is_found_at_every_depth_also_where_nobody_reads() {
    let error = read("list:\n- {a: 1, b: 2, a: 3, a: 4}\n", |_| Some(())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 mistakes\n  \
         line 2, column 16: list[0].a: stands a second time, first on line 2\n  \
         line 2, column 22: list[0].a: stands a second time, first on line 2"
    );
}

#[test]
fn of_very_many_mistakes_some_are_listed_and_the_others_counted() {
    let error = read(&"- x\n".repeat(1000), |at| {
        at.items("a list")?.iter().for_each(|item| item.note("not wanted"));
        Some(())
    })
    .unwrap_err();
    assert_eq!(error.as_slice().len(), MAX_LISTED);
    let text = error.to_string();
    assert!(text.starts_with("1000 mistakes\n  line 1, column 3: [0]: not wanted\n"), "{text}");
    assert!(text.ends_with("\n  and 900 more"), "{text}");
    assert_eq!(text.lines().count(), MAX_LISTED + 2);
}

/// A terminal must not be told by a stranger's file what to show.
#[test]
fn control_characters_of_the_document_are_not_printed_and_long_texts_are_cut() {
    let text = format!("{}: {}\n", r#""\e[2J\u202e""#, quoted_bell());
    let error = read(&text, |at| at.fields(["name"]).map(|_| ())).unwrap_err().to_string();
    assert_eq!(error, "line 1, column 1: \\u{1b}[2J\\u{202e}: unknown field; known: name");
    let error = read(&quoted_bell(), |at| at.integer(0..)).unwrap_err().to_string();
    assert_eq!(error, "line 1, column 1: expected a whole number from 0, found '\\u{7}'");
    let error = read(&"x".repeat(10_000), |at| at.integer(0..)).unwrap_err().to_string();
    assert!(error.len() < 500 && error.ends_with("xxx..."), "{error}");
}

fn quoted_bell() -> String {
    swarm_yaml::quoted("\u{7}")
}
