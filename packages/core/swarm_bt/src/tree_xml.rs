//! The tree as XML, in the form of BehaviorTree.CPP's `WriteTreeToXML` with metadata.
//!
//! One `BehaviorTree` per expanded SubTree, the main tree first, each in the order in which the SubTrees stand. Nodes carry `_uid`;
//! a SubTree node and its `BehaviorTree` carry the same `_fullpath`, which is also the name of its blackboard. `TreeNodesModel`
//! describes the leaves that the tree uses, so that a viewer knows actions from conditions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::{Direction, LeafKind, LeafModel, NodeInfo, PortType, Tree};

/// A loaded tree as one document of XML, for viewers and logs: every SubTree expanded, in the form of BehaviorTree.CPP's
/// `WriteTreeToXML` with metadata. Nodes carry `_uid`, SubTrees `_fullpath`.
pub fn tree_xml(tree: &Tree) -> String {
    let mut out = format!("<root BTCPP_format=\"4\" main_tree_to_execute=\"{}\">\n", escape(tree.main()));
    let mut children = vec![Vec::new(); tree.nodes().len() + 1];
    for node in tree.nodes() {
        if let Some(siblings) = children.get_mut(usize::from(node.parent.unwrap_or(0))) {
            siblings.push(node);
        }
    }
    let writer = Writer { children };
    let trees = tree.nodes().iter().filter(|node| node.is_subtree);
    writer.tree(&mut out, tree.main(), "", 0);
    for node in trees {
        writer.tree(&mut out, &node.id, &node.path, node.uid);
    }
    models(&mut out, tree);
    out.push_str("</root>\n");
    out
}

struct Writer<'a> {
    /// By the uid of the parent; the root's is 0.
    children: Vec<Vec<&'a NodeInfo>>,
}

impl<'a> Writer<'a> {
    fn children(&self, uid: u16) -> &[&'a NodeInfo] {
        self.children.get(usize::from(uid)).map_or(&[], Vec::as_slice)
    }

    /// A tree whose root is the child of the node `below`.
    fn tree(&self, out: &mut String, id: &str, path: &str, below: u16) {
        let _ = writeln!(out, "  <BehaviorTree ID=\"{}\" _fullpath=\"{}\">", escape(id), escape(path));
        for root in self.children(below) {
            self.node(out, root, 2);
        }
        out.push_str("  </BehaviorTree>\n");
    }

    fn node(&self, out: &mut String, node: &NodeInfo, depth: usize) {
        let indent = "  ".repeat(depth);
        let tag = if node.is_subtree { "SubTree" } else { &node.id };
        let _ = write!(out, "{indent}<{tag}");
        if node.is_subtree {
            let (id, path) = (escape(&node.id), escape(&node.path));
            let _ = write!(out, " ID=\"{id}\" _fullpath=\"{path}\"");
        }
        let _ = write!(out, " name=\"{}\" _uid=\"{}\"", escape(&node.name), node.uid);
        for (name, text) in node.attributes.iter().filter(|(name, _)| !is_metadata(name)) {
            let _ = write!(out, " {name}=\"{}\"", escape(text));
        }
        let children = self.children(node.uid);
        if node.is_subtree || children.is_empty() {
            out.push_str("/>\n");
            return;
        }
        out.push_str(">\n");
        for child in children {
            self.node(out, child, depth + 1);
        }
        let _ = writeln!(out, "{indent}</{tag}>");
    }
}

/// Attributes that are written anew here, or would be taken for ours.
fn is_metadata(name: &str) -> bool {
    matches!(name, "_uid" | "_fullpath")
}

/// The leaves in use, by their id.
fn models(out: &mut String, tree: &Tree) {
    let used: BTreeMap<&str, &LeafModel> = tree
        .nodes()
        .iter()
        .filter_map(|node| tree.leaf_model(node.uid))
        .map(|model| (model.id.as_str(), model))
        .collect();
    out.push_str("  <TreeNodesModel>\n");
    for (id, model) in used {
        let tag = match model.kind {
            LeafKind::Action => "Action",
            LeafKind::Condition => "Condition",
        };
        let _ = writeln!(out, "    <{tag} ID=\"{}\">", escape(id));
        for port in &model.ports {
            let direction = match port.direction {
                Direction::Input => "input_port",
                Direction::Output => "output_port",
                Direction::InOut => "inout_port",
            };
            let _ = write!(out, "      <{direction} name=\"{}\"", escape(&port.name));
            if port.ty != PortType::Any {
                let _ = write!(out, " type=\"{}\"", port.ty);
            }
            if let Some(default) = &port.default {
                let _ = write!(out, " default=\"{}\"", escape(default));
            }
            out.push_str("/>\n");
        }
        let _ = writeln!(out, "    </{tag}>");
    }
    out.push_str("  </TreeNodesModel>\n");
}

/// Text inside a quoted attribute. Line ends are kept by their numbers: a parser turns bare ones into spaces.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}
