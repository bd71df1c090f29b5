//! What is said of an incident, as the one value that JSON, text and page show. Times of the window are seconds from the stop
//! (negative before it). JSON has no number for what is infinite or unknown: it is null there.

use serde::Serialize;

use super::Recorded;
use super::provenance::LimitSource;
use super::quantity::{Figure, Quantity};
use super::recorded::{
    Arrival, BEFORE_NS, InForce, Proof, Source, SourceKind, Start, Stop, Track, WhatIf, utc,
};
use crate::verdict_json::CauseText;

/// Everything that is said.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub source: Source,
    pub cell: Option<String>,
    pub software: Option<String>,
    pub recording: Proof,
    pub starts: Vec<Start>,
    pub start: Option<usize>,
    pub stop: StopReport,
    pub limit_source: Option<LimitSource>,
    pub all_stops: Vec<StopReport>,
    pub in_force: InForce,
    /// How much was recorded before the stop and behind it, as far as it is looked at.
    pub window: WindowReport,
    pub lost_cycles: Option<u64>,
    pub margins: Vec<Nearness>,
    pub inputs: Vec<InputReport>,
    pub what_if: Option<WhatIfReport>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct StopReport {
    /// From 1.
    pub number: usize,
    pub utc: String,
    pub unix_s: f64,
    pub cycle: u64,
    pub state: &'static str,
    /// `None` if the recording begins in the stop.
    pub state_before: Option<&'static str>,
    pub cause: Option<CauseText>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct WindowReport {
    pub before_s: f64,
    pub after_s: f64,
    /// Cycles of a black box, statuses of a bag.
    pub samples: usize,
}

/// How near a robot was to one limit.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Nearness {
    pub robot: String,
    pub quantity: Quantity,
    pub unit: &'static str,
    /// Last before the stop, and in the stop's own cycle or status.
    pub before_stop: f64,
    pub at_stop: f64,
    /// Last before the stop; null where nothing is monitored, or the source does not say.
    pub limit: f64,
    /// What was left to it; negative beyond it.
    pub margin: f64,
    /// Nearest to its limit in the window, the stop included; without a limit the largest, or the least distance.
    pub nearest: f64,
    pub nearest_margin: f64,
    pub nearest_s: f64,
}

/// What one input did in the window up to the stop.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct InputReport {
    /// Empty for the whole cell.
    pub robot: String,
    pub input: String,
    pub samples: usize,
    /// Null, as the gap is, for what has no rate: the emergency stop.
    pub rate_hz: f64,
    /// Between two samples, or from the last one to the stop; null if none came.
    pub longest_gap_s: f64,
    /// Null if none came.
    pub age_at_stop_s: Option<f64>,
    pub timeout_s: Option<f64>,
    /// Null where the source does not tell.
    pub refused: Option<Vec<RefusedReport>>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct RefusedReport {
    pub at_s: f64,
    pub fault: &'static str,
    pub value: f64,
    pub limit: f64,
    pub unit: &'static str,
}

/// What another envelope would have done: refused, or a stop, or neither.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WhatIfReport {
    pub refused: Option<String>,
    pub stop: Option<StopReport>,
    /// From the recorded stop; negative before it.
    pub at_s: Option<f64>,
}

impl StopReport {
    fn of(index: usize, stop: &Stop) -> Self {
        Self {
            number: index + 1,
            utc: utc(stop.at_ns),
            unix_s: stop.at_ns as f64 * 1e-9,
            cycle: stop.cycle,
            state: stop.state.name(),
            state_before: stop.before.map(swarm_safety_core::SafetyState::name),
            cause: stop.cause.clone(),
        }
    }
}

impl Report {
    pub(crate) fn of(recorded: &Recorded) -> Self {
        let r = recorded;
        let all_stops: Vec<StopReport> =
            r.stops.iter().enumerate().map(|(index, stop)| StopReport::of(index, stop)).collect();
        let from_stop_s = |at_ns: i64| (at_ns - r.stop().at_ns) as f64 * 1e-9;
        let ends = [r.points.first(), r.points.last()]
            .map(|point| point.map_or(0.0, |point| from_stop_s(point.at_ns)));
        let what_if = r.what_if.as_ref().map(|what_if| match what_if {
            WhatIf::Refused(why) => WhatIfReport { refused: Some(why.clone()), stop: None, at_s: None },
            WhatIf::NoStop => WhatIfReport { refused: None, stop: None, at_s: None },
            WhatIf::Stop(stop) => WhatIfReport {
                refused: None,
                stop: Some(StopReport::of(0, stop)),
                at_s: Some(from_stop_s(stop.at_ns)),
            },
        });
        Self {
            source: r.source.clone(),
            cell: r.cell.clone(),
            software: r.software.clone(),
            recording: r.proof.clone(),
            starts: r.starts.clone(),
            start: r.start,
            stop: all_stops[r.chosen].clone(),
            limit_source: r.limit_source.clone(),
            all_stops,
            in_force: r.in_force.clone(),
            window: WindowReport { before_s: -ends[0], after_s: ends[1], samples: r.points.len() },
            lost_cycles: r.lost_cycles,
            margins: margins(r),
            inputs: r.tracks.iter().map(|track| input(track, r, -ends[0])).collect(),
            what_if,
        }
    }
}

