//! One camera's stream: frames and reports in, stamped and counted frames out.
//!
//! Lost frames. RTP counts packets, not frames. Where packets are missing between two frames, the frames' time stamps tell how
//! many frames were between them: the step divided by the camera's usual step. That is exact where the camera sends at a constant
//! rate ([`LossEstimate::Exact`]), and a guess where the step fits no multiple or the camera's rate varies. Where no packet is
//! missing no frame is lost, whatever the step: the camera left it out itself.
//!
//! What no receiver can know is how many frames a camera sent between its last packet that came and the end of its session.
//! They are not counted; the gap is an event with its duration.
//!
//! Waiting. The first frames of a session wait until a report has come, at most for [`WaitLimits`], and are then stamped all
//! at once with what is known by then.

use std::collections::VecDeque;

use crate::clock::{CameraClock, ClockEvent, ClockSettings, ClockState, Placed, Timing};
use crate::frame::{FrameHead, HostTime};
use crate::host_watch::HostStep;
use crate::{RTP_RATE_HZ, SenderReport};

/// How a stream is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
    Mjpeg,
}

/// What a stream says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub codec: Codec,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// How much may wait for the first report. What is reached first ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitLimits {
    pub frames: usize,
    pub bytes: u64,
    pub time_ns: i64,
}

impl Default for WaitLimits {
    /// Longer than the 5 s between the reports of common cameras, at 30 Hz; 8 Mbit/s for 6 s.
    fn default() -> Self {
        Self { frames: 256, bytes: 6 << 20, time_ns: 6_000_000_000 }
    }
}

/// How one camera is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrackSettings {
    pub clock: ClockSettings,
    pub wait: WaitLimits,
}

/// How sure the number of lost frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossEstimate {
    /// The step of the time stamps is a whole number of frames.
    Exact,
    /// It is not, or the usual step is not known yet.
    Guess,
}

/// A frame with its time and its number.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedFrame<T> {
    pub head: FrameHead,
    /// When it was captured, by the host clock.
    pub capture: HostTime,
    pub timing: Timing,
    /// Of this camera since the track began; frames that are known to be lost count, too.
    pub sequence: u64,
    /// Lost between the previous frame and this one.
    pub lost_frames: u32,
    pub loss: LossEstimate,
    pub payload: T,
}

/// What happened to a stream beside its frames, in order with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrackEvent {
    /// A session began; frames are missing for `gap_ns` since the last frame of the one before, if there was one.
    Began {
        stream: Stream,
        gap_ns: Option<i64>,
    },
    /// The resolution or codec changed; frames from here on are coded so.
    Changed {
        from: Stream,
        to: Stream,
    },
    /// No report came in time: what waited goes out with state `ARRIVAL_ONLY`.
    NoReport {
        waited: usize,
    },
    Clock(ClockEvent),
    /// The session ended.
    Ended,
}

/// What a track gives.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackOutput<T> {
    Frame(StampedFrame<T>),
    Event(TrackEvent),
}

/// Since the track began: `sent = received + lost_frames` over each unbroken session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    pub received: u64,
    pub lost_frames: u64,
    /// Of the lost frames, those whose number is a guess.
    pub guessed: u64,
    pub lost_packets: u64,
    pub sessions: u32,
}

/// The stream of one camera, with `T` beside each frame: its bytes, or nothing. See the module.
#[derive(Debug)]
pub struct Track<T> {
    settings: TrackSettings,
    clock: CameraClock,
    stream: Option<Stream>,
    steps: Steps,
    last: Option<FrameHead>,
    /// Arrival of the newest frame of any session.
    newest: Option<HostTime>,
    /// How the host's clock was set last.
    host_step: Option<HostStep>,
    waiting: VecDeque<Waiting<T>>,
    waiting_bytes: u64,
    wait_over: bool,
    sequence: u64,
    counts: FrameCounts,
    output: VecDeque<TrackOutput<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    head: FrameHead,
    placed: Placed,
    lost_frames: u32,
    loss: LossEstimate,
    payload: T,
}

