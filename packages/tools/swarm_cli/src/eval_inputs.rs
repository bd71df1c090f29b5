//! From a line of `cell safety eval` to the inputs of a cycle.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use nalgebra::Vector3;
use serde::Deserialize;
use swarm_base::{Duration, Time};
use swarm_kinematics::JointVector;
use swarm_safety_core::ingest::run_id;
use swarm_safety_core::wire::Wire;
use swarm_safety_core::{
    CommandSample, Config, GripperSample, Input, InputFault, Inputs, JointSample, PresenceSample,
    ResetRequest, WrenchSample, ingest,
};

/// One line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    now_s: Option<f64>,
    dt_s: Option<f64>,
    robots: BTreeMap<String, Robot>,
    presence: BTreeMap<String, Presence>,
    emergency_stop: Option<bool>,
    reset: Option<Epoch>,
    not_recorded: Option<bool>,
    not_real_time: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Robot {
    joints: Option<Joints>,
    wrench: Option<Wrench>,
    command: Option<Command>,
    gripper: Option<Gripper>,
    refused: Option<Refused>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Joints {
    position: Vec<f64>,
    velocity: Vec<f64>,
    effort: Option<Vec<f64>>,
    #[serde(default)]
    age_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrench {
    force: [f64; 3],
    torque: [f64; 3],
    #[serde(default)]
    age_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    velocity: Vec<f64>,
    #[serde(default)]
    epoch: Epoch,
    #[serde(default = "this_run")]
    run: String,
    sequence: Option<u64>,
    #[serde(default = "yes")]
    artifact_matches: bool,
    #[serde(default)]
    age_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gripper {
    width_m: f64,
    force_n: f64,
    #[serde(default)]
    epoch: Epoch,
    #[serde(default = "yes")]
    artifact_matches: bool,
    #[serde(default)]
    age_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Presence {
    /// `None`: nobody is in range.
    range_m: Option<f64>,
    #[serde(default)]
    age_s: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    input: String,
    fault: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(untagged, expecting = "expected \"current\" or the number of an epoch")]
enum Epoch {
    Number(u64),
    Word(CurrentEpoch),
    #[default]
    #[serde(skip)]
    Current,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CurrentEpoch {
    Current,
}

fn this_run() -> String {
    "eval".to_owned()
}

const fn yes() -> bool {
    true
}

impl Epoch {
    const fn or(self, current: u64) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Word(CurrentEpoch::Current) | Self::Current => current,
        }
    }
}

/// What the cell has said so far, as the monitor keeps it: the newest sample of each kind stays until a newer one comes.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    config: &'a Config,
    inputs: Inputs,
    now: Option<Time>,
    sequence: u64,
}

impl<'a> Heard<'a> {
    pub(crate) fn nothing(config: &'a Config) -> Self {
        Self { config, inputs: Inputs::default(), now: None, sequence: 0 }
    }

    /// Inputs and time of the next cycle. `epoch` is that in force.
    pub(crate) fn line(&mut self, text: &str, epoch: u64) -> anyhow::Result<(Inputs, Time)> {
        let line: Line =
            serde_json::from_str(text).context("no line of the form that `cell safety eval --help` tells")?;
        let now = self.time(&line)?;
        self.now = Some(now);
        self.sequence += 1;
        self.inputs.forget_events();
        for (name, robot) in &line.robots {
            self.robot(name, robot, epoch, now).with_context(|| format!("robots.{name}"))?;
        }
        for (name, presence) in &line.presence {
            let zone = self.config.ceiling().humans.zone(name);
            let zone = zone.with_context(|| format!("presence.{name}: the ceiling has no zone '{name}'"))?;
            let (stamp_ns, sent) = sent(now, presence.age_s).with_context(|| format!("presence.{name}"))?;
            let range_m = presence.range_m.unwrap_or(f64::INFINITY);
            self.inputs.presence[zone] = Some(PresenceSample { range_m, stamp_ns, sent });
        }
        if let Some(stop) = line.emergency_stop {
            self.inputs.hear_emergency_stop(stop);
        }
        let inputs = &mut self.inputs;
        inputs.not_recorded = line.not_recorded.unwrap_or(inputs.not_recorded);
        inputs.not_real_time = line.not_real_time.unwrap_or(inputs.not_real_time);
        self.inputs.reset = line.reset.map(|asked| ResetRequest { epoch: asked.or(epoch) });
        Ok((self.inputs, now))
    }

    fn time(&self, line: &Line) -> anyhow::Result<Time> {
        let span = |seconds: f64, name| {
            ensure!(
                seconds.is_finite() && (0.0..1e9).contains(&seconds),
                "{name} is {seconds}, expected seconds, 0 or more"
            );
            Ok(Duration::from_secs_f64(seconds))
        };
        match (line.now_s, line.dt_s, self.now) {
            (Some(_), Some(_), _) => bail!("both now_s and dt_s are given, expected one of them or none"),
            (Some(now), None, _) => Ok(Time(span(now, "now_s")?.0)),
            (None, Some(dt), last) => Ok(last.unwrap_or_default() + span(dt, "dt_s")?),
            (None, None, None) => Ok(Time::ZERO),
            (None, None, Some(last)) => Ok(last + Duration::from_secs_f64(self.config.timing().period_s)),
        }
    }

    fn robot(&mut self, name: &str, robot: &Robot, epoch: u64, now: Time) -> anyhow::Result<()> {
        let index = self.config.robot(name).with_context(|| {
            let known: Vec<&str> = self.config.arms().iter().map(|arm| arm.name.as_str()).collect();
            format!("the cell has no robot '{name}'; it has {}", known.join(", "))
        })?;
        let dof = self.config.arms()[index].model.dof();
        let joints = |values: &[f64], what: &str| {
            ensure!(values.len() == dof, "{what} has {} values, expected {dof}", values.len());
            Ok(JointVector::from_iterator(values.iter().copied().chain(std::iter::repeat(0.0)).take(7)))
        };
        let sequence = self.sequence;
        let inputs = &mut self.inputs.robots[index];
        if let Some(said) = &robot.joints {
            let (stamp_ns, sent) = sent(now, said.age_s).context("joints")?;
            inputs.joints = Some(JointSample {
                q: joints(&said.position, "joints.position")?,
                qd: joints(&said.velocity, "joints.velocity")?,
                effort: said.effort.as_deref().map(|effort| joints(effort, "joints.effort")).transpose()?,
                stamp_ns,
                sent,
                sequence,
            });
        }
        if let Some(said) = &robot.wrench {
            let (stamp_ns, sent) = sent(now, said.age_s).context("wrench")?;
            let (force, torque) = (Vector3::from(said.force), Vector3::from(said.torque));
            inputs.wrench = Some(WrenchSample { force, torque, stamp_ns, sent, sequence });
        }
        if let Some(said) = &robot.command {
            inputs.command = Some(CommandSample {
                velocity: joints(&said.velocity, "command.velocity")?,
                epoch: said.epoch.or(epoch),
                run: run_id(&said.run),
                sequence: said.sequence.unwrap_or(sequence),
                artifact_matches: said.artifact_matches,
                sent: sent(now, said.age_s).context("command")?.1,
            });
        }
        if let Some(said) = &robot.gripper {
            inputs.gripper = Some(GripperSample {
                width_m: said.width_m,
                force_n: said.force_n,
                epoch: said.epoch.or(epoch),
                artifact_matches: said.artifact_matches,
                arrival: sent(now, said.age_s).context("gripper")?.1,
            });
        }
        if let Some(said) = &robot.refused {
            let input = known(&said.input, |input: &Input| input.name().replace(' ', "_"))?;
            let fault = known(&said.fault, |fault: &InputFault| fault.code().to_owned())?;
            inputs.refuse(input, ingest::Refused { fault, joint: None, value: 0.0, limit: 0.0 });
        }
        Ok(())
    }
}

/// When something was sent that is so old now: by the sender's clock, and by ours.
fn sent(now: Time, age_s: f64) -> anyhow::Result<(u64, Time)> {
    ensure!(age_s.is_finite() && age_s >= 0.0, "age_s is {age_s}, expected seconds, 0 or more");
    let at = now.0.saturating_sub(Duration::from_secs_f64(age_s).0);
    Ok((at, Time(at)))
}

/// The value of that name, of all that an enumeration has.
fn known<T: Wire>(text: &str, name: impl Fn(&T) -> String) -> anyhow::Result<T> {
    let all = || (0..).map_while(|number| T::from_bytes(&[number]).ok());
    all().find(|value| name(value) == text).with_context(|| {
        let names: Vec<String> = all().map(|value| name(&value)).collect();
        format!("refused: '{text}' is not known; expected one of {}", names.join(", "))
    })
}
