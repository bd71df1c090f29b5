//! The drawings: phases and safety states on one time line, and one figure of every robot against its limits. All share
//! the time axis and its place on the page, so that what stands below one another happened at the same time.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};
use swarm_run_log::{RoleState, StatusState};

use crate::colour::{self, Colour};
use crate::run::{PhaseSpan, Run};
use crate::{RobotTrace, Samples};

/// Drawings are laid out in these units, of which a wide page shows one per pixel.
const WIDTH: i32 = 1000;
const LEFT: i32 = 78;
const RIGHT: i32 = 92;
/// The library rounds to whole units: it draws this much larger, and the page shows it that much smaller.
const SCALE: i32 = 4;
const FONT: i32 = 12;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

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
    let rows = run.roles.len() + 1;
    let label = format!(
        "Time line: phases of {} role(s) and the safety monitor's states over {:.1} s",
        rows - 1,
        run.end_s
    );
    let height = i32::try_from(26 * rows + 38).unwrap_or(i32::MAX / SCALE);
    canvas(height, &label, |area| {
        let mut chart = axes(area, run, 0.0..rows as f64, 0);
        for (row, track) in run.roles.iter().enumerate() {
            let y = (rows - 1 - row) as f64;
            row_label(area, &chart, y, &track.role);
            let colour = colour_of(run, &track.robot);
            let mut shade = false;
            for span in track.phases.iter().filter(|span| span.state.is_active() || !span.phase.is_empty()) {
                shade = !shade;
                if let Some((colour, opacity)) = phase_colour(span.state, colour, shade) {
                    block(&mut chart, y, span.from_s..span.to_s, colour, opacity, &phase_words(span));
                }
            }
        }
        row_label(area, &chart, 0.0, "safety");
        for span in &run.states {
            let (colour, opacity) = state_colour(span.state);
            block(&mut chart, 0.0, span.from_s..span.to_s, colour, opacity, span.state.as_str());
        }
        stop_marks(&mut chart, run, rows as f64);
    })
}

/// One figure of every robot over time, with its limits.
pub(crate) fn quantity(run: &Run, quantity: Quantity) -> String {
    let label = format!("{} over time, per robot, with the limit in force", quantity.title());
    let top = run.robots.iter().flat_map(|robot| {
        let (values, limits) = quantity.of(robot);
        values.known().chain(limits.known()).map(|(_, value)| value)
    });
    let top = top.fold(0.0, f64::max);
    let top = if top > 0.0 { top * 1.12 } else { 1.0 };
    canvas(176, &label, |area| {
        let mut chart = axes(area, run, 0.0..top, 4);
        let column_s = (run.end_s / f64::from(WIDTH - LEFT - RIGHT)).max(1e-3);
        let mut labelled: Vec<f64> = Vec::new();
        for (index, robot) in run.robots.iter().enumerate() {
            let limits = quantity.of(robot).1;
            let common = run.robots.iter().all(|other| quantity.of(other).1 == limits);
            let colour = if common { colour::COMMON_LIMIT } else { colour::limit_of_robot(index) };
            if !(common && index > 0) {
                lines(&mut chart, limits, column_s, colour, 1);
            }
            if let Some((_, limit)) = limits.known().last()
                && labelled.iter().all(|other| (other - limit).abs() > top * 0.09)
            {
                labelled.push(limit);
                limit_label(area, &chart, limit);
            }
        }
        for (index, robot) in run.robots.iter().enumerate() {
            lines(&mut chart, quantity.of(robot).0, column_s, colour::of_robot(index), 2);
        }
        stop_marks(&mut chart, run, top);
    })
}