impl<T> Track<T> {
    pub fn new(settings: TrackSettings) -> Self {
        Self {
            settings,
            clock: CameraClock::new(settings.clock),
            stream: None,
            steps: Steps::default(),
            last: None,
            newest: None,
            host_step: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            wait_over: false,
            sequence: 0,
            counts: FrameCounts::default(),
            output: VecDeque::new(),
        }
    }

    /// A session begins: the first, or after [`Track::end`]. Its time stamps have nothing to do with those before.
    pub fn begin(&mut self, stream: Stream, now: HostTime) {
        self.release();
        self.clock.begin_session();
        self.last = None;
        self.wait_over = false;
        self.counts.sessions += 1;
        let gap_ns = self.newest.map(|newest| now.since(newest));
        self.event(TrackEvent::Began { stream, gap_ns });
        self.stream = Some(stream);
        self.steps = Steps::default();
    }

    /// What the stream says of itself, as often as it says it; a change becomes an event.
    pub fn stream(&mut self, stream: Stream) {
        match self.stream.replace(stream) {
            Some(from) if from != stream => {
                self.release();
                self.event(TrackEvent::Changed { from, to: stream });
            }
            _ => {}
        }
    }

    /// A frame came.
    pub fn frame(&mut self, mut head: FrameHead, payload: T) {
        head.first_arrival = self.told_anew(head.first_arrival);
        head.arrival = self.told_anew(head.arrival);
        let (lost_frames, loss) = self.lost(&head);
        self.last = Some(head);
        self.newest = Some(head.arrival);
        let placed = self.clock.place(&head);
        self.counts.lost_frames += u64::from(lost_frames);
        self.counts.lost_packets += u64::from(head.lost_packets);
        if loss == LossEstimate::Guess {
            self.counts.guessed += u64::from(lost_frames);
        }
        self.counts.received += 1;
        self.waiting_bytes += u64::from(head.size);
        self.waiting.push_back(Waiting { head, placed, lost_frames, loss, payload });
        self.tick(head.arrival);
    }

    /// A sender report came.
    pub fn report(&mut self, mut report: SenderReport) {
        report.arrival = self.told_anew(report.arrival);
        self.clock.report(&report);
        self.tick(report.arrival);
    }

    /// The host's clock was set, see [`crate::HostWatch`]. What waits is stamped in the old time first; what comes from here on is
    /// told by the new one, even if its packets came before.
    pub fn host_stepped(&mut self, step: HostStep) {
        self.release();
        self.clock.host_stepped(step.by_ns);
        if let Some(newest) = &mut self.newest {
            *newest = newest.plus(step.by_ns);
        }
        self.host_step = Some(step);
        self.clock_events();
    }

    /// How late this camera's stamps are is known only now. What waits is stamped with that.
    pub fn set_bias(&mut self, bias_ns: i64) {
        self.clock.set_bias(bias_ns);
        self.clock_events();
    }

    /// Another camera has taken the place of the one before, whose session has ended; its stamps are late by `bias_ns`. Its frames are
    /// counted on.
    pub fn other_camera(&mut self, bias_ns: i64) {
        self.release();
        self.clock.other_camera(bias_ns);
        self.clock_events();
    }

    /// Time has passed; call it some times per second, so that frames do not wait for ever and states change without frames.
    pub fn tick(&mut self, now: HostTime) {
        self.clock.notice_state(now);
        if !self.wait_over {
            let limits = self.settings.wait;
            if self.clock.confirmed() {
                self.wait_over = true;
            } else if let Some(first) = self.waiting.front()
                && (now.since(first.head.first_arrival) >= limits.time_ns
                    || self.waiting.len() >= limits.frames
                    || self.waiting_bytes >= limits.bytes)
            {
                self.wait_over = true;
                self.event(TrackEvent::NoReport { waited: self.waiting.len() });
            }
        }
        if self.wait_over {
            self.release();
        }
        self.clock_events();
    }

    /// The session ended, or is given up.
    pub fn end(&mut self) {
        self.release();
        self.event(TrackEvent::Ended);
    }

