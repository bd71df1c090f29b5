//! The shipped skill passes the static checker, and mistakes that are made in it on purpose are found.

use std::path::Path;

use swarm_bt::{LeafKind, Loader, Tree};
use swarm_bt_check::{Given, Limits, Report, RoleTree, check};
use swarm_skill_core::project::project;
use swarm_skill_core::{leaf_table, registry};

const ROLES: [&str; 3] = ["leader", "follower", "spotter"];

/// The trees of the shipped skill.
fn shipped() -> [String; 3] {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/cooperative_assembly/trees");
    ROLES.map(|role| std::fs::read_to_string(trees.join(format!("{role}.xml"))).expect("the tree is there"))
}

fn checked(texts: &[String; 3]) -> Report {
    let registry = registry();
    let load = |text| Loader::new(&registry).document("tree.xml", text).load();
    let trees: Vec<Tree> =
        texts.iter().map(|text| load(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))).collect();
    let roles: Vec<RoleTree<'_>> =
        ROLES.iter().zip(&trees).map(|(role, tree)| RoleTree { role, tree }).collect();
    check(&roles, &leaf_table(), &Given::new(), Limits::default())
}

fn lines(report: &Report) -> String {
    report.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_skill_passes_and_everything_has_been_looked_at() {
    let report = checked(&shipped());
    assert_eq!(lines(&report), "");
    assert_eq!(report.explored.len(), 4, "each role, and all together");
    for explored in &report.explored {
        assert!(explored.exhausted, "{explored}");
    }
}

#[test]
fn the_checker_is_told_of_every_action() {
    let table = leaf_table();
    let registry = registry();
    let actions = registry.leaves().iter().filter(|leaf| leaf.kind == LeafKind::Action);
    let unknown: Vec<&str> = actions.map(|leaf| leaf.id.as_str()).filter(|id| !table.knows(id)).collect();
    assert_eq!(unknown, Vec::<&str>::new(), "a leaf that nothing is known of only gives warnings");
}

#[test]
fn a_policy_that_is_started_over_by_the_motion_before_it_is_an_error() {
    let mutant = mutants(
        r#"<EnterPhase phase="retreat"/>"#,
        r#"<ReactiveSequence><MoveJoints/><FollowPolicy policy="p" duration_s="1.0"/></ReactiveSequence><EnterPhase phase="retreat"/>"#,
    );
    all_have_error(&mutant[..1], "BT401");
}

#[test]
fn an_exploration_that_is_cut_short_is_a_warning() {
    let registry = registry();
    let load = |text: &String| Loader::new(&registry).document("tree.xml", text).load().expect("loads");
    let trees: Vec<Tree> = shipped().iter().map(load).collect();
    let roles: Vec<RoleTree<'_>> =
        ROLES.iter().zip(&trees).map(|(role, tree)| RoleTree { role, tree }).collect();
    let limits = Limits { states: 3, ..Limits::default() };
    let report = check(&roles, &leaf_table(), &Given::new(), limits);
    let cut: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.code.as_str() == "BT601")
        .map(|finding| format!("{} {}", finding.severity.as_str(), finding.problem))
        .collect();
    assert_eq!(cut.len(), 4, "of each role, and of all together: {cut:?}");
    let of_leader = "warning explored 3 states of leader, up to";
    assert!(cut.iter().any(|text| text.starts_with(of_leader) && text.contains("not all")), "{cut:?}");
    assert!(cut.iter().any(|text| text.contains("states of all roles")), "{cut:?}");
}

/// One document for the three roles, with the middle of leader and follower given.
fn in_one_document(leader: &str, follower: &str) -> [String; 3] {
    let text = format!(
        r#"<root BTCPP_format="4" main_tree_to_execute="All">
             <BehaviorTree ID="All"><Sequence><EnterPhase phase="go"/>
               <SubTree ID="L" role="leader"/><SubTree ID="F" role="follower"/></Sequence></BehaviorTree>
             <BehaviorTree ID="L"><Sequence>{leader}</Sequence></BehaviorTree>
             <BehaviorTree ID="F"><Sequence>{follower}</Sequence></BehaviorTree>
           </root>"#
    );
    ROLES.map(|role| {
        project("all.xml", &text, role.parse().expect("a role")).expect("the document is one of roles")
    })
}

