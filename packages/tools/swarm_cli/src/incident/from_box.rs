//! An incident from files of the black box: everything is known, and everything can be run again.

use anyhow::{Context as _, bail, ensure};
use swarm_base::{ErrorChain, Time};
use swarm_black_box::{Cycle, Header, Limits, Record, Signed, records};
use swarm_safety_core::{
    CauseKind, Config, EnvelopeFile, Input, MAX_ROBOTS, MAX_ZONES, SafetyState, State, step,
};
use swarm_safety_setup::roles;

use super::Question;
use super::provenance::limit_source;
use super::quantity::of_cycle;
use super::recorded::{
    AFTER_NS, Arrival, BEFORE_NS, InForce, Point, Proof, ProofVerdict, Recorded, RefusedMessage, Source,
    SourceKind, Start, Stop, StopLine, Track, WhatIf, arrived, utc,
};
use crate::box_files::{BoxFile, header};
use crate::box_verify::{judge_all, key_id};
use crate::status::trace_id;
use crate::verdict_json::CauseText;

/// Reads the incident that `question` asks for.
pub(crate) fn read(files: Vec<BoxFile>, question: &Question<'_>) -> anyhow::Result<Recorded> {
    let series = starts(files)?;
    let scanned: Vec<Scan> = series.iter().map(|files| Scan::of(files)).collect::<anyhow::Result<_>>()?;
    let listed: Vec<Start> = scanned
        .iter()
        .zip(&series)
        .enumerate()
        .map(|(index, (scan, files))| scan.listed(index + 1, files.len()))
        .collect();
    let number = choose(question.start, &listed)?;
    let (files, scan) = (&series[number - 1], &scanned[number - 1]);
    ensure!(!scan.stops.is_empty(), no_stop(&listed, number, scan.cut_bytes));
    let chosen =
        question.stop.checked_sub(1).filter(|index| *index < scan.stops.len()).with_context(|| {
            format!(
                "stop {} of start {number} was asked for, which has {} (--stop 1 to {})",
                question.stop,
                scan.stops.len(),
                scan.stops.len()
            )
        })?;
    let stop = scan.stops[chosen];
    let mut window = Window::around(&scan.header, stop);
    walk(files, |context, record| {
        if let Record::Cycle(cycle) = record {
            window.take(context, cycle);
        }
        Ok(())
    })?;
    let at = window.at_stop.context("the cycle of the stop cannot be found again")?;
    let mut stops: Vec<Stop> = scan.stops.iter().map(|stop| stop.plain(&scan.header)).collect();
    let mut next = 0;
    walk(files, |context, record| {
        if let Record::Cycle(cycle) = record
            && scan.stops.get(next).is_some_and(|stop| stop.cycle == cycle.verdict.cycle)
        {
            stops[next].cause = cycle.verdict.cause.map(|cause| CauseText::of(&context.config, &cause));
            next += 1;
        }
        Ok(())
    })?;
    let cause = stops[chosen].cause.clone();
    let what_if = question.what_if.map(|text| what_if(files, scan, chosen, text)).transpose()?;
    Ok(Recorded {
        source: Source {
            kind: SourceKind::BlackBox,
            files: files.iter().map(|file| file.path.display().to_string()).collect(),
        },
        cell: Some(scan.header.sources.cell()?.cell),
        software: Some(scan.header.software.clone()),
        proof: proof(files, question),
        starts: listed,
        start: Some(number),
        stops,
        chosen,
        limit_source: cause
            .and_then(|cause| limit_source(&scan.header, &at.limits, &cause.code, &cause.robot)),
        in_force: InForce {
            skill: at.limits.skill.clone(),
            artifact: at.limits.artifact.clone(),
            generation: Some(at.limits.generation),
            since_s: at.limits_since_ns.map(|since| seconds(window.stop_ns - since)),
            epoch: at.epoch,
            trace_id: at.trace_id,
        },
        robots: at.robots,
        points: window.points,
        tracks: window.tracks,
        lost_cycles: Some(scan.lost),
        what_if,
    })
}

fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 * 1e-9
}