    /// The next frame or event, in order.
    #[allow(clippy::should_implement_trait)] // an iterator could not be fed between two items
    pub fn next(&mut self) -> Option<TrackOutput<T>> {
        self.output.pop_front()
    }

    pub fn counts(&self) -> FrameCounts {
        self.counts
    }

    /// State of the clock at `now`.
    pub fn state(&self, now: HostTime) -> ClockState {
        self.clock.state(now)
    }

    fn told_anew(&self, received: HostTime) -> HostTime {
        self.host_step.map_or(received, |step| step.told_anew(received))
    }

    fn event(&mut self, event: TrackEvent) {
        self.output.push_back(TrackOutput::Event(event));
    }

    fn clock_events(&mut self) {
        for event in self.clock.take_events() {
            self.event(TrackEvent::Clock(event));
        }
    }

    /// Stamps all that waits.
    fn release(&mut self) {
        self.waiting_bytes = 0;
        while let Some(Waiting { head, placed, lost_frames, loss, payload }) = self.waiting.pop_front() {
            let stamp = self.clock.stamp(&placed);
            self.clock_events();
            let sequence = self.sequence + u64::from(lost_frames);
            self.sequence = sequence + 1;
            self.output.push_back(TrackOutput::Frame(StampedFrame {
                head,
                capture: stamp.capture,
                timing: stamp.timing,
                sequence,
                lost_frames,
                loss,
                payload,
            }));
        }
    }

    /// How many frames were lost right before `head`.
    fn lost(&mut self, head: &FrameHead) -> (u32, LossEstimate) {
        let Some(last) = &self.last else { return (0, LossEstimate::Exact) };
        let step = head.rtp.wrapping_sub(last.rtp);
        if head.lost_packets == 0 {
            self.steps.push(step);
            return (0, LossEstimate::Exact);
        }
        self.steps.frames_lost(step, head.lost_packets)
    }
}

/// The steps between frames with nothing lost between them, RTP ticks.
#[derive(Clone, Debug, Default)]
struct Steps {
    recent: VecDeque<u32>,
}

/// Steps that tell the usual one.
const STEPS: usize = 31;
/// What a step may be off a whole number of frames, as a share of a frame: sensors jitter, and nominal stamps alternate.
const STEP_TOLERANCE: f64 = 0.2;
/// Longer steps are no frame rates: slower than one frame in ten seconds, or backwards.
const LONGEST_STEP: u32 = 10 * RTP_RATE_HZ;

impl Steps {
    fn push(&mut self, step: u32) {
        if step == 0 || step > LONGEST_STEP {
            return;
        }
        if self.recent.len() == STEPS {
            self.recent.pop_front();
        }
        self.recent.push_back(step);
    }

    /// Mean of the steps about the median: sixty frames later it must still tell one frame from two.
    fn usual(&self) -> Option<f64> {
        let mut sorted: Vec<u32> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        let median = f64::from(*sorted.get(sorted.len() / 2)?);
        let near = sorted.iter().map(|step| f64::from(*step)).filter(|step| is_one(step / median));
        let (sum, count) = near.fold((0.0, 0.0), |(sum, count), step| (sum + step, count + 1.0));
        Some(sum / count)
    }

    /// Frames between two that are `step` apart, when packets are missing between them. Each lost frame had a packet.
    fn frames_lost(&self, step: u32, packets: u32) -> (u32, LossEstimate) {
        let Some(usual) = self.usual() else { return (0, LossEstimate::Guess) };
        if step == 0 || step > i32::MAX.cast_unsigned() {
            return (0, LossEstimate::Guess);
        }
        let frames = f64::from(step) / usual;
        let whole = frames.round().max(1.0);
        let steady = self.recent.iter().all(|step| is_one(f64::from(*step) / usual));
        let lost = (whole as u32 - 1).min(packets);
        let fits = (frames - whole).abs() < STEP_TOLERANCE && lost == whole as u32 - 1;
        (lost, if steady && fits { LossEstimate::Exact } else { LossEstimate::Guess })
    }
}

fn is_one(frames: f64) -> bool {
    (frames - 1.0).abs() < STEP_TOLERANCE
}

#[cfg(test)]
mod tests;
