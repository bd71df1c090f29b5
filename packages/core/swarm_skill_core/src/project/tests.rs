use std::fmt::Write as _;

use swarm_base::{Duration, Role, Time};
use swarm_bt::{Halt, LeafCall, Leaves, Loader, State, Status, Tree, tick};

use super::*;
use crate::leaves::registry;

fn document(body: &str) -> String {
    format!("<root BTCPP_format=\"4\">\n<BehaviorTree ID=\"Main\">\n{body}\n</BehaviorTree>\n{OTHERS}</root>")
}

const OTHERS: &str =
    "<BehaviorTree ID=\"Lead\"><Hold/></BehaviorTree>\n<BehaviorTree ID=\"Watch\"><Hold/></BehaviorTree>\n";

fn loaded(xml: &str, role: Role) -> Tree {
    let projected = project("all.xml", xml, role).unwrap_or_else(|errors| panic!("{errors}"));
    let tree = Loader::new(&registry()).document("all.xml", &projected).main_tree("Main").load();
    tree.unwrap_or_else(|errors| panic!("{errors}\n{projected}"))
}

fn ids(tree: &Tree) -> Vec<&str> {
    tree.nodes().iter().map(|node| &*node.id).collect()
}

#[test]
fn a_subtree_stands_only_in_the_trees_of_its_roles() {
    let xml = document(
        "<Sequence>\n<SubTree ID=\"Lead\" role=\"leader\"/>\n<SubTree ID=\"Watch\" role=\"follower; spotter\"/>\n<Hold/>\n</Sequence>",
    );
    let names = |role| {
        let tree = loaded(&xml, role);
        tree.nodes().iter().map(|node| node.path.clone()).collect::<Vec<_>>().join(" ")
    };
    assert!(names(Role::Leader).contains("Lead") && !names(Role::Leader).contains("Watch"));
    assert!(names(Role::Spotter).contains("Watch") && !names(Role::Spotter).contains("Lead"));
}

#[test]
fn a_document_without_roles_is_left_as_it_is() {
    let xml =
        document("<Sequence><ForceBelow role=\"leader\" limit_n=\"3\"/><SubTree ID=\"Lead\"/></Sequence>");
    assert_eq!(project("a.xml", &xml, Role::Spotter), Ok(xml));
}

#[test]
fn what_only_behaviortree_cpp_reads_is_projected_as_it_is_written() {
    let xml = document(
        "<Sequence _skipIf=\"x < 3 && y\"><Script code=\"x := 1 & 3\"/>\n<SubTree ID=\"Lead\" go=\"a && b\" role=\"leader\"/>\n\
         <Lease resource=\"bench\" _while=\"x < 9\"><ScriptCondition code=\"x < 3 && x >= 1\"/></Lease>\n\
         <Handover item=\"p\" from=\"leader\" to=\"follower\"><Script code=\"y := x < 2\"/></Handover></Sequence>",
    );
    let leader = project("a.xml", &xml, Role::Leader).unwrap();
    assert!(leader.contains("<SubTree ID=\"Lead\" go=\"a && b\" />"), "{leader}");
    assert!(leader.contains("<Sequence _while=\"x < 9\"><AcquireLease resource=\"bench\"/>"), "{leader}");
    let spotter = project("a.xml", &xml, Role::Spotter).unwrap();
    assert!(!spotter.contains("Lead\" go") && !spotter.contains("y := x < 2"), "{spotter}");
    for role in Role::ALL {
        let tree = loaded(&xml, role);
        let codes = tree.nodes().iter().filter(|node| &*node.id == "ScriptCondition").count();
        assert_eq!(codes, 1, "in the tree of {role}");
    }
    let mistake =
        document("<Sequence _skipIf=\"a && b && c\">\n<Script code=\"x := 1 && 2\"/> <Lease/></Sequence>");
    let error = project("a.xml", &mistake, Role::Leader).unwrap_err().to_string();
    assert!(error.starts_with("a.xml:4:30: <Lease> has 0 children"), "{error}");
}

#[test]
fn nothing_is_looked_for_in_what_another_role_does() {
    let xml = document(
        "<Sequence><SubTree ID=\"Lead\" role=\"leader\"><SubTree ID=\"Watch\" role=\"spotter\"/></SubTree><Hold/></Sequence>",
    );
    let spotter = project("a.xml", &xml, Role::Spotter).unwrap();
    assert_eq!(spotter, document("<Sequence><Hold/></Sequence>"));
}

