//! The same inputs give the same run, bit for bit; and no input brings the loader or the tick down.

use std::fmt::Write as _;

use crate::common::{Bench, Script};
use proptest::prelude::*;
use swarm_bt::{Loader, State, Value};

/// Trees over actions A, B and condition C with all that keeps something between ticks.
fn body() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("<A/>".to_owned()),
        Just("<B/>".to_owned()),
        Just("<C/>".to_owned()),
        Just(r#"<Sleep msec="25"/>"#.to_owned()),
        Just(r#"<Script code="n += 1"/>"#.to_owned()),
        Just(r#"<A _while="n &lt; 6" _onHalted="n -= 1"/>"#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let control = prop::sample::select(vec![
            "Sequence",
            "Fallback",
            "Parallel",
            "ReactiveSequence",
            "ReactiveFallback",
            "SequenceWithMemory",
            "AsyncSequence",
        ]);
        let decorator = prop::sample::select(vec![
            ("Inverter", ""),
            ("Repeat", r#" num_cycles="3""#),
            ("RetryUntilSuccessful", r#" num_attempts="2""#),
            ("Timeout", r#" msec="40""#),
            ("Delay", r#" delay_msec="15""#),
            ("KeepRunningUntilFailure", ""),
        ]);
        prop_oneof![
            (control, prop::collection::vec(inner.clone(), 1..4)).prop_map(|(tag, children)| match tag {
                // A ReactiveSequence may not have two of them as children.
                "AsyncSequence" => format!("<Inverter><{tag}>{}</{tag}></Inverter>", children.concat()),
                _ => format!("<{tag}>{}</{tag}>", children.concat()),
            }),
            (decorator, inner)
                .prop_map(|((tag, attributes), child)| format!("<{tag}{attributes}>{child}</{tag}>")),
        ]
    })
}

fn bench(body: &str, answers: [&str; 3]) -> Bench {
    let xml = format!(r#"<Sequence><Script code="n := 0" _skipIf="n != -1"/>{body}</Sequence>"#);
    let mut b = Bench::new(&xml, &[("A", answers[0]), ("B", answers[1]), ("C", answers[2])]);
    let n = b.tree.slot("n").expect("mentioned");
    b.state.set(&b.tree, n, -1_i64).expect("fits");
    b
}

fn step(b: &mut Bench, log: &mut String, step: u8) {
    b.pass_ms(u64::from(step));
    if step == 0 {
        b.halt();
    } else {
        let _ = write!(log, "{}", b.tick());
    }
    let _ = writeln!(log, " {} {} {:x}", b.trace(), b.calls(), b.state.digest());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_run_from_a_checkpoint_repeats_itself(
        body in body(),
        answers in prop::array::uniform2("[RSFK]{1,6}"),
        condition in "[SF]{1,4}",
        steps in prop::collection::vec(0..30_u8, 2..40),
        at in any::<prop::sample::Index>(),
    ) {
        let mut first = bench(&body, [&answers[0], &answers[1], &condition]);
        let (before, after) = steps.split_at(at.index(steps.len()));
        let mut unused = String::new();
        for &s in before {
            step(&mut first, &mut unused, s);
        }

        let (state, leaves, now): (State, Script, _) = (first.state.clone(), first.leaves.clone(), first.now);
        let mut log = String::new();
        for &s in after {
            step(&mut first, &mut log, s);
        }
        let end = std::mem::replace(&mut first.state, state);
        (first.leaves, first.now) = (leaves, now);
        let mut again = String::new();
        for &s in after {
            step(&mut first, &mut again, s);
        }

        prop_assert_eq!(log, again);
        prop_assert_eq!(first.state.digest(), end.digest());
        prop_assert!(first.state == end);
    }

    #[test]
    fn no_text_brings_the_loader_or_a_script_down(
        position in any::<prop::sample::Index>(),
        junk in "[<>/\"'={}_a-zA-Z0-9 ;:+*()?.-]{0,12}",
        code in "[a-z0-9 '+*/<>=!?:;().&|^~@_-]{0,40}",
    ) {
        let body = r#"<Sequence><Script code="a := 1"/><SubTree ID="S" x="{a}"/><Timeout msec="5"><A _skipIf="a == 2"/></Timeout></Sequence>"#;
        let mut xml = format!(r#"<root BTCPP_format="4" main_tree_to_execute="T"><BehaviorTree ID="T">{body}</BehaviorTree><BehaviorTree ID="S"><Script code="x += 1"/></BehaviorTree></root>"#);
        xml.insert_str(position.index(xml.len() + 1), &junk);
        let registry = crate::common::registry(["A"]);
        for text in [xml, format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Script code="{}"/></BehaviorTree></root>"#, code.replace('&', "&amp;").replace('<', "&lt;"))] {
            match Loader::new(&registry).document("t.xml", &text).load() {
                Ok(tree) => {
                    let mut state = State::new(&tree);
                    let mut leaves = Script::new([("A", "RSF")]);
                    for i in 0..4 {
                        // An error is an answer too; only a panic is none.
                        let _ = swarm_bt::tick(&tree, &mut state, swarm_base::Time(i), &mut leaves);
                    }
                }
                Err(errors) => prop_assert!(!errors.0.is_empty() && !errors.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn the_digest_sees_every_part_of_the_state() {
    let make = || {
        bench(
            r#"<Parallel><A/><Sleep msec="50"/><Repeat num_cycles="3"><B/></Repeat></Parallel>"#,
            ["R", "S", "S"],
        )
    };
    let mut a = make();
    let fresh = a.state.digest();
    assert_eq!(fresh, make().state.digest());
    a.tick();
    let mut seen = vec![fresh, a.state.digest()];
    a.pass_ms(1);
    let later = a.state.clone();
    a.tick();
    seen.push(a.state.digest());
    a.state = later;
    let n = a.tree.slot("n").expect("mentioned");
    for value in
        [Value::Float(f64::NAN), Value::Float(-0.0), Value::Float(0.0), Value::Bool(false), Value::from("0")]
    {
        a.state.set(&a.tree, n, value).expect("n is undeclared");
        assert!(a.state == a.state.clone(), "a NaN equals itself here");
        seen.push(a.state.digest());
    }
    a.state.set(&a.tree, n, vec![1.0, 2.0]).expect("n is undeclared");
    seen.push(a.state.digest());
    a.state.set(&a.tree, n, vec![1.0, 2.0]).expect("n is undeclared");
    seen.push(a.state.digest()); // the same value, but written once more
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count);
}

#[test]
fn the_digest_is_the_same_on_every_machine() {
    let mut b = bench("<A/>", ["RS", "S", "S"]);
    b.tick();
    assert_eq!(format!("{:016x}", b.state.digest()), "23408ed235c0dc81");
}
