//! A registry for documents whose leaves nobody has registered.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::Node;
use swarm_bt::{LeafKind, LeafModel, PortType, Registry, Xml};

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
        let Ok(xml) = Xml::new(text) else { continue };
        let Ok(document) = xml.parse() else { continue };
        for part in document.root_element().children().filter(Node::is_element) {
            match part.tag_name().name() {
                "BehaviorTree" => {
                    let nodes = part.descendants().skip(1).filter(Node::is_element);
                    nodes.for_each(|node| note_use(node, &mut found));
                }
                "TreeNodesModel" => {
                    let models = part.children().filter(Node::is_element);
                    models.for_each(|model| note_model(model, &mut found));
                }
                _ => {}
            }
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
    let Ok(xml) = Xml::new(text) else { return Vec::new() };
    let Ok(document) = xml.parse() else { return Vec::new() };
    let includes = document.root_element().children().filter(|node| node.has_tag_name("include"));
    includes.filter_map(|node| node.attribute("path").map(str::to_owned)).collect()
}

#[derive(Default)]
struct Found {
    kind: Option<LeafKind>,
    ports: BTreeSet<String>,
}

fn kind(node: Node<'_, '_>) -> Option<LeafKind> {
    match node.tag_name().name() {
        "Action" => Some(LeafKind::Action),
        "Condition" => Some(LeafKind::Condition),
        _ => None,
    }
}

fn note<'f>(id: &str, kind: Option<LeafKind>, found: &'f mut BTreeMap<String, Found>) -> &'f mut Found {
    let leaf = found.entry(id.to_owned()).or_default();
    leaf.kind = kind.or(leaf.kind);
    leaf
}

/// A node in a tree.
fn note_use(node: Node<'_, '_>, found: &mut BTreeMap<String, Found>) {
    let kind = kind(node);
    let id = if kind.is_some() { node.attribute("ID") } else { Some(node.tag_name().name()) };
    let Some(id) = id else { return };
    if kind.is_none() && node.children().any(|child| child.is_element()) {
        return;
    }
    let ports = node.attributes().map(|attribute| attribute.name());
    let ports = ports.filter(|name| !name.starts_with('_') && !matches!(*name, "name" | "ID"));
    note(id, kind, found).ports.extend(ports.map(str::to_owned));
}

/// What `<TreeNodesModel>` says of a leaf.
fn note_model(model: Node<'_, '_>, found: &mut BTreeMap<String, Found>) {
    let (Some(kind), Some(id)) = (kind(model), model.attribute("ID")) else { return };
    let ports = model.children().filter(Node::is_element).filter_map(|port| port.attribute("name"));
    note(id, Some(kind), found).ports.extend(ports.map(str::to_owned));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(xml: &str, scripts: &str) -> Registry {
        let scripts = Scripts::parse(scripts).unwrap();
        declare(Registry::new(), &[("t.xml".to_owned(), xml.to_owned())], &scripts)
    }

    #[test]
    fn what_only_behaviortree_cpp_reads_is_read() {
        let registry = declared(
            r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Grasp width="{w}" _skipIf="x < 3 && y"/></BehaviorTree></root>"#,
            "{}",
        );
        assert_eq!(registry.leaves()[0].id, "Grasp");
        assert_eq!(included(r#"<root a="b && c"><include path="lib.xml"/></root>"#), ["lib.xml"]);
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
