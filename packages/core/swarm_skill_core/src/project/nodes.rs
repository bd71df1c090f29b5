//! The nodes that several roles do together, written as nodes that BehaviorTree.CPP knows.

use roxmltree::Node;
use swarm_base::Role;

use super::{ProjectErrorKind, Projection};

/// Writes the element as what it stands for, if it stands for anything. Whether nothing of it is left to look at.
pub(super) fn expand(
    projection: &mut Projection<'_>,
    element: Node<'_, '_>,
) -> Result<bool, ProjectErrorKind> {
    match element.tag_name().name() {
        "Lease" => lease(projection, element).map(|()| false),
        "Handover" => hand_over(projection, element),
        "ProgressSync" => progress_sync(projection, element).map(|()| false),
        "OnRoleLost" => on_role_lost(projection, element).map(|()| false),
        _ => Ok(false),
    }
}

/// `Parallel` ends with the first child that ends, and halts the other one.
const BESIDE: &str = "<Parallel success_count=\"1\" failure_count=\"1\"";

fn lease(projection: &mut Projection<'_>, element: Node<'_, '_>) -> Result<(), ProjectErrorKind> {
    children(element, 1, "one: what uses the resource")?;
    let given = Given::read(projection, element, &["resource", "timeout_s"])?;
    let resource = given.required("resource")?;
    let (outer, patience) = (&given.outer, given.optional("timeout_s"));
    let before = format!(
        "<Sequence{outer}><AcquireLease{resource}{patience}/>{BESIDE}><KeepLease{resource}/><Sequence>"
    );
    let after = format!("<ReleaseLease{resource}/></Sequence></Parallel></Sequence>");
    surround(projection, element, &before, &after);
    Ok(())
}

fn hand_over(projection: &mut Projection<'_>, element: Node<'_, '_>) -> Result<bool, ProjectErrorKind> {
    children(element, 1, "one: how this role lets go, or takes hold")?;
    let given = Given::read(projection, element, &["item", "from", "to", "timeout_s"])?;
    let role = |attribute: &'static str| {
        let found = element.attribute(attribute).unwrap_or_default();
        found.parse::<Role>().map_err(|source| ProjectErrorKind::Role { found: found.to_owned(), source })
    };
    let all = format!("{}{}{}", given.required("item")?, given.required("from")?, given.required("to")?);
    let (from, to) = (role("from")?, role("to")?);
    if from == to {
        return Err(ProjectErrorKind::ToItself(from));
    }
    if ![from, to].contains(&projection.role) {
        projection.replace(element.range(), "<AlwaysSuccess/>");
        return Ok(true);
    }
    let (outer, patience) = (&given.outer, given.optional("timeout_s"));
    let before =
        format!("<Sequence{outer}><BeginHandover{all}{patience}/>{BESIDE}><KeepHandover{all}/><Sequence>");
    let after = format!("<EndHandover{all}{patience}/></Sequence></Parallel></Sequence>");
    surround(projection, element, &before, &after);
    Ok(false)
}

fn progress_sync(projection: &mut Projection<'_>, element: Node<'_, '_>) -> Result<(), ProjectErrorKind> {
    children(element, 1, "one: the work")?;
    let given = Given::read(projection, element, &["work", "value", "delta", "roles"])?;
    let (work, value, delta) = (given.required("work")?, given.required("value")?, given.required("delta")?);
    let (outer, roles) = (&given.outer, given.optional("roles"));
    let before = format!("{BESIDE}{outer}><KeepPace{work}{value}{delta}{roles}/>");
    surround(projection, element, &before, "</Parallel>");
    Ok(())
}

fn on_role_lost(projection: &mut Projection<'_>, element: Node<'_, '_>) -> Result<(), ProjectErrorKind> {
    let expected = "two: what to do when the role is lost, and what to do else";
    children(element, 2, expected)?;
    let given = Given::read(projection, element, &["role"])?;
    let role = given.required("role")?;
    let named = element.attribute("role").unwrap_or_default();
    named.parse::<Role>().map_err(|source| ProjectErrorKind::Role { found: named.to_owned(), source })?;
    let before = format!("<ReactiveSequence{}><Fallback><RoleLive{role}/><ForceFailure>", given.outer);
    surround(projection, element, &before, "</ReactiveSequence>");
    if let Some(recovery) = element.first_element_child() {
        let end = recovery.range().end;
        projection.replace(end..end, "</ForceFailure></Fallback>");
    }
    Ok(())
}

fn children(element: Node<'_, '_>, count: usize, expected: &'static str) -> Result<(), ProjectErrorKind> {
    let found = element.children().filter(Node::is_element).count();
    if found == count {
        return Ok(());
    }
    Err(ProjectErrorKind::Children { element: element.tag_name().name().to_owned(), found, expected })
}

/// Puts other tags in the place of the element's own.
fn surround(projection: &mut Projection<'_>, element: Node<'_, '_>, before: &str, after: &str) {
    let (Some(first), Some(last)) = (element.first_child(), element.last_child()) else { return };
    let range = element.range();
    projection.replace(range.start..first.range().start, before);
    projection.replace(last.range().end..range.end, after);
}

/// The attributes of an element, as they are written.
struct Given {
    element: String,
    /// Those of any node: its name, pre- and post-conditions; each with a space before it.
    outer: String,
    own: Vec<(String, String)>,
}

impl Given {
    fn read(
        projection: &Projection<'_>,
        element: Node<'_, '_>,
        known: &[&'static str],
    ) -> Result<Self, ProjectErrorKind> {
        let name = element.tag_name().name().to_owned();
        let mut given = Self { element: name, outer: String::new(), own: Vec::new() };
        for attribute in element.attributes() {
            let written = format!(" {}", projection.original(&attribute.range()).1);
            let called = attribute.name();
            if called == "name" || called.starts_with('_') {
                given.outer.push_str(&written);
            } else if known.contains(&called) {
                given.own.push((called.to_owned(), written));
            } else {
                let (element, attribute) = (given.element, called.to_owned());
                return Err(ProjectErrorKind::Unknown { element, attribute, known: known.join(", ") });
            }
        }
        Ok(given)
    }

    fn required(&self, attribute: &'static str) -> Result<&str, ProjectErrorKind> {
        let found = self.own.iter().find(|(name, _)| name == attribute).map(|(_, written)| written.as_str());
        found.ok_or_else(|| ProjectErrorKind::Missing { element: self.element.clone(), attribute })
    }

    fn optional(&self, attribute: &str) -> &str {
        self.own.iter().find(|(name, _)| name == attribute).map_or("", |(_, written)| written)
    }
}
