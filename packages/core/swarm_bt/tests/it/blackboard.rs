//! Entries, scopes and ports.

use std::sync::Arc;

use crate::common::Bench;
use swarm_base::Time;
use swarm_bt::{
    LeafCall, LeafModel, Leaves, Loader, PortError, PortType, Registry, State, Status, Tree, Value, tick,
};

/// Notes what it reads and writes: leaf `Read` reads `in`, leaf `Write` writes `out`.
#[derive(Default)]
struct Ports {
    read: Vec<Result<Value, PortError>>,
    write: Option<Value>,
    written: Option<Result<(), PortError>>,
}

impl Leaves for Ports {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        match leaf.id() {
            "Write" => self.written = Some(leaf.set("out", self.write.clone().expect("a value to write"))),
            _ => self.read.push(leaf.get("in")),
        }
        Status::Success
    }

    fn running(&mut self, _: &mut LeafCall<'_>) -> Status {
        Status::Failure
    }

    fn halt(&mut self, _: &mut LeafCall<'_>) -> swarm_bt::Halt {
        swarm_bt::Halt::Done
    }
}

fn registry(input: PortType, output: PortType) -> Registry {
    Registry::new()
        .leaf(LeafModel::action("Read").input("in", input))
        .leaf(LeafModel::action("Write").output("out", output))
}

