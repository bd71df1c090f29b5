//! Everything that can be wrong with a tree, with the exact message.

use std::fmt::Write as _;

use swarm_bt::{LeafModel, LoadErrorKind, Loader, MAX_DEPTH, PortType, Registry};

fn registry() -> Registry {
    Registry::new()
        .leaf(LeafModel::action("MoveTo").input("goal", PortType::Vector).output("error", PortType::Float))
        .leaf(LeafModel::condition("PartSeen").input("count", PortType::Int))
}

/// The messages for a document, one a line; empty if it loads.
fn messages(xml: &str) -> String {
    Loader::new(&registry()).document("t.xml", xml).load().err().map(|e| e.to_string()).unwrap_or_default()
}

/// The messages for a main tree `T` with this body, which begins in line 2.
fn of_body(body: &str) -> String {
    messages(&format!("<root BTCPP_format=\"4\"><BehaviorTree ID=\"T\">\n{body}</BehaviorTree></root>"))
}

#[test]
fn one_mistake_each() {
    let rows = [
        ("<MovTo/>", "t.xml:2:1: unknown node 'MovTo'; did you mean 'MoveTo'? (in T/MovTo)"),
        (
            "<Action ID=\"Sequense\"/>",
            "t.xml:2:1: unknown node 'Sequense'; did you mean 'Sequence'? (in T/Action)",
        ),
        ("<Xyzzy/>", "t.xml:2:1: unknown node 'Xyzzy' (in T/Xyzzy)"),
        ("<Action/>", "t.xml:2:1: <Action> needs attribute ID (in T/Action)"),
        ("<T/>", "t.xml:2:1: 'T' is a tree, not a node: write <SubTree ID=\"T\"/> (in T/T)"),
        (
            "<MoveTo ID=\"x\"/>",
            "t.xml:2:1: attribute ID is not allowed in <MoveTo>: use name, or the form <Action ID=\"MoveTo\"> (in T/MoveTo)",
        ),
        (
            "<MoveTo gaol=\"1\"/>",
            "t.xml:2:9: node 'MoveTo' has no port 'gaol'; did you mean 'goal'? (in T/MoveTo)",
        ),
        ("<MoveTo goal=\"1;x\"/>", "t.xml:2:1: goal=\"1;x\" is not a vector (in T/MoveTo)"),
        ("<PartSeen count=\"1.5\"/>", "t.xml:2:1: count=\"1.5\" is not an int (in T/PartSeen)"),
        (
            "<MoveTo error=\"3\"/>",
            "t.xml:2:1: output port 'error' needs a blackboard entry in braces, as {entry}, not \"3\" (in T/MoveTo)",
        ),
        ("<Sequence/>", "t.xml:2:1: 'Sequence' has 0 children, expected at least one (in T/Sequence)"),
        (
            "<Inverter><MoveTo/><MoveTo/></Inverter>",
            "t.xml:2:1: 'Inverter' has 2 children, expected exactly one (in T/Inverter)",
        ),
        ("<MoveTo><MoveTo/></MoveTo>", "t.xml:2:1: 'MoveTo' has 1 children, expected none (in T/MoveTo)"),
        ("<MoveTo/><MoveTo/>", "t.xml:1:24: 'T' has 2 children, expected exactly one (in T)"),
        ("", "t.xml:1:24: 'T' has 0 children, expected exactly one (in T)"),
        ("<SubTree ID=\"U\"/>", "t.xml:2:1: tree 'U' is not defined; did you mean 'T'? (in T/SubTree)"),
        ("<SubTree ID=\"T\"/>", "t.xml:2:1: tree contains itself: T -> T (in T/SubTree)"),
        (
            "<Script code=\"x := \"/>",
            "t.xml:2:1: code: script `x := `, byte 5: expected a value, found the end of the script (in T/Script)",
        ),
        ("<Script/>", "t.xml:2:1: <Script> needs attribute code (in T/Script)"),
        (
            "<Script code=\"{c}\"/>",
            "t.xml:2:1: code=\"{c}\" is not a script (one that is itself read from the blackboard could not be checked at load) (in T/Script)",
        ),
        (
            "<MoveTo _skipIf=\"1 +\"/>",
            "t.xml:2:9: _skipIf: script `1 +`, byte 3: expected a value, found the end of the script (in T/MoveTo)",
        ),
        (
            "<MoveTo _skipif=\"x\"/>",
            "t.xml:2:9: unknown attribute '_skipif'; did you mean '_skipIf'? (in T/MoveTo)",
        ),
        (
            "<Repeat num_cycles=\"often\"><MoveTo/></Repeat>",
            "t.xml:2:1: num_cycles=\"often\" is not a whole number from -1 to 2147483647 (in T/Repeat)",
        ),
        ("<Repeat><MoveTo/></Repeat>", "t.xml:2:1: <Repeat> needs attribute num_cycles (in T/Repeat)"),
        (
            "<Timeout msec=\"-5\"><MoveTo/></Timeout>",
            "t.xml:2:1: msec=\"-5\" is not a whole number from 0 to 2147483647 (in T/Timeout)",
        ),
        (
            "<Parallel failure_count=\"2\"><MoveTo/></Parallel>",
            "t.xml:2:1: Parallel has 1 children, so failure_count=2 can never be reached (in T/Parallel)",
        ),
        (
            "<SetBlackboard value=\"1\" output_key=\"{k}\"/>",
            "t.xml:2:1: output_key=\"{k}\" is not the plain name of an entry, without braces (in T/SetBlackboard)",
        ),
        (
            "<Sequence><MoveTo goal=\"{x}\"/>\n<PartSeen count=\"{x}\"/></Sequence>",
            "t.xml:3:1: blackboard entry 'x' is a vector (first used at t.xml:2) but port 'count' is an int (in T/Sequence/PartSeen)",
        ),
        (
            "<MoveTo goal=\"{@@x}\"/>",
            "t.xml:2:1: blackboard key '@@x' has '@' inside; only at the beginning it means the main tree's entry (in T/MoveTo)",
        ),
        (
            "<BehaviorTree ID=\"V\"/>",
            "t.xml:2:1: <BehaviorTree> is not allowed here; expected a node (in T/BehaviorTree)",
        ),
    ];
    for (body, message) in rows {
        assert_eq!(of_body(body), message);
    }
}

