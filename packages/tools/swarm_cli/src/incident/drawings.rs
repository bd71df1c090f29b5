//! The window as drawings: states, figures against their limits, ages of the inputs. Time is in seconds from the stop.

use std::ops::Range;

use swarm_plot::{Block, Colour, Mark, Plot, Row, Samples, Series, Side, Timeline, colour};
use swarm_safety_core::SafetyState;

use super::quantity::{Figure, Quantity};
use super::{Recorded, Report};

/// Statuses come every 20 ms, cycles more often: where nothing is known for so long, no line is drawn.
const GAP_S: f64 = 0.1;

/// What all drawings of a page share.
pub(crate) struct Drawings<'a> {
    recorded: &'a Recorded,
    span_s: Range<f64>,
    marks: Vec<Mark>,
}

impl<'a> Drawings<'a> {
    pub(crate) fn of(recorded: &'a Recorded, report: &Report) -> Self {
        let span_s = -report.window.before_s..report.window.after_s.max(0.01 * report.window.before_s);
        let mark =
            |at_s: f64, words: &str, colour, side| Mark { at_s, words: words.to_owned(), colour, side };
        let mut marks = vec![mark(0.0, "stop", colour::CRITICAL, Side::Right)];
        let what_if = report.what_if.as_ref().and_then(|what_if| what_if.at_s);
        if let Some(at_s) = what_if.filter(|at_s| span_s.contains(at_s)) {
            // Words on the left where there is room, so that they do not meet those of the stop.
            let room = at_s - span_s.start > 0.2 * (span_s.end - span_s.start);
            let side = if room { Side::Left } else { Side::Right };
            marks.push(mark(at_s, "other envelope", colour::OTHERWISE, side));
        }
        Self { recorded, span_s, marks }
    }

    fn at_s(&self, at_ns: i64) -> f64 {
        (at_ns - self.recorded.stop().at_ns) as f64 * 1e-9
    }

    /// Whether any robot has a known value.
    pub(crate) fn knows(&self, quantity: Quantity) -> bool {
        (0..self.recorded.robots.len())
            .any(|robot| self.samples(robot, quantity, |figure| figure.value).known().next().is_some())
    }

    fn samples(&self, robot: usize, quantity: Quantity, of: impl Fn(Figure) -> f64) -> Samples {
        let index = Quantity::ALL.iter().position(|other| *other == quantity).unwrap_or_default();
        let mut samples = Vec::with_capacity(self.recorded.points.len());
        let mut before_s = f64::INFINITY;
        for point in &self.recorded.points {
            let figure = point.robots.get(robot).map_or(Figure::UNKNOWN, |robot| robot[index]);
            let at_s = self.at_s(point.at_ns);
            if at_s - before_s > GAP_S {
                samples.push((before_s, f64::NAN));
            }
            samples.push((at_s, of(figure)));
            before_s = at_s;
        }
        Samples(samples)
    }

    /// States of the safety monitor.
    pub(crate) fn states(&self) -> String {
        let mut blocks: Vec<Block> = Vec::new();
        let mut last = None;
        for point in &self.recorded.points {
            let at_s = self.at_s(point.at_ns);
            if let Some(block) = blocks.last_mut() {
                block.span_s.end = at_s;
            }
            if last != Some(point.state) {
                let (colour, opacity) = state_colour(point.state);
                let words = point.state.name().to_lowercase();
                blocks.push(Block { span_s: at_s..at_s, colour, opacity, words });
                last = Some(point.state);
            }
        }
        let rows = vec![Row { name: "safety".to_owned(), blocks }];
        let label = "States of the safety monitor around the stop".to_owned();
        // The blocks reach up to where words would stand.
        let mute = |mark: &Mark| Mark { words: String::new(), ..mark.clone() };
        let marks: Vec<Mark> = self.marks.iter().map(mute).collect();
        Timeline { label, span_s: self.span_s.clone(), rows, marks: &marks }.svg()
    }

    /// One figure of every robot with its limits.
    pub(crate) fn figure(&self, quantity: Quantity) -> String {
        let robots = 0..self.recorded.robots.len();
        let values: Vec<Samples> =
            robots.clone().map(|robot| self.samples(robot, quantity, |figure| figure.value)).collect();
        let limits: Vec<Samples> =
            robots.map(|robot| self.samples(robot, quantity, |figure| figure.limit)).collect();
        self.plot(
            format!("{} over time, per robot, with the limit in force", quantity.title()),
            &values,
            &limits,
        )
    }

    /// Ages of one input of every robot, with the age at which it is given up.
    pub(crate) fn ages(&self, input: &str) -> Option<String> {
        let tracks: Vec<_> = self.recorded.tracks.iter().filter(|track| track.input == input).collect();
        if tracks.iter().all(|track| track.arrivals.is_empty()) {
            return None;
        }
        let (mut values, mut limits) = (Vec::new(), Vec::new());
        for track in tracks {
            let mut arrivals = track.arrivals.iter().peekable();
            let mut last = None;
            let (mut ages, mut timeouts) = (Vec::new(), Vec::new());
            for point in &self.recorded.points {
                while let Some(arrival) = arrivals.next_if(|arrival| arrival.at_ns <= point.at_ns) {
                    last = Some(arrival.since_ns);
                }
                let at_s = self.at_s(point.at_ns);
                ages.push((at_s, last.map_or(f64::NAN, |since| (point.at_ns - since) as f64 * 1e-6)));
                timeouts.push((at_s, track.timeout_s.map_or(f64::NAN, |timeout| timeout * 1e3)));
            }
            values.push(Samples(ages));
            limits.push(Samples(timeouts));
        }
        Some(self.plot(format!("age of the {input} over time, ms, per robot"), &values, &limits))
    }

    fn plot(&self, label: String, values: &[Samples], limits: &[Samples]) -> String {
        let common = limits.windows(2).all(|pair| same(&pair[0], &pair[1]));
        let series = |(robot, samples)| Series { samples, colour: colour::of_robot(robot) };
        let figures = values.iter().enumerate().map(series).collect();
        let limits = limits.iter().enumerate().take(if common { 1 } else { limits.len() });
        let limits = limits.map(|(robot, samples)| {
            let colour = if common { colour::COMMON_LIMIT } else { colour::limit_of_robot(robot) };
            Series { samples, colour }
        });
        Plot { label, span_s: self.span_s.clone(), figures, limits: limits.collect(), marks: &self.marks }
            .svg()
    }
}

/// Bit for bit, so that unknown is the same as unknown.
fn same(one: &Samples, two: &Samples) -> bool {
    one.0.len() == two.0.len() && one.0.iter().zip(&two.0).all(|(a, b)| a.1.to_bits() == b.1.to_bits())
}

fn state_colour(state: SafetyState) -> (Colour, f64) {
    match state {
        SafetyState::Deny => (colour::IDLE, 0.4),
        SafetyState::Ready => (colour::IDLE, 0.2),
        SafetyState::Run => (colour::GOOD, 0.32),
        SafetyState::Slow => (colour::WARNING, 0.5),
        SafetyState::Stop2 | SafetyState::Stop1 | SafetyState::Estop => (colour::CRITICAL, 0.45),
    }
}