#[test]
fn leases_taken_in_opposite_orders_are_found() {
    let uses = |outer: &str, inner: &str| {
        format!(
            r#"<Lease resource="{outer}"><Sequence><MoveJoints/><Lease resource="{inner}"><MoveJoints/></Lease></Sequence></Lease>"#
        )
    };
    let same = in_one_document(&uses("bench", "tool"), &uses("bench", "tool"));
    assert_eq!(lines(&checked(&same)), "");
    all_are_found(&[in_one_document(&uses("bench", "tool"), &uses("tool", "bench"))], "BT503");
}

#[test]
fn a_hand_over_needs_both_of_its_roles() {
    let hand_over = r#"<Handover item="peg" from="leader" to="follower"><Grip force="20"/></Handover>"#;
    assert_eq!(lines(&checked(&in_one_document(hand_over, hand_over))), "");
    all_are_found(&[in_one_document(hand_over, "<MoveJoints/>")], "BT503");
}

/// Every place where `from` stands in some role's tree, replaced by `to` one at a time.
fn mutants(from: &str, to: &str) -> Vec<[String; 3]> {
    let shipped = shipped();
    let mut mutants = Vec::new();
    for role in 0..ROLES.len() {
        for (at, _) in shipped[role].match_indices(from) {
            let mut mutant = shipped.clone();
            mutant[role].replace_range(at..at + from.len(), to);
            mutants.push(mutant);
        }
    }
    mutants
}

fn all_have_error(mutants: &[[String; 3]], expected: &str) {
    assert!(!mutants.is_empty());
    for mutant in mutants {
        let report = checked(mutant);
        let codes: Vec<&str> = report.errors().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&expected), "{codes:?} lack {expected}:\n{}\n{mutant:?}", lines(&report));
    }
}

fn all_are_found(mutants: &[[String; 3]], expected: &str) {
    all_have_error(mutants, expected);
    for mutant in mutants {
        let report = checked(mutant);
        let found = report.errors().find(|finding| finding.code.as_str() == expected);
        assert!(found.is_some_and(|finding| finding.example.is_some()), "a run shows it");
    }
}

#[test]
fn a_barrier_that_one_role_lacks_is_found() {
    for phase in ["approach", "grip", "bring", "mate", "retreat"] {
        all_are_found(&mutants(&format!(r#"<EnterPhase phase="{phase}"/>"#), ""), "BT501");
    }
}

#[test]
fn phases_that_one_role_enters_in_another_order_are_found() {
    for (one, other) in [("approach", "grip"), ("grip", "bring"), ("bring", "mate")] {
        let (one, other) = (format!(r#"phase="{one}""#), format!(r#"phase="{other}""#));
        for role in 0..ROLES.len() {
            let mut mutant = shipped();
            mutant[role] = mutant[role]
                .replace(&one, "phase=\"?\"")
                .replace(&other, &one)
                .replace("phase=\"?\"", &other);
            all_are_found(&[mutant], "BT501");
        }
    }
}

#[test]
fn a_way_around_a_barrier_is_found() {
    let bypass = r#"<Fallback><Sequence><Grip force="10"/><EnterPhase phase="mate"/></Sequence><AlwaysSuccess/></Fallback>"#;
    for mutant in mutants(r#"<EnterPhase phase="mate"/>"#, bypass) {
        let report = checked(&mutant);
        assert!(report.errors().count() > 0, "{mutant:?}");
    }
}

#[test]
fn others_that_are_made_to_stand_for_ever_are_found() {
    // Both places at which the spotter lets the others go again.
    all_are_found(&mutants("<ReleaseHold/>", ""), "BT503");
}

#[test]
fn a_leaf_that_never_ends_is_found() {
    all_are_found(&mutants(r#"<MoveJoints name="home" speed="0.6"/>"#, "<Hold/>"), "BT301");
}

#[test]
fn motions_that_halt_one_another_are_found() {
    let reactive = r#"<ReactiveSequence><Locate part="part_b"/><MoveJoints/></ReactiveSequence>"#;
    all_are_found(&mutants(r#"<MoveJoints name="home" speed="0.6"/>"#, reactive), "BT401");
}