#[test]
fn mistakes_around_the_trees() {
    let rows = [
        ("<root><a></root>", "t.xml:1:10: not well-formed XML: expected 'a' tag, not 'root'"),
        ("<trees/>", "t.xml:1:1: the root element is <trees>, expected <root BTCPP_format=\"4\">"),
        (
            "<root BTCPP_format=\"3\"/>",
            "t.xml:1:1: BTCPP_format is \"3\", only \"4\" is understood: write <root BTCPP_format=\"4\">",
        ),
        (
            "<root/>",
            "t.xml:1:1: BTCPP_format is missing, only \"4\" is understood: write <root BTCPP_format=\"4\">",
        ),
        (
            "<root BTCPP_format=\"4\"><Sequence/></root>",
            "t.xml:1:24: <Sequence> is not allowed here; expected <BehaviorTree>, <TreeNodesModel> or <include>",
        ),
        (
            "<root BTCPP_format=\"4\"><BehaviorTree><MoveTo/></BehaviorTree><BehaviorTree ID=\"B\"><MoveTo/></BehaviorTree></root>",
            "t.xml:1:24: <BehaviorTree> needs attribute ID",
        ),
        (
            "<root BTCPP_format=\"4\"><BehaviorTree ID=\"Sequence\"><MoveTo/></BehaviorTree></root>",
            "t.xml:1:24: tree id 'Sequence' is the name of a node",
        ),
        (
            "<root BTCPP_format=\"4\"><BehaviorTree ID=\"a/b\"><MoveTo/></BehaviorTree></root>",
            "t.xml:1:24: tree id 'a/b' contains the forbidden character '/'",
        ),
        (
            "<root BTCPP_format=\"4\"><include path=\"x.xml\"/></root>",
            "t.xml:1:24: <include path=\"x.xml\">: 'x.xml' was not given to the loader",
        ),
    ];
    for (xml, message) in rows {
        // The first line: without any tree there is also no main one.
        assert_eq!(messages(xml).lines().next(), Some(message));
    }
}

