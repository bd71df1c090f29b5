//! Policies in a manifest: one that answers every tick, or one that answers with a chunk of actions.
//!
//! ```yaml
//! policies:
//!   mate: {file: policies/mate.onnx, golden: policies/mate.golden.json, deadline_us: 2000}    # answers every tick
//!   reach:                                                     # answers with chunks: everything that follows is given
//!     file: policies/reach.onnx
//!     golden: policies/reach.golden.json
//!     deadline_us: 200000                                      # from observation to answer
//!     statistics: policies/reach.stats.json                    # a LeRobot data set's meta/stats.json
//!     max_deviation: 6.0                                       # standard deviations from which an observation is none to act on
//!     inputs:                                                  # the network's inputs, each the values in `of` one after another
//!       observation.state: {of: [joint_position, gripper_width], rate_hz: 125, max_age_us: 40000, scaling: mean_std}
//!       observation.environment_state: {of: [pose_of part_a], rate_hz: 25, max_age_us: 200000}
//!     history: {steps: 2, period_us: 100000}                   # optional: observations that the network sees, n_obs_steps
//!     chunk: {action: joint_position, horizon: 16, period_us: 100000, replan_us: 400000}
//! ```
//!
//! A program that knows no chunks refuses such a policy, because it refuses fields that it does not know; an artifact without them reads
//! as it always did. So the schema's number stays.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use swarm_yaml::{Cursor, Field, quoted};

use crate::path::EntryPath;

/// Longest time that a policy may be given for one inference: longer than this, a 100 Hz tick is out of the question.
const MAX_DEADLINE_US: u32 = 1_000_000;

/// One policy of the skill.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyEntry {
    /// The ONNX file.
    pub file: EntryPath,
    /// Golden input and output vectors, checked when the artifact is deployed.
    pub golden: EntryPath,
    /// Longest time for one inference; a later answer is a failure.
    pub deadline_us: u32,
    /// For a policy that answers with chunks.
    pub chunked: Option<ChunkedEntry>,
}

/// What a policy that answers with chunks of actions is given, and what its answers mean.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkedEntry {
    pub statistics: EntryPath,
    /// In standard deviations, see the runtime's out-of-distribution score.
    pub max_deviation: f64,
    /// By the names of the network's inputs; at least one.
    pub inputs: BTreeMap<String, InputEntry>,
    pub history: HistoryEntry,
    pub chunk: ChunkEntry,
}

/// One input of the network.
#[derive(Clone, Debug, PartialEq)]
pub struct InputEntry {
    /// At least one.
    pub of: Vec<InputSource>,
    /// The highest rate at which the sources are measured.
    pub rate_hz: f64,
    /// Older measurements are none.
    pub max_age_us: u32,
    pub scaling: Scaling,
}

/// Something that is measured. SI units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputSource {
    /// rad, base to flange.
    JointPosition,
    /// rad/s, base to flange.
    JointVelocity,
    /// Force (N) and torque (N m) on the flange, in and about the flange frame, as measured.
    Wrench,
    /// m.
    GripperWidth,
    /// Position (m) and unit quaternion (x, y, z, w; w >= 0) of a part in the world.
    PoseOf(String),
}

/// How values are brought into the range that a network was trained in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    MeanStd,
    MinMax,
    Identity,
}

/// The instants whose measurements a network sees together, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    pub steps: u32,
    pub period_us: u32,
}

/// Chunks, and how they are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkEntry {
    pub action: ActionKind,
    /// Whether the last value of an action is the width of the gripper, m.
    pub gripper: bool,
    pub scaling: Scaling,
    /// Actions per chunk.
    pub horizon: u32,
    /// Time between two actions.
    pub period_us: u32,
    /// Time between two observations that are answered.
    pub replan_us: u32,
    /// Chunks that are averaged at most, and their exponential weight.
    pub ensemble: u32,
    pub coefficient: f64,
    /// Time in which the step between two chunks is evened out.
    pub blend_us: u32,
}

/// What the values of an action mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// rad, base to flange, as the joint positions of LeRobot's data sets.
    JointPosition,
    /// rad/s, base to flange.
    JointVelocity,
}

