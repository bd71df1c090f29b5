//! `cell preview`: what a skill would do in a cell, without anything moving. Verifies no signature: it judges what a skill does, not
//! whose it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use nalgebra::{Isometry3, Translation3, UnitQuaternion};
use serde_json::{Value, json};
use swarm_artifact::{EntryPath, Limits, MANIFEST_NAME, SkillSource};
use swarm_onnx::VirtualTime;
use swarm_safety_core::{EnvelopeFile, Tolerances};
use swarm_skill_core::{Grasps, Margin, Preview, Scene, Skill, TwinPart, cell_robots, preview};
use swarm_store::{check_contents, hash_archive};

use crate::Outcome;
use crate::cell_file::{declared_timing, sources};
use crate::output::{print_json, read};

/// Run a skill on a kinematic twin of the cell: how long it takes, which space its arms use, how near they come to every limit. A skill
/// that breaks one, or does not succeed, is refused with the place where it does.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The skill: an archive (.tar.gz), or a source folder with skill.yaml.
    #[arg(long, value_name = "FILE OR FOLDER")]
    artifact: PathBuf,
    /// The cell's declaration.
    #[arg(long, value_name = "FILE", default_value = "config/cell.yaml")]
    cell: PathBuf,
    /// A part and where it lies in the world, m and rad: NAME=X,Y,Z or NAME=X,Y,Z,ROLL,PITCH,YAW. Once per part.
    #[arg(long = "part", value_name = "NAME=POSE", value_parser = part, allow_hyphen_values = true)]
    parts: Vec<TwinPart>,
    /// What a peripheral answers, or says where it is a topic, as JSON: NAME={"position": {"x": 0.1}}. Once per peripheral; without it a
    /// peripheral does what it is asked and answers nothing, and a topic is silent.
    #[arg(long = "answer", value_name = "NAME=JSON", value_parser = answer)]
    answers: Vec<(String, Arc<Value>)>,
    /// Edge of the voxels in which swept space is counted, m.
    #[arg(long, value_name = "M", default_value_t = 0.04)]
    voxel: f64,
    /// ONNX Runtime's library, for skills with policies.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnx_runtime: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if !(0.005..=0.5).contains(&args.voxel) {
        bail!("--voxel is {}, expected 0.005 to 0.5 m", args.voxel);
    }
    let sources = sources(&args.cell)?;
    let cell = sources.cell()?;
    if let Some((name, _)) =
        args.answers.iter().find(|(name, _)| cell.peripherals.iter().all(|known| known.name != *name))
    {
        let known: Vec<&str> = cell.peripherals.iter().map(|peripheral| peripheral.name.as_str()).collect();
        bail!(
            "--answer is for '{name}', which is none of the peripherals of {}: {known:?}",
            args.cell.display()
        );
    }
    let ceiling = sources.config(declared_timing(&cell), Tolerances::default())?;
    let Some(files) = Files::open(&args.artifact)? else { return Ok(Outcome::Refused) };
    let text = |path: &EntryPath| files.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let source = match files.skill() {
        Ok(source) => source,
        Err(reason) => return Ok(refused(&reason)),
    };
    let envelope =
        text(&source.envelope).and_then(|text| EnvelopeFile::parse(&text).map_err(|e| e.to_string()));
    let config = envelope.and_then(|envelope| {
        let roles = swarm_safety_setup::roles(&cell);
        ceiling.with_envelope(Some(&envelope), &roles, 1).map_err(|error| error.to_string())
    });
    let config = match config {
        Ok(config) => config,
        Err(reason) => return Ok(refused(&format!("{}: {reason}", source.envelope))),
    };
    let material =
        VirtualTime { read: |path: &EntryPath| files.read(path), library: args.onnx_runtime.clone() };
    let skill = match Skill::assemble(&source, &cell_robots(&cell, &config), &cell.peripherals, &material) {
        Ok(skill) => skill,
        Err(problems) => return Ok(refused(&problems.to_string())),
    };
    let answers = args.answers.iter().cloned().collect();
    let scene = Scene { answers, voxel_m: args.voxel, ..Scene::with_parts(args.parts.clone()) };
    let preview = preview(&skill, &config, &scene)?;
    if args.json {
        print_json(&as_json(&preview))?;
    } else {
        print_text(&preview);
    }
    match preview.verdict() {
        Ok(()) => Ok(Outcome::Done),
        Err(refusal) => Ok(if args.json { Outcome::Refused } else { refused(&refusal.to_string()) }),
    }
}

fn refused(reason: &str) -> Outcome {
    println!("refused: {reason}");
    Outcome::Refused
}

/// Where a skill's files are.
enum Files {
    Folder(PathBuf),
    Archive(BTreeMap<String, Vec<u8>>),
}

