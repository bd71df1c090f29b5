//! The arm's own means: what it offers beside its controller, and what a stop or a reset asks of it.
//!
//! A stop is answered at once and on every means that fits it; a means that is dead is asked again while the stop lasts, and
//! holds up nothing. A reset is the only way back, in steps: the controller is told to stand where the arm is ([`SETTLE`]),
//! so that whatever a paused program or controller still had in mind is gone; then the means are let go of; and only when
//! they have answered does motion follow. Nothing here ever starts a program. A protective stop that the monitor releases by
//! itself goes the same way where the arm has no means that a person must see to, and nowhere else.

use swarm_base::{Duration, Time};

use crate::leave::{MonitorState, News};

/// Lowest fraction of the speed slider: the UR driver refuses less (`ur_controllers`' GPIO controller, `setSpeedSlider`), so
/// that zero cannot be had and standing remains the controller's.
pub const LOWEST_SLIDER: f64 = 0.01;

/// How long the controller is told to stand after a reset before the slider is moved.
pub const SETTLE: Duration = Duration::from_millis(100);

/// How long an act may take before it counts as failed, and the pause before it is tried again.
pub const ANSWER_TIMEOUT: Duration = Duration::from_millis(1_000);

/// What the arm has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::struct_excessive_bools)] // things that an arm has or has not, in any combination
pub struct MeansOffered {
    /// Fraction that the speed slider is put to after a reset.
    pub slider_fraction: Option<f64>,
    /// A service for protective stops.
    pub protective_stop: bool,
    /// A service for the stops after faults and `/emergency_stop`.
    pub stop: bool,
    /// An action that makes the arm leave an error.
    pub error_recovery: bool,
    /// The controller takes goals from others too, which a stop cancels.
    pub goals: bool,
}

impl MeansOffered {
    /// Whether a protective stop leaves something behind that a person must see to: a slider that is down, a paused program,
    /// an error.
    const fn need_a_person(&self) -> bool {
        // AoU-13
        self.slider_fraction.is_some() || self.protective_stop || self.error_recovery
    }
}

/// A request to the arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Put the speed slider to this fraction.
    Slider(f64),
    /// Call the service for protective stops.
    ProtectiveStop,
    /// Call the service for other stops.
    Stop,
    /// Cancel every goal of the controller.
    CancelGoals,
    /// Leave an error.
    RecoverFromErrors,
}

/// An act to be carried out now. The answer goes to [`Means::answered`] under the same number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    pub number: u64,
    pub act: Act,
}

/// How an act stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Asked, or to be asked.
    Open,
    Done,
    Failed(String),
}

/// An act that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub act: Act,
    pub standing: Standing,
    number: u64,
    asked: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// From a stop, or the start, to its end.
    Stopped,
    /// It has ended; the controller is told to stand until this time.
    Settling { until: Time },
    /// Let go of; motion waits for the answers.
    LettingGo,
}

/// The means of one arm.
#[derive(Clone, Debug)]
pub struct Means {
    offered: MeansOffered,
    stage: Stage,
    /// At most one of each kind of act.
    wishes: Vec<Wish>,
    numbers: u64,
    /// The state that the present wishes answer.
    answering: Option<MonitorState>,
}

impl Means {
    pub fn new(offered: MeansOffered) -> Self {
        Self { offered, stage: Stage::Stopped, wishes: Vec::new(), numbers: 0, answering: None }
    }

    /// Takes news of the cell. True where the controller must be told anew to stand where the arm is.
    pub fn hear(&mut self, news: News, now: Time) -> bool {
        match news {
            News::Nothing => false,
            News::Stopped(state) => {
                self.stop(state);
                false
            }
            News::Released if self.offered.need_a_person() => false,
            News::Reset | News::Released => {
                // What the stop asked for and was not delivered must not arrive after its end.
                self.wishes.clear();
                self.answering = None;
                self.stage = Stage::Settling { until: now + SETTLE };
                true
            }
        }
    }

    /// Reaches for the means that fit `state`; once for each state.
    pub fn stop(&mut self, state: MonitorState) {
        self.stage = Stage::Stopped;
        if self.answering == Some(state) {
            return;
        }
        self.answering = Some(state);
        let offered = self.offered;
        self.wishes.retain(|wish| !matches!(wish.act, Act::RecoverFromErrors));
        if offered.slider_fraction.is_some() && !self.wants(Act::Slider(LOWEST_SLIDER)) {
            self.want(Act::Slider(LOWEST_SLIDER));
        }
        if offered.goals && !self.wants(Act::CancelGoals) {
            self.want(Act::CancelGoals);
        }
        match state {
            MonitorState::Stop1 | MonitorState::Estop if offered.stop && !self.wants(Act::Stop) => {
                self.want(Act::Stop);
            }
            MonitorState::Stop2 if offered.protective_stop => self.want(Act::ProtectiveStop),
            _ => {}
        }
    }

    /// The acts that are due, oldest wish first.
    pub fn due(&mut self, now: Time) -> Vec<Request> {
        if let Stage::Settling { until } = self.stage
            && now >= until
        {
            self.stage = Stage::LettingGo;
            if let Some(fraction) = self.offered.slider_fraction {
                self.want(Act::Slider(fraction));
            }
            if self.offered.error_recovery {
                self.want(Act::RecoverFromErrors);
            }
        }
        let mut requests = Vec::new();
        for wish in &mut self.wishes {
            let overdue = wish.asked.is_some_and(|asked| now.since(asked) > ANSWER_TIMEOUT);
            if overdue && wish.standing == Standing::Open {
                wish.standing =
                    Standing::Failed("no answer within 1 s; is the arm's driver running?".to_owned());
            }
            // An operator's reset is worth one recovery: trying on would take an arm out of errors by itself.
            let again = overdue && wish.standing != Standing::Done && wish.act != Act::RecoverFromErrors;
            if wish.asked.is_none() || again {
                self.numbers += 1;
                (wish.number, wish.asked) = (self.numbers, Some(now));
                requests.push(Request { number: wish.number, act: wish.act });
            }
        }
        requests
    }

    /// Takes the answer to a request; one that has been replaced since is passed over.
    pub fn answered(&mut self, number: u64, answer: Result<(), String>) {
        if let Some(wish) = self.wishes.iter_mut().find(|wish| wish.number == number) {
            wish.standing = answer.map_or_else(Standing::Failed, |()| Standing::Done);
        }
    }

    /// Whether the arm can follow commands again.
    pub fn ready(&self) -> bool {
        self.stage == Stage::LettingGo && self.wishes.iter().all(|wish| wish.standing == Standing::Done)
    }

    /// What is wanted of the arm, and how it stands.
    pub fn wishes(&self) -> &[Wish] {
        &self.wishes
    }

    fn wants(&self, act: Act) -> bool {
        self.wishes.iter().any(|wish| wish.act == act)
    }

    /// Wants an act in the place of another of its kind.
    fn want(&mut self, act: Act) {
        let kind = std::mem::discriminant(&act);
        self.wishes.retain(|wish| std::mem::discriminant(&wish.act) != kind);
        self.wishes.push(Wish { act, standing: Standing::Open, number: 0, asked: None });
    }
}
