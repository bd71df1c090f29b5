//! What stopped a cell, from its black box: the stop with its cause, how near each limit was before it, what each input did, and
//! whether other limits would have stopped it elsewhere.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use swarm_base::{Duration, ErrorChain, Time};
use swarm_black_box::{Cycle, Header, Limits, Record, Replay, records};
use swarm_safety_core::{Config, EnvelopeFile, Inputs, MAX_ROBOTS, Measures, State, Verdict, step};
use swarm_safety_setup::roles;

use crate::box_files::BoxFile;
use crate::verdict_json::{cause, number};

/// How far back the inputs are looked at.
const BEFORE: Duration = Duration::from_millis(10_000);

/// A stop: the first cycle in which a stop state stands that did not stand before.
#[derive(Clone, Copy, Debug)]
struct Stop {
    index: usize,
    now: Time,
    verdict: Verdict,
}

/// A recording with everything that is needed to look at it.
pub(crate) struct Recording {
    header: Header,
    /// Limits by the index of the first cycle that they hold in.
    limits: Vec<(usize, Limits, Config)>,
    first_state: Option<(usize, State)>,
    cycles: Vec<Cycle>,
    lost: u64,
}

impl Recording {
    pub(crate) fn read(files: &[BoxFile]) -> anyhow::Result<Self> {
        let mut found: Option<(Self, Replay)> = None;
        for file in files {
            let named = || format!("'{}'", file.path.display());
            for (_, record) in records(&file.bytes).with_context(named)? {
                match (&mut found, record) {
                    (None, Record::Header(header)) => {
                        let replay = Replay::begin(header.clone()).with_context(named)?;
                        let limits = vec![(0, header.limits.clone(), replay.config().clone())];
                        let this = Self { header, limits, first_state: None, cycles: Vec::new(), lost: 0 };
                        found = Some((this, replay));
                    }
                    (None, _) => bail!("{} begins with no header: nothing can be made of it", named()),
                    (Some((this, replay)), record) => this.take(&record, replay).with_context(named)?,
                }
            }
        }
        Ok(found.context("the files hold no whole record")?.0)
    }

    fn take(&mut self, record: &Record, replay: &mut Replay) -> anyhow::Result<()> {
        match record {
            Record::Header(header) if header.first_epoch != self.header.first_epoch => {
                bail!("the files are of two starts of the monitor; give those of one")
            }
            Record::Limits(limits) => {
                replay.take(record)?;
                self.limits.push((self.cycles.len(), limits.clone(), replay.config().clone()));
            }
            Record::Snapshot(state) if self.first_state.is_none() => {
                self.first_state = Some((self.cycles.len(), *state));
            }
            Record::Cycle(cycle) => self.cycles.push(*cycle),
            Record::Lost(count) => self.lost += count,
            _ => {}
        }
        Ok(())
    }

    fn config_at(&self, index: usize) -> &Config {
        let in_force = self.limits.iter().rfind(|(from, ..)| *from <= index);
        in_force.map_or(&self.limits[0].2, |(.., config)| config)
    }

    fn stops(&self) -> Vec<Stop> {
        let mut before = None;
        let mut stops = Vec::new();
        for (index, cycle) in self.cycles.iter().enumerate() {
            let state = cycle.verdict.state;
            if state.is_stop() && before != Some(state) {
                stops.push(Stop { index, now: cycle.now, verdict: cycle.verdict });
            }
            before = Some(state);
        }
        stops
    }

    /// The report on the stop of that number, from 1.
    pub(crate) fn report(&self, wanted: usize, what_if: Option<&str>) -> anyhow::Result<Value> {
        let stops = self.stops();
        let Some(stop) = wanted.checked_sub(1).and_then(|index| stops.get(index)) else {
            bail!("stop {wanted} was asked for, the recording has {}", stops.len());
        };
        let config = self.config_at(stop.index);
        let from = self.cycles.iter().position(|cycle| stop.now.since(cycle.now) <= BEFORE).unwrap_or(0);
        let window = &self.cycles[from.min(stop.index)..stop.index];
        Ok(json!({
            "cell": self.header.sources.cell()?.cell,
            "software": self.header.software,
            "stop": self.stop(stop),
            "all_stops": stops.iter().map(|stop| self.stop(stop)).collect::<Vec<_>>(),
            "window_s": window.first().map_or(0.0, |first| stop.now.since(first.now).as_secs_f64()),
            "lost_cycles": self.lost,
            "margins": margins(config, window),
            "inputs": inputs(config, window, stop.now),
            "what_if": what_if.map(|text| self.what_if(text)).transpose()?,
        }))
    }

    fn stop(&self, stop: &Stop) -> Value {
        let config = self.config_at(stop.index);
        let before = stop.index.checked_sub(1).and_then(|index| self.cycles.get(index));
        json!({
            "cycle": stop.verdict.cycle,
            "unix_s": self.header.unix_ns(stop.now) as f64 * 1e-9,
            "at_s": number(stop.now.as_secs_f64()),
            "state": stop.verdict.state.name(),
            "state_before": before.map(|cycle| cycle.verdict.state.name()),
            "cause": stop.verdict.cause.map(|found| cause(config, &found)),
        })
    }