fn margins(recorded: &Recorded) -> Vec<Nearness> {
    let stop_ns = recorded.stop().at_ns;
    let up_to_stop: Vec<_> = recorded.points.iter().filter(|point| point.at_ns <= stop_ns).collect();
    let Some(at_stop) = up_to_stop.last() else { return Vec::new() };
    let before = up_to_stop.iter().rfind(|point| point.at_ns < stop_ns).unwrap_or(at_stop);
    let mut margins = Vec::new();
    for (i, robot) in recorded.robots.iter().enumerate() {
        for (k, quantity) in Quantity::ALL.into_iter().enumerate() {
            let known = |figure: &Figure| figure.value.is_finite();
            // Values that differ in their last bits may leave the same margin.
            let far = |figure: &Figure| {
                let margin = quantity.margin(*figure);
                let alone = if quantity.stays_above() { figure.value } else { -figure.value };
                [if margin.is_finite() { margin } else { alone }, alone]
            };
            let all =
                up_to_stop.iter().filter_map(|point| Some((point.at_ns, *point.robots.get(i)?.get(k)?)));
            let nearest = all.filter(|(_, figure)| known(figure)).min_by(|(_, one), (_, two)| {
                let ([margin, alone], [other_margin, other]) = (far(one), far(two));
                margin.total_cmp(&other_margin).then(alone.total_cmp(&other))
            });
            let Some((near_ns, near)) = nearest else { continue };
            let [last, now] =
                [before, at_stop].map(|point| point.robots.get(i).map_or(Figure::UNKNOWN, |robot| robot[k]));
            margins.push(Nearness {
                robot: robot.clone(),
                quantity,
                unit: quantity.unit(),
                before_stop: last.value,
                at_stop: now.value,
                limit: last.limit,
                margin: quantity.margin(last),
                nearest: near.value,
                nearest_margin: quantity.margin(near),
                nearest_s: (near_ns - stop_ns) as f64 * 1e-9,
            });
        }
    }
    margins
}

fn input(track: &Track, recorded: &Recorded, window_s: f64) -> InputReport {
    let stop_ns = recorded.stop().at_ns;
    let from_ns = stop_ns - BEFORE_NS;
    let heard: Vec<&Arrival> = track.arrivals.iter().filter(|arrival| arrival.at_ns <= stop_ns).collect();
    let inside = heard.iter().filter(|arrival| arrival.at_ns >= from_ns).count();
    // What is heard once, by a person's hand, has neither rate nor gap.
    let regular = track.input != "emergency stop";
    let times: Vec<i64> = heard.iter().map(|arrival| arrival.at_ns).chain([stop_ns]).collect();
    let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64 * 1e-9);
    InputReport {
        robot: track.robot.clone(),
        input: track.input.clone(),
        samples: inside,
        rate_hz: if regular && window_s > 0.0 { inside as f64 / window_s } else { f64::NAN },
        longest_gap_s: if regular && !heard.is_empty() { gaps.fold(0.0, f64::max) } else { f64::NAN },
        age_at_stop_s: heard.last().map(|last| (stop_ns - last.since_ns) as f64 * 1e-9),
        timeout_s: track.timeout_s.filter(|timeout| timeout.is_finite()),
        refused: (recorded.source.kind == SourceKind::BlackBox).then(|| {
            let refused = track.refused.iter().filter(|refused| refused.at_ns <= stop_ns);
            let line = |refused: &super::recorded::RefusedMessage| RefusedReport {
                at_s: (refused.at_ns - stop_ns) as f64 * 1e-9,
                fault: refused.fault,
                value: refused.value,
                limit: refused.limit,
                unit: refused.unit,
            };
            refused.map(line).collect()
        }),
    }
}
