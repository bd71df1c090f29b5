//! One stretch of a recording as an episode, or the reason why it cannot be one.
//!
//! Flow
//! 1. The cameras, each from its first key frame on.
//! 2. The time in which everything is there: frames, joints, commands.
//! 3. The grid. It begins in the middle of the cameras' first frames, so that none is far off by its phase alone. Frames that the
//!    recording puts into one group are shown in one slot; without groups, each in the slot that is nearest to it.
//! 4. Each slot's frames, and from them the moment that the slot is of: the middle of their capture times.
//! 5. At that moment, what was measured (interpolated) and what was commanded (the first from then on).

use std::time::Duration;

use crate::grid::{Grid, Shown};
use crate::options::Options;
use crate::recording::{Command, Recording, Run, WRENCH, owner};
use crate::series::{Series, Silence};

use super::track::{Track, cameras, start};
use super::{CameraPlan, Episode, Feature, Kind, Split, Values};

pub(super) fn make(
    recording: &Recording,
    run: &Run,
    bag: usize,
    options: &Options,
) -> Result<(Episode, Vec<Feature>), String> {
    let cameras = cameras(recording, run, options)?;
    let sources = Sources::of(recording, options)?;
    let (from, to) = common_time(&cameras, &sources, run)?;
    let grid = grid(&cameras, from, to, options)?;
    let plans = cameras.iter().map(|camera| camera.plan(&grid, options)).collect::<Result<Vec<_>, _>>()?;
    let (columns, features) = columns(&cameras, &plans, &sources, &grid, options)?;
    let end = grid.time(grid.slots - 1);
    let trimmed = ((grid.start - run.start) as f64 / 1e9, (run.end - end).max(0) as f64 / 1e9);
    let episode =
        Episode { bag, name: run.name.clone(), split: Split::Train, grid, columns, cameras: plans, trimmed };
    Ok((episode, features))
}