impl Files {
    /// `None` if it is an archive whose contents are refused; then that has been said.
    fn open(path: &Path) -> anyhow::Result<Option<Self>> {
        if path.is_dir() {
            return Ok(Some(Self::Folder(path.to_owned())));
        }
        let open = || File::open(path).with_context(|| format!("cannot open '{}'", path.display()));
        let digest = hash_archive(path)?;
        if let Err(error) = check_contents(&open()?, &digest, Limits::default()) {
            refused(&error.to_string());
            return Ok(None);
        }
        // Names, sizes and counts have just been checked.
        let mut files = BTreeMap::new();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(open()?));
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(name, bytes);
        }
        Ok(Some(Self::Archive(files)))
    }

    fn skill(&self) -> Result<SkillSource, String> {
        match self {
            Self::Folder(folder) => {
                let text =
                    read(&folder.join(SkillSource::FILE_NAME)).map_err(|error| format!("{error:#}"))?;
                SkillSource::parse(&text).map_err(|error| error.to_string())
            }
            Self::Archive(files) => {
                let manifest = files.get(MANIFEST_NAME).ok_or("it has no manifest")?;
                let manifest = swarm_artifact::Manifest::parse(&String::from_utf8_lossy(manifest));
                manifest.map(|manifest| manifest.skill).map_err(|error| error.to_string())
            }
        }
    }

    fn read(&self, path: &EntryPath) -> Result<Vec<u8>, String> {
        match self {
            Self::Folder(folder) => {
                let file = folder.join(path.as_str());
                std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))
            }
            Self::Archive(files) => files.get(path.as_str()).cloned().ok_or_else(|| "it is not there".into()),
        }
    }
}

/// `NAME=X,Y,Z` or `NAME=X,Y,Z,ROLL,PITCH,YAW`.
fn part(text: &str) -> anyhow::Result<TwinPart> {
    let expected = || {
        anyhow!("expected NAME=X,Y,Z or NAME=X,Y,Z,ROLL,PITCH,YAW with numbers in m and rad, found '{text}'")
    };
    let (name, pose) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(expected)?;
    let numbers: Option<Vec<f64>> = pose
        .split(',')
        .map(|number| number.trim().parse().ok().filter(|value: &f64| value.is_finite()))
        .collect();
    let (position, turn) = match numbers.as_deref() {
        Some([x, y, z]) => ([*x, *y, *z], [0.0; 3]),
        Some([x, y, z, roll, pitch, yaw]) => ([*x, *y, *z], [*roll, *pitch, *yaw]),
        _ => return Err(expected()),
    };
    let rotation = UnitQuaternion::from_euler_angles(turn[0], turn[1], turn[2]);
    let in_world = Isometry3::from_parts(Translation3::from(position), rotation);
    Ok(TwinPart { name: name.to_owned(), in_world, grasps: Grasps::Anywhere })
}

/// `NAME=JSON`.
fn answer(text: &str) -> anyhow::Result<(String, Arc<Value>)> {
    let expected = || format!("expected NAME=JSON, such as scanner={{\"code\": \"A7\"}}, found '{text}'");
    let (name, json) = text.split_once('=').filter(|(name, _)| !name.is_empty()).with_context(expected)?;
    Ok((name.to_owned(), Arc::new(serde_json::from_str(json).with_context(expected)?)))
}

fn print_text(preview: &Preview) {
    println!("{:.2} s, {:?}", preview.duration.as_secs_f64(), preview.outcome);
    for (phase, at) in &preview.phases {
        println!("  {:8.2} s  phase {phase}", at.as_secs_f64());
    }
    println!(
        "swept space (upper bound, voxels of {:.3} m)",
        preview.arms.first().map_or(0.0, |arm| arm.swept.voxel_m)
    );
    for arm in &preview.arms {
        let swept = &arm.swept;
        println!(
            "  {:9} {:12} {:6.3} m3, x {:.2} to {:.2}, y {:.2} to {:.2}, z {:.2} to {:.2} m",
            arm.role.as_str(),
            arm.robot,
            swept.volume_m3,
            swept.min_m[0],
            swept.max_m[0],
            swept.min_m[1],
            swept.max_m[1],
            swept.min_m[2],
            swept.max_m[2]
        );
    }
    let leases: Vec<String> =
        preview.leases.iter().map(|(role, resource)| format!("{resource} ({role})")).collect();
    println!("leases: {}", if leases.is_empty() { "none".into() } else { leases.join(", ") });
    println!("worst margins");
    for margin in &preview.margins {
        println!("  {:+9.3} {:5} {margin}", margin.margin(), margin.limit.unit());
    }
}

fn as_json(preview: &Preview) -> Value {
    let margin = |margin: &Margin| {
        json!({
            "limit": margin.limit.name(), "unit": margin.limit.unit(), "robot": margin.robot, "with": margin.with,
            "value": margin.value, "allowed": margin.allowed, "margin": margin.margin(),
            "at_s": margin.place.at.as_secs_f64(), "role": margin.place.role.as_str(),
            "phase": margin.place.phase, "node": margin.place.node,
        })
    };
    let arms = preview.arms.iter().map(|arm| {
        let swept = &arm.swept;
        json!({
            "role": arm.role.as_str(), "robot": arm.robot, "volume_m3": swept.volume_m3, "voxel_m": swept.voxel_m,
            "voxels": swept.voxels, "min_m": swept.min_m, "max_m": swept.max_m,
        })
    });
    let phases = preview.phases.iter().map(|(phase, at)| json!({"phase": phase, "at_s": at.as_secs_f64()}));
    let leases =
        preview.leases.iter().map(|(role, resource)| json!({"role": role.as_str(), "resource": resource}));
    json!({
        "accepted": preview.verdict().is_ok(),
        "refused_because": preview.verdict().err().map(|refusal| refusal.to_string()),
        "duration_s": preview.duration.as_secs_f64(),
        "phases": phases.collect::<Vec<_>>(),
        "arms": arms.collect::<Vec<_>>(),
        "leases": leases.collect::<Vec<_>>(),
        "margins": preview.margins.iter().map(margin).collect::<Vec<_>>(),
    })
}
