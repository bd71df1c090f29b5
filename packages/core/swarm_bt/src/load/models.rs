//! `<TreeNodesModel>`: what editors know of the nodes.
//!
//! The models of SubTrees count: they say which ports must be remapped and give defaults for the others. The models of leaves
//! are compared with the registry, so that an editor cannot offer a port that the runtime does not have. Whether a leaf is an
//! action or a condition is not compared: BehaviorTree.CPP's own examples mix the two.

use std::collections::BTreeMap;

use super::error::{LoadError, LoadErrorKind};
use super::source::{Element, Source};
use super::{builtin, check_name, check_port_name, nearest};
use crate::model::{Direction, LeafModel, Registry};
use crate::value::PortType;

/// Ports of a SubTree and their defaults, by name.
pub(super) type SubTreePorts<'d> = BTreeMap<&'d str, Option<&'d str>>;

impl<'d> Source<'d> {
    /// Reads all models of a document.
    pub(super) fn add_models(
        &mut self,
        models: Element<'d>,
        registry: &Registry,
        errors: &mut Vec<LoadError>,
    ) {
        for model in models.children() {
            if let Err(kind) = self.add_model(model, registry, errors) {
                errors.push(self.error(model.place(), "", kind));
            }
        }
    }

    fn add_model(
        &mut self,
        model: Element<'d>,
        registry: &Registry,
        errors: &mut Vec<LoadError>,
    ) -> Result<(), LoadErrorKind> {
        if !matches!(model.tag(), "Action" | "Condition" | "Control" | "Decorator" | "SubTree") {
            let expected = "<Action>, <Condition>, <Control>, <Decorator> or <SubTree>";
            return Err(LoadErrorKind::Element { element: model.tag().to_owned(), expected });
        }
        let id = model.required("ID")?;
        check_name(id).map_err(|why| LoadErrorKind::NodeName { id: id.to_owned(), why })?;
        let leaf = registry.find(id).filter(|_| builtin::find(id).is_none()).map(|at| &registry.leaves[at]);
        let subtree = model.tag() == "SubTree";
        if subtree {
            self.models.entry(id).or_default();
        }
        for port in model.children() {
            let Some(direction) = direction(port.tag()) else { continue };
            let name = match port_name(port) {
                Ok(name) => name,
                Err(kind) => {
                    errors.push(self.error(port.place(), "", kind));
                    continue;
                }
            };
            if subtree {
                self.models.entry(id).or_default().insert(name, port.attribute("default"));
            } else if let Some(Err(kind)) = leaf.map(|leaf| compare(leaf, name, direction, port)) {
                errors.push(self.error(port.place(), "", kind));
            }
        }
        Ok(())
    }
}

fn direction(tag: &str) -> Option<Direction> {
    match tag {
        "input_port" => Some(Direction::Input),
        "output_port" => Some(Direction::Output),
        "inout_port" => Some(Direction::InOut),
        // A description, or fields of an editor.
        _ => None,
    }
}

fn port_name(port: Element<'_>) -> Result<&str, LoadErrorKind> {
    let name = port.required("name")?;
    check_port_name(name).map_err(|why| LoadErrorKind::PortName { port: name.to_owned(), why })?;
    Ok(name)
}

/// A port of a leaf's model against the one in the registry.
fn compare(
    leaf: &LeafModel,
    name: &str,
    direction: Direction,
    port: Element<'_>,
) -> Result<(), LoadErrorKind> {
    let Some(known) = leaf.ports.iter().find(|known| known.name == name) else {
        let nearest = nearest(name, leaf.ports.iter().map(|port| port.name.as_str()));
        return Err(LoadErrorKind::UnknownPort { id: leaf.id.clone(), port: name.to_owned(), nearest });
    };
    let differs = |modelled: String, registered: String| {
        let (id, port) = (leaf.id.clone(), name.to_owned());
        Err(LoadErrorKind::ModelDiffers { id, port, modelled, registered })
    };
    if known.direction != direction {
        return differs(direction.to_string(), known.direction.to_string());
    }
    match port.attribute("type").and_then(type_named) {
        Some(ty) if known.ty != PortType::Any && ty != known.ty => {
            differs(ty.to_string(), known.ty.to_string())
        }
        _ => Ok(()),
    }
}

/// The type that a model names, in our words or in C++'s. `None` for one that means nothing here.
fn type_named(name: &str) -> Option<PortType> {
    Some(match name.trim() {
        "bool" => PortType::Bool,
        "int" | "unsigned int" | "long" | "unsigned long" | "int8_t" | "int16_t" | "int32_t" | "int64_t"
        | "uint8_t" | "uint16_t" | "uint32_t" | "uint64_t" => PortType::Int,
        "float" | "double" => PortType::Float,
        "string" | "std::string" => PortType::Str,
        "vector" | "std::vector<double>" | "std::vector<double, std::allocator<double> >" => PortType::Vector,
        _ => return None,
    })
}
