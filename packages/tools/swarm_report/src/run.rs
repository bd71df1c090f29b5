//! What a log says, put in the order in which a person asks for it. Nothing here draws.

use std::collections::BTreeMap;

use swarm_run_log::{
    Event, Line, Outcome, Reading, Record, RoleState, RunHeader, RunResult, Runtime, Status, StatusState,
};

use crate::Samples;

/// A recorded run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Conditions; `None` if the log does not begin with them.
    pub header: Option<RunHeader>,
    /// How it ended; `None` if the recording was cut.
    pub result: Option<RunResult>,
    /// Skill id and version, artifact digest (hex), trace id; empty where never heard.
    pub skill: String,
    pub artifact: String,
    pub trace_id: String,
    /// Whether the deciding thread had real-time scheduling in every status; `None` without a status.
    pub real_time: Option<bool>,
    /// Time of the last line, s.
    pub end_s: f64,
    /// In the order in which they were first heard.
    pub roles: Vec<RoleTrack>,
    pub robots: Vec<RobotTrace>,
    pub states: Vec<StateSpan>,
    pub stops: Vec<Stop>,
    pub events: Vec<(f64, Event)>,
    pub notices: Vec<Notice>,
    /// A bag of the run's cameras and arms beside the page, by its path from there; not in the log.
    pub recording: Option<String>,
}

/// What one role did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoleTrack {
    pub role: String,
    pub robot: String,
    pub phases: Vec<PhaseSpan>,
}

/// A time in which a role was in one phase and state.
#[derive(Clone, Debug, PartialEq)]
pub struct PhaseSpan {
    pub from_s: f64,
    pub to_s: f64,
    pub phase: String,
    pub state: RoleState,
    pub message: String,
}

/// A time in which the safety monitor was in one state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpan {
    pub from_s: f64,
    pub to_s: f64,
    pub state: StatusState,
}

/// A stop, from the first status that told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    pub from_s: f64,
    /// When another state followed; `None` if it lasted to the end.
    pub until_s: Option<f64>,
    /// The status that told of it.
    pub status: Status,
}

/// What was heard of one robot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RobotTrace {
    pub name: String,
    pub role: String,
    /// m/s, of the tool centre point in the world frame.
    pub speed: Samples,
    pub speed_limit: Samples,
    /// N, after payload compensation.
    pub force: Samples,
    pub force_limit: Samples,
    /// m, to the nearest link of another robot.
    pub separation: Samples,
    pub separation_limit: Samples,
    /// 1 = at the limit.
    pub joint_velocity_ratio: Samples,
    /// s
    pub input_age: Samples,
}

/// The sample nearest to its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extreme {
    pub at_s: f64,
    pub value: f64,
    pub limit: f64,
}

/// Something about the recording that a reader must know before believing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice(pub String);

impl Run {
    /// Puts a log in order.
    pub fn from_log(reading: &Reading) -> Self {
        let mut run = Self::default();
        for Line { t_s, record } in &reading.lines {
            run.end_s = run.end_s.max(*t_s);
            match record {
                Record::Run(header) => run.header = Some(header.clone()),
                Record::Status(status) => run.take_status(*t_s, status),
                Record::Runtime(runtime) => run.take_runtime(*t_s, runtime),
                Record::Event(event) => run.events.push((*t_s, event.clone())),
                Record::Result(result) => run.result = Some(result.clone()),
                Record::Unknown => {}
            }
        }
        run.close_spans();
        run.name_roles();
        run.notices = run.notices(reading);
        run
    }

