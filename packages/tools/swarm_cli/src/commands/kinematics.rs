//! `cell kinematics fk|jacobian|distance`: the kinematics that the safety monitor computes with, for anyone to compare.

use std::fmt::Write as _;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use nalgebra::{Rotation3, Translation3, UnitQuaternion};
use swarm_kinematics::{
    ArmCapsules, ArmModel, ArmSpec, JointInfo, JointVector, Pose, closest, default_flange,
};

use crate::Outcome;
use crate::configurations::{Configurations, Limits};
use crate::output::read;

/// Forward kinematics, Jacobians and distances of arms, as the safety monitor computes them.
///
/// Standard input is CSV: one configuration per line, one column per moving joint from base to flange (with --urdf2 the
/// second arm's columns follow), rad (m for a prismatic joint). The first line may hold the joints' names, in any order. A
/// joint that mimics another has a column of its own if it lies between base and flange; joints beside or beyond (fingers)
/// have none.
///
/// Standard output is CSV with a first line of column names; `row` counts configurations from 1. Numbers have the digits that
/// a double needs to be read back unchanged; m, rad, and the frame of the base, which is the URDF's root link.
///
/// A bad line ends the command with exit code 2 and its line and column; the lines before it are answered.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Kinematics {
    Fk(Fk),
    Jacobian(Jacobian),
    Distance(Distance),
}

/// Poses of links in the base frame.
///
/// Columns: row, link, x, y, z (m), then qx, qy, qz, qw (unit quaternion, qw not negative), or with --rotation matrix r11,
/// r12 .. r33 (row by row). A line for each link that the arm carries, in the URDF's order, or for those named.
#[derive(Debug, clap::Args)]
pub(crate) struct Fk {
    #[command(flatten)]
    arm: Arm,
    /// Print this link alone (repeat for several).
    #[arg(long = "link", value_name = "NAME")]
    links: Vec<String>,
    /// How orientations are printed.
    #[arg(long, value_enum, default_value = "quaternion")]
    rotation: Rotation,
}

/// 6xN Jacobian of the flange along the axes of the base (`LOCAL_WORLD_ALIGNED` in Pinocchio).
///
/// Columns: row, then the matrix row by row (vx, vy, vz, wx, wy, wz), each with one entry per joint, named `vx/JOINT`: velocity
/// of the link's origin (m/s) above angular velocity (rad/s), per joint velocity (rad/s or m/s).
#[derive(Debug, clap::Args)]
pub(crate) struct Jacobian {
    #[command(flatten)]
    arm: Arm,
    /// Of this link's origin instead of the flange's.
    #[arg(long, value_name = "NAME")]
    link: Option<String>,
}