/// Files by the start of the monitor that they are of, oldest first. A file that was made and never begun holds nothing.
fn starts(files: Vec<BoxFile>) -> anyhow::Result<Vec<Vec<BoxFile>>> {
    let mut series: Vec<((u64, u64), Vec<BoxFile>)> = Vec::new();
    for file in files.into_iter().filter(|file| !file.bytes.is_empty()) {
        swarm_black_box::frames(&file.bytes).with_context(|| format!("'{}'", file.path.display()))?;
        let header = header(&file.bytes).with_context(|| {
            format!(
                "'{}' ends or is damaged in its header, so that nothing in it can be read; leave it out, `cell blackbox verify` says more",
                file.path.display()
            )
        })?;
        let start = (header.started_unix_ns, header.first_epoch);
        match series.last_mut().filter(|(known, _)| *known == start) {
            Some((_, files)) => files.push(file),
            None => series.push((start, vec![file])),
        }
    }
    ensure!(!series.is_empty(), "the files are empty: nothing was recorded in them");
    Ok(series.into_iter().map(|(_, files)| files).collect())
}

/// The start that was asked for; else the newest with a stop, else the newest.
fn choose(wanted: Option<usize>, listed: &[Start]) -> anyhow::Result<usize> {
    let Some(wanted) = wanted else {
        let with_stop = listed.iter().rfind(|start| !start.stops.is_empty()).or(listed.last());
        return with_stop.map(|start| start.number).context("the files hold no start of the monitor");
    };
    let known = listed.iter().any(|start| start.number == wanted);
    ensure!(known, "start {wanted} was asked for, the files hold {}: {}", listed.len(), in_words(listed));
    Ok(wanted)
}

fn in_words(listed: &[Start]) -> String {
    let words = listed.iter().map(|start| {
        format!("start {} at {} with {} stops", start.number, start.started_utc, start.stops.len())
    });
    words.collect::<Vec<_>>().join("; ")
}

fn no_stop(listed: &[Start], number: usize, cut_bytes: usize) -> String {
    let start = &listed[number - 1];
    let mut text = format!("there is no stop in the {} cycles of start {number}", start.cycles);
    if cut_bytes > 0 {
        text += &format!(", whose last file is cut off: {cut_bytes} bytes behind its last whole record");
    }
    if listed.len() > 1 {
        text += &format!(" ({})", in_words(listed));
    }
    text + "; give the files of the time in question, or make a bag of these with `cell blackbox export`"
}

/// A stop as a first look finds it.
#[derive(Clone, Copy, Debug)]
struct FoundStop {
    now: Time,
    cycle: u64,
    state: SafetyState,
    before: Option<SafetyState>,
    kind: Option<CauseKind>,
}

impl FoundStop {
    fn plain(&self, header: &Header) -> Stop {
        let at_ns = unix_ns(header, self.now);
        Stop { at_ns, cycle: self.cycle, state: self.state, before: self.before, cause: None }
    }
}

fn unix_ns(header: &Header, time: Time) -> i64 {
    i64::try_from(header.unix_ns(time)).unwrap_or(i64::MAX)
}

/// A first look at one start.
#[derive(Debug)]
struct Scan {
    header: Header,
    cycles: u64,
    lost: u64,
    stops: Vec<FoundStop>,
    /// Bytes of the last file that are no whole record.
    cut_bytes: usize,
}

impl Scan {
    fn of(files: &[BoxFile]) -> anyhow::Result<Self> {
        let header = header(&files[0].bytes).context("a file of a start has a header")?;
        let mut scan = Self { header, cycles: 0, lost: 0, stops: Vec::new(), cut_bytes: 0 };
        let mut before = None;
        for file in files {
            let mut whole = swarm_black_box::MAGIC.len();
            for (frame, record) in records(&file.bytes)? {
                // Behind a record stand its link and in front of it its length.
                whole = frame.offset + 4 + frame.bytes.len() + frame.link.len();
                match record {
                    Record::Lost(count) => scan.lost += count,
                    Record::Cycle(cycle) => {
                        scan.cycles += 1;
                        let (now, verdict) = (cycle.now, &cycle.verdict);
                        if verdict.state.is_stop() && before != Some(verdict.state) {
                            let kind = verdict.cause.map(|cause| cause.kind);
                            let (cycle, state) = (verdict.cycle, verdict.state);
                            scan.stops.push(FoundStop { now, cycle, state, before, kind });
                        }
                        before = Some(verdict.state);
                    }
                    _ => {}
                }
            }
            scan.cut_bytes = file.bytes.len().saturating_sub(whole);
        }
        Ok(scan)
    }

