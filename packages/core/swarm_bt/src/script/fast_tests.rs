//! Statements on numbers give what the general way gives. (Here, because the lints of `fast` are meant for the tick.)

use proptest::prelude::*;

use crate::board::Board;
use crate::model::Registry;
use crate::script::Script;
use crate::state::State;
use crate::tree::Mode;
use crate::value::Value;
use crate::{Loader, Tree};

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["x", "y", "0", "1", "2.5", "0.1", "1e308", "3"]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 24, 2, |inner| {
        let op = prop::sample::select(vec![
            "+", "-", "*", "/", "&&", "||", "==", "!=", "<", ">", "<=", ">=", "<", "+",
        ]);
        prop_oneof![
            4 => (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => inner.clone().prop_map(|a| format!("-{a}")),
            1 => inner.prop_map(|a| format!("!{a}")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    let target = prop::sample::select(vec!["", "", "x = ", "x := ", "x += ", "y -= ", "x *= ", "y /= "]);
    (target, expression()).prop_map(|(target, expression)| format!("{target}{expression}"))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-3_i64..4).prop_map(Value::from),
        4 => prop::sample::select(vec![0.0, -0.0, 1.0, -1.5, 2.5, 0.1, 1e-8, 1e300]).prop_map(Value::from),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop::sample::select(vec!["2", "word"]).prop_map(Value::from),
    ]
}

fn load(code: &str, mode: Mode) -> Tree {
    let code = code.replace('&', "&amp;").replace('<', "&lt;");
    let xml = format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Script code="{code}; x; y"/></BehaviorTree></root>"#
    );
    Loader::new(&Registry::new()).mode(mode).document("t.xml", &xml).load().expect("a script")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn gives_what_the_general_way_gives(
        code in statement(),
        x in value(),
        y in value(),
        strict in any::<bool>(),
    ) {
        let tree = load(&code, if strict { Mode::Strict } else { Mode::Compat });
        // Without the entries that are there so that the tree has them.
        let only = |mut script: Script| {
            script.statements = script.statements[..1].into();
            script.fast = script.fast[..1].into();
            script
        };
        let fast = only(tree.scripts[0].clone());
        let mut general = fast.clone();
        general.fast = [None].into();
        let run = |script: &Script| {
            let mut state = State::new(&tree);
            for (key, value) in [("x", &x), ("y", &y)] {
                let slot = tree.slot(key).expect("mentioned");
                state.set(&tree, slot, value.clone()).expect("any value");
            }
            let mut board = Board { tree: &tree, state: &mut state };
            let value = script.run(&mut board);
            let holds = script.run_bool(&mut board);
            let unit = script.run_unit(&mut board);
            // As text, because an error may hold a NaN.
            (format!("{value:?} {holds:?} {unit:?}"), state)
        };
        prop_assert_eq!(run(&fast), run(&general));
    }
}

#[test]
fn is_taken_where_it_is_meant_to_be() {
    let taken = |code: &str| load(code, Mode::Strict).scripts[0].fast[0].is_some();
    for code in ["x < 3", "x + y * 2 == 7", "x = x + 1", "x += 1", "(x > 1) && !(y > 2)"] {
        assert!(taken(code), "{code}");
    }
    for code in ["x", "x && y", "x == 'a'", "1 < x < 3", "x = y ? 1 : 2", "x = (y = 1)"] {
        assert!(!taken(code), "{code}");
    }
}
