//! What of a run is drawn: phases and safety states on one time line, and one figure of every robot against its limits.

use swarm_plot::{Block, Colour, Mark, Plot, Row, Series, Side, Timeline, colour};
use swarm_run_log::{RoleState, StatusState};

use crate::run::{PhaseSpan, Run};
use crate::{RobotTrace, Samples};

/// A figure that every robot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    Speed,
    Force,
    Separation,
}

impl Quantity {
    pub(crate) const ALL: [Self; 3] = [Self::Speed, Self::Force, Self::Separation];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Speed => "Speed of the tool centre points, m/s",
            Self::Force => "Contact force, N",
            Self::Separation => "Separation between arms, m",
        }
    }

    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Speed => "m/s",
            Self::Force => "N",
            Self::Separation => "m",
        }
    }

    /// Whether the limit is a least and not a most.
    pub(crate) const fn stays_above(self) -> bool {
        matches!(self, Self::Separation)
    }

    fn of(self, robot: &RobotTrace) -> (&Samples, &Samples) {
        match self {
            Self::Speed => (&robot.speed, &robot.speed_limit),
            Self::Force => (&robot.force, &robot.force_limit),
            Self::Separation => (&robot.separation, &robot.separation_limit),
        }
    }
}

/// Whether any robot has a known sample of this figure.
pub(crate) fn has_samples(run: &Run, quantity: Quantity) -> bool {
    run.robots.iter().any(|robot| quantity.of(robot).0.known().next().is_some())
}

/// Phases per role, and under them the safety monitor's states.
pub(crate) fn timeline(run: &Run) -> String {
    let roles = run.roles.len();
    let label = format!(
        "Time line: phases of {roles} role(s) and the safety monitor's states over {:.1} s",
        run.end_s
    );
    let mut rows: Vec<Row> = Vec::new();
    for track in &run.roles {
        let robot = colour_of(run, &track.robot);
        let mut shade = false;
        let mut blocks = Vec::new();
        for span in track.phases.iter().filter(|span| span.state.is_active() || !span.phase.is_empty()) {
            shade = !shade;
            if let Some((colour, opacity)) = phase_colour(span.state, robot, shade) {
                blocks.push(Block {
                    span_s: span.from_s..span.to_s,
                    colour,
                    opacity,
                    words: phase_words(span),
                });
            }
        }
        rows.push(Row { name: track.role.clone(), blocks });
    }
    let states = run.states.iter().map(|span| {
        let (colour, opacity) = state_colour(span.state);
        Block { span_s: span.from_s..span.to_s, colour, opacity, words: span.state.as_str().to_owned() }
    });
    rows.push(Row { name: "safety".to_owned(), blocks: states.collect() });
    Timeline { label, span_s: 0.0..run.end_s, rows, marks: &stop_marks(run) }.svg()
}

/// One figure of every robot over time, with its limits.
pub(crate) fn quantity(run: &Run, quantity: Quantity) -> String {
    let (mut figures, mut limits) = (Vec::new(), Vec::new());
    let common = run.robots.windows(2).all(|pair| quantity.of(&pair[0]).1 == quantity.of(&pair[1]).1);
    for (index, robot) in run.robots.iter().enumerate() {
        let (samples, limit) = quantity.of(robot);
        figures.push(Series { samples, colour: colour::of_robot(index) });
        if !(common && index > 0) {
            let colour = if common { colour::COMMON_LIMIT } else { colour::limit_of_robot(index) };
            limits.push(Series { samples: limit, colour });
        }
    }
    let label = format!("{} over time, per robot, with the limit in force", quantity.title());
    Plot { label, span_s: 0.0..run.end_s, figures, limits, marks: &stop_marks(run) }.svg()
}

/// A mark at every stop, with the stop's number in the table.
fn stop_marks(run: &Run) -> Vec<Mark> {
    let mark = |(index, stop): (usize, &crate::Stop)| Mark {
        at_s: stop.from_s,
        words: (index + 1).to_string(),
        colour: colour::CRITICAL,
        side: Side::Right,
    };
    run.stops.iter().enumerate().map(mark).collect()
}

fn colour_of(run: &Run, robot: &str) -> Colour {
    run.robots.iter().position(|trace| trace.name == robot).map_or(colour::IDLE, colour::of_robot)
}

/// A running phase has its robot's colour in two shades by turns; a hold and a bad end have their own.
fn phase_colour(state: RoleState, robot: Colour, shade: bool) -> Option<(Colour, f64)> {
    match state {
        RoleState::Running => Some((robot, if shade { 0.38 } else { 0.22 })),
        RoleState::Joining => Some((colour::IDLE, 0.3)),
        RoleState::Holding => Some((colour::WARNING, 0.5)),
        RoleState::Succeeded => Some((colour::GOOD, 0.3)),
        RoleState::Aborted => Some((colour::CRITICAL, 0.4)),
        RoleState::Canceled => Some((colour::IDLE, 0.4)),
        RoleState::Idle => None,
    }
}

fn phase_words(span: &PhaseSpan) -> String {
    match span.state {
        RoleState::Running => span.phase.clone(),
        state => state.to_string(),
    }
}

fn state_colour(state: StatusState) -> (Colour, f64) {
    match state {
        StatusState::Deny => (colour::IDLE, 0.4),
        StatusState::Ready => (colour::IDLE, 0.2),
        StatusState::Run => (colour::GOOD, 0.32),
        StatusState::Slow => (colour::WARNING, 0.5),
        StatusState::Stop2 | StatusState::Stop1 | StatusState::Estop => (colour::CRITICAL, 0.45),
    }
}