#[test]
fn the_main_tree_must_be_clear() {
    let two = r#"<BehaviorTree ID="A"><MoveTo/></BehaviorTree><BehaviorTree ID="B"><MoveTo/></BehaviorTree>"#;
    let xml = format!(r#"<root BTCPP_format="4">{two}</root>"#);
    assert_eq!(messages(&xml), "t.xml: which tree is the main one? Set main_tree_to_execute to one of: A, B");
    let xml = format!(r#"<root BTCPP_format="4" main_tree_to_execute="C">{two}</root>"#);
    assert_eq!(messages(&xml), "t.xml:1:1: tree 'C' is not defined; did you mean 'A'?");
    let registry = registry();
    let tree = Loader::new(&registry).document("t.xml", &xml).main_tree("B").load().expect("named");
    assert_eq!(tree.main(), "B");
}

#[test]
fn a_tree_defined_twice_is_refused_with_both_places() {
    let xml = "<root BTCPP_format=\"4\" main_tree_to_execute=\"A\"><BehaviorTree ID=\"A\"><MoveTo/></BehaviorTree>\n<BehaviorTree ID=\"A\"><MoveTo/></BehaviorTree></root>";
    assert_eq!(messages(xml), "t.xml:2:1: tree 'A' is defined twice; the first is at t.xml:1");
}

#[test]
fn a_cycle_of_trees_is_printed() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="A">
<BehaviorTree ID="A"><Sequence><SubTree ID="B"/></Sequence></BehaviorTree>
<BehaviorTree ID="B"><SubTree ID="C"/></BehaviorTree>
<BehaviorTree ID="C"><Inverter><SubTree ID="A"/></Inverter></BehaviorTree>
</root>"#;
    assert_eq!(messages(xml), "t.xml:4:32: tree contains itself: A -> B -> C -> A (in C/Inverter/SubTree)");
}

#[test]
fn all_mistakes_of_all_trees_are_reported_once_and_in_order() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="A">
<BehaviorTree ID="A"><Sequence>
  <SubTree ID="B"/>
  <SubTree ID="B"/>
  <Foo/>
  <Script code="1 +"/>
</Sequence></BehaviorTree>
<BehaviorTree ID="B"><MoveTo goal="x"/></BehaviorTree>
<BehaviorTree ID="Unused"><Sequence/></BehaviorTree>
</root>"#;
    let messages = messages(xml);
    let lines: Vec<&str> =
        messages.lines().map(|line| line.split(':').nth(1).expect("a line number")).collect();
    assert_eq!(lines, ["5", "6", "8", "9"], "{messages}");
}

#[test]
fn mistakes_name_the_document_they_are_in() {
    let main = r#"<root BTCPP_format="4" main_tree_to_execute="A"><include path="trees/lib.xml"/><BehaviorTree ID="A"><SubTree ID="B"/></BehaviorTree></root>"#;
    let good = r#"<root BTCPP_format="4"><BehaviorTree ID="B"><MoveTo/></BehaviorTree></root>"#;
    let bad = "<root BTCPP_format=\"4\">\n\n<BehaviorTree ID=\"B\"><Bad/></BehaviorTree></root>";
    let registry = registry();
    assert!(Loader::new(&registry).document("main.xml", main).document("trees/lib.xml", good).load().is_ok());
    let errors =
        Loader::new(&registry).document("main.xml", main).document("trees/lib.xml", bad).load().unwrap_err();
    assert_eq!(errors.to_string(), "trees/lib.xml:3:22: unknown node 'Bad' (in B/Bad)");
}

#[test]
fn a_mandatory_port_of_a_subtree_model_must_be_remapped() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="A">
<BehaviorTree ID="A"><SubTree ID="B"/></BehaviorTree>
<BehaviorTree ID="B"><MoveTo/></BehaviorTree>
<TreeNodesModel><SubTree ID="B"><input_port name="speed"/></SubTree></TreeNodesModel>
</root>"#;
    assert_eq!(
        messages(xml),
        "t.xml:2:22: SubTree 'B' declares port 'speed' in TreeNodesModel without a default, but it is not remapped here (in A/SubTree)"
    );
}

#[test]
fn a_literal_given_to_a_subtree_must_fit_the_port_that_reads_it() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="A">
<BehaviorTree ID="A"><SubTree ID="B" n="many"/></BehaviorTree>
<BehaviorTree ID="B"><PartSeen count="{n}"/></BehaviorTree>
</root>"#;
    assert_eq!(messages(xml), "t.xml:2:22: n=\"many\" is not an int");
}

#[test]
fn a_leaf_may_not_take_the_name_of_a_built_in_node() {
    let registry = Registry::new().leaf(LeafModel::action("Sleep"));
    let xml = r#"<root BTCPP_format="4"><BehaviorTree ID="A"><AlwaysSuccess/></BehaviorTree></root>"#;
    let errors = Loader::new(&registry).document("t.xml", xml).load().unwrap_err();
    assert_eq!(errors.to_string(), "t.xml: leaf 'Sleep' of the registry has the name of a built-in node");
}