/// Smallest gap between capsules: of one arm with itself, or of two arms.
///
/// Columns: row, distance (m, negative where capsules overlap), `link_1`, `link_2`. The capsules are those of
/// <safety_capsules> in the URDFs (`cell fit-capsules` makes them). With itself, an arm is compared over the pairs that
/// at least one whole link lies between and that do not always overlap.
#[derive(Debug, clap::Args)]
pub(crate) struct Distance {
    #[command(flatten)]
    arm: Arm,
    /// The tool on the flange: its root link is mounted there, its capsules are counted in.
    #[arg(long, value_name = "FILE")]
    tool_urdf: Option<PathBuf>,
    /// A second arm.
    #[arg(long, value_name = "FILE")]
    urdf2: Option<PathBuf>,
    /// Base of the second arm in the frame of the first: x,y,z (m), roll,pitch,yaw (rad, fixed axes).
    #[arg(long, value_name = "X,Y,Z,R,P,Y", requires = "urdf2", allow_hyphen_values = true, value_parser = parse_pose)]
    base2: Option<Pose>,
    /// Flange of the second arm.
    #[arg(long, value_name = "LINK", requires = "urdf2")]
    flange2: Option<String>,
    /// The tool on the second arm's flange.
    #[arg(long, value_name = "FILE", requires = "urdf2")]
    tool_urdf2: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Arm {
    /// The robot.
    #[arg(long, value_name = "FILE")]
    urdf: PathBuf,
    /// Where the arm ends [default: `tool0` or `link8`, also behind a prefix, on a fixed joint; else the last link of the
    /// longest chain of joints that mimic no other and are not mimicked].
    #[arg(long, value_name = "LINK")]
    flange: Option<String>,
    /// Take positions beyond the joints' limits too.
    #[arg(long)]
    ignore_limits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Rotation {
    Quaternion,
    Matrix,
}

pub(crate) fn run(command: &Kinematics) -> anyhow::Result<Outcome> {
    match command {
        Kinematics::Fk(args) => fk(args),
        Kinematics::Jacobian(args) => jacobian(args),
        Kinematics::Distance(args) => distance(args),
    }
}

fn fk(args: &Fk) -> anyhow::Result<Outcome> {
    let (arm, _) = args.arm.load(None)?;
    let links: Vec<&str> = if args.links.is_empty() {
        arm.link_names().collect()
    } else {
        args.links.iter().map(|name| known_link(&arm, name)).collect::<anyhow::Result<_>>()?
    };
    let rotation = match args.rotation {
        Rotation::Quaternion => "qx,qy,qz,qw",
        Rotation::Matrix => "r11,r12,r13,r21,r22,r23,r31,r32,r33",
    };
    answer(&format!("row,link,x,y,z,{rotation}"), vec![arm.joints()], args.arm.limits(), |values, lines| {
        let poses = arm.forward(&joint_vector(&arm, values)?);
        for &link in &links {
            let pose = arm.link(&poses, link).context("the arm has lost a link")?;
            let line = lines.start().text(link).numbers(pose.translation.vector.iter());
            match args.rotation {
                Rotation::Quaternion => {
                    let turn = UnitQuaternion::from_rotation_matrix(&pose.rotation);
                    // q and -q are the same rotation; print the one with qw >= 0.
                    let sign = if turn.w < 0.0 { -1.0 } else { 1.0 };
                    line.numbers((turn.coords * sign).iter());
                }
                // Storage is by columns.
                Rotation::Matrix => {
                    line.numbers(pose.rotation.matrix().transpose().iter());
                }
            }
        }
        Ok(())
    })
}

fn jacobian(args: &Jacobian) -> anyhow::Result<Outcome> {
    let (arm, flange) = args.arm.load(None)?;
    let link = args.link.as_deref().map_or(Ok(flange.as_str()), |name| known_link(&arm, name))?;
    let entries = ["vx", "vy", "vz", "wx", "wy", "wz"].into_iter();
    let entries =
        entries.flat_map(|row| arm.joints().iter().map(move |joint| format!(",{row}/{}", joint.name)));
    let header = std::iter::once("row".to_owned()).chain(entries).collect::<String>();
    answer(&header, vec![arm.joints()], args.arm.limits(), |values, lines| {
        let poses = arm.forward(&joint_vector(&arm, values)?);
        let jacobian = arm.link_jacobian(&poses, link).context("the arm has lost a link")?;
        lines.start().numbers(jacobian.columns(0, arm.dof()).transpose().iter());
        Ok(())
    })
}

fn distance(args: &Distance) -> anyhow::Result<Outcome> {
    let (first, _) = args.arm.load(args.tool_urdf.as_deref())?;
    with_capsules(&first, &args.arm.urdf)?;
    let header = "row,distance,link_1,link_2";
    let link = |arm: &ArmModel, capsule: usize| arm.link_capsules()[capsule].link.clone();
    let capsules = |arm: &ArmModel, values: &[f64]| -> anyhow::Result<ArmCapsules> {
        Ok(arm.capsules(&arm.forward(&joint_vector(arm, values)?)))
    };
    let Some(urdf2) = &args.urdf2 else {
        let problem =
            "no two of its capsules can be compared: each pair is of neighbouring links or always overlaps";
        ensure!(!first.self_pairs().is_empty(), "'{}': {problem}", args.arm.urdf.display());
        return answer(header, vec![first.joints()], args.arm.limits(), |values, lines| {
            let found = first.self_distance(&capsules(&first, values)?);
            let (i, j) = found.pair;
            lines.start().numbers([&found.distance]).text(&link(&first, i)).text(&link(&first, j));
            Ok(())
        });
    };
    let base = args.base2.unwrap_or_else(Pose::identity);
    let (second, _) = load(urdf2, args.flange2.as_deref(), args.tool_urdf2.as_deref(), base)?;
    with_capsules(&second, urdf2)?;
    answer(header, vec![first.joints(), second.joints()], args.arm.limits(), |values, lines| {
        let (one, two) = values.split_at(first.dof());
        let found = closest(&capsules(&first, one)?, &capsules(&second, two)?);
        let (i, j) = found.pair;
        lines.start().numbers([&found.distance]).text(&link(&first, i)).text(&link(&second, j));
        Ok(())
    })
}

/// Reads configurations until the input ends and prints what `work` makes of each: all its lines or none.
fn answer(
    header: &str,
    arms: Vec<&[JointInfo]>,
    limits: Limits,
    mut work: impl FnMut(&[f64], &mut Lines) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let mut rows = Configurations::new(BufReader::new(io::stdin().lock()), arms, limits);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut lines = Lines::default();
    let ended = (|| {
        writeln!(out, "{header}")?;
        while let Some(values) = rows.next()? {
            lines.next_row();
            work(values, &mut lines)?;
            out.write_all(lines.finished().as_bytes())?;
            // Whoever writes a row and waits for its answer gets it.
            if rows.input().buffer().is_empty() {
                out.flush()?;
            }
        }
        Ok(())
    })();
    match ended.and(out.flush().map_err(anyhow::Error::from)) {
        Err(error) if is_broken_pipe(&error) => Ok(Outcome::Done),
        Err(error) => {
            out.flush().ok();
            Err(error)
        }
        Ok(()) => Ok(Outcome::Done),
    }
}

/// The reader of our output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The lines that answer one configuration.
#[derive(Debug, Default)]
struct Lines {
    row: u64,
    text: String,
}

impl Lines {
    fn next_row(&mut self) {
        self.row += 1;
        self.text.clear();
    }

    fn start(&mut self) -> &mut Self {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let row = self.row;
        write!(self.text, "{row}").ok();
        self
    }

    /// A link's name; quoted as RFC 4180 says where it needs to be.
    fn text(&mut self, text: &str) -> &mut Self {
        if text.contains([',', '"', '\n']) {
            write!(self.text, ",\"{}\"", text.replace('"', "\"\"")).ok();
        } else {
            write!(self.text, ",{text}").ok();
        }
        self
    }

    fn numbers<'n>(&mut self, numbers: impl IntoIterator<Item = &'n f64>) -> &mut Self {
        for number in numbers {
            // The shortest digits that are read back as the same double.
            let written = if *number != 0.0 && number.abs() < 1e-4 {
                write!(self.text, ",{number:e}")
            } else {
                write!(self.text, ",{number}")
            };
            written.ok();
        }
        self
    }

    fn finished(&mut self) -> &str {
        self.text.push('\n');
        &self.text
    }
}

impl Arm {
    fn load(&self, tool_urdf: Option<&Path>) -> anyhow::Result<(ArmModel, String)> {
        load(&self.urdf, self.flange.as_deref(), tool_urdf, Pose::identity())
    }

