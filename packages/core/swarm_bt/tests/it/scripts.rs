//! The scripting language, by what scripts leave behind. Each row that names a version has it from the tests of
//! BehaviorTree.CPP 4.10 (`script_parser_test.cpp`) or from its source, because the recorded traces are of 4.8.2.

use crate::common::Bench;

fn bench(element: &str, code: &str) -> Bench {
    let code = code.replace('&', "&amp;").replace('<', "&lt;");
    Bench::new(&format!(r#"<{element} code="{code}"/>"#), &[])
}

/// The value of `y` after `code`, or the error.
fn y(code: &str) -> String {
    let mut b = bench("Script", code);
    match b.try_tick() {
        Ok(_) => b.entry("y"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_of_expressions() {
    let rows = [
        // Literals: integers stay integers, all other numbers are floats, true and false too.
        ("y := 42", "42"),
        ("y := 0x1F", "31"),
        ("y := 1.5", "1.500000"),
        ("y := 2e-1", "0.200000"),
        ("y := true", "1.000000"),
        ("y := 'a b'", "a b"),
        // Associativity to the left: 4.10 (#1029); 4.8.2 gave 9, 8 and 8.
        ("y := 10 - 3 - 2", "5.000000"),
        ("y := 10 - 3 + 1", "8.000000"),
        ("y := 16 / 4 / 2", "2.000000"),
        ("y := 16 / 4 * 2", "8.000000"),
        // Binding, from tight to loose.
        ("y := 2 + 3 * 4", "14.000000"),
        ("y := (2 + 3) * 4", "20.000000"),
        ("y := -2 * 3", "-6.000000"),
        ("y := 1 | 2 & 3", "3.000000"),
        ("y := 6 ^ 3", "5.000000"),
        ("y := ~0", "-1.000000"),
        ("y := 1 + 1 == 2 && 3 > 2", "1.000000"),
        ("y := false || true && false", "0.000000"),
        ("y := !0 && !false", "1.000000"),
        ("y := 1 > 2 ? 3 : 2 > 1 ? 4 : 5", "4"),
        // Comparisons chain, and numbers are equal within 1.2e-7.
        ("y := 1 < 2 < 3", "1.000000"),
        ("y := 1 < 3 < 2", "0.000000"),
        ("y := 0.1 + 0.2 == 0.3", "1.000000"),
        ("y := 'a' < 'b'", "1.000000"),
        ("y := '2' == 2", "1.000000"),
        ("y := 'true' == 1", "1.000000"),
        // Text.
        ("y := 'a' + 'b'", "ab"),
        ("y := 'n' .. 1", "n1"),
        ("y := 1.5 .. 'm'", "1.500000m"),
        // Several statements; the separator may be missing.
        ("a := 1; y := a + 1;", "2.000000"),
        ("a := 1 y := a", "1"),
        ("y := 3; y += 2; y *= 4; y -= 2; y /= 3", "6"),
        ("y := 'a'; y += 'b'", "ab"),
        ("y := (a := 3) + a", "6.000000"),
        // Division by zero is IEEE's.
        ("y := 1 / 0", "inf"),
    ];
    for (code, value) in rows {
        assert_eq!(y(code), value, "{code}");
    }
}

#[test]
fn an_entry_keeps_the_type_of_its_first_value() {
    assert_eq!(y("y := 1; y := 2.0"), "2", "an integer stays one");
    assert_eq!(y("y := 1.5; y := 2"), "2.000000");
    assert_eq!(y("y := 1; y := '3'"), "3.000000", "text becomes a float, as in the original");
    assert!(
        y("y := 1; y := 1.5")
            .ends_with("cannot assign float 1.500000 to blackboard entry 'y', which holds an int")
    );
    assert!(
        y("y := 'a'; y := 1").ends_with("cannot assign int 1 to blackboard entry 'y', which holds a string")
    );
    assert!(y("y := 1; y := 'one'").contains("cannot assign string 'one'"));
}

#[test]
fn what_cannot_be_evaluated_is_an_error_that_says_why() {
    let rows = [
        ("y = 1", "blackboard entry 'y' does not exist yet (`:=` creates it)"),
        ("y := x", "blackboard entry 'x' does not exist yet (`:=` creates it)"),
        ("y := 'a' * 2", "operator `*` cannot be applied to string 'a' and int 2"),
        ("y := -'a'", "operator `-` cannot be applied to string 'a'"),
        ("y := 1 .. 2", "operator `..` cannot be applied to int 1 and int 2"),
        ("y := 1; y := '3abc'", "cannot assign string '3abc' to blackboard entry 'y', which holds an int"),
        // Found by random trees: an integer of 2^53 is no number for arithmetic, in both versions.
        (
            "y := 4503599627370496; y *= 2; y *= 2",
            "operator `*=` cannot be applied to int 9007199254740992 and int 2",
        ),
        ("y := 'a' == 1", "operator `==` cannot be applied to string 'a' and int 1"),
        ("y := 1.5 & 1", "1.5 is not an integer that fits into 64 bits, as operator `&` needs"),
        ("y := 1e300 | 1", "is not an integer that fits into 64 bits, as operator `|` needs"),
        ("y := true; y -= 'a'", "operator `-=` cannot be applied to float 1.000000 and string 'a'"),
    ];
    for (code, why) in rows {
        assert!(y(code).ends_with(why), "{code}: {}", y(code));
    }
}

#[test]
fn text_that_grows_in_every_tick_ends_with_an_error_and_not_with_the_memory() {
    for (code, operator) in [("s := s .. s", ".."), ("s := s + s", "+"), ("s += s", "+=")] {
        let xml = format!(
            r#"<Sequence><Script code="s := 'four'"/><KeepRunningUntilFailure><Script code="{code}"/></KeepRunningUntilFailure></Sequence>"#
        );
        let mut b = Bench::new(&xml, &[]);
        // Without a bound the last of these ticks would make 4 TiB.
        let errors: Vec<(u32, String)> =
            (1..=40).filter_map(|tick| Some((tick, b.try_tick().err()?.to_string()))).collect();
        let (tick, error) = &errors[0];
        assert_eq!(*tick, 15, "4 bytes, doubled 14 times, are the 64 KiB that an entry may have");
        let expected =
            format!("operator `{operator}` gives text of 131072 bytes; an entry of this tree may have 65536");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn the_texts_of_many_entries_are_bounded_together() {
    let entries = 4_096;
    let long = "x".repeat(10_000);
    let code = (0..entries).fold(String::new(), |code, i| code + &format!("e{i} := 0;"));
    let error = y(&format!("{code} y := '{long}'; y += y"));
    assert!(error.contains("gives text of 20000 bytes; an entry of this tree may have 16380"));
}

#[test]
fn both_sides_of_a_logical_operator_are_evaluated() {
    assert_eq!(y("y := 0; false && (y := 1)"), "1");
}

#[test]
fn a_condition_must_be_true_or_false() {
    let tick = |code: &str| bench("ScriptCondition", code).try_tick();
    for (code, answer) in
        [("1", 'S'), ("0", 'F'), ("7.0", 'S'), ("0.5", 'S'), ("2 > 1", 'S'), ("x := 0", 'F')]
    {
        assert_eq!(tick(code), Ok(answer), "{code}");
    }
    for (code, what) in [
        ("'yes'", "string 'yes'"),
        ("7", "int 7"),
        ("x := 7", "int 7"),
        ("1 | 2 || 3", "int 3"),
        ("0 - 2", "float -2.000000"),
        ("1 > 0 && -1", "float -1.000000"),
    ] {
        let error = tick(code).unwrap_err().to_string();
        assert!(error.ends_with(&format!("{what} is neither true nor false")), "{error}");
    }
}

#[test]
fn constants_of_the_registry_are_numbers_in_scripts() {
    let registry = swarm_bt::Registry::new().constant("RED", 1).constant("BLUE", 3);
    let xml = r#"<root BTCPP_format="4"><BehaviorTree ID="T">
        <Sequence><Script code="c := BLUE; name := 'RED'"/><ScriptCondition code="c == 3 &amp;&amp; name == RED &amp;&amp; name != c"/></Sequence>
    </BehaviorTree></root>"#;
    let tree = swarm_bt::Loader::new(&registry).document("t.xml", xml).load().expect("loads");
    let mut state = swarm_bt::State::new(&tree);
    let answer =
        swarm_bt::tick(&tree, &mut state, swarm_base::Time(0), &mut crate::common::Script::default());
    assert_eq!(answer, Ok(swarm_bt::Status::Success));
}

#[test]
fn a_strict_script_stops_where_a_number_would_not_be_one() {
    // Without `mode` a tree is strict; the vectors of the other mode have what the original gives.
    let run = |mode: &str, code: &str| {
        let code = code.replace('<', "&lt;");
        let xml = format!(
            r#"<root BTCPP_format="4" mode="{mode}"><BehaviorTree ID="T"><Script code="{code}"/></BehaviorTree></root>"#
        );
        let mut b = Bench::document(&xml, &[]);
        b.try_tick().map_or_else(|error| error.to_string(), |_| b.entry("y"))
    };
    let rows = [
        ("y := 1 / 0", "inf", "operator `/` on 1 and 0 gives inf"),
        ("y := 0 / 0", "NaN", "operator `/` on 0 and 0 gives NaN"),
        (
            "y := 2; y /= 0",
            "cannot assign float inf to blackboard entry 'y', which holds an int",
            "operator `/=` on 2 and 0 gives inf",
        ),
        ("y := 1e308 * 10", "inf", "operator `*` on 1"),
        ("y := -1e308 - 1e308", "-inf", "operator `-` on -1"),
    ];
    for (code, compat, strict) in rows {
        assert!(run("compat", code).contains(compat), "{code}: {}", run("compat", code));
        let strict_answer = run("strict", code);
        assert!(strict_answer.contains(strict), "{code}: {strict_answer}");
        assert!(
            strict_answer.starts_with("node Script::1 (test.xml:1): script `"),
            "with its place: {strict_answer}"
        );
    }
}

#[test]
fn nan_from_outside_is_below_and_above_nothing_in_a_strict_script() {
    let run = |mode: &str, code: &str| {
        let code = code.replace('<', "&lt;");
        let xml = format!(
            r#"<root BTCPP_format="4" mode="{mode}"><BehaviorTree ID="T"><ScriptCondition code="{code}"/></BehaviorTree></root>"#
        );
        let mut b = Bench::document(&xml, &[]);
        let x = b.tree.slot("x").expect("mentioned");
        b.state.set(&b.tree, x, f64::NAN).expect("any value");
        b.tick()
    };
    for code in ["x < 1", "x > 1", "x <= 1", "x >= 1", "x == x", "x + 1 < 1"] {
        assert_eq!(run("strict", code), 'F', "{code}");
    }
    assert_eq!(run("strict", "x != 1"), 'S');
    // In the original NaN is below and above every number.
    assert_eq!((run("compat", "x < 1"), run("compat", "x > 1")), ('S', 'S'));
}