    /// `succeeded`, `aborted`, `canceled`, or `unfinished` where the recording was cut.
    pub fn outcome(&self) -> &'static str {
        self.result.as_ref().map_or("unfinished", |result| result.outcome.as_str())
    }

    pub fn succeeded(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.outcome == Outcome::Succeeded)
    }

    fn take_status(&mut self, t_s: f64, status: &Status) {
        keep_last(&mut self.skill, &status.skill);
        keep_last(&mut self.artifact, &status.artifact);
        keep_last(&mut self.trace_id, &status.trace_id);
        self.real_time = Some(self.real_time.unwrap_or(true) && status.real_time);
        self.take_state(t_s, status);
        for robot in &status.robots {
            let index = self.robots.iter().position(|known| known.name == robot.robot).unwrap_or_else(|| {
                self.robots.push(RobotTrace { name: robot.robot.clone(), ..RobotTrace::default() });
                self.robots.len() - 1
            });
            let trace = &mut self.robots[index];
            for (samples, value) in [
                (&mut trace.speed, robot.tcp_speed),
                (&mut trace.speed_limit, robot.tcp_speed_limit),
                (&mut trace.force, robot.contact_force),
                (&mut trace.force_limit, robot.contact_force_limit),
                (&mut trace.separation, robot.separation),
                (&mut trace.separation_limit, robot.separation_limit),
                (&mut trace.joint_velocity_ratio, robot.joint_velocity_ratio),
                (&mut trace.input_age, robot.input_age),
            ] {
                samples.0.push((t_s, value));
            }
        }
    }

    fn take_state(&mut self, t_s: f64, status: &Status) {
        let before = self.states.last().map(|span| span.state);
        if before == Some(status.state) {
            return;
        }
        if let Some(span) = self.states.last_mut() {
            span.to_s = t_s;
        }
        if let Some(stop) = self.stops.last_mut() {
            stop.until_s.get_or_insert(t_s);
        }
        self.states.push(StateSpan { from_s: t_s, to_s: t_s, state: status.state });
        // Deny is where every monitor starts; falling back into it takes the leave to move away, as a stop does.
        let fell_back = status.state == StatusState::Deny && before.is_some();
        if status.state.is_stop() || fell_back {
            self.stops.push(Stop { from_s: t_s, until_s: None, status: status.clone() });
        }
    }

    fn take_runtime(&mut self, t_s: f64, runtime: &Runtime) {
        if !runtime.skill.is_empty() {
            self.skill = format!("{}@{}", runtime.skill, runtime.version);
        }
        keep_last(&mut self.artifact, &runtime.artifact);
        keep_last(&mut self.trace_id, &runtime.trace_id);
        for heard in &runtime.roles {
            let index = self.roles.iter().position(|known| known.role == heard.role).unwrap_or_else(|| {
                self.roles.push(RoleTrack { role: heard.role.clone(), ..RoleTrack::default() });
                self.roles.len() - 1
            });
            let track = &mut self.roles[index];
            keep_last(&mut track.robot, &heard.robot);
            match track.phases.last_mut() {
                Some(span) if span.phase == heard.phase && span.state == heard.state => {
                    span.to_s = t_s;
                    keep_last(&mut span.message, &heard.message);
                    continue;
                }
                Some(span) => span.to_s = t_s,
                None => {}
            }
            track.phases.push(PhaseSpan {
                from_s: t_s,
                to_s: t_s,
                phase: heard.phase.clone(),
                state: heard.state,
                message: heard.message.clone(),
            });
        }
    }

    /// What was still going on at the last line lasted to it.
    fn close_spans(&mut self) {
        if let Some(span) = self.states.last_mut() {
            span.to_s = self.end_s;
        }
        for span in self.roles.iter_mut().filter_map(|track| track.phases.last_mut()) {
            span.to_s = self.end_s;
        }
    }

    /// Gives each robot its role: as played, else as the header says.
    fn name_roles(&mut self) {
        let mut roles: BTreeMap<String, String> = BTreeMap::new();
        let declared = self.header.iter().flat_map(|header| &header.robots);
        roles.extend(declared.map(|robot| (robot.name.clone(), robot.role.clone())));
        roles.extend(self.roles.iter().map(|track| (track.robot.clone(), track.role.clone())));
        for robot in &mut self.robots {
            robot.role = roles.remove(&robot.name).unwrap_or_default();
        }
    }

    fn notices(&self, reading: &Reading) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut note = |text: String| notices.push(Notice(text));
        if let Some(header) = &self.header
            && header.permit_timeout_s > header.permit_timeout_default_s
        {
            note(format!(
                "Drivers stopped at a permit older than {:.0} ms in this run; the cell declares {:.0} ms.",
                header.permit_timeout_s * 1e3,
                header.permit_timeout_default_s * 1e3
            ));
        }
        if self.real_time == Some(false) {
            note("The safety monitor had no real-time scheduling: its reaction times have no bound.".into());
        }
        if self.header.is_none() {
            note("The recording does not begin with the run's conditions.".into());
        }
        if self.result.is_none() {
            note("The recording ends without a result: it was cut, or the run never came to an end.".into());
        }
        match reading.broken.as_slice() {
            [] => {}
            [(line, why), ..] => {
                let count = reading.broken.len();
                note(format!("{count} line(s) of the log cannot be read, the first is line {line}: {why}."));
            }
        }
        if reading.unknown > 0 {
            note(format!("{} line(s) are of a kind that this report does not know.", reading.unknown));
        }
        notices
    }
}

impl RobotTrace {
    /// The TCP speed nearest to its limit.
    pub fn fastest(&self) -> Option<Extreme> {
        nearest(&self.speed, &self.speed_limit, |value, limit| value / limit)
    }

    /// The contact force nearest to its limit.
    pub fn strongest(&self) -> Option<Extreme> {
        nearest(&self.force, &self.force_limit, |value, limit| value / limit)
    }

    /// The separation nearest to its limit.
    pub fn closest(&self) -> Option<Extreme> {
        nearest(&self.separation, &self.separation_limit, |value, limit| limit - value)
    }
}

/// The sample for which `use_of(value, limit)` is largest.
fn nearest(values: &Samples, limits: &Samples, use_of: impl Fn(f64, f64) -> f64) -> Option<Extreme> {
    let pairs =
        values.0.iter().zip(&limits.0).map(|(&(at_s, value), &(_, limit))| Extreme { at_s, value, limit });
    pairs
        .filter(|at| use_of(at.value, at.limit).is_finite())
        .max_by(|a, b| use_of(a.value, a.limit).total_cmp(&use_of(b.value, b.limit)))
}

fn keep_last(known: &mut String, heard: &str) {
    if !heard.is_empty() && known != heard {
        heard.clone_into(known);
    }
}
