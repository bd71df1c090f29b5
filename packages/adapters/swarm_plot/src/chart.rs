//! The drawings. All share the place of the time axis on the page, so that what stands below one another happened at the same
//! time.

use std::ops::Range;

use plotters::chart::{ChartBuilder, ChartContext, LabelAreaPosition};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, DrawingArea, IntoDrawingArea, PathElement, Rectangle, SVGBackend, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};

use crate::Samples;
use crate::colour::{self, Colour};
use crate::page::short;

/// Drawings are laid out in these units, of which a wide page shows one per pixel.
const WIDTH: i32 = 1000;
const LEFT: i32 = 78;
const RIGHT: i32 = 92;
/// The library rounds to whole units: it draws this much larger, and the page shows it that much smaller.
const SCALE: i32 = 4;
const FONT: i32 = 12;
const PLOT_HEIGHT: i32 = 176;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Figures over time, with their limits.
#[derive(Clone, Debug)]
pub struct Plot<'a> {
    /// What is drawn, for who cannot see it.
    pub label: String,
    /// Ends of the time axis, s.
    pub span_s: Range<f64>,
    pub figures: Vec<Series<'a>>,
    /// Drawn dashed in the colours of [`colour::COMMON_LIMIT`] and [`colour::limit_of_robot`], and named on the right.
    pub limits: Vec<Series<'a>>,
    pub marks: &'a [Mark],
}

/// One line of a plot.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    pub samples: &'a Samples,
    pub colour: Colour,
}

/// An instant of note: an upright line with words at its head.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub at_s: f64,
    pub words: String,
    pub colour: Colour,
    pub side: Side,
}

/// On which side of a mark's line its words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Rows of blocks, from top to bottom.
#[derive(Clone, Debug)]
pub struct Timeline<'a> {
    /// What is drawn, for who cannot see it.
    pub label: String,
    pub span_s: Range<f64>,
    pub rows: Vec<Row>,
    pub marks: &'a [Mark],
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub blocks: Vec<Block>,
}

/// A bar of a row, with words in it where they fit.
#[derive(Clone, Debug)]
pub struct Block {
    pub span_s: Range<f64>,
    pub colour: Colour,
    /// 0 to 1.
    pub opacity: f64,
    pub words: String,
}

impl Plot<'_> {
    /// The drawing as an SVG element.
    pub fn svg(&self) -> String {
        let known = || self.figures.iter().chain(&self.limits).flat_map(|series| series.samples.known());
        let top = known().map(|(_, value)| value).fold(0.0, f64::max);
        let bottom = known().map(|(_, value)| value).fold(0.0, f64::min);
        let top = if top > bottom { top + 0.12 * (top - bottom) } else { 1.0 };
        canvas(PLOT_HEIGHT, &self.label, |area| {
            let mut chart = axes(area, &self.span_s, bottom..top, 4);
            let length = self.span_s.end - self.span_s.start;
            let column_s = (length / f64::from(WIDTH - LEFT - RIGHT)).max(1e-3);
            let mut labelled: Vec<f64> = Vec::new();
            for limit in &self.limits {
                lines(&mut chart, limit, column_s, 1);
                if let Some((_, value)) = limit.samples.known().last()
                    && labelled.iter().all(|other| (other - value).abs() > (top - bottom) * 0.09)
                {
                    labelled.push(value);
                    limit_label(area, &chart, self.span_s.end, value);
                }
            }
            for figure in &self.figures {
                lines(&mut chart, figure, column_s, 2);
            }
            draw_marks(&mut chart, self.marks, bottom..top);
        })
    }
}