/// Everything that is not a picture.
struct Sources<'a> {
    positions: Vec<(String, &'a Series)>,
    velocities: Vec<(String, &'a Series)>,
    wrenches: Vec<(String, &'a Series)>,
    /// Sent all the time.
    commands: Vec<(String, &'a Series)>,
    /// Sent when they change.
    grips: Vec<(String, &'a Series)>,
}

impl<'a> Sources<'a> {
    fn of(recording: &'a Recording, options: &Options) -> Result<Self, String> {
        let joints = &recording.joints;
        if joints.is_empty() {
            return Err("it has no joint states (/joint_states)".to_owned());
        }
        let mut positions: Vec<_> =
            joints.iter().map(|joint| (joint.name.clone(), &joint.position)).collect();
        positions.extend(recording.grippers.iter().map(|(robot, width)| (format!("{robot}.gripper"), width)));
        let moving = joints.iter().filter(|joint| joint.velocity.span().is_some());
        let velocities = moving.map(|joint| (joint.name.clone(), &joint.velocity)).collect();
        let wrench = |(robot, series): (&String, &'a Vec<Series>)| {
            let named = WRENCH.iter().map(|part| format!("{robot}.{part}")).collect::<Vec<_>>();
            named.into_iter().zip(series).collect::<Vec<_>>()
        };
        let wrenches = recording.wrenches.iter().flat_map(wrench).collect();
        let topics = action_topics(recording, options)?;
        let named = |commands: &'a Vec<Command>| commands.iter().map(|c| (c.name.clone(), &c.values));
        let commands =
            topics.iter().filter_map(|topic| recording.actions.get(topic)).flat_map(named).collect();
        let grip = |topic: &String| {
            Some((format!("{}.gripper", owner(topic)), recording.gripper_actions.get(topic)?))
        };
        let grips = topics.iter().filter_map(grip).collect();
        Ok(Self { positions, velocities, wrenches, commands, grips })
    }

    fn measured(&self) -> impl Iterator<Item = &(String, &'a Series)> {
        self.positions.iter().chain(&self.velocities).chain(&self.wrenches)
    }
}

/// The topics that make the action, in the dataset's order.
fn action_topics(recording: &Recording, options: &Options) -> Result<Vec<String>, String> {
    let known = || recording.actions.keys().chain(recording.gripper_actions.keys());
    if let Some(wanted) = &options.actions {
        return match wanted.iter().find(|topic| !known().any(|known| known == *topic)) {
            Some(missing) => Err(format!("it has no messages on the action's topic {missing}")),
            None => Ok(wanted.clone()),
        };
    }
    // Behind the gate is what the arms did; before it, what they were asked to.
    for end in ["/joint_command", "/skill_command"] {
        let topics: Vec<String> =
            recording.actions.keys().filter(|topic| topic.ends_with(end)).cloned().collect();
        if !topics.is_empty() {
            let grips = recording.gripper_actions.keys().filter(|topic| topic.ends_with("/gripper_command"));
            return Ok(topics.into_iter().chain(grips.cloned()).collect());
        }
    }
    Err("it has no commands to the arms (/<robot>/joint_command, /<robot>/skill_command)".to_owned())
}

/// From when to when everything is there.
fn common_time(cameras: &[Track<'_>], sources: &Sources<'_>, run: &Run) -> Result<(i64, i64), String> {
    let (mut from, mut to) = (run.start, run.end);
    let mut narrow = |what: &str, span: Option<(i64, i64)>| {
        let (first, last) = span.ok_or_else(|| format!("{what}: it has no values"))?;
        from = from.max(first);
        to = to.min(last);
        if from < to {
            return Ok(());
        }
        let (begins, ends) = ((first - run.start) as f64 / 1e9, (last - run.start) as f64 / 1e9);
        Err(format!("{what} is there from {begins:.3} s to {ends:.3} s, when not all of the rest is"))
    };
    for track in cameras {
        let ends = track.frames.first().zip(track.frames.last());
        narrow(&format!("camera {}", track.name), ends.map(|(first, last)| (first.capture, last.capture)))?;
    }
    for (name, series) in sources.measured().chain(&sources.commands) {
        narrow(name, series.span())?;
    }
    for (name, series) in &sources.grips {
        let span = series.span();
        narrow(name, span.map(|(first, _)| (first, run.end)))?;
    }
    Ok((from, to))
}

fn grid(cameras: &[Track<'_>], from: i64, to: i64, options: &Options) -> Result<Grid, String> {
    let start = start(cameras, from, 1_000_000_000 / i64::from(options.fps)).unwrap_or(from);
    let slots =
        usize::try_from(i128::from((to - start).max(-1)) * i128::from(options.fps) / 1_000_000_000 + 1);
    let slots = slots.unwrap_or(0);
    let length = Duration::from_secs_f64(slots as f64 / f64::from(options.fps));
    if length < options.min_length || slots < 2 {
        let least = options.min_length.as_secs_f64();
        return Err(format!(
            "everything is there for {:.2} s only, and an episode has {least} s at least",
            length.as_secs_f64()
        ));
    }
    Ok(Grid { start, fps: options.fps, slots })
}

/// A frame's column `capture.frame_status`.
const FRESH: i64 = 0;
const REPEATED: i64 = 1;
const DAMAGED: i64 = 2;
/// `capture.clock_state` where the recording does not say it.
const UNKNOWN_CLOCK: i64 = -1;
/// `capture.group` where a slot's own frames are not all of one group of the recording.
const NO_GROUP: i64 = -1;

fn columns(
    cameras: &[Track<'_>],
    plans: &[CameraPlan],
    sources: &Sources<'_>,
    grid: &Grid,
    options: &Options,
) -> Result<(Vec<Values>, Vec<Feature>), String> {
    let gap = i64::try_from(options.max_silence.as_nanos()).unwrap_or(i64::MAX);
    let mut alignment = Vec::new();
    let (mut moments, mut residuals) = (Vec::new(), Vec::new());
    let (mut clocks, mut statuses, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for slot in 0..grid.slots {
        let time = grid.time(slot);
        let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
        let mut group: Option<Option<u64>> = None;
        for (track, plan) in cameras.iter().zip(plans) {
            let shown = plan.shown[slot];
            let frame = &track.frames[plan.skipped + shown.frame()];
            alignment.push(((frame.capture - time) as f64 / 1e9) as f32);
            clocks.push(frame.clock_state.map_or(UNKNOWN_CLOCK, i64::from));
            statuses.push(match shown {
                Shown::Repeated(_) => REPEATED,
                Shown::Fresh(_) if frame.damaged => DAMAGED,
                Shown::Fresh(_) => FRESH,
            });
            if shown.is_fresh() {
                earliest = earliest.min(frame.capture);
                latest = latest.max(frame.capture);
                group = Some(frame.group.filter(|own| group.is_none_or(|other| other == Some(*own))));
            }
        }
        groups.push(group.flatten().map_or(NO_GROUP, u64::cast_signed));
        let (moment, residual) = if earliest > latest {
            (time, 0)
        } else {
            (earliest + (latest - earliest) / 2, latest - earliest)
        };
        moments.push(moment);
        residuals.push((residual as f64 / 1e9) as f32);
    }
    let values = |named: &[(String, &Series)], at: &dyn Fn(&Series, i64) -> Result<f64, Silence>| {
        let mut values = Vec::with_capacity(named.len() * moments.len());
        for moment in &moments {
            for (name, series) in named {
                let value = at(series, *moment).map_err(|silence| {
                    let time = (moment - grid.start) as f64 / 1e9;
                    format!("{name} has no value {time:.3} s into the episode: {silence} (--max-silence)")
                })?;
                values.push(value as f32);
            }
        }
        Ok::<_, String>(Values::Float(values))
    };
    let measured = |named: &[(String, &Series)]| values(named, &|series, at| series.measured(at, gap));
    let mut columns = Vec::new();
    let mut features = Vec::new();
    let mut add = |name: &str, kind: Kind, names: Vec<String>, values: Values| {
        if !names.is_empty() {
            features.push(Feature { name: name.to_owned(), kind, names });
            columns.push(values);
        }
    };
    let names = |named: &[(String, &Series)]| named.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    add("observation.state", Kind::Float, names(&sources.positions), measured(&sources.positions)?);
    add("observation.velocity", Kind::Float, names(&sources.velocities), measured(&sources.velocities)?);
    add("observation.wrench", Kind::Float, names(&sources.wrenches), measured(&sources.wrenches)?);
    let commands = values(&sources.commands, &|series, at| series.commanded(at, gap))?;
    let grips = values(&sources.grips, &Series::latest)?;
    let action = interleave(&commands, sources.commands.len(), &grips, sources.grips.len());
    let action_names = [names(&sources.commands), names(&sources.grips)].concat();
    add("action", Kind::Float, action_names, action);
    let cameras: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
    add("observation.alignment_error_s", Kind::Float, cameras.clone(), Values::Float(alignment));
    add(
        "capture.residual_s",
        Kind::Float,
        vec!["latest_minus_earliest".to_owned()],
        Values::Float(residuals),
    );
    if !plans.is_empty() {
        add("capture.group", Kind::Integer, vec!["number".to_owned()], Values::Integer(groups));
    }
    add("capture.time_ns", Kind::Integer, vec!["since_epoch".to_owned()], Values::Integer(moments.clone()));
    add("capture.clock_state", Kind::Integer, cameras.clone(), Values::Integer(clocks));
    add("capture.frame_status", Kind::Integer, cameras, Values::Integer(statuses));
    Ok((columns, features))
}

/// Two lists of rows side by side.
fn interleave(left: &Values, left_width: usize, right: &Values, right_width: usize) -> Values {
    let (Values::Float(left), Values::Float(right)) = (left, right) else { return left.clone() };
    if right_width == 0 {
        return Values::Float(left.clone());
    }
    if left_width == 0 {
        return Values::Float(right.clone());
    }
    let rows = left.chunks(left_width).zip(right.chunks(right_width));
    Values::Float(rows.flat_map(|(left, right)| left.iter().chain(right).copied()).collect())
}
