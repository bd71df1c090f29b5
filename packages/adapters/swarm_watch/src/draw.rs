//! The screen, from top to bottom: what runs, the time line, the roles, the leases, safety against limits, the keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use swarm_view::{Activity, CellView, RobotView};

use crate::app::App;
use crate::text;
use crate::timeline::Column;

/// Columns for the names on the left.
const LABEL: usize = 10;

/// Cells of a gauge where there is room for it; a gauge's name and figures take the rest of a line.
const GAUGE: usize = 12;
const FIGURES: usize = 25;
const ROBOT: usize = 12;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let nothing = CellView::default();
    let view = app.timeline.last().unwrap_or(&nothing);
    let roles = view.roles.len().max(1) as u16;
    let leases = if view.leases.is_empty() { 0 } else { view.leases.len() as u16 + 2 };
    let resources = app.timeline.resources(app.end_ns(), app.column_ns(), columns(frame.area())).len() as u16;
    let [title, line, now, lease, safety, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(roles + resources + 4),
        Constraint::Length(roles + 2),
        Constraint::Length(leases),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(headline(app, view), title);
    frame.render_widget(time_line(app, view, line), line);
    frame.render_widget(doing(view), now);
    if leases > 0 {
        frame.render_widget(lease_lines(view), lease);
    }
    frame.render_widget(safety_lines(view, usize::from(safety.width)), safety);
    frame.render_widget(key_line(app), keys);
}

fn headline<'a>(app: &'a App, view: &'a CellView) -> Paragraph<'a> {
    let skill = if view.skill.is_empty() { "no skill deployed" } else { &view.skill };
    let run = match (view.run.as_str(), view.running) {
        ("", _) => "  no run yet".to_owned(),
        (run, true) => format!("  run {run}"),
        (run, false) => format!("  run {run}, ended"),
    };
    let mut spans = vec![Span::styled(skill, Modifier::BOLD), Span::raw(run)];
    if !app.trouble.is_empty() {
        spans.push(Span::styled(format!("  {}", app.trouble), Color::Red));
    } else if app.is_frozen() {
        spans.push(Span::styled(format!("  paused, {:.1} s behind", app.behind_s()), Color::Yellow));
    }
    if app.timeline.lost > 0 {
        spans.push(Span::raw(format!("  {} views lost", app.timeline.lost)));
    }
    Paragraph::new(Line::from(spans))
}

/// Columns of time that fit.
fn columns(area: Rect) -> usize {
    usize::from(area.width).saturating_sub(LABEL + 2)
}

/// The names of phases where they begin, a line per role, a line per resource. Phases are entered together, so that one line
/// names them. A resource's line shows its holder's initial.
fn time_line<'a>(app: &App, view: &CellView, area: Rect) -> Paragraph<'a> {
    let count = columns(area);
    let mut lines = Vec::new();
    for role in &view.roles {
        let columns = app.timeline.columns(&role.role, app.end_ns(), app.column_ns(), count);
        if lines.is_empty() {
            lines.push(Line::from(format!("{:LABEL$}{}", "", phase_names(&columns))));
        }
        let mut spans = vec![Span::raw(format!("{:<LABEL$}", role.role))];
        for column in &columns {
            let waits = column.waits && column.activity == Some(Activity::Running);
            let (mark, style) = if waits { WAITS } else { mark(column.activity) };
            spans.push(Span::styled(mark, style));
        }
        lines.push(Line::from(spans));
    }
    for resource in app.timeline.resources(app.end_ns(), app.column_ns(), count) {
        let holders = app.timeline.holders(resource, app.end_ns(), app.column_ns(), count);
        let initial = |holder: Option<&str>| holder.and_then(|role| role.chars().next()).unwrap_or(' ');
        let label: String = resource.chars().take(LABEL - 1).collect();
        lines.push(Line::from(vec![
            Span::raw(format!("{label:<LABEL$}")),
            Span::styled(holders.into_iter().map(initial).collect::<String>(), Color::Magenta),
        ]));
    }
    lines.push(Line::from(axis(app.column_ns(), count)));
    Paragraph::new(lines).block(block(" time line "))
}

/// A role at a barrier, for others.
const WAITS: (&str, Style) = ("▂", Style::new().fg(Color::Cyan));

/// What a column shows; without colour the marks alone tell activities apart.
fn mark(activity: Option<Activity>) -> (&'static str, Style) {
    let (mark, color) = match activity {
        None => (" ", Color::Reset),
        Some(Activity::Idle) => ("·", Color::DarkGray),
        Some(Activity::Joining) => ("░", Color::Cyan),
        Some(Activity::Running) => ("█", Color::Green),
        Some(Activity::Holding) => ("▒", Color::Yellow),
        Some(Activity::Succeeded) => ("✓", Color::Green),
        Some(Activity::Aborted) => ("✗", Color::Red),
        Some(Activity::Canceled) => ("○", Color::Magenta),
    };
    (mark, Style::new().fg(color))
}