impl Timeline<'_> {
    /// The drawing as an SVG element.
    pub fn svg(&self) -> String {
        let count = self.rows.len();
        let height = i32::try_from(26 * count + 38).unwrap_or(i32::MAX / SCALE);
        canvas(height, &self.label, |area| {
            let mut chart = axes(area, &self.span_s, 0.0..count as f64, 0);
            for (row, y) in self.rows.iter().zip((0..count).rev()) {
                row_label(area, &chart, self.span_s.start, y as f64, &row.name);
                for bar in &row.blocks {
                    block(&mut chart, y as f64, bar);
                }
            }
            draw_marks(&mut chart, self.marks, 0.0..count as f64);
        })
    }
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
fn axes<'b>(
    area: &Area<'b>,
    span_s: &Range<f64>,
    upright: Range<f64>,
    upright_ticks: usize,
) -> Chart<'b, 'b> {
    let length = span_s.end - span_s.start;
    let end = if length > 0.0 { span_s.end } else { span_s.start + 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(6 * SCALE)
        .margin_right(RIGHT * SCALE)
        .x_label_area_size(26 * SCALE)
        .y_label_area_size(LEFT * SCALE)
        .build_cartesian_2d(span_s.start..end, upright)
        .expect(NEVER_FAILS);
    let decimals = usize::from(end - span_s.start < 8.0);
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
            let text = format!("{value:.3}");
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

fn lines(chart: &mut Chart<'_, '_>, series: &Series<'_>, column_s: f64, width: i32) {
    let style = stroke(series.colour, width);
    let paths = series.samples.lines(column_s).into_iter().map(|points| PathElement::new(points, style));
    chart.draw_series(paths).expect(NEVER_FAILS);
}

fn block(chart: &mut Chart<'_, '_>, y: f64, bar: &Block) {
    let span = &bar.span_s;
    let corners = [(span.start, y + 0.86), (span.end, y + 0.14)];
    let [left, right] = corners.map(|corner| chart.backend_coord(&corner).0);
    let style = ShapeStyle { color: bar.colour.light.mix(bar.opacity), filled: true, stroke_width: 0 };
    chart.draw_series([Rectangle::new(corners, style)]).expect(NEVER_FAILS);
    // An average letter of a sans-serif face is a little wider than half its height.
    let room = f64::from((right - left) / SCALE - 6);
    if bar.words.chars().count() as f64 * f64::from(FONT) * 0.56 <= room {
        let middle = (f64::midpoint(span.start, span.end), y + 0.5);
        let words = Text::new(bar.words.clone(), middle, text(colour::INK, HPos::Center, VPos::Center));
        chart.draw_series([words]).expect(NEVER_FAILS);
    }
}

fn draw_marks(chart: &mut Chart<'_, '_>, marks: &[Mark], upright: Range<f64>) {
    for mark in marks {
        let (foot, head) = ((mark.at_s, upright.start), (mark.at_s, upright.end));
        let line = PathElement::new(vec![foot, head], stroke(mark.colour, 1));
        let across = match mark.side {
            Side::Left => HPos::Right,
            Side::Right => HPos::Left,
        };
        // Blanks keep the words off the line.
        let words = Text::new(format!(" {} ", mark.words), head, text(mark.colour, across, VPos::Top));
        chart.draw_series([line]).expect(NEVER_FAILS);
        chart.draw_series([words]).expect(NEVER_FAILS);
    }
}

fn row_label(area: &Area<'_>, chart: &Chart<'_, '_>, begin_s: f64, y: f64, words: &str) {
    let (x, y) = chart.backend_coord(&(begin_s, y + 0.5));
    let style = text(colour::INK, HPos::Right, VPos::Center);
    area.draw(&Text::new(words.to_owned(), (x - 8 * SCALE, y), style)).expect(NEVER_FAILS);
}

fn limit_label(area: &Area<'_>, chart: &Chart<'_, '_>, at_s: f64, limit: f64) {
    let (_, y) = chart.backend_coord(&(at_s, limit));
    let words = format!("limit {}", short(limit));
    let style = text(colour::FAINT_INK, HPos::Left, VPos::Center);
    area.draw(&Text::new(words, ((WIDTH - RIGHT + 6) * SCALE, y), style)).expect(NEVER_FAILS);
}

fn text(colour: Colour, across: HPos, down: VPos) -> TextStyle<'static> {
    ("sans-serif", FONT * SCALE).into_font().color(&colour.light).pos(Pos::new(across, down))
}

fn stroke(colour: Colour, width: i32) -> ShapeStyle {
    ShapeStyle { color: colour.light.to_rgba(), filled: false, stroke_width: (width * SCALE) as u32 }
}
