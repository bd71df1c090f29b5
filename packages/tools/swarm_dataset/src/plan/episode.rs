//! One stretch of a recording as an episode, or the reason why it cannot be one.
//!
//! Flow
//! 1. The cameras, each from its first key frame on.
//! 2. The time in which everything is there: frames, joints, commands.
//! 3. The grid. It begins in the middle of the cameras' first frames, so that none is far off by its phase alone.
//! 4. Each slot's frames, and from them the moment that the slot is of: the middle of their capture times.
//! 5. At that moment, what was measured (interpolated) and what was commanded (the first from then on).

use std::time::Duration;

use crate::grid::{Candidate, Grid, Needed, Shown, assign, error, rate};
use crate::h264::{NoRepeat, repeats};
use crate::options::{Options, Pictures};
use crate::recording::{Camera, Command, Frame, Recording, Run, WRENCH, owner};
use crate::series::{Series, Silence};

use super::{CameraPlan, CodedFrame, Episode, Feature, Kind, Sample, Split, Values};

/// How far a camera's rate may be from the grid's where its frames stay as they are.
const RATE_TOLERANCE: f64 = 0.02;
/// How far off its slot such a frame may be, periods. More comes of groups that are long for how fast the camera is.
const MOST_OFF: f64 = 1.5;

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

/// A camera's frames in a stretch, from a key frame on; only those that can be decoded.
struct Track<'a> {
    name: &'a str,
    camera: &'a Camera,
    frames: Vec<Frame>,
}

fn cameras<'a>(recording: &'a Recording, run: &Run, options: &Options) -> Result<Vec<Track<'a>>, String> {
    if options.pictures == Pictures::LeftOut && options.cameras.is_none() {
        return Ok(Vec::new());
    }
    if recording.cameras.is_empty() {
        let topics =
            if recording.topics.is_empty() { "none".to_owned() } else { recording.topics.join(", ") };
        return Err(format!(
            "it has no camera's topic (CompressedVideo, CompressedImage, FFMPEGPacket): {topics}"
        ));
    }
    let known = || recording.cameras.keys().cloned().collect::<Vec<_>>().join(", ");
    let names: Vec<&str> = match &options.cameras {
        None => recording.cameras.keys().map(String::as_str).collect(),
        Some(names) => names.iter().map(String::as_str).collect(),
    };
    let track = |name: &'a str, camera: &'a Camera| -> Result<Track<'a>, String> {
        let wrong = |what: String| format!("camera {name}: {what}");
        if camera.frames.is_empty() && camera.problem.is_none() {
            return Err(wrong("it has no frames".to_owned()));
        }
        if camera.format != "h264" && !camera.format.is_empty() {
            return Err(wrong(format!("its frames are {}, and only h264 is exported", camera.format)));
        }
        if let Some(problem) = &camera.problem {
            return Err(wrong(problem.clone()));
        }
        if camera.sets.is_empty() {
            let count = camera.frames.len();
            return Err(wrong(format!("none of its {count} frames comes with parameter sets (SPS, PPS)")));
        }
        if let Some(at) = camera.frames.windows(2).position(|pair| pair[1].capture < pair[0].capture) {
            let back = (camera.frames[at].capture - camera.frames[at + 1].capture) as f64 / 1e6;
            return Err(wrong(format!("frame {}: the capture times go back by {back:.1} ms", at + 1)));
        }
        if let Some(at) =
            camera.frames.iter().position(|frame| frame.picture.is_some_and(|picture| picture.bidirectional))
        {
            return Err(wrong(format!(
                "frame {at}: it is a B-frame, whose order in the stream is not that of its time; set the camera up without"
            )));
        }
        let is_key = |frame: &Frame| frame.picture.is_some_and(|picture| picture.key);
        let until = camera.frames.partition_point(|frame| frame.capture <= run.end);
        let from = camera.frames[..until].partition_point(|frame| frame.capture < run.start);
        let key = camera.frames[..from.min(until)].iter().rposition(is_key);
        let key = key.or_else(|| camera.frames[from..until].iter().position(is_key).map(|at| from + at));
        let key = key.ok_or_else(|| wrong("it has no key frame (IDR) in this time".to_owned()))?;
        let frames =
            camera.frames[key..until].iter().filter(|frame| frame.picture.is_some()).copied().collect();
        Ok(Track { name, camera, frames })
    };
    names
        .into_iter()
        .map(|name| match recording.cameras.get_key_value(name) {
            Some((name, camera)) => track(name, camera),
            None => Err(format!("it has no camera {name}; it has {}", known())),
        })
        .collect()
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
    let slots = usize::try_from((to - start).max(-1) as i128 * i128::from(options.fps) / 1_000_000_000 + 1);
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

