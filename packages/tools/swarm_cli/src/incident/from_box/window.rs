//! What is kept of the cycles around a stop.

use swarm_base::Time;
use swarm_black_box::{Cycle, Header, Limits};
use swarm_safety_core::{Config, Input, MAX_ROBOTS, MAX_ZONES};

use super::scan::FoundStop;
use crate::box_walk::{Context, unix_ns};
use crate::incident::quantity::of_cycle;
use crate::incident::recorded::{AFTER_NS, Arrival, BEFORE_NS, Point, RefusedMessage, Track, arrived};
use crate::status::trace_id;

/// The cycles around a stop, as they are handed over one by one.
pub(super) struct Window {
    pub stop_ns: i64,
    stop_cycle: u64,
    pub points: Vec<Point>,
    pub tracks: Vec<Track>,
    pub at_stop: Option<AtStop>,
    emergency_stop_held: bool,
}

/// What held in the stop's own cycle.
pub(super) struct AtStop {
    pub limits: Limits,
    pub limits_since_ns: Option<i64>,
    pub robots: Vec<String>,
    pub trace_id: String,
    pub epoch: u64,
}

/// Inputs of a robot, in the order of their tracks.
const OF_ROBOT: [Input; 4] = [Input::JointState, Input::Wrench, Input::Command, Input::GripperCommand];

impl Window {
    pub(super) fn around(header: &Header, stop: FoundStop) -> Self {
        Self {
            stop_ns: unix_ns(header, stop.now),
            stop_cycle: stop.cycle,
            points: Vec::new(),
            tracks: Vec::new(),
            at_stop: None,
            emergency_stop_held: false,
        }
    }

    pub(super) fn take(&mut self, context: &Context, cycle: &Cycle) {
        let (config, at_ns) = (&context.config, unix_ns(&context.header, cycle.now));
        if at_ns < self.stop_ns - BEFORE_NS || at_ns > self.stop_ns + AFTER_NS {
            self.emergency_stop_held = cycle.inputs.emergency_stop.held;
            return;
        }
        if self.tracks.is_empty() {
            self.tracks = tracks(config);
        }
        let robots = (0..config.arms().len())
            .map(|i| of_cycle(config, i, &cycle.verdict.robots[i].measures, &cycle.inputs.robots[i]));
        self.points.push(Point { at_ns, state: cycle.verdict.state, robots: robots.collect() });
        self.hear(context, cycle, at_ns);
        if cycle.verdict.cycle == self.stop_cycle {
            self.at_stop = Some(AtStop {
                limits: context.limits.clone(),
                limits_since_ns: context.limits_since_ns,
                robots: config.arms().iter().map(|arm| arm.name.clone()).collect(),
                trace_id: trace_id(&cycle.inputs),
                epoch: cycle.verdict.epoch,
            });
        }
    }

    fn hear(&mut self, context: &Context, cycle: &Cycle, at_ns: i64) {
        let arrival = |time: Time| {
            let at_ns = unix_ns(&context.header, time);
            Arrival { at_ns, since_ns: at_ns }
        };
        let mut tracks = self.tracks.iter_mut();
        for robot in cycle.inputs.robots.iter().take(context.config.arms().len().min(MAX_ROBOTS)) {
            let times = [
                robot.joints.map(|sample| sample.sent),
                robot.wrench.map(|sample| sample.sent),
                robot.command.map(|sample| sample.sent),
                robot.gripper.map(|sample| sample.arrival),
            ];
            for (input, time) in OF_ROBOT.into_iter().zip(times) {
                let Some(track) = tracks.next() else { return };
                if let Some(time) = time {
                    arrived(&mut track.arrivals, arrival(time));
                }
                if let Some((_, refused)) = robot.refused.filter(|(of, _)| *of == input) {
                    track.refused.push(RefusedMessage {
                        at_ns,
                        fault: refused.fault.code(),
                        value: refused.value,
                        limit: refused.limit,
                        unit: refused.fault.unit(),
                    });
                }
            }
        }
        let zones = context.config.in_force().humans.zones.as_slice().len();
        for presence in cycle.inputs.presence.iter().take(zones) {
            let Some(track) = tracks.next() else { return };
            if let Some(presence) = presence {
                arrived(&mut track.arrivals, arrival(presence.sent));
            }
        }
        let stop = cycle.inputs.emergency_stop;
        if (stop.pressed || (stop.held && !self.emergency_stop_held))
            && let Some(track) = tracks.next()
        {
            track.arrivals.push(Arrival { at_ns, since_ns: at_ns });
        }
        self.emergency_stop_held = stop.held;
    }
}

/// The tracks of a cell, empty: four of each robot, one of each zone, the emergency stop.
fn tracks(config: &Config) -> Vec<Track> {
    let (cell, humans) = (&config.in_force().cell, &config.in_force().humans);
    let timeout = |input| match input {
        Input::JointState => cell.joint_state_timeout_s,
        Input::Wrench => cell.wrench_timeout_s,
        Input::Command => cell.command_timeout_s,
        // A grip is held until another one is asked for.
        Input::GripperCommand => f64::INFINITY,
        Input::HumanPresence => humans.timeout_s,
    };
    let track = |robot: &str, input: Input, name: &str| Track {
        robot: robot.to_owned(),
        input: name.to_owned(),
        timeout_s: Some(timeout(input)),
        ..Track::default()
    };
    let robots =
        config.arms().iter().flat_map(|arm| OF_ROBOT.map(|input| track(&arm.name, input, input.name())));
    let zones = humans.zones.as_slice().iter().take(MAX_ZONES).map(|zone| {
        let input = Input::HumanPresence;
        track("", input, &format!("{} {}", input.name(), zone.name.as_str()))
    });
    let emergency_stop = Track { input: "emergency stop".to_owned(), ..Track::default() };
    robots.chain(zones).chain([emergency_stop]).collect()
}
