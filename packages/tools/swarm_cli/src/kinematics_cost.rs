//! What forward kinematics with a Jacobian costs, and how exact they are, beside Pinocchio in the same seconds.
//!
//! 1. Pinocchio runs as a child process: `tests/kinematics_oracle/reference.cpp`, compiled against the Python package `pin`;
//!    where there is no compiler, `reference.py` through Pinocchio's Python binding.
//! 2. Both compute the flange's pose and Jacobian of the same configurations, and the largest difference is kept.
//! 3. Both are pinned to one CPU and take turns, some milliseconds each; the ratio is the median over the turns. In a turn
//!    each side goes twice and its faster time counts: Pinocchio by two ways of asking it, ours by the same way again.

use std::fs;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use swarm_kinematics::{ArmModel, ArmSpec, JointVector, Pose};

/// The arms that are measured: name, URDF, flange.
const ARMS: [(&str, &str, &str); 2] =
    [("ur5e", "urdf/ur5e/ur5e.urdf", "tool0"), ("panda", "urdf/panda/panda.urdf", "panda_link8")];

/// Configurations that a turn goes round.
const CONFIGURATIONS_PER_TURN: usize = 1024;

/// Configurations that go through the pipe at once.
const CHUNK: usize = 4096;

const SEED: u64 = 20_240_607;

/// How large the workload is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Configurations per arm that are compared.
    pub configurations: usize,
    /// Turns of each side.
    pub turns: usize,
    /// Calls per turn.
    pub calls: usize,
}

/// Which Pinocchio is measured beside us.
#[derive(Clone, Debug)]
pub enum Reference {
    Cpp(PathBuf),
    /// The interpreter and the script.
    Python(PathBuf, PathBuf),
}

/// Figures of one arm.
#[derive(Clone, Debug)]
pub struct Cost {
    pub arm: &'static str,
    /// Configurations that were compared.
    pub configurations: usize,
    /// Largest difference of an entry of pose (m, 1) or Jacobian (m, 1) to Pinocchio's.
    pub max_error: f64,
    /// Median time of all bodies' poses, the flange's pose and its Jacobian, ns.
    pub our_ns: f64,
    /// Median time of the same by Pinocchio, ns.
    pub reference_ns: f64,
    /// Median over the turns of our time by Pinocchio's.
    pub ratio: f64,
}

impl Reference {
    /// Compiles the C++ program below `folder`, or names the Python script if that can't be done. `root` is the project's,
    /// `python` an interpreter that has `pin`.
    pub fn ready(root: &Path, folder: &Path, python: &Path) -> anyhow::Result<Self> {
        let sources = root.join("tests/kinematics_oracle");
        match compile(&sources.join("reference.cpp"), folder, python) {
            Ok(program) => Ok(Self::Cpp(program)),
            Err(error) => {
                eprintln!(
                    "Pinocchio is measured through its Python binding, since its C++ is not to be had: {error:#}"
                );
                Ok(Self::Python(python.to_path_buf(), sources.join("reference.py")))
            }
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Cpp(program) => Command::new(program),
            Self::Python(python, script) => {
                let mut command = Command::new(python);
                command.arg(script);
                command
            }
        }
    }
}

/// Measures every arm of the project at `root`. Pins the calling thread, and the reference with it, to one CPU for good.
pub fn measure(root: &Path, reference: &Reference, size: Size) -> anyhow::Result<Vec<Cost>> {
    pin_to_one_cpu()?;
    ARMS.into_iter()
        .map(|(arm, urdf, flange)| measure_arm(root, reference, size, arm, urdf, flange))
        .collect()
}

/// The figures as `{figures, reference, ratios}`; the arms' worst under the plain names.
pub fn as_json(costs: &[Cost], reference: &Reference) -> Value {
    let worst = |value: fn(&Cost) -> f64| costs.iter().map(value).fold(0.0, f64::max);
    let by_arm = |name: &str, value: fn(&Cost) -> f64| {
        costs.iter().map(move |cost| (format!("{name}_{}", cost.arm), json!(value(cost)))).collect::<Vec<_>>()
    };
    let mut figures = Map::new();
    figures.insert("fk_max_error".into(), json!(worst(|cost| cost.max_error)));
    figures.extend(by_arm("fk_max_error", |cost| cost.max_error));
    figures.extend(by_arm("fk_configurations", |cost| cost.configurations as f64));
    figures.extend(by_arm("fk_jacobian_ns", |cost| cost.our_ns));
    let mut beside = Map::new();
    beside.insert("pinocchio_is_cpp".into(), json!(u8::from(matches!(reference, Reference::Cpp(_)))));
    beside.extend(by_arm("pinocchio_fk_jacobian_ns", |cost| cost.reference_ns));
    let mut ratios = Map::new();
    ratios.insert("fk_jacobian_ratio".into(), json!(worst(|cost| cost.ratio)));
    ratios.extend(by_arm("fk_jacobian_ratio", |cost| cost.ratio));
    json!({"figures": figures, "reference": beside, "ratios": ratios})
}