    fn listed(&self, number: usize, files: usize) -> Start {
        let stop = |(index, stop): (usize, &FoundStop)| StopLine {
            number: index + 1,
            utc: utc(unix_ns(&self.header, stop.now)),
            state: stop.state.name(),
            code: stop.kind.map_or("", CauseKind::code).to_owned(),
        };
        Start {
            number,
            started_utc: utc(unix_ns(&self.header, self.header.started_at)),
            first_epoch: self.header.first_epoch,
            files,
            cycles: self.cycles,
            stops: self.stops.iter().enumerate().map(stop).collect(),
        }
    }
}

/// What holds where a record stands.
#[derive(Debug)]
struct Context {
    header: Header,
    ceiling: Config,
    config: Config,
    limits: Limits,
    /// Time of the first cycle under these limits; `None` until it comes, and for those that a recording begins with.
    limits_since_ns: Option<i64>,
    limits_new: bool,
}

/// Hands every record of a start to `visit`, with the limits in force there.
fn walk(
    files: &[BoxFile],
    mut visit: impl FnMut(&Context, &Record) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut context: Option<Context> = None;
    for file in files {
        let named = || format!("'{}'", file.path.display());
        for (_, record) in records(&file.bytes).with_context(named)? {
            match (&mut context, &record) {
                (None, Record::Header(header)) => {
                    let ceiling = header.ceiling_config().with_context(named)?;
                    let config = header.config_under(&ceiling, &header.limits).with_context(named)?;
                    let (header, limits) = (header.clone(), header.limits.clone());
                    context = Some(Context {
                        header,
                        ceiling,
                        config,
                        limits,
                        limits_since_ns: None,
                        limits_new: false,
                    });
                }
                (None, _) => bail!("{} begins with no header: nothing can be made of it", named()),
                (Some(context), Record::Header(Header { limits, .. }) | Record::Limits(limits)) => {
                    if *limits != context.limits {
                        context.config =
                            context.header.config_under(&context.ceiling, limits).with_context(named)?;
                        context.limits = limits.clone();
                        context.limits_new = true;
                    }
                }
                (Some(context), Record::Cycle(cycle)) if context.limits_new => {
                    context.limits_since_ns = Some(unix_ns(&context.header, cycle.now));
                    context.limits_new = false;
                }
                _ => {}
            }
            if let Some(context) = &context {
                visit(context, &record)?;
            }
        }
    }
    Ok(())
}

/// What is kept of the cycles around the stop.
struct Window {
    stop_ns: i64,
    stop_cycle: u64,
    points: Vec<Point>,
    tracks: Vec<Track>,
    at_stop: Option<AtStop>,
    emergency_stop_held: bool,
}

struct AtStop {
    limits: Limits,
    limits_since_ns: Option<i64>,
    robots: Vec<String>,
    trace_id: String,
    epoch: u64,
}

/// Inputs of a robot, in the order of their tracks.
const OF_ROBOT: [Input; 4] = [Input::JointState, Input::Wrench, Input::Command, Input::GripperCommand];

impl Window {
    fn around(header: &Header, stop: FoundStop) -> Self {
        Self {
            stop_ns: unix_ns(header, stop.now),
            stop_cycle: stop.cycle,
            points: Vec::new(),
            tracks: Vec::new(),
            at_stop: None,
            emergency_stop_held: false,
        }
    }