/// Each would keep the parser busy for minutes to hours.
#[test]
fn documents_that_are_made_to_cost_a_lot_are_refused() {
    let (mut attributes, mut nested) = (String::new(), String::new());
    for i in 0..300_000 {
        let _ = write!(attributes, " a{i}=\"\"");
    }
    for i in 0..1_000 {
        let _ = write!(nested, "<a xmlns:p{i}=\"n{i}\">");
    }
    let rows = [
        (document(&format!("<Hold{attributes}/>")), "more than 256 attributes in one element"),
        (document(&format!("{nested}{}", "</a>".repeat(1_000))), "more than 16 namespaces are declared"),
        (
            document(&format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000))),
            "nested more than 1024 deep",
        ),
    ];
    for (xml, why) in rows {
        let error = project("a.xml", &xml, Role::Leader).unwrap_err().to_string();
        assert!(error.starts_with("a.xml:3:") && error.contains(why), "{error}");
        let documents = [("a.xml".to_owned(), xml)];
        let role = RoleDocuments { role: Role::Leader, documents: &documents, main_tree: "Main" };
        assert!(check_entries(&[role], &registry()).is_empty(), "loading it says what is wrong");
    }
    let mistakes = document(&format!("<Sequence>{}</Sequence>", "<Lease/>".repeat(50_000)));
    let errors = project("a.xml", &mistakes, Role::Leader).unwrap_err();
    assert_eq!(errors.0.len(), 200);
}

#[test]
fn lines_stay_what_they_were() {
    let xml = document(
        "<Sequence>\n<SubTree ID=\"Lead\"\n  role=\"leader\">\n</SubTree>\n<Lease\n resource=\"bench\"\n>\n<Hold/>\n</Lease>\n<Mistake/>\n</Sequence>",
    );
    let line = |text: &str| text.lines().position(|line| line.contains("Mistake"));
    for role in Role::ALL {
        assert_eq!(line(&project("a.xml", &xml, role).unwrap()), line(&xml));
    }
}

#[test]
fn nodes_of_several_roles_become_nodes_that_load() {
    let xml = document(
        "<Sequence>
           <Lease resource=\"bench\" timeout_s=\"3\" name=\"at the bench\"><Hold/></Lease>
           <Handover item=\"peg\" from=\"leader\" to=\"follower\"><Hold/></Handover>
           <ProgressSync work=\"sweep\" value=\"{done}\" delta=\"0.1\"><Script code=\"done := 1.0\"/></ProgressSync>
           <OnRoleLost role=\"spotter\"><Hold/><Sequence><Hold/></Sequence></OnRoleLost>
         </Sequence>",
    );
    let tree = loaded(&xml, Role::Leader);
    assert_eq!(
        ids(&tree),
        [
            "Sequence",
            "Sequence",
            "AcquireLease",
            "Parallel",
            "KeepLease",
            "Sequence",
            "Hold",
            "ReleaseLease",
            "Sequence",
            "BeginHandover",
            "Parallel",
            "KeepHandover",
            "Sequence",
            "Hold",
            "EndHandover",
            "Parallel",
            "KeepPace",
            "Script",
            "ReactiveSequence",
            "Fallback",
            "RoleLive",
            "ForceFailure",
            "Hold",
            "Sequence",
            "Hold"
        ]
    );
    assert_eq!(&*tree.nodes()[1].name, "at the bench");
    let spotter = loaded(&xml, Role::Spotter);
    assert!(ids(&spotter).contains(&"AlwaysSuccess") && !ids(&spotter).contains(&"BeginHandover"));
}

#[test]
fn mistakes_are_named_with_file_line_and_column() {
    let cases = [
        (
            "<SubTree ID=\"Lead\" role=\"boss\"/>",
            "a.xml:3:1: role=\"boss\": 'boss' is not a role; expected leader, follower or spotter",
        ),
        (
            "<SubTree ID=\"Lead\" role=\" ; \"/>",
            "a.xml:3:1: role=\"\" names no role; leave the attribute out for all roles",
        ),
        ("<Lease><Hold/></Lease>", "a.xml:3:1: <Lease> needs attribute resource"),
        (
            "<Lease resource=\"b\"/>",
            "a.xml:3:1: <Lease> has 0 children, expected one: what uses the resource",
        ),
        (
            "<Lease resource=\"b\" timeout=\"3\"><Hold/></Lease>",
            "a.xml:3:1: <Lease> has no attribute 'timeout'; it has resource, timeout_s",
        ),
        (
            "<Handover item=\"p\" from=\"leader\" to=\"leader\"><Hold/></Handover>",
            "a.xml:3:1: <Handover> from leader to itself",
        ),
        (
            "<Sequence>\n  <OnRoleLost role=\"me\"><Hold/><Hold/></OnRoleLost></Sequence>",
            "a.xml:4:3: role=\"me\": 'me' is not a role; expected leader, follower or spotter",
        ),
        ("<Open>", "a.xml:4:1: not well-formed XML: "),
    ];
    for (body, expected) in cases {
        let error = project("a.xml", &document(body), Role::Leader).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_follower_may_not_read_what_only_the_leader_writes_as_its_own() {
    let leader = document(
        "<Sequence><Script code=\"role_count := 1; cell_goal := 2\"/><ScriptCondition code=\"role_count == 1\"/></Sequence>",
    );
    let follower = document(
        "<Sequence>\n<ScriptCondition code=\"cell_goal == 2\"/>\n<ProgressSync work=\"w\" value=\"{role_count}\" delta=\"1\"><Hold/></ProgressSync></Sequence>",
    );
    let follower = project("f.xml", &follower, Role::Follower).unwrap();
    let (leader, follower) = ([("l.xml".to_owned(), leader)], [("f.xml".to_owned(), follower)]);
    let problems = check_entries(
        &[
            RoleDocuments { role: Role::Leader, documents: &leader, main_tree: "Main" },
            RoleDocuments { role: Role::Follower, documents: &follower, main_tree: "Main" },
        ],
        &registry(),
    );
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "f.xml:5: the tree of follower reads 'role_count', which only leader writes; an entry role_... belongs to one role, use cell_... for all"
        ]
    );
}

