//! The provenance graph of an artifact as a drawing: what it was made from to the left, what was made from it to the right.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use swarm_api::artifact::{Artifact, Status};
use swarm_api::deployment::State;
use swarm_api::provenance::{ProvenanceGraph, Relative};

/// More of each kind than these are not drawn; their number is said.
const MAX_ANCESTORS: usize = 8;
const MAX_DESCENDANTS: usize = 40;

/// Of a box, and between boxes, in pixels.
const WIDTH: usize = 190;
const HEIGHT: usize = 62;
const ACROSS: usize = 54;
const BETWEEN: usize = 16;
const EDGE: usize = 6;

/// Where an artifact stands: generation from the left, row from the top (in half rows, so that a parent stands between two children).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    generation: usize,
    half_row: usize,
}

/// Places of artifacts by digest, and the lines from parents to children.
#[derive(Debug, Default)]
struct Layout<'a> {
    boxes: Vec<(&'a Relative, Place)>,
    lines: Vec<(Place, Place)>,
    generations: usize,
    rows: usize,
}

/// Places parents to the left of their children. What is not connected is not placed.
fn arrange<'a>(oldest: &'a Relative, all: &[&'a Relative]) -> Layout<'a> {
    let mut children: BTreeMap<&str, Vec<&Relative>> = BTreeMap::new();
    for relative in all {
        if let Some(parent) = &relative.artifact.provenance.parent {
            children.entry(parent).or_default().push(relative);
        }
    }
    let mut layout = Layout::default();
    let mut seen = BTreeSet::from([oldest.artifact.digest.as_str()]);
    place(oldest, 0, &children, &mut seen, &mut layout);
    layout
}

fn place<'a>(
    relative: &'a Relative,
    generation: usize,
    children: &BTreeMap<&str, Vec<&'a Relative>>,
    seen: &mut BTreeSet<&'a str>,
    layout: &mut Layout<'a>,
) -> Place {
    let mut below = Vec::new();
    for child in children.get(relative.artifact.digest.as_str()).into_iter().flatten() {
        // A parent is what an uploader said: each artifact is drawn once, whatever they said.
        if seen.insert(&child.artifact.digest) {
            below.push(place(child, generation + 1, children, seen, layout));
        }
    }
    let half_row = if let (Some(first), Some(last)) = (below.first(), below.last()) {
        usize::midpoint(first.half_row, last.half_row)
    } else {
        layout.rows += 1;
        2 * (layout.rows - 1)
    };
    let here = Place { generation, half_row };
    layout.lines.extend(below.into_iter().map(|child| (here, child)));
    layout.boxes.push((relative, here));
    layout.generations = layout.generations.max(generation + 1);
    here
}

impl Place {
    const fn left(self) -> usize {
        EDGE + self.generation * (WIDTH + ACROSS)
    }

    const fn top(self) -> usize {
        EDGE + self.half_row * (HEIGHT + BETWEEN) / 2
    }
}

pub(super) fn drawing(family: &ProvenanceGraph) -> Markup {
    let ancestors = &family.ancestors[..family.ancestors.len().min(MAX_ANCESTORS)];
    let descendants = &family.descendants[..family.descendants.len().min(MAX_DESCENDANTS)];
    let left_out = family.ancestors.len() - ancestors.len() + family.descendants.len() - descendants.len();
    let focus = &family.artifact;
    if ancestors.is_empty() && descendants.is_empty() {
        return html! {
            p.faint {
                @match &focus.artifact.provenance.parent {
                    Some(parent) => { "Made from " (super::layout::digest(parent)) ", which is not in this registry. Nothing was made from it." }
                    None => { "It names no parent, and nothing was made from it." }
                }
            }
        };
    }
    let all: Vec<_> = ancestors.iter().chain([focus]).chain(descendants).collect();
    let layout = arrange(ancestors.last().unwrap_or(focus), &all);
    let width = 2 * EDGE + layout.generations * (WIDTH + ACROSS) - ACROSS;
    let height = 2 * EDGE + layout.rows * (HEIGHT + BETWEEN) - BETWEEN;
    html! {
        div.panel.graph {
            svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img" aria-label="Provenance graph" {
                @for (from, to) in &layout.lines { path.line d=(curve(*from, *to)) {} }
                @for (relative, place) in &layout.boxes {
                    a href={ "/artifacts/" (relative.artifact.digest) } { (node(relative, &focus.artifact, *place)) }
                }
            }
        }
        @if left_out > 0 || family.cut { p.faint { "Further relatives are not drawn" @if left_out > 0 { " (" (left_out) ")" } "; choose one of these to go on." } }
    }
}