    fn limits(&self) -> Limits {
        if self.ignore_limits { Limits::Ignored } else { Limits::Kept }
    }
}

/// The arm and the name of its flange.
fn load(
    urdf: &Path,
    flange: Option<&str>,
    tool_urdf: Option<&Path>,
    base_in_world: Pose,
) -> anyhow::Result<(ArmModel, String)> {
    let text = read(urdf)?;
    let cannot = || format!("cannot load '{}'", urdf.display());
    let flange_link = match flange {
        Some(name) => name.to_owned(),
        None => default_flange(&text).with_context(cannot)?,
    };
    let tool = tool_urdf.map(read).transpose()?;
    let arm = ArmModel::load(&ArmSpec {
        urdf: &text,
        flange_link: &flange_link,
        prefix: "",
        base_in_world,
        tool_in_flange: Pose::identity(),
        tool_urdf: tool.as_deref(),
    });
    let arm = match (arm, flange) {
        (Err(error), None) => Err(error).with_context(|| {
            format!("{}, whose flange was taken to be '{flange_link}' (name another with --flange)", cannot())
        }),
        (arm, _) => arm.with_context(cannot),
    };
    Ok((arm?, flange_link))
}

fn known_link<'a>(arm: &ArmModel, name: &'a str) -> anyhow::Result<&'a str> {
    if arm.link_names().any(|known| known == name) {
        return Ok(name);
    }
    let known: Vec<&str> = arm.link_names().collect();
    bail!(
        "the arm carries no link '{name}': expected one of {}; a link beyond other moving joints (a finger) is no part of it, name its end with --flange",
        known.join(", ")
    )
}

fn with_capsules(arm: &ArmModel, urdf: &Path) -> anyhow::Result<()> {
    ensure!(
        !arm.link_capsules().is_empty(),
        "'{0}' has no <safety_capsules> on the arm, and distances are those of capsules; `cell fit-capsules --urdf {0} --out NEW.urdf` fits them to its collision geometry",
        urdf.display()
    );
    Ok(())
}

fn joint_vector(arm: &ArmModel, values: &[f64]) -> anyhow::Result<JointVector> {
    arm.joint_vector(values).context("a configuration has not one finite value per joint")
}

fn parse_pose(text: &str) -> Result<Pose, String> {
    let values: Result<Vec<f64>, _> = text
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect();
    match values.as_deref() {
        Ok(&[x, y, z, roll, pitch, yaw]) if [x, y, z, roll, pitch, yaw].iter().all(|v| v.is_finite()) => {
            Ok(Pose::from_parts(Translation3::new(x, y, z), Rotation3::from_euler_angles(roll, pitch, yaw)))
        }
        _ => Err("expected six finite numbers x,y,z (m), roll,pitch,yaw (rad)".to_owned()),
    }
}