const SCALINGS: [(&str, Scaling); 3] =
    [("mean_std", Scaling::MeanStd), ("min_max", Scaling::MinMax), ("identity", Scaling::Identity)];
const ACTIONS: [(&str, ActionKind); 2] =
    [("joint_position", ActionKind::JointPosition), ("joint_velocity", ActionKind::JointVelocity)];
const SOURCES: [(&str, InputSource); 4] = [
    ("joint_position", InputSource::JointPosition),
    ("joint_velocity", InputSource::JointVelocity),
    ("wrench", InputSource::Wrench),
    ("gripper_width", InputSource::GripperWidth),
];
const POSE_OF: &str = "pose_of ";

impl FromStr for InputSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, source)) = SOURCES.iter().find(|(word, _)| *word == text) {
            return Ok(source.clone());
        }
        match text.strip_prefix(POSE_OF) {
            Some(part) if !part.is_empty() && part.trim() == part => Ok(Self::PoseOf(part.to_owned())),
            _ => Err(format!(
                "expected joint_position, joint_velocity, wrench, gripper_width or 'pose_of PART', found '{}'",
                text.escape_debug()
            )),
        }
    }
}

impl fmt::Display for InputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoseOf(part) => write!(f, "{POSE_OF}{part}"),
            word => f.write_str(word_of(&SOURCES, word)),
        }
    }
}

impl PolicyEntry {
    /// The files that it refers to.
    pub fn files(&self) -> impl Iterator<Item = &EntryPath> {
        [&self.file, &self.golden].into_iter().chain(self.chunked.as_ref().map(|chunked| &chunked.statistics))
    }

    pub(crate) fn read(at: &Cursor<'_>) -> Option<Self> {
        let [file, golden, deadline_us, chunked @ ..] = at.fields([
            "file",
            "golden",
            "deadline_us",
            "statistics",
            "max_deviation",
            "inputs",
            "history",
            "chunk",
        ])?;
        let file = file.required("the path of the ONNX file", Cursor::parse);
        let golden = golden.required("the path of the golden vectors", Cursor::parse);
        let deadline_us = deadline_us
            .required("the longest time for one inference (us)", |at| whole(at, 1, MAX_DEADLINE_US));
        let chunked = if chunked.iter().any(|field| field.get().is_some()) {
            ChunkedEntry::read(&chunked).map(Some)
        } else {
            Some(None)
        };
        Some(Self { file: file?, golden: golden?, deadline_us: deadline_us?, chunked: chunked? })
    }

    /// As the value of a name in a manifest's `policies`.
    pub(crate) fn write(&self, out: &mut String) {
        let Self { file, golden, deadline_us, chunked } = self;
        let _ =
            write!(out, "    file: \"{file}\"\n    golden: \"{golden}\"\n    deadline_us: {deadline_us}\n");
        if let Some(chunked) = chunked {
            chunked.write(out);
        }
    }
}