    /// Where other limits would have stopped the same cycles. Only the first stop counts: behind it the cell would have done
    /// something else.
    fn what_if(&self, text: &str) -> anyhow::Result<Value> {
        let (first, mut state) =
            self.first_state.context("no state was recorded: nothing can be run again")?;
        if self.lost > 0 {
            bail!("{} cycles were lost in the recording: it cannot be run again from its begin", self.lost);
        }
        let roles = roles(&self.header.sources.cell()?);
        let ceiling = self.header.ceiling_config()?;
        // The numbers of the recorded limits are kept, so that epochs are those that the commands were meant for.
        let under = |generation| {
            let file = EnvelopeFile::parse(text)?;
            ceiling.with_envelope(Some(&file), &roles, generation)
        };
        let mut config: Option<Config> = None;
        let was_stopped = state.state().is_stop();
        let mut stopped = was_stopped;
        for (index, cycle) in self.cycles.iter().enumerate().skip(first) {
            let generation = self.config_at(index).generation();
            if config.as_ref().is_none_or(|config| config.generation() != generation) {
                match under(generation) {
                    Ok(made) => config = Some(made),
                    Err(error) => return Ok(json!({"refused": ErrorChain(&error).to_string()})),
                }
            }
            let Some(config) = &config else { continue };
            let (next, verdict) = step(config, &state, &cycle.inputs, cycle.now);
            state = next;
            if verdict.state.is_stop() && !stopped {
                return Ok(json!({
                    "stop": {
                        "cycle": verdict.cycle,
                        "at_s": number(cycle.now.as_secs_f64()),
                        "state": verdict.state.name(),
                        "cause": verdict.cause.map(|found| cause(config, &found)),
                    }
                }));
            }
            stopped = verdict.state.is_stop();
        }
        Ok(json!({"stop": null}))
    }
}

/// A figure with its limit, and whether it has to stay above it.
type Quantity = (&'static str, fn(&Measures) -> (f64, f64), bool);

const QUANTITIES: [Quantity; 6] = [
    ("tool speed, m/s", |m| (m.tcp_speed_m_s, m.tcp_speed_limit_m_s), false),
    ("elbow speed, m/s", |m| (m.elbow_speed_m_s, m.elbow_speed_limit_m_s), false),
    ("momentum, kg m/s", |m| (m.momentum_kg_m_s, m.momentum_limit_kg_m_s), false),
    ("power, W", |m| (m.power_w, m.power_limit_w), false),
    ("contact force, N", |m| (m.contact_force_n, m.contact_force_limit_n), false),
    ("separation, m", |m| (m.separation_m, m.separation_limit_m), true),
];

/// Each figure in the last cycle before the stop, and at its nearest to the limit in the time before.
fn margins(config: &Config, window: &[Cycle]) -> Vec<Value> {
    let mut margins = Vec::new();
    for (i, arm) in config.arms().iter().enumerate() {
        for (name, figure, stays_above) in QUANTITIES {
            let all = window.iter().map(|cycle| (cycle.now, figure(&cycle.verdict.robots[i].measures)));
            let margin = |(value, limit): (f64, f64)| if stays_above { value - limit } else { limit - value };
            let Some((_, last)) = all.clone().next_back() else { continue };
            let nearest = all.min_by(|one, two| margin(one.1).total_cmp(&margin(two.1)));
            let Some((at, near)) = nearest.filter(|(_, figure)| figure.1.is_finite()) else { continue };
            margins.push(json!({
                "robot": arm.name, "quantity": name, "before_stop": number(last.0), "limit": number(last.1),
                "margin": number(margin(last)), "nearest": number(near.0), "nearest_margin": number(margin(near)),
                "nearest_at_s": number(at.as_secs_f64()),
            }));
        }
    }
    margins
}

/// What each input did before the stop.
fn inputs(config: &Config, window: &[Cycle], stop: Time) -> Vec<Value> {
    type Arrival = fn(&Inputs, usize) -> Option<Time>;
    let kinds: [(&str, Arrival); 4] = [
        ("joint state", |inputs, i| inputs.robots[i].joints.map(|sample| sample.arrival)),
        ("wrench", |inputs, i| inputs.robots[i].wrench.map(|sample| sample.arrival)),
        ("command", |inputs, i| inputs.robots[i].command.map(|sample| sample.arrival)),
        ("gripper command", |inputs, i| inputs.robots[i].gripper.map(|sample| sample.arrival)),
    ];
    let mut found = Vec::new();
    for (i, arm) in config.arms().iter().enumerate().take(MAX_ROBOTS) {
        for (name, arrival) in kinds {
            let mut arrivals: Vec<Time> =
                window.iter().filter_map(|cycle| arrival(&cycle.inputs, i)).collect();
            arrivals.dedup();
            let gaps = arrivals.windows(2).map(|pair| pair[1].since(pair[0]).as_secs_f64());
            let refused = window.iter().filter_map(|cycle| cycle.inputs.robots[i].refused);
            let refused: Vec<&str> = refused
                .filter(|(input, _)| input.name() == name)
                .map(|(_, refused)| refused.fault.code())
                .collect();
            found.push(json!({
                "robot": arm.name, "input": name, "samples": arrivals.len(),
                "longest_gap_s": number(gaps.fold(0.0, f64::max)),
                "age_at_stop_s": arrivals.last().map(|last| number(stop.since(*last).as_secs_f64())),
                "refused": refused,
            }));
        }
    }
    found
}