/// Each phase's name where it begins, as far as there is room before the next.
fn phase_names(columns: &[Column]) -> String {
    let mut cells = vec![' '; columns.len()];
    let mut before = "";
    let mut free_from = 0;
    for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.activity.is_some()) {
        if column.phase != before && !column.phase.is_empty() && at >= free_from {
            let name = std::iter::once('|').chain(column.phase.chars());
            for (cell, letter) in cells[at..].iter_mut().zip(name) {
                *cell = letter;
            }
            free_from = at + column.phase.chars().count() + 1;
        }
        before = &column.phase;
    }
    cells.into_iter().collect()
}

/// Seconds before the right edge, every 20 columns.
fn axis(column_ns: u64, count: usize) -> String {
    let mut out = vec![' '; count];
    for back in (0..count).step_by(20).skip(1) {
        let seconds = back as f64 * column_ns as f64 * 1e-9;
        let text = if seconds < 10.0 { format!("-{seconds:.1} s") } else { format!("-{seconds:.0} s") };
        let at = count - back;
        for (cell, letter) in out[at..].iter_mut().zip(text.chars()) {
            *cell = letter;
        }
    }
    format!("{:LABEL$}{}", "", out.into_iter().collect::<String>())
}

fn doing<'a>(view: &CellView) -> Paragraph<'a> {
    let line = |role: &swarm_view::RoleView| {
        let (_, style) = mark(Some(role.activity));
        Line::from(vec![
            Span::raw(format!("{:<LABEL$}{:<12}", role.role, role.robot)),
            Span::styled(format!("{:<10}", role.activity.as_str()), style),
            Span::raw(format!("{:>3.0} %  {}", role.progress * 100.0, text::doing(role, view))),
        ])
    };
    let lines: Vec<Line<'_>> = view.roles.iter().map(line).collect();
    Paragraph::new(if lines.is_empty() { vec![Line::from("nobody")] } else { lines }).block(block(" roles "))
}

fn lease_lines<'a>(view: &CellView) -> Paragraph<'a> {
    let line =
        |lease: &swarm_view::LeaseView| Line::from(format!("{:<20}{}", lease.resource, text::held(lease)));
    Paragraph::new(view.leases.iter().map(line).collect::<Vec<_>>()).block(block(" leases "))
}

fn safety_lines<'a>(view: &CellView, width: usize) -> Paragraph<'a> {
    let gauge = (width.saturating_sub(ROBOT + 2) / 3).saturating_sub(FIGURES).min(GAUGE);
    let color = match view.safety.state.as_str() {
        "RUN" | "READY" => Color::Green,
        "SLOW" => Color::Yellow,
        _ => Color::Red,
    };
    let mut lines = vec![Line::styled(text::safety(view), color)];
    lines.extend(view.safety.robots.iter().map(|robot| robot_line(robot, gauge)));
    Paragraph::new(lines).block(block(" safety "))
}

fn robot_line<'a>(robot: &RobotView, cells: usize) -> Line<'a> {
    let mut spans = vec![Span::raw(format!("{:<ROBOT$}", robot.robot))];
    // A separation is near its limit when it is small, so that its gauge shows limit over value.
    let nearness = robot.separation.ratio().map(|ratio| 1.0 / ratio.max(1e-9));
    let gauges = [
        ("speed", robot.tcp_speed, "m/s", 2, robot.tcp_speed.ratio()),
        ("force", robot.contact_force, "N", 1, robot.contact_force.ratio()),
        ("apart", robot.separation, "m", 2, nearness),
    ];
    for (name, against, unit, decimals, ratio) in gauges {
        spans.push(Span::raw(format!(" {name} ")));
        spans.push(gauge(ratio, cells));
        spans.push(Span::raw(format!(" {:<16}", text::figure(against, unit, decimals))));
    }
    Line::from(spans)
}

/// Full at the limit; empty where there is nothing to compare.
fn gauge<'a>(ratio: Option<f64>, cells: usize) -> Span<'a> {
    let Some(ratio) = ratio else {
        return Span::raw("─".repeat(cells));
    };
    let full = ((ratio * cells as f64).round() as usize).min(cells);
    let color = match ratio {
        ratio if ratio >= 1.0 => Color::Red,
        ratio if ratio >= 0.8 => Color::Yellow,
        _ => Color::Green,
    };
    Span::styled("━".repeat(full) + &"─".repeat(cells - full), color)
}

fn key_line<'a>(app: &App) -> Paragraph<'a> {
    let pause = if app.is_frozen() { "space go on" } else { "space pause" };
    Paragraph::new(format!(
        "q quit  {pause}  ←/→ scroll  end present  +/- zoom    █ runs ▂ waits ▒ holds ░ joins ✗ aborted"
    ))
    .style(Style::new().fg(Color::DarkGray))
}

fn block(title: &str) -> Block<'_> {
    Block::new().borders(Borders::ALL).title(title)
}
