//! A registry for documents whose leaves nobody has registered.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node, ParsingOptions};
use swarm_bt::{LeafKind, LeafModel, PortType, Registry};

use crate::scripts::Scripts;

/// Every leaf that the documents use and the registry does not know, as they use it.
///
/// 1. What `<TreeNodesModel>` declares as Action or Condition.
/// 2. Elements `<Action ID=..>` and `<Condition ID=..>`, and elements without children that are no built-in node: each
///    attribute is a port that reads and writes any value.
/// 3. The kind is that of the script, else the element's, else that of the model, else an action.
///
/// A document that is no XML gives nothing: the loader says what is wrong with it.
pub fn declare(mut registry: Registry, documents: &[(String, String)], scripts: &Scripts) -> Registry {
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (_, text) in documents {
        let options = ParsingOptions { allow_dtd: false, ..ParsingOptions::default() };
        let Ok(xml) = Document::parse_with_options(text, options) else { continue };
        for node in xml.descendants().filter(Node::is_element) {
            note(node, &mut found);
        }
    }
    for (id, leaf) in found {
        if registry.find(&id).is_some() || swarm_bt::is_builtin(&id) {
            continue;
        }
        let kind = scripts.kind(&id).or(leaf.kind).unwrap_or(LeafKind::Action);
        let model = match kind {
            LeafKind::Action => LeafModel::action(id),
            LeafKind::Condition => LeafModel::condition(id),
        };
        let model = leaf.ports.into_iter().fold(model, |model, port| model.inout(port, PortType::Any));
        registry.add(model);
    }
    registry
}

/// The paths of `<include path=..>`, as they stand in the document.
pub fn included(text: &str) -> Vec<String> {
    let Ok(xml) = Document::parse(text) else { return Vec::new() };
    let includes = xml.root_element().children().filter(|node| node.has_tag_name("include"));
    includes.filter_map(|node| node.attribute("path").map(str::to_owned)).collect()
}

#[derive(Default)]
struct Found {
    kind: Option<LeafKind>,
    ports: BTreeSet<String>,
}

fn note(node: Node<'_, '_>, found: &mut BTreeMap<String, Found>) {
    let tag = node.tag_name().name();
    let kind = match tag {
        "Action" => Some(LeafKind::Action),
        "Condition" => Some(LeafKind::Condition),
        _ => None,
    };
    let in_model = node.parent_element().is_some_and(|parent| parent.has_tag_name("TreeNodesModel"));
    let in_tree = node.ancestors().any(|outer| outer.has_tag_name("BehaviorTree"));
    let id = if kind.is_some() { node.attribute("ID") } else { Some(tag) };
    let (Some(id), true) = (id, in_tree || in_model && kind.is_some()) else { return };
    if kind.is_none() && node.children().any(|child| child.is_element()) {
        return;
    }
    if tag == "BehaviorTree" {
        return;
    }
    let leaf = found.entry(id.to_owned()).or_default();
    leaf.kind = kind.or(leaf.kind);
    if in_model {
        let ports = node.children().filter(Node::is_element).filter_map(|port| port.attribute("name"));
        leaf.ports.extend(ports.map(str::to_owned));
    } else {
        let ports = node.attributes().map(|attribute| attribute.name());
        let ports = ports.filter(|name| !name.starts_with('_') && !matches!(*name, "name" | "ID"));
        leaf.ports.extend(ports.map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(xml: &str, scripts: &str) -> Registry {
        let scripts = Scripts::parse(scripts).unwrap();
        declare(Registry::new(), &[("t.xml".to_owned(), xml.to_owned())], &scripts)
    }

    #[test]
    fn leaves_are_declared_from_their_use_the_model_and_the_script() {
        let registry = declared(
            r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Sequence _skipIf="false">
                 <Grasp width="{w}" name="left"/> <Condition ID="SeesPart"/> <AlwaysSuccess/> <Touches/>
               </Sequence></BehaviorTree>
               <TreeNodesModel><Action ID="Grasp"><input_port name="force"/></Action><Condition ID="Rests"/></TreeNodesModel>
               </root>"#,
            r#"{"Touches": {"kind": "condition", "answers": "S"}}"#,
        );
        let leaves: Vec<_> = registry
            .leaves()
            .iter()
            .map(|leaf| {
                (leaf.id.as_str(), leaf.kind, leaf.ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            leaves,
            [
                ("Grasp", LeafKind::Action, vec!["force", "width"]),
                ("Rests", LeafKind::Condition, vec![]),
                ("SeesPart", LeafKind::Condition, vec![]),
                ("Touches", LeafKind::Condition, vec![]),
            ]
        );
    }
}