#[test]
fn limits_hold_after_expansion_and_no_file_makes_loading_explode() {
    let deep = |n: usize| format!("{}<MoveTo/>{}", "<Inverter>".repeat(n), "</Inverter>".repeat(n));
    assert_eq!(of_body(&deep(MAX_DEPTH - 1)), "");
    assert!(of_body(&deep(MAX_DEPTH)).contains("nested more than 256 deep after all SubTrees are expanded"));
    assert!(of_body(&deep(100_000)).contains("elements are nested more than 1024 deep"));

    // 2^40 nodes from 41 trees of two SubTrees each.
    let mut trees = String::from(r#"<BehaviorTree ID="X0"><MoveTo/></BehaviorTree>"#);
    for i in 1..=40 {
        let sub = format!(r#"<SubTree ID="X{}"/>"#, i - 1);
        let _ = write!(trees, r#"<BehaviorTree ID="X{i}"><Sequence>{sub}{sub}</Sequence></BehaviorTree>"#);
    }
    let xml = format!(r#"<root BTCPP_format="4" main_tree_to_execute="X40">{trees}</root>"#);
    let errors = Loader::new(&registry()).document("t.xml", &xml).load().unwrap_err();
    assert!(
        matches!(errors.0[..], [ref e] if matches!(e.kind, LoadErrorKind::TooManyNodes { .. })),
        "{errors}"
    );
}

#[test]
fn entities_are_refused() {
    let xml = r#"<!DOCTYPE root [<!ENTITY a "aaaa">]><root BTCPP_format="4"><BehaviorTree ID="T"><MoveTo name="&a;"/></BehaviorTree></root>"#;
    assert!(messages(xml).contains("not well-formed XML"));
}

#[test]
fn explicit_and_compact_forms_are_the_same_node() {
    let compact =
        r#"<Sequence name="s"><PartSeen count="2"/><Inverter><MoveTo goal="1;2"/></Inverter></Sequence>"#;
    let explicit = r#"<Control ID="Sequence" name="s"><Condition ID="PartSeen" count="2"/><Decorator ID="Inverter"><Action ID="MoveTo" goal="1;2"/></Decorator></Control>"#;
    let nodes = |body: &str| {
        let xml = format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#);
        Loader::new(&registry()).document("t.xml", &xml).load().expect("loads").nodes().to_vec()
    };
    assert_eq!(nodes(compact), nodes(explicit));
}

#[test]
fn nodes_know_their_path_and_line() {
    let xml = r#"<root BTCPP_format="4" main_tree_to_execute="A">
<BehaviorTree ID="A"><Sequence>
  <SubTree ID="B" name="left"/>
  <SubTree ID="B"/></Sequence></BehaviorTree>
<BehaviorTree ID="B"><MoveTo name="go"/></BehaviorTree>
</root>"#;
    let tree = Loader::new(&registry()).document("t.xml", xml).load().expect("loads");
    let nodes: Vec<_> = tree.nodes().iter().map(|n| (n.uid, n.path.as_str(), n.line, n.parent)).collect();
    let expected = [
        (1, "Sequence::1", 2, None),
        (2, "left", 3, Some(1)),
        (3, "left/go", 5, Some(2)),
        (4, "B::4", 4, Some(1)),
        (5, "B::4/go", 5, Some(4)),
    ];
    assert_eq!(nodes, expected);
}

#[test]
fn options_of_built_in_nodes_are_checked() {
    let cases = [
        (
            r#"<LoopInt queue="1;x" value="{v}"><PartSeen/></LoopInt>"#,
            r#"queue="1;x" is not a list in which each item is an int"#,
        ),
        (
            r#"<LoopInt queue="1" value="v"><PartSeen/></LoopInt>"#,
            "output port 'value' needs a blackboard entry in braces",
        ),
        (
            r#"<LoopInt queue="1" if_empty="IDLE"><PartSeen/></LoopInt>"#,
            r#"if_empty="IDLE" is not SUCCESS, FAILURE"#,
        ),
        (r#"<RunOnce then_skip="maybe"><PartSeen/></RunOnce>"#, r#"then_skip="maybe" is not a bool"#),
        (r#"<WasEntryUpdated entry=""/>"#, "is not the name of a blackboard entry"),
        (r#"<UnsetBlackboard key="{x}"/>"#, "is not the plain name of an entry"),
        (r#"<Precondition if="{x}"><PartSeen/></Precondition>"#, "is not a script"),
        (
            "<Switch2><PartSeen/><PartSeen/></Switch2>",
            "'Switch2' has 2 children, expected one for each case, and the default",
        ),
        (
            r#"<ParallelAll max_failures="3"><PartSeen/></ParallelAll>"#,
            "ParallelAll has 1 children, so max_failures=3",
        ),
        (
            "<ManualSelector><PartSeen/></ManualSelector>",
            "node 'ManualSelector' is not supported: it asks a person",
        ),
        ("<SequenceStar><PartSeen/></SequenceStar>", "write SequenceWithMemory"),
    ];
    for (body, expected) in cases {
        let error = of_body(body);
        assert!(error.contains(expected), "{body}: {error}");
    }
}