fn measure_arm(
    root: &Path,
    reference: &Reference,
    size: Size,
    arm: &'static str,
    urdf: &str,
    flange: &str,
) -> anyhow::Result<Cost> {
    let path = root.join(urdf);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let model = ArmModel::load(&ArmSpec {
        urdf: &text,
        flange_link: flange,
        prefix: "",
        base_in_world: Pose::identity(),
        tool_in_flange: Pose::identity(),
        tool_urdf: None,
    })?;
    let mut peer = Peer::start(reference, &path, flange, &model)?;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut max_error = 0.0_f64;
    let mut compared = 0;
    while compared < size.configurations {
        let count = CHUNK.min(size.configurations - compared);
        let chunk: Vec<JointVector> = (0..count).map(|_| configuration(&model, &mut random)).collect();
        max_error = max_error.max(peer.largest_difference(&model, &chunk)?);
        compared += count;
    }
    let round: Vec<JointVector> =
        (0..CONFIGURATIONS_PER_TURN).map(|_| configuration(&model, &mut random)).collect();
    // Also what the peer's turns go round from now on.
    peer.largest_difference(&model, &round)?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.turns {
        let [once, again] = [(); 2].map(|()| nanoseconds_per_call(&model, &round, size.calls));
        let our_ns = once.min(again);
        let reference_ns = peer.nanoseconds_per_call(size.calls)?;
        ours.push(our_ns);
        theirs.push(reference_ns);
        ratios.push(our_ns / reference_ns);
    }
    Ok(Cost {
        arm,
        configurations: compared,
        max_error,
        our_ns: median(&mut ours),
        reference_ns: median(&mut theirs),
        ratio: median(&mut ratios),
    })
}

/// Within the joint limits; of each joint's positions one in ten is the lower limit, one the upper, and one zero, where arms are
/// singular (straight elbow, aligned wrist axes).
fn configuration(arm: &ArmModel, random: &mut StdRng) -> JointVector {
    JointVector::from_fn(|i, _| {
        let Some(joint) = arm.joints().get(i) else { return 0.0 };
        match random.random_range(0..10) {
            0 => joint.lower,
            1 => joint.upper,
            2 => 0.0_f64.clamp(joint.lower, joint.upper),
            _ => random.random_range(joint.lower..=joint.upper),
        }
    })
}

fn nanoseconds_per_call(arm: &ArmModel, round: &[JointVector], calls: usize) -> f64 {
    let start = Instant::now();
    for q in round.iter().cycle().take(calls) {
        let poses = arm.forward(black_box(q));
        // The tool is the flange here.
        black_box((&arm.tool(&poses), &arm.jacobian(&poses)));
    }
    start.elapsed().as_secs_f64() * 1e9 / calls as f64
}

/// Pinocchio in a child process; what goes through the pipes is described in `reference.cpp`.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    dof: usize,
}

impl Peer {
    fn start(reference: &Reference, urdf: &Path, flange: &str, arm: &ArmModel) -> anyhow::Result<Self> {
        let mut command = reference.command();
        command.arg(urdf).arg(flange).args(arm.joints().iter().map(|joint| &joint.name));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let input = child.stdin.take().context("the reference has no standard input")?;
        let output = BufReader::new(child.stdout.take().context("the reference has no standard output")?);
        Ok(Self { child, input, output, dof: arm.dof() })
    }