fn load(registry: &Registry, trees: &str) -> Tree {
    let xml = format!(r#"<root BTCPP_format="4" main_tree_to_execute="T">{trees}</root>"#);
    match Loader::new(registry).document("test.xml", &xml).load() {
        Ok(tree) => tree,
        Err(errors) => panic!("does not load: {errors}"),
    }
}

/// What `Read` gets in a tree with this body.
fn read(ty: PortType, body: &str) -> Result<Value, PortError> {
    let tree = load(&registry(ty, PortType::Any), &format!(r#"<BehaviorTree ID="T">{body}</BehaviorTree>"#));
    let mut ports = Ports::default();
    tick(&tree, &mut State::new(&tree), Time(0), &mut ports).expect("ticks");
    ports.read.pop().expect("Read was ticked")
}

#[test]
fn literals_have_the_type_of_their_port() {
    let rows = [
        (PortType::Bool, "true", Value::Bool(true)),
        (PortType::Int, " 42 ", Value::Int(42)),
        (PortType::Float, "0.5", Value::Float(0.5)),
        (PortType::Str, " a b ", Value::from(" a b ")),
        (PortType::Vector, "1; 2.5;-3", Value::Vector(Arc::from([1.0, 2.5, -3.0]))),
        (PortType::Any, "42", Value::from("42")),
    ];
    for (ty, text, value) in rows {
        assert_eq!(read(ty, &format!(r#"<Read in="{text}"/>"#)), Ok(value), "{ty}");
    }
}

#[test]
fn entries_are_converted_to_the_type_of_the_port_where_nothing_is_lost() {
    let from = |code: &str, ty| {
        read(ty, &format!(r#"<Sequence><Script code="x := {code}"/><Read in="{{x}}"/></Sequence>"#))
    };
    assert_eq!(from("3.0", PortType::Int), Ok(Value::Int(3)));
    assert_eq!(from("3", PortType::Float), Ok(Value::Float(3.0)));
    assert_eq!(from("'2.5'", PortType::Float), Ok(Value::Float(2.5)), "text is read as what the port is");
    assert_eq!(from("'1;2'", PortType::Vector), Ok(Value::Vector(Arc::from([1.0, 2.0]))));
    assert_eq!(from("1", PortType::Bool), Ok(Value::Bool(true)));
}

#[test]
fn what_a_port_cannot_give_is_said() {
    let text = |result: Result<Value, PortError>| result.unwrap_err().to_string();
    assert_eq!(text(read(PortType::Int, "<Read/>")), "port 'in' of Read is not given in the tree");
    assert_eq!(
        text(read(PortType::Int, r#"<Read in="{x}"/>"#)),
        "port 'in' of Read reads blackboard entry 'x', which has not been written yet"
    );
}

#[test]
fn a_default_stands_for_a_port_that_is_not_given() {
    let registry = Registry::new().leaf(LeafModel::action("Read").input_or("in", PortType::Int, "7"));
    let tree = load(&registry, r#"<BehaviorTree ID="T"><Read/></BehaviorTree>"#);
    let mut ports = Ports::default();
    tick(&tree, &mut State::new(&tree), Time(0), &mut ports).expect("ticks");
    assert_eq!(ports.read, [Ok(Value::Int(7))]);
}

/// What entry `x` holds after `Write` has written `value` to it through a port of type `ty`.
fn write(ty: PortType, value: impl Into<Value>, attributes: &str) -> Result<Option<Value>, PortError> {
    let tree = load(
        &registry(PortType::Any, ty),
        &format!(r#"<BehaviorTree ID="T"><Write {attributes}/></BehaviorTree>"#),
    );
    let mut ports = Ports { write: Some(value.into()), ..Ports::default() };
    let mut state = State::new(&tree);
    tick(&tree, &mut state, Time(0), &mut ports).expect("ticks");
    ports.written.expect("Write was ticked")?;
    Ok(tree.slot("x").and_then(|slot| state.get(slot).cloned()))
}

#[test]
fn outputs_are_stored_in_the_type_of_their_port() {
    assert_eq!(write(PortType::Float, 2_i64, r#"out="{x}""#), Ok(Some(Value::Float(2.0))));
    let error = write(PortType::Int, 2.5, r#"out="{x}""#).unwrap_err();
    assert_eq!(error.to_string(), "port 'out' of Write: cannot convert float 2.500000 to int without loss");
    assert_eq!(write(PortType::Int, 1_i64, ""), Ok(None), "an output that is not connected is dropped");
}

#[test]
fn a_leaf_has_no_ports_but_its_own_and_each_goes_one_way() {
    struct Wrong(Vec<String>);
    impl Leaves for Wrong {
        fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
            self.0.extend(leaf.get::<f64>("out").err().map(|e| e.to_string()));
            self.0.extend(leaf.set("in", 1_i64).err().map(|e| e.to_string()));
            Status::Success
        }
        fn running(&mut self, _: &mut LeafCall<'_>) -> Status {
            Status::Failure
        }
        fn halt(&mut self, _: &mut LeafCall<'_>) -> swarm_bt::Halt {
            swarm_bt::Halt::Done
        }
    }
    let both = LeafModel::action("Both").input("in", PortType::Int).output("out", PortType::Int);
    let tree = load(
        &Registry::new().leaf(both),
        r#"<BehaviorTree ID="T"><Both in="{a}" out="{b}"/></BehaviorTree>"#,
    );
    let mut wrong = Wrong(Vec::new());
    tick(&tree, &mut State::new(&tree), Time(0), &mut wrong).expect("ticks");
    assert_eq!(
        wrong.0,
        ["leaf Both has no port 'out' of that direction", "leaf Both has no port 'in' of that direction"]
    );
}

#[test]
fn set_blackboard_stores_text_or_copies_an_entry() {
    let xml = r#"<Sequence>
        <SetBlackboard value="42" output_key="text"/>
        <Script code="n := 7"/>
        <SetBlackboard value="{n}" output_key="copy"/>
        <ScriptCondition code="text == 42 &amp;&amp; copy == 7"/>
    </Sequence>"#;
    let mut b = Bench::new(xml, &[]);
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.state.get(b.tree.slot("text").expect("mentioned")), Some(&Value::from("42")));
    assert_eq!(b.state.get(b.tree.slot("copy").expect("mentioned")), Some(&Value::Int(7)));
    let mut b = Bench::new(r#"<SetBlackboard value="{never}" output_key="x"/>"#, &[]);
    assert_eq!(b.tick(), 'F', "nothing to copy");
}

#[test]
fn set_blackboard_writes_text_over_what_a_script_has_made_and_the_ports_type_over_what_a_port_has() {
    let mut b = Bench::new(
        r#"<Sequence><Script code="x := 1"/><SetBlackboard value="5" output_key="x"/></Sequence>"#,
        &[],
    );
    b.tick();
    assert_eq!(b.state.get(b.tree.slot("x").expect("mentioned")), Some(&Value::from("5")));

    let body = |value: &str| {
        format!(r#"<Sequence><SetBlackboard value="{value}" output_key="x"/><Read in="{{x}}"/></Sequence>"#)
    };
    assert_eq!(read(PortType::Int, &body("5")), Ok(Value::Int(5)));
    let tree = load(
        &registry(PortType::Int, PortType::Any),
        &format!(r#"<BehaviorTree ID="T">{}</BehaviorTree>"#, body("five")),
    );
    let error = tick(&tree, &mut State::new(&tree), Time(0), &mut Ports::default()).unwrap_err();
    assert!(
        error.to_string().ends_with("SetBlackboard cannot store five in entry 'x', which is an int"),
        "{error}"
    );
}

#[test]
fn an_entry_has_the_type_of_a_port_even_if_a_script_comes_first() {
    let body = r#"<Sequence><Script code="x := 2"/><Read in="{x}"/></Sequence>"#;
    let tree = load(
        &registry(PortType::Float, PortType::Any),
        &format!(r#"<BehaviorTree ID="T">{body}</BehaviorTree>"#),
    );
    let mut state = State::new(&tree);
    tick(&tree, &mut state, Time(0), &mut Ports::default()).expect("ticks");
    assert_eq!(tree.slot("x").and_then(|x| state.get(x).cloned()), Some(Value::Float(2.0)));
}

// -- SubTrees ---------------------------------------------------------------------------------------------------------

/// Runs main tree `T` with `body` and SubTree `S` with `sub`.
fn nested(body: &str, sub: &str) -> Bench {
    let xml = format!(
        r#"<root BTCPP_format="4" main_tree_to_execute="T"><BehaviorTree ID="T"><Sequence>{body}</Sequence></BehaviorTree>
        <BehaviorTree ID="S"><Sequence>{sub}</Sequence></BehaviorTree></root>"#
    );
    Bench::document(&xml, &[])
}

#[test]
fn a_subtree_sees_only_what_is_remapped() {
    let mut b = nested(
        r#"<Script code="a := 1; b := 2"/><SubTree ID="S" x="{a}"/>"#,
        r#"<Script code="x += 10; b := 99"/>"#,
    );
    assert_eq!(b.tick(), 'S');
    assert_eq!((b.entry("a"), b.entry("b")), ("11".to_owned(), "2".to_owned()));
    let inner = b.tree.slot_in("S::3", "b").expect("the SubTree's own b");
    assert_eq!(b.state.get(inner), Some(&Value::Int(99)));
}

#[test]
fn a_name_in_braces_with_equals_remaps_to_itself() {
    let mut b = nested(r#"<Script code="a := 1"/><SubTree ID="S" a="{=}"/>"#, r#"<Script code="a += 1"/>"#);
    b.tick();
    assert_eq!(b.entry("a"), "2");
}

#[test]
fn autoremap_shares_all_names_but_private_ones() {
    let sub = r#"<Script code="a += 1; _p := 5; fresh := 3"/>"#;
    let mut b = nested(r#"<Script code="a := 1; _p := 0"/><SubTree ID="S" _autoremap="true"/>"#, sub);
    assert_eq!(b.tick(), 'S');
    assert_eq!(
        (b.entry("a"), b.entry("_p"), b.entry("fresh")),
        ("2".to_owned(), "0".to_owned(), "3".to_owned())
    );
}

#[test]
fn an_at_sign_names_an_entry_of_the_main_tree_from_any_depth() {
    let mut b =
        nested(r#"<Script code="a := 1"/><SubTree ID="S"/>"#, r#"<Script code="@a := @a + 1; a := 50"/>"#);
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.entry("a"), "2");
}

#[test]
fn literals_given_to_a_subtree_keep_their_type() {
    // As from BehaviorTree.CPP 4.9.1 on (#1121): numbers are numbers.
    let sub = r#"<Script code="@sum := i + f; @word := t"/>"#;
    let mut b = nested(r#"<SubTree ID="S" i="2" f="0.5" t="2;3"/>"#, sub);
    assert_eq!(b.tick(), 'S');
    assert_eq!((b.entry("sum"), b.entry("word")), ("2.500000".to_owned(), "2;3".to_owned()));
}

#[test]
fn a_literal_is_the_subtrees_own_even_with_autoremap() {
    let mut b = nested(
        r#"<Script code="x := 1"/><SubTree ID="S" x="5" _autoremap="true"/>"#,
        r#"<Script code="x += 1"/>"#,
    );
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.entry("x"), "1");
}

#[test]
fn each_use_of_a_subtree_has_a_blackboard_of_its_own() {
    let sub = r#"<Script code="n := 0" _skipIf="seen"/><Script code="n += 1; @last := n"/>"#;
    let mut b = nested(r#"<SubTree ID="S" seen="0"/><SubTree ID="S" seen="0" name="second"/>"#, sub);
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.entry("last"), "1");
    assert!(b.tree.slot_in("second", "n").is_some() && b.tree.slot_in("S::2", "n").is_some());
}

#[test]
fn remapping_goes_through_several_subtrees() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="T">
        <BehaviorTree ID="T"><Sequence><Script code="a := 1"/><SubTree ID="Outer" o="{a}"/></Sequence></BehaviorTree>
        <BehaviorTree ID="Outer"><SubTree ID="Inner" i="{o}"/></BehaviorTree>
        <BehaviorTree ID="Inner"><Script code="i += 1"/></BehaviorTree>
    </root>"#;
    let mut b = Bench::document(xml, &[]);
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.entry("a"), "2");
}

#[test]
fn a_subtree_model_gives_defaults_for_what_is_not_remapped() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="T">
        <BehaviorTree ID="T"><SubTree ID="S"/></BehaviorTree>
        <BehaviorTree ID="S"><Script code="@got := n + 1"/></BehaviorTree>
        <TreeNodesModel><SubTree ID="S"><input_port name="n" default="4"/></SubTree></TreeNodesModel>
    </root>"#;
    let mut b = Bench::document(xml, &[]);
    assert_eq!(b.tick(), 'S');
    assert_eq!(b.entry("got"), "5.000000");
}

#[test]
fn writes_from_outside_take_the_declared_type_and_are_counted() {
    let tree = load(
        &registry(PortType::Float, PortType::Any),
        r#"<BehaviorTree ID="T"><Read in="{x}"/></BehaviorTree>"#,
    );
    let mut state = State::new(&tree);
    let x = tree.slot("x").expect("mentioned");
    state.set(&tree, x, 3_i64).expect("a whole number is a float");
    assert_eq!((state.get(x), state.writes(x)), (Some(&Value::Float(3.0)), 1));
    let error = state.set(&tree, x, "three").unwrap_err();
    assert_eq!(error.to_string(), "cannot convert string three to float without loss");
    assert_eq!(state.writes(x), 1, "what is refused changes nothing");
    assert_eq!(tree.slot("y"), None);
}

// -- Ports found once -------------------------------------------------------------------------------------------------

#[test]
fn a_port_may_be_looked_up_once_for_all_ticks() {
    struct ById(Vec<Result<f64, PortError>>, [Option<swarm_bt::PortId>; 3]);
    impl Leaves for ById {
        fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
            for id in self.1.into_iter().flatten() {
                self.0.push(leaf.get(id));
            }
            Status::Success
        }
        fn running(&mut self, _: &mut LeafCall<'_>) -> Status {
            Status::Failure
        }
        fn halt(&mut self, _: &mut LeafCall<'_>) -> swarm_bt::Halt {
            swarm_bt::Halt::Done
        }
    }
    let one = LeafModel::action("One").input("a", PortType::Float).input("b", PortType::Float);
    let other = LeafModel::action("Other")
        .input("x", PortType::Float)
        .input("y", PortType::Float)
        .input("z", PortType::Float);
    assert_eq!(one.port_id("c"), None);
    // The last is of another leaf, and there is no such place here.
    let ids = [one.port_id("b"), one.port_id("a"), other.port_id("z")];
    let tree = load(&Registry::new().leaf(one), r#"<BehaviorTree ID="T"><One a="1" b="2"/></BehaviorTree>"#);
    let mut leaves = ById(Vec::new(), ids);
    tick(&tree, &mut State::new(&tree), Time(0), &mut leaves).expect("ticks");
    assert_eq!(leaves.0[..2], [Ok(2.0), Ok(1.0)]);
    let error = leaves.0[2].as_ref().unwrap_err().to_string();
    assert_eq!(error, "leaf One has no port '#2' of that direction");
}

#[test]
fn an_entry_of_strings_takes_nothing_else() {
    let registry = Registry::new()
        .leaf(LeafModel::action("Text").output("out", PortType::Str))
        .leaf(LeafModel::action("Write").output("out", PortType::Int))
        .leaf(LeafModel::action("Read").input("in", PortType::Int));
    let xml = |mode: &str, second: &str| {
        format!(
            r#"<root BTCPP_format="4" mode="{mode}"><BehaviorTree ID="T"><Sequence><Text out="{{x}}"/>{second}</Sequence></BehaviorTree></root>"#
        )
    };
    let reader = xml("strict", r#"<Read in="{x}"/>"#);
    assert!(Loader::new(&registry).document("t.xml", &reader).load().is_ok(), "text is read as any type");
    let writer = xml("strict", r#"<Write out="{x}"/>"#);
    let errors = Loader::new(&registry).document("t.xml", &writer).load().unwrap_err();
    assert!(
        errors.to_string().ends_with(
            "blackboard entry 'x' is a string (first used at t.xml:1) but port 'out' is an int (in T/Sequence/Write)"
        ),
        "{errors}"
    );
    // The original notices it at the first write.
    let writer = xml("compat", r#"<Write out="{x}"/>"#);
    let tree = Loader::new(&registry).document("t.xml", &writer).load().expect("compat loads it");
    let mut ports = Ports { write: Some(Value::Int(1)), ..Ports::default() };
    tick(&tree, &mut State::new(&tree), Time(0), &mut ports).expect("ticks");
    let error = ports.written.expect("written").unwrap_err();
    assert_eq!(error.to_string(), "port 'out' of Write: cannot convert int 1 to string without loss");
}