fn curve(from: Place, to: Place) -> String {
    let (x1, y1) = (from.left() + WIDTH, from.top() + HEIGHT / 2);
    let (x2, y2) = (to.left(), to.top() + HEIGHT / 2);
    let middle = usize::midpoint(x1, x2);
    format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}")
}

fn node(relative: &Relative, focus: &Artifact, place: Place) -> Markup {
    let artifact = &relative.artifact;
    let quarantined = artifact.status == Status::Quarantined;
    let running = relative.cells.iter().filter(|cell| cell.state == State::Deployed).count();
    let name = if artifact.skill_name == focus.skill_name {
        artifact.version.clone()
    } else {
        format!("{} {}", artifact.skill_name, artifact.version)
    };
    let cells = match running {
        0 => "on no cell".to_owned(),
        1 => "deployed on 1 cell".to_owned(),
        count => format!("deployed on {count} cells"),
    };
    let (x, y) = (place.left(), place.top());
    html! {
        g class={ "node" @if quarantined { " quarantined" } @if artifact.digest == focus.digest { " focus" } } {
            title { (artifact.skill_name) " " (artifact.version) ", " (artifact.digest) }
            rect x=(x) y=(y) width=(WIDTH) height=(HEIGHT) rx="8" {}
            text.name x=(x + 12) y=(y + 22) { (shortened(&name, 22)) }
            text.faint x=(x + 12) y=(y + 38) { @if quarantined { "quarantined" } @else { (shortened(&artifact.signers.join(", "), 26)) } }
            text.faint x=(x + 12) y=(y + 53) { (cells) }
        }
    }
}

/// So that a text stays within its box.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use swarm_api::artifact::Provenance;

    use super::*;

    fn relative(name: &str, parent: Option<&str>) -> Relative {
        let provenance = Provenance {
            parent: parent.map(str::to_owned),
            base_version: None,
            training_data: None,
            uploaded_by: "a".to_owned(),
            uploader: "a".to_owned(),
            notes: Map::new(),
        };
        let artifact = Artifact {
            id: 1,
            digest: name.to_owned(),
            skill_name: "skill".to_owned(),
            version: name.to_owned(),
            size: 1,
            status: Status::Active,
            signature_verified: true,
            signers: vec![],
            uploaded_at: String::new(),
            provenance,
            quarantine: None,
        };
        Relative { artifact, cells: vec![] }
    }

    /// `name@generation,half row` of each box.
    fn placed(family: &[Relative]) -> Vec<String> {
        let all: Vec<_> = family.iter().collect();
        let layout = arrange(&family[0], &all);
        let mut boxes: Vec<_> = layout
            .boxes
            .iter()
            .map(|(it, at)| format!("{}@{},{}", it.artifact.digest, at.generation, at.half_row))
            .collect();
        boxes.sort();
        boxes
    }

    #[test]
    fn children_stand_to_the_right_of_their_parent_and_it_between_them() {
        let family = [
            relative("a", None),
            relative("b", Some("a")),
            relative("c", Some("a")),
            relative("d", Some("c")),
            relative("e", Some("c")),
        ];
        assert_eq!(placed(&family), ["a@0,1", "b@1,0", "c@1,3", "d@2,2", "e@2,4"]);
    }

    #[test]
    fn no_two_boxes_lie_on_each_other_in_large_families() {
        let family: Vec<_> = (0..60_usize)
            .map(|number| {
                relative(
                    &format!("{number:02}"),
                    (number > 0).then(|| format!("{:02}", (number * 7 % 13).min(number - 1))).as_deref(),
                )
            })
            .collect();
        let all: Vec<_> = family.iter().collect();
        let layout = arrange(&family[0], &all);
        assert_eq!(layout.boxes.len(), 60);
        for (index, (_, one)) in layout.boxes.iter().enumerate() {
            for (_, other) in &layout.boxes[index + 1..] {
                assert!(
                    one.generation != other.generation || one.half_row.abs_diff(other.half_row) >= 2,
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn uploaders_who_name_each_other_make_no_endless_drawing() {
        let family = [relative("a", Some("b")), relative("b", Some("a")), relative("c", Some("c"))];
        assert_eq!(placed(&family), ["a@0,0", "b@1,0"]);
    }

    #[test]
    fn names_stay_within_their_box() {
        assert_eq!(shortened("1.0.0", 22), "1.0.0");
        assert_eq!(shortened(&"ä".repeat(30), 22).chars().count(), 22);
    }
}