/// The middle of one frame of each camera, which lie as close together as they do anywhere within a period around `from`; not more
/// than half a period before it.
fn start(cameras: &[Track<'_>], from: i64, period: i64) -> Option<i64> {
    let near = |track: &&Track<'_>| {
        let first = track.frames.partition_point(|frame| frame.capture < from - period);
        let near = track.frames[first..].iter().map(|frame| frame.capture);
        near.take_while(|capture| *capture <= from + period).collect::<Vec<_>>()
    };
    let near: Vec<Vec<i64>> = cameras.iter().map(|track| near(&track)).collect();
    let latest = |earliest: i64| {
        let next = |frames: &Vec<i64>| frames.iter().find(|capture| **capture >= earliest).copied();
        near.iter().map(next).try_fold(earliest, |latest, capture| Some(latest.max(capture?)))
    };
    let sets = near.iter().flatten().filter_map(|earliest| Some((*earliest, latest(*earliest)?)));
    let sets = sets.map(|(earliest, latest)| (latest - earliest, earliest + (latest - earliest) / 2));
    sets.filter(|(_, middle)| *middle >= from - period / 2).min().map(|(_, middle)| middle)
}

impl Track<'_> {
    fn wrong(&self, what: &str) -> String {
        format!("camera {}: {what}", self.name)
    }

    fn plan(&self, grid: &Grid, options: &Options) -> Result<CameraPlan, String> {
        let captures: Vec<i64> = self.frames.iter().map(|frame| frame.capture).collect();
        let as_coded = options.pictures == Pictures::AsCoded;
        if as_coded {
            self.check_rate(&captures, grid)?;
        }
        let shown: Vec<Shown> = assign(grid, &self.candidates(as_coded))
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong("it has no frame at the episode's start"))?;
        self.check_repeats(grid, &shown, options)?;
        let (first, last) = (shown[0].frame(), shown[shown.len() - 1].frame());
        // Decoding begins at the key frame at or before slot 0.
        let key = self.frames[..=first].iter().rposition(is_key).unwrap_or(0);
        let frames = &self.frames[key..=last];
        let sets = &self.camera.sets[frames[0].sets];
        if let Some(at) = frames.iter().position(|frame| frame.sets != frames[0].sets) {
            let other = &self.camera.sets[frames[at].sets];
            let time = (frames[at].capture - grid.start) as f64 / 1e9;
            return Err(self.wrong(&format!(
                "its parameter sets change {time:.2} s into the episode, from {}x{} to {}x{} pixels; end the episode before (--range)",
                sets.width, sets.height, other.width, other.height
            )));
        }
        let shift = |shown: &Shown| match shown {
            Shown::Fresh(frame) => Shown::Fresh(frame - key),
            Shown::Repeated(frame) => Shown::Repeated(frame - key),
        };
        let mut plan = CameraPlan {
            name: self.name.to_owned(),
            topic: self.camera.topic.clone(),
            width: sets.width,
            height: sets.height,
            sets: sets.clone(),
            frames: frames.iter().map(coded).collect(),
            shown: shown.iter().map(shift).collect(),
            samples: Vec::new(),
            skipped: key,
            lead: if as_coded { first - key } else { 0 },
        };
        if as_coded {
            plan.samples = self.samples(&plan, frames, grid)?;
        }
        Ok(plan)
    }

    /// A frame that is decoded anyway can be left out anywhere.
    fn candidates(&self, as_coded: bool) -> Vec<Candidate> {
        let needed = |frame: &Frame| match frame.picture {
            _ if !as_coded => Needed::Never,
            Some(picture) if picture.key => Needed::Key,
            Some(picture) if !picture.reference => Needed::Never,
            _ => Needed::InGroup,
        };
        self.frames.iter().map(|frame| Candidate { capture: frame.capture, needed: needed(frame) }).collect()
    }

    fn check_rate(&self, captures: &[i64], grid: &Grid) -> Result<(), String> {
        let own = rate(captures).ok_or_else(|| self.wrong("its capture times stand still"))?;
        let fps = f64::from(grid.fps);
        if (own - fps).abs() <= fps * RATE_TOLERANCE {
            return Ok(());
        }
        Err(self.wrong(&format!(
            "it has {own:.2} frames/s and the dataset {fps}; frames that stay as they are coded must fit: --fps {}, or --reencode",
            own.round()
        )))
    }

    fn check_repeats(&self, grid: &Grid, shown: &[Shown], options: &Options) -> Result<(), String> {
        let most = (options.max_repeat.as_secs_f64() * f64::from(grid.fps)).floor() as usize;
        let mut repeated = 0;
        for (slot, shown) in shown.iter().enumerate() {
            repeated = if shown.is_fresh() { 0 } else { repeated + 1 };
            if repeated > most {
                let time = (slot + 1 - repeated) as f64 / f64::from(grid.fps);
                let longest = options.max_repeat.as_millis();
                return Err(self.wrong(&format!(
                    "it has no frame for more than {longest} ms, {time:.2} s into the episode (--max-repeat)"
                )));
            }
        }
        Ok(())
    }

    /// The video's samples, where frames stay as they are coded. Frames that no slot shows are needed by none that is shown.
    fn samples(&self, plan: &CameraPlan, frames: &[Frame], grid: &Grid) -> Result<Vec<Sample>, String> {
        let mut samples: Vec<Sample> = (0..plan.lead).map(Sample::Frame).collect();
        let seconds = |slot: usize| slot as f64 / f64::from(grid.fps);
        let mut slots = plan.shown.iter().enumerate().peekable();
        while let Some((slot, shown)) = slots.next() {
            let frame = shown.frame();
            let off = error(grid, slot, frames[frame].capture);
            if off.abs() > MOST_OFF {
                return Err(self.wrong(&format!(
                    "its frame is {:.0} ms off its slot {:.2} s into the episode, and can slip only at a key frame: --reencode",
                    off * 1e3 / f64::from(grid.fps),
                    seconds(slot)
                )));
            }
            samples.push(Sample::Frame(frame));
            let mut count = 0;
            while slots.next_if(|(_, shown)| !shown.is_fresh()).is_some() {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            let next = slots.peek().map(|(_, shown)| &frames[shown.frame()]);
            let (before, after) =
                (frames[frame].picture.as_ref(), next.and_then(|frame| frame.picture.as_ref()));
            let copies = before
                .map_or(Err(NoRepeat::NotReference), |before| repeats(&plan.sets, before, after, count));
            let copies = copies.map_err(|why| {
                let time = seconds(slot);
                self.wrong(&format!(
                    "it has no frame for slots behind {time:.2} s, and the one before cannot be shown again as it is coded, since {why}: --reencode"
                ))
            })?;
            samples.extend(copies.into_iter().map(Sample::Repeat));
        }
        Ok(samples)
    }
}

fn is_key(frame: &Frame) -> bool {
    frame.picture.is_some_and(|picture| picture.key)
}

fn coded(frame: &Frame) -> CodedFrame {
    CodedFrame { capture: frame.capture, received: frame.received, size: frame.size, key: is_key(frame) }
}

/// A frame's column `capture.frame_status`.
const FRESH: i64 = 0;
const REPEATED: i64 = 1;
const DAMAGED: i64 = 2;
/// `capture.clock_state` where the recording does not say it.
const UNKNOWN_CLOCK: i64 = -1;

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
    let (mut clocks, mut statuses) = (Vec::new(), Vec::new());
    for slot in 0..grid.slots {
        let time = grid.time(slot);
        let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
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
            }
        }
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
