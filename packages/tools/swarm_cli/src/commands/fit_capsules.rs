//! `cell fit-capsules`: the capsules that distances are computed with, from a URDF's collision geometry.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use swarm_kinematics::fit::{self, Coverage, FittedCapsule, Part};
use swarm_kinematics::{Capsule, MAX_CAPSULES, ModelError, default_flange};

use crate::Outcome;
use crate::meshes::Meshes;
use crate::output::{read, replace};

/// Fit capsules around the collision geometry of a URDF, and check that they cover it.
///
/// Every link gets a capsule, and more where cutting it in two shrinks the volume by 30 % or more. Covered means: every
/// triangle of a link's collision meshes and primitives, whole, in the union of the link's capsules. What moving joints beside
/// the arm carry (fingers) is covered over its whole travel, from the link that it hangs on. Meshes are .stl or .obj.
///
/// The result is the element <safety_capsules>; other readers of URDF skip it. Without --out it is printed. Exit code 1 if
/// something is not covered.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The robot, or a tool.
    #[arg(long, value_name = "FILE")]
    urdf: PathBuf,
    /// Write the URDF with its new capsules here; FILE may be the URDF itself.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    out: Option<PathBuf>,
    /// Fit nothing; check the capsules that the URDF has.
    #[arg(long)]
    check: bool,
    /// Where the arm ends [default: as in `cell kinematics`].
    #[arg(long, value_name = "LINK")]
    flange: Option<String>,
    /// The URDF is a tool: all its joints move fingers [default: if there is no arm in it].
    #[arg(long, conflicts_with = "flange")]
    tool: bool,
    /// Capsules in all, if there are not more links.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    capsules: usize,
    /// A folder that holds packages by their names, for `package://` (repeat for several) [default: folders above the URDF].
    #[arg(long = "packages", value_name = "FOLDER")]
    package_folders: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let text = read(&args.urdf)?;
    let cannot = || format!("cannot take the collision geometry of '{}'", args.urdf.display());
    let flange = args.flange(&text).with_context(cannot)?;
    let folder = args.urdf.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Packages are looked for above the folder, which needs its whole path.
    let folder = folder.canonicalize().with_context(|| format!("cannot find '{}'", folder.display()))?;
    let meshes = Meshes { folder: &folder, package_folders: &args.package_folders };
    let parts = fit::parts(&text, flange.as_deref(), |name| meshes.read(name)).with_context(cannot)?;
    ensure!(!parts.is_empty(), "'{}' has no collision geometry", args.urdf.display());
    let capsules = if args.check { fit::listed(&text)? } else { fit::fit(&parts, args.capsules) };
    ensure!(
        capsules.len() <= MAX_CAPSULES,
        "'{}' has {} links or groups of fingers with collision geometry, an arm may have {MAX_CAPSULES} capsules with its tool",
        args.urdf.display(),
        capsules.len()
    );
    let element = fit::as_element(&capsules);
    // What is checked is what a reader of the file will have.
    let written = if args.check { capsules } else { fit::listed(&fit::with_capsules(&text, &capsules)?)? };
    let covered = report(&parts, &written);
    if !covered {
        return Ok(Outcome::Refused);
    }
    match &args.out {
        Some(path) => replace(path, &fit::with_capsules(&text, &written)?)?,
        None if args.check => {}
        None => print!("{element}"),
    }
    Ok(Outcome::Done)
}

impl Args {
    fn flange(&self, urdf: &str) -> Result<Option<String>, ModelError> {
        match &self.flange {
            Some(name) => Ok(Some(name.clone())),
            None if self.tool => Ok(None),
            None => match default_flange(urdf) {
                Err(ModelError::NoArm) => Ok(None),
                found => found.map(Some),
            },
        }
    }
}

/// A table on standard error, a line per part; true if all are covered.
fn report(parts: &[Part], capsules: &[FittedCapsule]) -> bool {
    let width = parts.iter().map(|part| part.link.len()).max().unwrap_or(0).max("link".len());
    eprintln!("{:<width$}  capsules  vertices  smallest margin  volume by box", "link");
    let mut all = true;
    for part in parts {
        let link = &part.link;
        let own: Vec<Capsule> =
            capsules.iter().filter(|capsule| capsule.link == *link).map(|capsule| capsule.in_link).collect();
        let Coverage { vertices, smallest_margin, outside } = fit::check(part, &own);
        // A link and the fingers on it share their capsules.
        let volume = fit::volume_by_box(parts.iter().filter(|other| other.link == *link), &own);
        let (count, margin) = (own.len(), smallest_margin * 1e3);
        eprintln!("{link:<width$}  {count:>8}  {vertices:>8}  {margin:>12.3} mm  {volume:>13.2}");
        if let Some(point) = outside {
            all = false;
            let place = format!("{:.4} {:.4} {:.4}", point.x, point.y, point.z);
            eprintln!("{:<width$}  not covered near {place} m in the link's frame", "");
        }
    }
    all
}