/// An SVG element of the given height, named by `label` for who cannot see it.
fn canvas(height: i32, label: &str, draw: impl FnOnce(&Area<'_>)) -> String {
    let (width, height) = (WIDTH * SCALE, height * SCALE);
    let mut svg = String::new();
    draw(&SVGBackend::with_string(&mut svg, (width as u32, height as u32)).into_drawing_area());
    let sized = format!("<svg width=\"{width}\" height=\"{height}\"");
    let label = label.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    svg.replacen(&sized, &format!("<svg role=\"img\" aria-label=\"{label}\""), 1)
}

/// The time axis with an upright axis of `upright_ticks` ticks.
fn axes<'b>(area: &Area<'b>, run: &Run, upright: Range<f64>, upright_ticks: usize) -> Chart<'b, 'b> {
    let end = if run.end_s > 0.0 { run.end_s } else { 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(6 * SCALE)
        .margin_right(RIGHT * SCALE)
        .x_label_area_size(26 * SCALE)
        .y_label_area_size(LEFT * SCALE)
        .build_cartesian_2d(0.0..end, upright)
        .expect(NEVER_FAILS);
    let decimals = usize::from(end < 8.0);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(RGBColor(0, 0, 0).mix(0.0))
        .bold_line_style(stroke(colour::GRID, 1))
        .axis_style(stroke(colour::GRID, 1))
        .x_labels(12)
        .y_labels(upright_ticks)
        .x_label_formatter(&|t| format!("{t:.decimals$} s"))
        .y_label_formatter(&|value| {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        })
        .label_style(text(colour::FAINT_INK, HPos::Center, VPos::Center))
        .set_tick_mark_size(LabelAreaPosition::Left, 6 * SCALE)
        .set_tick_mark_size(LabelAreaPosition::Bottom, 5 * SCALE)
        .draw()
        .expect(NEVER_FAILS);
    chart
}

/// Drawing writes into a string: the only error the library has for it is that of formatting, which a string never gives.
const NEVER_FAILS: &str = "drawing into a string cannot fail";

fn lines(chart: &mut Chart<'_, '_>, samples: &Samples, column_s: f64, colour: Colour, width: i32) {
    let style = stroke(colour, width);
    let paths = samples.lines(column_s).into_iter().map(|points| PathElement::new(points, style));
    chart.draw_series(paths).expect(NEVER_FAILS);
}

/// A bar of row `y`, with `words` in it where they fit.
fn block(chart: &mut Chart<'_, '_>, y: f64, span: Range<f64>, colour: Colour, opacity: f64, words: &str) {
    let corners = [(span.start, y + 0.86), (span.end, y + 0.14)];
    let [left, right] = corners.map(|corner| chart.backend_coord(&corner).0);
    let style = ShapeStyle { color: colour.light.mix(opacity), filled: true, stroke_width: 0 };
    chart.draw_series([Rectangle::new(corners, style)]).expect(NEVER_FAILS);
    // An average letter of a sans-serif face is a little wider than half its height.
    let room = f64::from((right - left) / SCALE - 6);
    if words.chars().count() as f64 * f64::from(FONT) * 0.56 <= room {
        let middle = (f64::midpoint(span.start, span.end), y + 0.5);
        let words = Text::new(words.to_owned(), middle, text(colour::INK, HPos::Center, VPos::Center));
        chart.draw_series([words]).expect(NEVER_FAILS);
    }
}

/// A line at every stop, with the stop's number in the table.
fn stop_marks(chart: &mut Chart<'_, '_>, run: &Run, top: f64) {
    for (index, stop) in run.stops.iter().enumerate() {
        let line =
            PathElement::new(vec![(stop.from_s, 0.0), (stop.from_s, top)], stroke(colour::CRITICAL, 1));
        let number = Text::new(
            format!(" {}", index + 1),
            (stop.from_s, top),
            text(colour::CRITICAL, HPos::Left, VPos::Top),
        );
        chart.draw_series([line]).expect(NEVER_FAILS);
        chart.draw_series([number]).expect(NEVER_FAILS);
    }
}

fn row_label(area: &Area<'_>, chart: &Chart<'_, '_>, y: f64, words: &str) {
    let (x, y) = chart.backend_coord(&(0.0, y + 0.5));
    let style = text(colour::INK, HPos::Right, VPos::Center);
    area.draw(&Text::new(words.to_owned(), (x - 8 * SCALE, y), style)).expect(NEVER_FAILS);
}

fn limit_label(area: &Area<'_>, chart: &Chart<'_, '_>, limit: f64) {
    let (_, y) = chart.backend_coord(&(0.0, limit));
    let words = format!("limit {}", crate::page::short(limit));
    let style = text(colour::FAINT_INK, HPos::Left, VPos::Center);
    area.draw(&Text::new(words, ((WIDTH - RIGHT + 6) * SCALE, y), style)).expect(NEVER_FAILS);
}

fn text(colour: Colour, across: HPos, down: VPos) -> TextStyle<'static> {
    ("sans-serif", FONT * SCALE).into_font().color(&colour.light).pos(Pos::new(across, down))
}

fn stroke(colour: Colour, width: i32) -> ShapeStyle {
    ShapeStyle { color: colour.light.to_rgba(), filled: false, stroke_width: (width * SCALE) as u32 }
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
