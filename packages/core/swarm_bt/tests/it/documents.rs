//! Several documents, their models and their names: what is put together, and what is refused.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use swarm_bt::{Include, LeafModel, Loader, PortType, Registry};

fn registry() -> Registry {
    Registry::new().leaf(
        LeafModel::action("Lift")
            .input("height", PortType::Float)
            .output("reached", PortType::Float)
            .inout("pose", PortType::Vector),
    )
}

/// A document with these elements in its root.
fn document(elements: &str) -> String {
    format!(r#"<root BTCPP_format="4" main_tree_to_execute="Main">{elements}</root>"#)
}

fn tree(id: &str, body: &str) -> String {
    format!(r#"<BehaviorTree ID="{id}">{body}</BehaviorTree>"#)
}

/// Loads the first of `files`; the others are there to be included. Gives the nodes' paths or the messages, one a line.
fn load(files: &[(&str, String)]) -> String {
    let archive: BTreeMap<&str, &String> = files.iter().map(|(name, text)| (*name, text)).collect();
    let read = |include: Include<'_>| {
        let name = match include.package {
            Some(package) => format!("{package}:{}", include.path),
            None => include.path.to_owned(),
        };
        archive.get(name.as_str()).map(|text| (*text).clone()).ok_or_else(|| "no such file".to_owned())
    };
    let registry = registry();
    match Loader::new(&registry).document(files[0].0, &files[0].1).includes(&read).load() {
        Ok(tree) => tree.nodes().iter().map(|node| node.path.as_str()).collect::<Vec<_>>().join("\n"),
        Err(errors) => errors.to_string(),
    }
}

fn load_one(elements: &str) -> String {
    load(&[("m.xml", document(elements))])
}

// -- Includes ---------------------------------------------------------------------------------------------------------

#[test]
fn included_documents_are_read_relative_to_the_one_that_includes_them() {
    let files = [
        (
            "trees/main.xml",
            document(&format!(
                r#"<include path="parts/grip.xml"/>{}"#,
                tree("Main", r#"<SubTree ID="Grip"/>"#)
            )),
        ),
        (
            "trees/parts/grip.xml",
            document(&format!(
                r#"<include path="../wait.xml"/><include path="b.xml" ros_pkg="lib"/>{}"#,
                tree("Grip", r#"<Sequence><SubTree ID="Wait"/><SubTree ID="B"/></Sequence>"#)
            )),
        ),
        ("trees/wait.xml", document(&tree("Wait", r#"<Sleep msec="1"/>"#))),
        (
            "lib:b.xml",
            document(&format!(r#"<include path="c/c.xml"/>{}"#, tree("B", r#"<SubTree ID="C"/>"#))),
        ),
        ("lib:c/c.xml", document(&tree("C", "<AlwaysSuccess/>"))),
    ];
    assert_eq!(
        load(&files),
        "Grip::1\nGrip::1/Sequence::2\nGrip::1/Wait::3\nGrip::1/Wait::3/Sleep::4\n\
         Grip::1/B::5\nGrip::1/B::5/C::6\nGrip::1/B::5/C::6/AlwaysSuccess::7"
    );
}

#[test]
fn a_document_that_two_others_include_is_read_once() {
    let reads = RefCell::new(Vec::new());
    let leaf = document(&tree("D", "<AlwaysSuccess/>"));
    let side =
        |id: &str| document(&format!(r#"<include path="d.xml"/>{}"#, tree(id, r#"<SubTree ID="D"/>"#)));
    let read = |include: Include<'_>| {
        reads.borrow_mut().push(include.path.to_owned());
        Ok(match include.path {
            "b.xml" => side("B"),
            "c.xml" => side("C"),
            _ => leaf.clone(),
        })
    };
    let main = document(&format!(
        r#"<include path="b.xml"/><include path="c.xml"/>{}"#,
        tree("Main", r#"<Sequence><SubTree ID="B"/><SubTree ID="C"/></Sequence>"#)
    ));
    let registry = registry();
    let tree = Loader::new(&registry).document("a.xml", &main).includes(&read).load();
    assert_eq!(tree.map(|tree| tree.nodes().len()), Ok(7));
    assert_eq!(*reads.borrow(), ["b.xml", "c.xml", "d.xml"]);
}

#[test]
fn a_mistake_in_an_included_document_has_that_documents_name_and_line() {
    let files = [
        (
            "m.xml",
            document(
                r#"<include path="sub/x.xml"/><BehaviorTree ID="Main"><SubTree ID="X"/></BehaviorTree>"#,
            ),
        ),
        ("sub/x.xml", document("\n<BehaviorTree ID=\"X\"><Lfit/></BehaviorTree>")),
    ];
    assert_eq!(load(&files), "sub/x.xml:2:22: unknown node 'Lfit'; did you mean 'Lift'? (in X/Lfit)");
}

#[test]
fn includes_that_cannot_be_followed_are_all_reported() {
    let main = document(
        r#"<include path="../x.xml"/>
<include path="/etc/passwd"/>
<include path="missing.xml"/>
<include/>
<include path="a.xml"/>"#,
    );
    let a = document(r#"<include path="b.xml"/>"#);
    let b = document(r#"<include path="a.xml"/>"#);
    let outside = "the path leaves the place that holds the tree; only relative paths below it are read";
    let expected = [
        "b.xml:1:52: <include path=\"a.xml\">: documents include each other: a.xml -> b.xml -> a.xml"
            .to_owned(),
        format!("m.xml:1:52: <include path=\"../x.xml\">: {outside}"),
        format!("m.xml:2:1: <include path=\"/etc/passwd\">: {outside}"),
        "m.xml:3:1: <include path=\"missing.xml\">: cannot read 'missing.xml': no such file".to_owned(),
        "m.xml:4:1: <include> needs attribute path".to_owned(),
    ];
    assert_eq!(load(&[("m.xml", main), ("a.xml", a), ("b.xml", b)]), expected.join("\n"));
}

#[test]
fn endless_chains_and_floods_of_includes_end() {
    let registry = registry();
    let next = |include: Include<'_>| {
        let number: u32 =
            include.path.trim_end_matches(".xml").parse().map_err(|_| "no number".to_owned())?;
        Ok(document(&format!(r#"<include path="{}.xml"/>"#, number + 1)))
    };
    let main = document(r#"<include path="1.xml"/>"#);
    let errors = Loader::new(&registry).document("0.xml", &main).includes(&next).load().unwrap_err();
    assert_eq!(errors.to_string(), "32.xml:1:52: <include path=\"33.xml\">: included more than 32 deep");

    let mut many = String::new();
    for i in 0..1000 {
        let _ = write!(many, r#"<include path="{i}.xml"/>"#);
    }
    let empty = |_: Include<'_>| Ok(document(""));
    let main = document(&many);
    let errors = Loader::new(&registry).document("m.xml", &main).includes(&empty).load().unwrap_err();
    assert!(errors.to_string().contains("<include path=\"255.xml\">: more than 256 documents"), "{errors}");

    let big = |_: Include<'_>| Ok(" ".repeat(1 << 20));
    let errors = Loader::new(&registry).document("m.xml", &main).includes(&big).load().unwrap_err();
    assert!(errors.to_string().contains("more than 16777216 bytes together"), "{errors}");
}

#[test]
fn without_a_resolver_every_included_document_must_be_given() {
    let main = document(&format!(r#"<include path="x.xml"/>{}"#, tree("Main", r#"<SubTree ID="X"/>"#)));
    let x = document(&tree("X", "<AlwaysSuccess/>"));
    let registry = registry();
    let loader = || Loader::new(&registry).document("a/main.xml", &main);
    assert!(loader().document("a/x.xml", &x).load().is_ok());
    let errors = loader().load().unwrap_err();
    assert_eq!(
        errors.to_string(),
        "a/main.xml:1:52: <include path=\"x.xml\">: 'a/x.xml' was not given to the loader"
    );
}

// -- Models -----------------------------------------------------------------------------------------------------------

#[test]
fn models_of_leaves_are_compared_with_the_registry() {
    let main = tree("Main", "<Lift/>");
    let model = |ports: &str| {
        load_one(&format!(r#"{main}<TreeNodesModel><Action ID="Lift">{ports}</Action></TreeNodesModel>"#))
    };
    let good = r#"<input_port name="height" type="double"/><output_port name="reached"/>
        <inout_port name="pose" type="geometry_msgs::msg::Pose"/><description>lifts</description>"#;
    assert_eq!(model(good), "Lift::1");
    let rows = [
        (r#"<input_port name="hight"/>"#, "node 'Lift' has no port 'hight'; did you mean 'height'?"),
        (
            r#"<output_port name="height"/>"#,
            "TreeNodesModel has port 'height' of 'Lift' as output, the registry as input: export the models again",
        ),
        (
            r#"<input_port name="height" type="std::string"/>"#,
            "TreeNodesModel has port 'height' of 'Lift' as string, the registry as float: export the models again",
        ),
        (r"<input_port/>", "<input_port> needs attribute name"),
    ];
    for (ports, message) in rows {
        let messages = model(ports);
        assert!(messages.ends_with(message), "{messages}");
    }
    let unregistered =
        r#"<TreeNodesModel><Action ID="Elsewhere"><input_port name="x"/></Action></TreeNodesModel>"#;
    assert_eq!(
        load_one(&format!("{main}{unregistered}")),
        "Lift::1",
        "a model of what is not used is no mistake"
    );
}

#[test]
fn models_must_be_well_formed() {
    let main = tree("Main", "<Lift/>");
    let rows = [
        ("<TreeNodesModel><SubTree/></TreeNodesModel>", "<SubTree> needs attribute ID"),
        (
            "<TreeNodesModel><Thing ID=\"x\"/></TreeNodesModel>",
            "<Thing> is not allowed here; expected <Action>, <Condition>, <Control>, <Decorator> or <SubTree>",
        ),
        (
            "<TreeNodesModel/><TreeNodesModel/>",
            "<TreeNodesModel> is not allowed here; expected only one <TreeNodesModel> in a document",
        ),
        (
            "<TreeNodesModel><SubTree ID=\"S\"><input_port name=\"1st\"/></SubTree></TreeNodesModel>",
            "port name '1st' begins with a digit",
        ),
    ];
    for (models, message) in rows {
        let messages = load_one(&format!("{main}{models}"));
        assert!(messages.ends_with(message), "{messages}");
    }
}

// -- Names ------------------------------------------------------------------------------------------------------------

#[test]
fn two_subtrees_of_one_path_are_refused() {
    let worker = tree("W", "<AlwaysSuccess/>");
    let main = |first: &str, second: &str| {
        let body = format!(r#"<Sequence><SubTree ID="W"{first}/><SubTree ID="W"{second}/></Sequence>"#);
        load_one(&format!("{worker}{}", tree("Main", &body)))
    };
    assert!(
        main(r#" name="a""#, r#" name="a""#)
            .ends_with("another SubTree here has the path 'a' too: give each a name of its own, or none (in Main/Sequence/SubTree)")
    );
    assert!(main(r#" name="a""#, r#" name="b""#).starts_with("Sequence::1\na\n"));
    assert!(main("", "").starts_with("Sequence::1\nW::2\n"));
}

#[test]
fn the_only_tree_of_a_document_needs_no_id() {
    let registry = registry();
    let xml = r#"<root BTCPP_format="4"><BehaviorTree><Lift/></BehaviorTree></root>"#;
    let tree = Loader::new(&registry).document("m.xml", xml).load().expect("loads");
    assert_eq!(tree.main(), "BehaviorTree_0");
}

#[test]
fn leaves_that_xml_could_not_name_are_refused() {
    let registry = Registry::new().leaf(LeafModel::action("Go.To")).leaf(
        LeafModel::action("Go")
            .input("name", PortType::Str)
            .input("2nd", PortType::Str)
            .input("a b", PortType::Str)
            .input("x", PortType::Str)
            .output("x", PortType::Str),
    );
    let xml = document(&tree("Main", "<AlwaysSuccess/>"));
    let errors = Loader::new(&registry).document("m.xml", &xml).load().unwrap_err().to_string();
    let expected = [
        "m.xml: leaf 'Go' of the registry: port 'x' is declared twice",
        "m.xml: leaf 'Go' of the registry: port name '2nd' begins with a digit",
        "m.xml: leaf 'Go' of the registry: port name 'a b' contains the forbidden character ' '",
        "m.xml: leaf 'Go' of the registry: port name 'name' is reserved",
        "m.xml: leaf 'Go.To' of the registry: its id contains the forbidden character '.'",
    ];
    assert_eq!(errors, expected.join("\n"));
}