#[test]
fn an_included_document_is_looked_at_too() {
    let leader = [("l.xml".to_owned(), document("<Script code=\"role_count := 1\"/>"))];
    let library = "<root BTCPP_format=\"4\">\n<BehaviorTree ID=\"Part\">\n<ScriptCondition code=\"role_count == 1\"/></BehaviorTree></root>";
    let follower = [
        ("f.xml".to_owned(), document("<SubTree ID=\"Part\" _autoremap=\"true\"/>")),
        ("lib.xml".to_owned(), library.to_owned()),
    ];
    let problems = check_entries(
        &[
            RoleDocuments { role: Role::Leader, documents: &leader, main_tree: "Main" },
            RoleDocuments { role: Role::Follower, documents: &follower, main_tree: "Main" },
        ],
        &registry(),
    );
    let places: Vec<(&str, u32)> = problems.iter().map(|found| (&*found.document, found.line)).collect();
    assert_eq!(places, [("lib.xml", 3)]);
}

/// Answers by a script of statuses per leaf; notes what is called.
#[derive(Default)]
struct Scripted {
    calls: Vec<String>,
    /// Leaves that answer SUCCESS when started, FAILURE if they are in `fail`; all others run.
    succeed: Vec<&'static str>,
    fail: Vec<&'static str>,
}

impl Scripted {
    fn answer(&self, id: &str) -> Status {
        if self.succeed.contains(&id) {
            Status::Success
        } else if self.fail.contains(&id) {
            Status::Failure
        } else {
            Status::Running
        }
    }
}

impl Leaves for Scripted {
    fn start(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.calls.push(format!("start {}", leaf.id()));
        self.answer(leaf.id())
    }

    fn running(&mut self, leaf: &mut LeafCall<'_>) -> Status {
        self.answer(leaf.id())
    }

    fn halt(&mut self, leaf: &mut LeafCall<'_>) -> Halt {
        self.calls.push(format!("halt {}", leaf.id()));
        Halt::Done
    }
}

fn ticked(tree: &Tree, state: &mut State, leaves: &mut Scripted, number: u64) -> Status {
    tick(tree, state, Time::ZERO + Duration::from_millis(10 * number), leaves).unwrap()
}

#[test]
fn a_lease_is_given_back_however_its_child_ends() {
    let tree = loaded(&document("<Lease resource=\"b\"><Grip force=\"1\"/></Lease>"), Role::Leader);
    for (ending, expected, last) in [
        (Some(Status::Success), Status::Success, vec!["start ReleaseLease", "halt KeepLease"]),
        (Some(Status::Failure), Status::Failure, vec!["start Grip", "halt KeepLease"]),
        (None, Status::Running, vec!["halt KeepLease", "halt Grip"]),
    ] {
        let mut state = State::new(&tree);
        let mut leaves = Scripted { succeed: vec!["AcquireLease", "ReleaseLease"], ..Scripted::default() };
        match ending {
            Some(Status::Success) => leaves.succeed.push("Grip"),
            Some(_) => leaves.fail.push("Grip"),
            None => {}
        }
        assert_eq!(ticked(&tree, &mut state, &mut leaves, 1), expected);
        if ending.is_none() {
            swarm_bt::halt(&tree, &mut state, Time::ZERO, &mut leaves, &mut ()).unwrap();
        }
        assert!(
            leaves.calls.ends_with(&last.into_iter().map(String::from).collect::<Vec<_>>()),
            "{:?}",
            leaves.calls
        );
    }
}

#[test]
fn a_lost_role_interrupts_the_work_and_the_rest_is_recovery() {
    let xml =
        document("<OnRoleLost role=\"spotter\"><Release width=\"0.1\"/><Grip force=\"1\"/></OnRoleLost>");
    let tree = loaded(&xml, Role::Leader);
    let mut state = State::new(&tree);
    let mut leaves = Scripted { succeed: vec!["RoleLive"], ..Scripted::default() };
    assert_eq!(ticked(&tree, &mut state, &mut leaves, 1), Status::Running);
    leaves.succeed.clear();
    leaves.fail.push("RoleLive");
    assert_eq!(ticked(&tree, &mut state, &mut leaves, 2), Status::Running);
    // Back again: the recovery is gone through with.
    leaves.fail.clear();
    leaves.succeed.push("RoleLive");
    assert_eq!(ticked(&tree, &mut state, &mut leaves, 3), Status::Running);
    leaves.succeed.push("Release");
    assert_eq!(ticked(&tree, &mut state, &mut leaves, 4), Status::Failure);
    let calls: Vec<&str> = leaves.calls.iter().map(String::as_str).collect();
    assert_eq!(calls, ["start RoleLive", "start Grip", "start RoleLive", "start Release", "halt Grip"]);
}
