//! The log of BehaviorTree.CPP (`BTCPP4-FileLogger2`), for Groot2 and whatever else reads it.
//!
//! `BTCPP4-FileLogger2`, protocol 1 (u8), length of the tree's XML (i32), that XML, the first time in us (i64); then 9 bytes for
//! each transition: us since the first time (6), uid (u16), status (u8: IDLE 0, RUNNING 1, SUCCESS 2, FAILURE 3). Little endian.

use std::fmt::Write as _;
use std::io::{self, Write};

use swarm_base::Time;
use swarm_bt::{NodeInfo, NodeStatus, Observer, Transition, Tree};

use crate::replay::{Parted, Replay};

/// What a file begins with.
pub const BTLOG_MAGIC: &str = "BTCPP4-FileLogger2";

/// Writes all transitions of a replay that stands at its beginning; `first_us` is the wall clock at time zero.
pub fn write_btlog(
    out: &mut impl Write,
    replay: &mut Replay<'_>,
    first_us: i64,
) -> io::Result<Result<u64, Parted>> {
    let xml = tree_xml(replay.tree());
    out.write_all(BTLOG_MAGIC.as_bytes())?;
    out.write_all(&[1])?;
    let length =
        i32::try_from(xml.len()).map_err(|_| io::Error::other("the tree's XML has more than 2 GiB"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(xml.as_bytes())?;
    out.write_all(&first_us.to_le_bytes())?;
    let mut timed = Timed::default();
    while let Some(step) = replay.forward(&mut timed) {
        if let Err(parted) = step {
            return Ok(Err(parted));
        }
    }
    for (now, transition) in &timed.seen {
        let us = now.0 / 1_000;
        out.write_all(us.to_le_bytes().get(..6).unwrap_or_default())?;
        out.write_all(&transition.uid.to_le_bytes())?;
        out.write_all(&[code(transition.new)])?;
    }
    Ok(Ok(timed.seen.len() as u64))
}

#[derive(Default)]
struct Timed {
    now: Time,
    seen: Vec<(Time, Transition)>,
}

impl Observer for Timed {
    fn begin(&mut self, _: u64, now: Time) {
        self.now = now;
    }

    fn transition(&mut self, transition: Transition) {
        self.seen.push((self.now, transition));
    }
}

fn code(status: NodeStatus) -> u8 {
    match status {
        NodeStatus::Idle => 0,
        NodeStatus::Running => 1,
        NodeStatus::Success => 2,
        NodeStatus::Failure => 3,
    }
}

/// The expanded tree with `_uid` and `_fullpath`, as `WriteTreeToXML` of BehaviorTree.CPP: one `BehaviorTree` for each SubTree.
pub fn tree_xml(tree: &Tree) -> String {
    let mut children = vec![Vec::new(); tree.nodes().len() + 1];
    for node in tree.nodes() {
        if let Some(siblings) = children.get_mut(usize::from(node.parent.unwrap_or(0))) {
            siblings.push(node);
        }
    }
    let children = Children(children);
    let mut out = format!("<root BTCPP_format=\"4\" main_tree_to_execute=\"{}\">", escape(tree.main()));
    children.tree(&mut out, tree.main(), "", 0);
    for node in tree.nodes().iter().filter(|node| children.is_subtree(node)) {
        children.tree(&mut out, &node.id, &node.path, node.uid);
    }
    out.push_str("</root>\n");
    out
}

/// Of each uid; 0 has the root.
struct Children<'a>(Vec<Vec<&'a NodeInfo>>);

impl<'a> Children<'a> {
    fn of(&self, uid: u16) -> &[&'a NodeInfo] {
        self.0.get(usize::from(uid)).map_or(&[], Vec::as_slice)
    }

    fn is_subtree(&self, node: &NodeInfo) -> bool {
        !swarm_bt::is_builtin(&node.id) && !self.of(node.uid).is_empty()
    }

    fn tree(&self, out: &mut String, id: &str, path: &str, below: u16) {
        let _ = write!(out, "\n <BehaviorTree ID=\"{}\" _fullpath=\"{}\">", escape(id), escape(path));
        for root in self.of(below) {
            self.node(out, root);
        }
        out.push_str("</BehaviorTree>");
    }

    fn node(&self, out: &mut String, node: &NodeInfo) {
        let (id, name, uid) = (escape(&node.id), escape(&node.name), node.uid);
        if self.is_subtree(node) {
            let path = escape(&node.path);
            let _ =
                write!(out, "\n  <SubTree ID=\"{id}\" _fullpath=\"{path}\" name=\"{name}\" _uid=\"{uid}\"/>");
            return;
        }
        let _ = write!(out, "\n  <{id} name=\"{name}\" _uid=\"{uid}\">");
        for child in self.of(node.uid) {
            self.node(out, child);
        }
        let _ = write!(out, "</{id}>");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