    fn take(&mut self, context: &Context, cycle: &Cycle) {
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
                robot.joints.map(|sample| sample.arrival),
                robot.wrench.map(|sample| sample.arrival),
                robot.command.map(|sample| sample.arrival),
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
                arrived(&mut track.arrivals, arrival(presence.arrival));
            }
        }
        let stop = cycle.inputs.emergency_stop;
        if stop.pressed || (stop.held && !self.emergency_stop_held) {
            if let Some(track) = tracks.next() {
                track.arrivals.push(Arrival { at_ns, since_ns: at_ns });
            }
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

/// Whether the files of the start are what was recorded.
fn proof(files: &[BoxFile], question: &Question<'_>) -> Proof {
    let trusted = (!question.keys.is_empty()).then_some(question.keys);
    // The monitor may still be at work, or was killed: then the newest file has no sealed end.
    let judged = judge_all(files, trusted, |index| index + 1 == files.len());
    let found = || judged.iter().filter_map(|judged| judged.found.as_ref());
    let mut keys: Vec<String> = found()
        .filter(|found| found.signed != Signed::HashOnly)
        .map(|found| key_id(&found.header.public_key))
        .collect();
    keys.dedup();
    let problems: Vec<String> = judged
        .iter()
        .flat_map(|judged| judged.problems.iter().map(|text| format!("{}: {text}", judged.path.display())))
        .collect();
    let verdict = if !problems.is_empty() {
        ProofVerdict::Damaged
    } else if found().any(|found| found.signed == Signed::HashOnly) {
        ProofVerdict::HashOnly
    } else if found().any(|found| found.signed == Signed::BySelf) {
        ProofVerdict::Unvouched
    } else {
        ProofVerdict::Genuine
    };
    let open_end = found().any(|found| matches!(found.end, swarm_black_box::End::Open { .. }));
    Proof { verdict, keys, open_end, problems }
}

/// Where other limits would have stopped the cell on its way to this stop: the recorded inputs run again from the first state
/// that was recorded behind the stop before it. Only the first stop counts: behind it the cell would have done something else.
fn what_if(files: &[BoxFile], scan: &Scan, chosen: usize, text: &str) -> anyhow::Result<WhatIf> {
    let from = chosen.checked_sub(1).map_or(0, |before| scan.stops[before].cycle);
    let until = scan.stops[chosen].cycle;
    let roles = roles(&scan.header.sources.cell()?);
    let mut run: Option<(State, bool)> = None;
    let mut config: Option<Config> = None;
    let mut found: Option<WhatIf> = None;
    let mut gap = false;
    walk(files, |context, record| {
        match record {
            _ if found.is_some() => {}
            Record::Snapshot(state) if run.is_none() && (from..until).contains(&state.cycle()) => {
                run = Some((*state, state.state().is_stop()));
            }
            Record::Lost(_) if run.is_some() => gap = true,
            Record::Cycle(cycle) => {
                let Some((state, stopped)) = &mut run else { return Ok(()) };
                let number = cycle.verdict.cycle;
                if number > until || gap {
                    return Ok(());
                }
                if state.cycle() + 1 != number {
                    gap = true;
                    return Ok(());
                }
                // The numbers of the recorded limits are kept, so that epochs are those that the commands were meant for.
                let generation = context.config.generation();
                if config.as_ref().is_none_or(|config| config.generation() != generation) {
                    let made = EnvelopeFile::parse(text)
                        .and_then(|file| context.ceiling.with_envelope(Some(&file), &roles, generation));
                    match made {
                        Ok(made) => config = Some(made),
                        Err(error) => {
                            found = Some(WhatIf::Refused(ErrorChain(&error).to_string()));
                            return Ok(());
                        }
                    }
                }
                let Some(config) = &config else { return Ok(()) };
                let before = state.state();
                let (next, verdict) = step(config, state, &cycle.inputs, cycle.now);
                *state = next;
                if verdict.state.is_stop() && !*stopped {
                    found = Some(WhatIf::Stop(Stop {
                        at_ns: unix_ns(&context.header, cycle.now),
                        cycle: verdict.cycle,
                        state: verdict.state,
                        before: Some(before),
                        cause: verdict.cause.map(|cause| CauseText::of(config, &cause)),
                    }));
                }
                *stopped = verdict.state.is_stop();
            }
            _ => {}
        }
        Ok(())
    })?;
    if let Some(found) = found {
        return Ok(found);
    }
    ensure!(
        !gap,
        "cycles between {from} and the stop in cycle {until} were lost: its inputs cannot be run again under another envelope"
    );
    ensure!(
        run.is_some(),
        "no state was recorded between cycle {from} and the stop in cycle {until}: its inputs cannot be run again"
    );
    Ok(WhatIf::NoStop)
}
