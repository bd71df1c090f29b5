//! Who writes and who reads entries that belong to one role.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};
use swarm_base::Role;
use swarm_bt::{Direction, Registry, Xml};

/// The projected documents of a role: its own, and those that it includes.
#[derive(Clone, Copy, Debug)]
pub struct RoleDocuments<'a> {
    pub role: Role,
    /// Names, for messages, and texts.
    pub documents: &'a [(String, String)],
    pub main_tree: &'a str,
}

/// A tree that reads what another role writes as its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{document}:{line}: the tree of {reader} reads '{key}', which only {writer} writes; an entry role_... belongs to one role, use cell_... for all"
)]
pub struct EntryProblem {
    pub document: String,
    /// From 1 on.
    pub line: u32,
    pub reader: Role,
    pub writer: Role,
    pub key: String,
}

/// Refuses a read of a `role_...` entry that the reader's own tree never writes, but another role's does. Mentions in scripts count as
/// reads unless they are assigned to.
pub fn check_entries(roles: &[RoleDocuments<'_>], registry: &Registry) -> Vec<EntryProblem> {
    let uses: Vec<Uses> = roles.iter().map(|role| Uses::of(role, registry)).collect();
    let mut problems = Vec::new();
    for (reader, own) in roles.iter().zip(&uses) {
        for (key, (document, line)) in own.reads.iter().filter(|(key, _)| !own.writes.contains(*key)) {
            let writer = roles.iter().zip(&uses).find(|(_, other)| other.writes.contains(key));
            if let Some((writer, _)) = writer {
                problems.push(EntryProblem {
                    document: document.clone(),
                    line: *line,
                    reader: reader.role,
                    writer: writer.role,
                    key: key.clone(),
                });
            }
        }
    }
    problems
}

#[derive(Default)]
struct Uses {
    /// Key, and document and line that read it first.
    reads: BTreeMap<String, (String, u32)>,
    writes: BTreeSet<String>,
}

/// A document that is well-formed, with its name and its text.
type Parsed<'a> = (&'a str, &'a Xml<'a>, Document<'a>);

impl Uses {
    /// Of all trees that the main one reaches. A document that is no XML has none; loading it says what is wrong.
    fn of(role: &RoleDocuments<'_>, registry: &Registry) -> Self {
        let mut uses = Self::default();
        let read: Vec<(&str, Xml<'_>)> = role
            .documents
            .iter()
            .filter_map(|(name, text)| Some((name.as_str(), Xml::new(text).ok()?)))
            .collect();
        let parsed: Vec<Parsed<'_>> =
            read.iter().filter_map(|(name, xml)| Some((*name, xml, xml.parse().ok()?))).collect();
        let trees = parsed.iter().flat_map(|document| {
            let trees = document.2.root_element().children().filter(|node| node.has_tag_name("BehaviorTree"));
            trees.filter_map(move |tree| Some((tree.attribute("ID")?, (document, tree))))
        });
        let by_id: BTreeMap<&str, (&Parsed<'_>, Node<'_, '_>)> = trees.collect();
        let (mut reached, mut open) = (BTreeSet::new(), vec![role.main_tree]);
        while let Some(id) = open.pop().filter(|_| reached.len() <= by_id.len()) {
            let Some((document, tree)) = by_id.get(id).filter(|_| reached.insert(id.to_owned())) else {
                continue;
            };
            for element in tree.descendants().filter(Node::is_element) {
                if element.has_tag_name("SubTree") {
                    open.extend(element.attribute("ID"));
                }
                uses.look(document, element, registry);
            }
        }
        uses
    }

    fn look(&mut self, (name, xml, _): &Parsed<'_>, element: Node<'_, '_>, registry: &Registry) {
        let id = match element.tag_name().name() {
            "Action" | "Condition" => element.attribute("ID").unwrap_or_default(),
            tag => tag,
        };
        let model = registry.find(id).and_then(|index| registry.leaves().get(index));
        for attribute in element.attributes() {
            let port = model.and_then(|model| model.ports.iter().find(|port| port.name == attribute.name()));
            let direction = port.map_or(Direction::Input, |port| port.direction);
            let (line, _) = xml.line_and_column(attribute.range().start);
            let is_output_key = id == "SetBlackboard" && attribute.name() == "output_key";
            for (key, assigned) in mentions(attribute.value()) {
                if assigned || is_output_key || direction != Direction::Input {
                    self.writes.insert(key.to_owned());
                }
                if !(assigned || is_output_key) && direction != Direction::Output {
                    self.reads.entry(key.to_owned()).or_insert_with(|| ((*name).to_owned(), line));
                }
            }
        }
    }
}

/// The role-shared keys in a port's value or a script, each with whether it is assigned to.
fn mentions(text: &str) -> Vec<(&str, bool)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("role_").map(|offset| at + offset) {
        let end = text[start..].find(|c| !is_name(c)).map_or(text.len(), |length| start + length);
        let begins_a_name = !text[..start].ends_with(is_name);
        let rest = text[end..].trim_start();
        let assigned = rest.starts_with(":=") || (rest.starts_with('=') && !rest.starts_with("=="));
        if begins_a_name {
            found.push((&text[start..end], assigned));
        }
        at = end;
    }
    found
}
