//! A small world to check trees of. Shared by the integration tests.
#![allow(dead_code, unreachable_pub)] // a module of several test binaries, each of which uses a part

use swarm_bt::{LeafModel, Loader, PortType, Registry, Tree};
use swarm_bt_check::{Answers, Given, LeafTable, Limits, Meeting, Pace, Report, RoleTree, Together, check};

/// `Act` may do anything, `Move` takes time, `Blink` answers at once, `Stay` never ends; `See` is a condition.
pub fn registry() -> Registry {
    use PortType::{Any, Str};
    Registry::new()
        .leaf(LeafModel::action("Act"))
        .leaf(LeafModel::action("Move"))
        .leaf(LeafModel::action("Blink"))
        .leaf(LeafModel::action("Stay"))
        .leaf(LeafModel::condition("See"))
        .leaf(LeafModel::action("Measure").output("value", PortType::Int))
        .leaf(LeafModel::action("Use").input("value", Any))
        .leaf(LeafModel::action("EnterPhase").input("phase", Str))
        .leaf(LeafModel::action("Barrier").input("meeting", Str).input_or("roles", Str, ""))
        .leaf(LeafModel::action("Quorum").input("meeting", Str).input("k", Str))
        .leaf(LeafModel::action("Lock").input("resource", Str))
        .leaf(LeafModel::action("Unlock").input("resource", Str))
        .leaf(LeafModel::action("KeepLock").input("resource", Str))
        .leaf(LeafModel::action("RequestHold"))
        .leaf(LeafModel::action("ReleaseHold"))
        .leaf(LeafModel::action("AbortRun"))
}

pub fn table() -> LeafTable {
    let meeting = Meeting { kind: "barrier", name: "meeting", roles: &["roles"], enough: None };
    LeafTable::new()
        .leaf("Move", Answers::ACTION, Pace::TakesTime)
        .leaf("Blink", Answers::COMPLETED, Pace::AtOnce)
        .leaf("Stay", Answers::RUNNING, Pace::TakesTime)
        .together("EnterPhase", Together::Phase { name: "phase" })
        .together("Barrier", Together::Meet(meeting))
        .together("Quorum", Together::Meet(Meeting { kind: "quorum", enough: Some("k"), ..meeting }))
        .together("Lock", Together::Acquire { resource: "resource" })
        .together("Unlock", Together::GiveBack { resource: "resource" })
        .together("KeepLock", Together::Keep { resource: "resource" })
        .together("RequestHold", Together::Hold)
        .together("ReleaseHold", Together::ReleaseHold)
        .together("AbortRun", Together::EndRun)
}

/// A document with one tree.
pub fn document(body: &str) -> String {
    format!("<root BTCPP_format=\"4\"><BehaviorTree ID=\"T\">\n{body}\n</BehaviorTree></root>")
}

pub fn load(name: &str, xml: &str) -> Tree {
    match Loader::new(&registry()).document(name, xml).load() {
        Ok(tree) => tree,
        Err(errors) => panic!("does not load: {errors}\n{xml}"),
    }
}

/// Checks one tree, of which only the inside is given.
pub fn check_one(body: &str) -> Report {
    check_roles(&[("", body)])
}

/// Checks the trees of several roles.
pub fn check_roles(roles: &[(&str, &str)]) -> Report {
    let trees: Vec<Tree> =
        roles.iter().map(|(role, body)| load(&format!("{role}.xml"), &document(body))).collect();
    let roles: Vec<RoleTree<'_>> =
        roles.iter().zip(&trees).map(|((role, _), tree)| RoleTree { role, tree }).collect();
    check(&roles, &table(), &Given::new(), Limits::default())
}

/// Codes of the findings, in order.
pub fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code.as_str()).collect()
}
