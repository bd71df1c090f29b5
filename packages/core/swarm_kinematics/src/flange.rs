//! Where an arm ends, when nobody has said so.

use crate::model::ModelError;
use crate::urdf::{Mobility, Urdf};

/// The flange of the arm that a URDF describes:
///
/// 1. the link named `tool0` (the convention of ROS-Industrial) or `link8` (that of Franka), also behind a prefix
///    (`left_tool0`, `panda_link8`), if there is just one and it hangs on a fixed joint; else
/// 2. the last link of the longest chain of moving joints, then of fixed ones; of equals the first in the file. Joints that
///    mimic another, or are mimicked, move fingers and are not followed.
pub fn default_flange(urdf: &str) -> Result<String, ModelError> {
    let urdf = Urdf::parse(urdf)?;
    let flange = conventional(&urdf).or_else(|| end_of_longest_chain(&urdf)).ok_or(ModelError::NoArm)?;
    Ok(urdf.links[flange].clone())
}

fn conventional(urdf: &Urdf) -> Option<usize> {
    let is_conventional = |name: &str| {
        ["tool0", "link8"].iter().any(|end| {
            name.strip_suffix(end)
                .is_some_and(|prefix| prefix.is_empty() || prefix.ends_with(['_', '/', '-']))
        })
    };
    let mut found = (0..urdf.links.len()).filter(|&link| {
        is_conventional(&urdf.links[link])
            && urdf.parent_joint(link).is_some_and(|joint| joint.mobility == Mobility::Fixed)
    });
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

fn end_of_longest_chain(urdf: &Urdf) -> Option<usize> {
    let moves_fingers = |name: &str| {
        urdf.joints.iter().any(|joint| {
            joint.mimics.as_deref() == Some(name) || (joint.name == name && joint.mimics.is_some())
        })
    };
    // Per reached link: moving joints from the root, and fixed ones since the last of them.
    let mut reached = vec![(urdf.root, (0, 0))];
    let mut next = 0;
    while let Some(&(link, (moving, fixed))) = reached.get(next) {
        next += 1;
        for joint in urdf.joints.iter().filter(|joint| joint.parent == link) {
            match joint.mobility {
                Mobility::Fixed => reached.push((joint.child, (moving, fixed + 1))),
                Mobility::Moves(_) if !moves_fingers(&joint.name) => {
                    reached.push((joint.child, (moving + 1, 0)));
                }
                Mobility::Moves(_) | Mobility::Free(_) => {}
            }
        }
    }
    let longest = reached.iter().map(|(_, length)| *length).filter(|(moving, _)| *moving > 0).max()?;
    reached.iter().filter(|(_, length)| *length == longest).map(|(link, _)| *link).min()
}