impl ChunkedEntry {
    fn read([statistics, max_deviation, inputs, history, chunk]: &[Field<'_>; 5]) -> Option<Self> {
        let statistics =
            statistics.required("the path of the policy's statistics (stats.json)", Cursor::parse);
        let max_deviation = max_deviation
            .required("the largest deviation of an observation (standard deviations)", |at| {
                at.number(0.1..=1_000.0, "standard deviations")
            });
        let inputs = inputs.required("what the network is given", |at| {
            let inputs = at.mapping("a mapping of the network's inputs", |_, at| InputEntry::read(at))?;
            if inputs.is_empty() { at.wrong("expected at least one input") } else { Some(inputs) }
        });
        let history = history.optional(HistoryEntry { steps: 1, period_us: 1 }, |at| {
            let [steps, period_us] = at.fields(["steps", "period_us"])?;
            let steps = steps.required("the number of observations", |at| whole(at, 1, 32));
            let period_us = period_us.required("the time between two (us)", |at| whole(at, 1, 1_000_000));
            Some(HistoryEntry { steps: steps?, period_us: period_us? })
        });
        let chunk = chunk.required("what a chunk of actions means", ChunkEntry::read);
        Some(Self {
            statistics: statistics?,
            max_deviation: max_deviation?,
            inputs: inputs?,
            history: history?,
            chunk: chunk?,
        })
    }

    fn write(&self, out: &mut String) {
        let Self { statistics, max_deviation, inputs, history, chunk } = self;
        let _ = write!(
            out,
            "    statistics: \"{statistics}\"\n    max_deviation: {max_deviation:?}\n    inputs:\n"
        );
        for (name, InputEntry { of, rate_hz, max_age_us, scaling }) in inputs {
            let of = of.iter().map(|source| quoted(&source.to_string())).collect::<Vec<_>>().join(", ");
            let (name, scaling) = (quoted(name), word_of(&SCALINGS, scaling));
            let _ = writeln!(
                out,
                "      {name}: {{of: [{of}], rate_hz: {rate_hz:?}, max_age_us: {max_age_us}, scaling: {scaling}}}"
            );
        }
        let HistoryEntry { steps, period_us } = history;
        let _ = writeln!(out, "    history: {{steps: {steps}, period_us: {period_us}}}");
        let ChunkEntry {
            action,
            gripper,
            scaling,
            horizon,
            period_us,
            replan_us,
            ensemble,
            coefficient,
            blend_us,
        } = chunk;
        let (action, scaling) = (word_of(&ACTIONS, action), word_of(&SCALINGS, scaling));
        let _ = writeln!(
            out,
            "    chunk: {{action: {action}, gripper: {gripper}, scaling: {scaling}, horizon: {horizon}, period_us: {period_us}, \
             replan_us: {replan_us}, ensemble: {ensemble}, coefficient: {coefficient:?}, blend_us: {blend_us}}}"
        );
    }
}

impl InputEntry {
    fn read(at: &Cursor<'_>) -> Option<Self> {
        let [of, rate_hz, max_age_us, scaling] = at.fields(["of", "rate_hz", "max_age_us", "scaling"])?;
        let of = of.required("the list of what is measured", |at| {
            let of = at.list("a list such as [joint_position, gripper_width]", Cursor::parse)?;
            if of.is_empty() { at.wrong("expected at least one measurement") } else { Some(of) }
        });
        let rate_hz = rate_hz
            .required("the highest rate of the measurements (Hz)", |at| at.number(0.1..=10_000.0, "Hz"));
        let max_age_us = max_age_us
            .required("the age from which a measurement is none (us)", |at| whole(at, 1, 10_000_000));
        let scaling = scaling.optional(Scaling::MeanStd, |at| at.one_of(&SCALINGS));
        Some(Self { of: of?, rate_hz: rate_hz?, max_age_us: max_age_us?, scaling: scaling? })
    }
}

impl ChunkEntry {
    /// Of ACT, as LeRobot sets it.
    const COEFFICIENT: f64 = 0.01;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let [action, gripper, scaling, horizon, period_us, replan_us, ensemble, coefficient, blend_us] =
            at.fields([
                "action",
                "gripper",
                "scaling",
                "horizon",
                "period_us",
                "replan_us",
                "ensemble",
                "coefficient",
                "blend_us",
            ])?;
        let action = action.required("what an action's values are", |at| at.one_of(&ACTIONS));
        let gripper = gripper.optional(false, Cursor::boolean);
        let scaling = scaling.optional(Scaling::MeanStd, |at| at.one_of(&SCALINGS));
        let horizon = horizon.required("the number of actions in a chunk", |at| whole(at, 2, 1_000));
        let period_us =
            period_us.required("the time between two actions (us)", |at| whole(at, 1_000, 1_000_000));
        let span_us =
            horizon.zip(period_us).map(|(horizon, period)| u64::from(horizon - 1) * u64::from(period));
        let replan_us = replan_us.required("the time between two observations (us)", |at| {
            let replan = whole(at, 1_000, 60_000_000)?;
            match span_us {
                Some(span) if u64::from(replan) >= span => at.wrong(format!(
                    "expected less than the {span} us that a chunk covers, found {replan}: there would be nothing to go on with"
                )),
                _ => Some(replan),
            }
        });
        let ensemble = ensemble.optional(1, |at| whole(at, 1, 64));
        let coefficient = coefficient.optional(Self::COEFFICIENT, |at| at.number(-10.0..=10.0, ""));
        let blend_us = blend_us.optional(100_000, |at| whole(at, 1_000, 10_000_000));
        Some(Self {
            action: action?,
            gripper: gripper?,
            scaling: scaling?,
            horizon: horizon?,
            period_us: period_us?,
            replan_us: replan_us?,
            ensemble: ensemble?,
            coefficient: coefficient?,
            blend_us: blend_us?,
        })
    }
}

