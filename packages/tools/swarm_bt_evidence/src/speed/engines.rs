//! The trees that are timed, and the two engines that tick them.

use std::io::{BufRead as _, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, anyhow};
use rustix::time::{ClockId, clock_gettime};
use swarm_base::Time;
use swarm_bt::{
    Halt, LeafCall, LeafModel, Leaves, Mode, PortId, PortType, Registry, State, Status, Tree, tick,
};
use swarm_bt_log::{Recipe, Recorder};

use crate::{in_workspace, python};

/// `Read` reads a number from its port, `Write` writes one, `Act` only answers.
struct Registered {
    read: PortId,
    write: PortId,
}

impl Registered {
    /// The leaves in the registry's order.
    fn models() -> [LeafModel; 3] {
        [
            LeafModel::action("Read").input("in", PortType::Float),
            LeafModel::action("Write").output("out", PortType::Float),
            LeafModel::action("Act"),
        ]
    }
}

impl Leaves for Registered {
    fn start(&mut self, call: &mut LeafCall<'_>) -> Status {
        let done = match call.model() {
            0 => call.get::<f64>(self.read).is_ok_and(|number| number > 0.0),
            1 => call.set(self.write, 1.5).is_ok(),
            _ => true,
        };
        if done { Status::Success } else { Status::Failure }
    }

    fn running(&mut self, call: &mut LeafCall<'_>) -> Status {
        self.start(call)
    }

    fn halt(&mut self, _: &mut LeafCall<'_>) -> Halt {
        Halt::Done
    }
}

/// The deep tree; `writes` is the last leaf of each level, `answers` every other.
pub(super) fn deep(answers: &str, writes: &str) -> String {
    let mut body = format!("<KeepRunningUntilFailure>{answers}</KeepRunningUntilFailure>");
    for level in 0..200 {
        let leaves = answers.repeat(if level == 199 { 2 } else { 3 }) + writes;
        body = format!("<ReactiveSequence>{leaves}{body}</ReactiveSequence>");
    }
    document(&body)
}

pub(super) fn sequence(first: &str, leaf: &str) -> String {
    document(&format!("<Sequence>{first}{}</Sequence>", leaf.repeat(100)))
}

pub(super) fn document(body: &str) -> String {
    format!(r#"<root BTCPP_format="4"><BehaviorTree ID="T">{body}</BehaviorTree></root>"#)
}

/// A tree and its state.
pub(super) struct Bench {
    recipe: Recipe,
    pub(super) tree: Tree,
    pub(super) state: State,
    now: Time,
    leaves: Registered,
}

impl Bench {
    pub(super) fn new(xml: &str) -> anyhow::Result<Self> {
        let models = Registered::models();
        let read = models[0].port_id("in").context("the port is there")?;
        let write = models[1].port_id("out").context("the port is there")?;
        let registry = models.into_iter().fold(Registry::new(), Registry::leaf);
        let recipe = Recipe { mode: Mode::Compat, ..Recipe::new("speed.xml", xml, &registry) };
        let tree = recipe.load().map_err(|errors| anyhow!("{errors}"))?;
        let state = State::new(&tree);
        Ok(Bench { recipe, tree, state, now: Time::ZERO, leaves: Registered { read, write } })
    }

    pub(super) fn nodes(&self) -> f64 {
        self.tree.nodes().len() as f64
    }

    pub(super) fn tick(&mut self) -> anyhow::Result<Status> {
        self.now.0 += 10_000_000;
        Ok(tick(&self.tree, &mut self.state, self.now, &mut self.leaves)?)
    }

    /// ns per node of so many ticks.
    pub(super) fn time(&mut self, ticks: u32) -> anyhow::Result<f64> {
        let begin = clock(ClockId::ThreadCPUTime);
        for _ in 0..ticks {
            self.tick()?;
        }
        Ok((clock(ClockId::ThreadCPUTime) - begin) as f64 / f64::from(ticks) / self.nodes())
    }

    pub(super) fn record<W: Write>(&self, out: W) -> anyhow::Result<Recorder<W>> {
        Ok(Recorder::begin(out, &self.recipe, &self.tree)?)
    }

    pub(super) fn time_logged<W: Write>(
        &mut self,
        ticks: u32,
        recorder: &mut Recorder<W>,
    ) -> anyhow::Result<f64> {
        let begin = clock(ClockId::ProcessCPUTime);
        for _ in 0..ticks {
            self.now.0 += 10_000_000;
            recorder.tick(&self.tree, &mut self.state, self.now, &mut self.leaves, &mut ())?;
        }
        Ok((clock(ClockId::ProcessCPUTime) - begin) as f64 / f64::from(ticks) / self.nodes())
    }
}

/// BehaviorTree.CPP in a process that does what it is told.
pub(super) struct Original {
    child: Child,
    said: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Original {
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(python());
        command.arg(in_workspace("tests/bt_oracle/speed.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let said = child.stdin.take().context("no input")?;
        let answers = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Original { child, said, answers })
    }

    /// Time in ns.
    pub(super) fn ask(&mut self, line: &str) -> anyhow::Result<f64> {
        writeln!(self.said, "{line}")?;
        self.said.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("the original said {answer:?} to {line:?}"))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        // It is asked nothing more; what it says to that matters to nobody.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// ns.
pub(super) fn clock(id: ClockId) -> u64 {
    let now = clock_gettime(id);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