    /// Largest absolute difference of an entry of pose or Jacobian.
    fn largest_difference(&mut self, arm: &ArmModel, configurations: &[JointVector]) -> anyhow::Result<f64> {
        let mut question = format!("eval {}\n", configurations.len()).into_bytes();
        for q in configurations {
            question.extend(q.iter().take(self.dof).flat_map(|value| value.to_ne_bytes()));
        }
        // A chunk of answers is larger than a pipe: both sides would wait for the other to read.
        let (input, output) = (&mut self.input, &mut self.output);
        std::thread::scope(|scope| -> anyhow::Result<f64> {
            let writer = scope.spawn(move || input.write_all(&question).and_then(|()| input.flush()));
            let mut worst = 0.0_f64;
            let mut answer = vec![0; 8 * (12 + 6 * self.dof)];
            for q in configurations {
                output.read_exact(&mut answer).context("the reference ended before it had answered")?;
                let theirs = answer.as_chunks::<8>().0.iter().map(|bytes| f64::from_ne_bytes(*bytes));
                let poses = arm.forward(q);
                let (pose, jacobian) = (arm.tool(&poses), arm.jacobian(&poses).transpose());
                let rotation = pose.rotation.matrix().transpose();
                // Transposed, since storage is by columns and the answer row by row.
                let rows = (0..6)
                    .flat_map(|row| jacobian.column(row).iter().copied().take(self.dof).collect::<Vec<_>>());
                let ours =
                    pose.translation.vector.iter().copied().chain(rotation.iter().copied()).chain(rows);
                for (our, their) in ours.zip(theirs) {
                    let difference = (our - their).abs();
                    ensure!(difference.is_finite(), "not a number at {:?}", q.as_slice());
                    worst = worst.max(difference);
                }
            }
            match writer.join() {
                Ok(written) => written.context("cannot write to the reference")?,
                Err(_) => bail!("writing to the reference panicked"),
            }
            Ok(worst)
        })
    }

    fn nanoseconds_per_call(&mut self, calls: usize) -> anyhow::Result<f64> {
        writeln!(self.input, "time {calls}").and_then(|()| self.input.flush())?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("the reference said '{}' and not its time", line.trim()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Compiles `source` against the package `pin` of `python`.
fn compile(source: &Path, folder: &Path, python: &Path) -> anyhow::Result<PathBuf> {
    // The wheels of `pin` put headers and libraries below `cmeel.prefix`.
    let script = "import pathlib, pinocchio; print(pathlib.Path(pinocchio.__file__).parents[4])";
    let output = Command::new(python).args(["-c", script]).output();
    let output = output.with_context(|| format!("cannot start '{}'", python.display()))?;
    ensure!(
        output.status.success(),
        "'{}' cannot import pinocchio: {}",
        python.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let prefix = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    fs::create_dir_all(folder).with_context(|| format!("cannot create '{}'", folder.display()))?;
    let program = folder.join("pinocchio_reference");
    let mut compiler = Command::new("c++");
    compiler.args(["-O3", "-DNDEBUG", "-std=c++17", "-DPINOCCHIO_WITH_URDFDOM"]);
    // pin was compiled with longer lists of joint types than Boost's headers come prepared for.
    compiler.args(["-DBOOST_MPL_LIMIT_LIST_SIZE=30", "-DBOOST_MPL_CFG_NO_PREPROCESSED_HEADERS"]);
    for include in ["", "eigen3", "urdfdom", "urdfdom_headers"] {
        compiler.arg("-isystem").arg(prefix.join("include").join(include));
    }
    let library = prefix.join("lib");
    compiler.arg(source).arg("-o").arg(&program).arg("-L").arg(&library);
    compiler.args(["-lpinocchio_default", "-lpinocchio_parsers", "-lurdfdom_model"]);
    compiler.arg(format!("-Wl,-rpath,{}", library.display()));
    eprintln!("compiling {} (some minutes)", source.display());
    let output = compiler.output().context("cannot start the compiler c++")?;
    ensure!(
        output.status.success(),
        "{compiler:?} failed: {}",
        String::from_utf8_lossy(&output.stderr).lines().take(5).collect::<Vec<_>>().join("\n")
    );
    Ok(program)
}

/// The last CPU that this thread may run on: the first ones take the machine's interrupts. Children inherit it.
fn pin_to_one_cpu() -> anyhow::Result<()> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).context("cannot ask for this thread's CPUs")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|&cpu| allowed.is_set(cpu)).context("no CPU is allowed")?;
    let mut one = CpuSet::new();
    one.set(last);
    sched_setaffinity(None, &one).with_context(|| format!("cannot pin this thread to CPU {last}"))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