fn whole(at: &Cursor<'_>, least: u32, most: u32) -> Option<u32> {
    u32::try_from(at.integer(u64::from(least)..=u64::from(most))?).ok()
}

/// Every value has its word.
fn word_of<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::SkillSource;

    const REACH: &str = "schema_version: 1\nskill_id: s\nversion: 1.0.0\nenvelope: e.yaml\nroles:\n  \
        leader: {tree: a.xml, tree_id: Main, robot_group: ur5e, policy: reach}\npolicies:\n  reach:\n    \
        file: p/reach.onnx\n    golden: p/reach.golden.json\n    deadline_us: 200000\n    \
        statistics: p/reach.stats.json\n    max_deviation: 6.5\n    inputs:\n      \
        observation.state: {of: [joint_position, gripper_width], rate_hz: 125, max_age_us: 40000, scaling: min_max}\n      \
        observation.environment_state: {of: [pose_of part a], rate_hz: 25.5, max_age_us: 200000}\n    \
        history: {steps: 2, period_us: 100000}\n    \
        chunk: {action: joint_position, horizon: 16, period_us: 100000, replan_us: 400000, ensemble: 4, gripper: true}\n";

    fn reach(text: &str) -> PolicyEntry {
        SkillSource::parse(text).unwrap_or_else(|error| panic!("{error}")).policies["reach"].clone()
    }

    #[test]
    fn what_is_left_out_of_a_chunked_policy_has_its_default() {
        let entry = reach(REACH).chunked.unwrap();
        assert_eq!(entry.inputs["observation.environment_state"].of, [InputSource::PoseOf("part a".into())]);
        assert_eq!(entry.inputs["observation.environment_state"].scaling, Scaling::MeanStd);
        assert_eq!((entry.chunk.coefficient, entry.chunk.blend_us), (0.01, 100_000));
        let without = REACH.replace("    history: {steps: 2, period_us: 100000}\n", "");
        assert_eq!(reach(&without).chunked.unwrap().history.steps, 1);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let entry = reach(REACH);
        let mut text = REACH.split_once("    file:").unwrap().0.to_owned();
        entry.write(&mut text);
        assert_eq!(reach(&text), entry);
        let paths: Vec<&str> = entry.files().map(EntryPath::as_str).collect();
        assert_eq!(paths, ["p/reach.onnx", "p/reach.golden.json", "p/reach.stats.json"]);
    }

    #[test]
    fn a_half_given_chunked_policy_and_every_other_mistake_is_listed() {
        let bad = REACH
            .replace("    statistics: p/reach.stats.json\n", "")
            .replace("max_deviation: 6.5", "max_deviation: .nan")
            .replace("pose_of part a", "pose part_a")
            .replace("scaling: min_max", "scaling: minmax")
            .replace("replan_us: 400000", "replan_us: 1500000");
        let text = SkillSource::parse(&bad).unwrap_err().to_string();
        for expected in [
            "policies.reach.statistics: missing; expected the path of the policy's statistics (stats.json)",
            "policies.reach.max_deviation: expected a finite number from 0.1 to 1000 standard deviations",
            "policies.reach.inputs.observation.environment_state.of[0]: expected joint_position, joint_velocity, wrench, \
             gripper_width or 'pose_of PART', found 'pose part_a'",
            "policies.reach.inputs.observation.state.scaling: expected mean_std, min_max or identity",
            "policies.reach.chunk.replan_us: expected less than the 1500000 us that a chunk covers, found 1500000",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
