//! What must hold for every input of the two parsers. Used by the fuzz targets and by `tests/fuzz_corpus.rs`.
#![allow(dead_code)] // each fuzz target uses one of the two

use std::fmt::Write as _;

use swarm_base::Time;
use swarm_bt::{
    Halt, Include, LeafCall, LeafModel, Leaves, Loader, MAX_NODES, Mode, PortType, Registry, State, Status,
    Value, tick,
};

/// A document: it loads or is refused with a place; what loads ticks the same way twice.
pub(crate) fn document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let registry = registry();
    // Every include leads to this document, or nowhere.
    let lines = text.lines().count() as u32;
    let includes = |include: Include<'_>| {
        assert!(
            !include.path.split('/').any(|part| matches!(part, "" | "." | "..")),
            "{include:?} leaves its root"
        );
        if include.path.len().is_multiple_of(2) {
            Ok(text.to_owned())
        } else {
            Err("there is no such document".to_owned())
        }
    };
    for mode in [Mode::Compat, Mode::Strict] {
        match Loader::new(&registry).mode(mode).document("trees/input.xml", text).includes(&includes).load() {
            Ok(tree) => {
                assert!(!tree.nodes().is_empty() && tree.nodes().len() <= MAX_NODES);
                let run = || {
                    let mut state = State::new(&tree);
                    let mut log = String::new();
                    for i in 0..4 {
                        // An error is an answer too.
                        let answer = tick(&tree, &mut state, Time::from_millis(i * 40), &mut Any(i));
                        let _ = write!(log, "{answer:?} {:x};", state.digest());
                    }
                    log
                };
                assert_eq!(run(), run());
            }
            Err(errors) => {
                assert!(!errors.0.is_empty());
                for error in &errors.0 {
                    // A document that ends with a line break has a line after it.
                    assert!(error.line <= lines + 1, "line of {error}");
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}

/// A script: refused at load, or run with a value or an error, the same both times.
pub(crate) fn script(bytes: &[u8]) {
    let Ok(code) = std::str::from_utf8(bytes) else { return };
    let mut escaped = String::new();
    for c in code.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    let xml = format!(
        r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Sequence><Script code="{escaped}"/>
        <Probe int="{{i}}" float="{{f}}" text="{{t}}" list="{{l}}" bool="{{b}}"/></Sequence></BehaviorTree></root>"#
    );
    let registry = registry();
    for mode in [Mode::Compat, Mode::Strict] {
        let Ok(tree) = Loader::new(&registry).mode(mode).document("script.xml", &xml).load() else {
            continue;
        };
        let run = || {
            let mut state = State::new(&tree);
            for (key, value) in
                [("i", Value::from(7_i64)), ("f", 0.5.into()), ("t", "3".into()), ("n", f64::NAN.into())]
            {
                if let Some(slot) = tree.slot(key) {
                    let _ = state.set(&tree, slot, value);
                }
            }
            let answers: Vec<_> = (0..3).map(|i| tick(&tree, &mut state, Time(i), &mut Any(i))).collect();
            (format!("{answers:?}"), state.digest())
        };
        assert_eq!(run(), run());
    }
}

fn registry() -> Registry {
    let probe = LeafModel::action("Probe")
        .input("int", PortType::Int)
        .inout("float", PortType::Float)
        .input_or("text", PortType::Str, "{=}")
        .inout("list", PortType::Vector)
        .output("bool", PortType::Bool)
        .input("any", PortType::Any);
    Registry::new()
        .leaf(probe)
        .leaf(LeafModel::action("Act"))
        .leaf(LeafModel::condition("Check"))
        .constant("RED", 1)
        .constant("BLUE", -3)
}

/// Leaves that read and write all their ports and answer differently from tick to tick.
struct Any(u64);

impl Leaves for Any {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        if leaf.id() == "Check" {
            return if (self.0 + u64::from(leaf.uid())).is_multiple_of(3) {
                Status::Failure
            } else {
                Status::Success
            };
        }
        for port in ["int", "float", "text", "list", "any", "bool"] {
            let value = leaf.get_opt::<Value>(port);
            let _ = leaf.set(port, value.ok().flatten().unwrap_or(Value::Int(1)));
        }
        [Status::Success, Status::Running, Status::Failure, Status::Skipped]
            [(self.0 + u64::from(leaf.uid())) as usize % 4]
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        [Status::Running, Status::Success, Status::Failure][(self.0 + u64::from(leaf.uid())) as usize % 3]
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        if leaf.uid() % 2 == 0 { Halt::Done } else { Halt::Pending }
    }

    fn halting(&mut self, _: &mut LeafCall<'_>) -> Halt {
        if self.0.is_multiple_of(2) { Halt::Done } else { Halt::Pending }
    }
}
