//! The page: one file with its style and drawings inside, no script, nothing loaded from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use swarm_plot::{colour, short, style};
use swarm_run_log::RoleState;

use crate::chart::{self, Quantity};
use crate::run::{Extreme, RobotTrace, Run, Stop};

/// The whole report as HTML.
pub fn page(run: &Run) -> String {
    let title = format!("{}: {}", skill(run), run.outcome());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(style())) }
            }
            body {
                main {
                    (head(run))
                    (drawings(run))
                    (stops(run))
                    (figures(run))
                    (phases(run))
                    (events(run))
                    (conditions(run))
                    footer {
                        @if let Some(bag) = &run.recording {
                            p { "Cameras and arms of this run are in the bag " a href=(bag) { (bag) } "." }
                        }
                        p {
                            "Limits shown are those in force: the cell's ceiling tightened by the skill's envelope. "
                            "Figures are those of the statuses that were heard; what lies between two of them is not seen. "
                            "The safety monitor is a software stop beside the hard-wired emergency-stop circuit and "
                            "claims no safety integrity level."
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

fn skill(run: &Run) -> &str {
    if run.skill.is_empty() { "no skill heard" } else { &run.skill }
}

fn head(run: &Run) -> Markup {
    let sign = match run.outcome() {
        "succeeded" => "✓",
        "aborted" => "✗",
        _ => "–",
    };
    let duration = run.result.as_ref().map_or(run.end_s, |result| result.duration_s);
    let worst = |of: fn(&RobotTrace) -> Option<Extreme>, stays_above: bool| {
        let use_of = move |at: &Extreme| if stays_above { at.limit - at.value } else { at.value / at.limit };
        run.robots.iter().filter_map(of).max_by(|a, b| use_of(a).total_cmp(&use_of(b)))
    };
    html! {
        header {
            div.head {
                h1 { (skill(run)) }
                span class={ "badge " (run.outcome()) } { span aria-hidden="true" { (sign) } (run.outcome()) }
            }
            @if let Some(result) = run.result.as_ref().filter(|result| !result.message.is_empty()) {
                p.said { (result.message) }
            }
            div.tiles {
                (tile(&format!("{duration:.1} s"), "duration", &format!("of {:.1} s recorded", run.end_s)))
                (tile(&run.stops.len().to_string(), if run.stops.len() == 1 { "stop" } else { "stops" }, ""))
                (worst_tile(worst(RobotTrace::fastest, false), "m/s", "fastest", "limit"))
                (worst_tile(worst(RobotTrace::strongest, false), "N", "strongest contact", "limit"))
                (worst_tile(worst(RobotTrace::closest, true), "m", "closest", "at least"))
            }
            @if !run.notices.is_empty() {
                ul.notices role="note" { @for notice in &run.notices { li { (notice.0) } } }
            }
        }
    }
}

fn tile(value: &str, label: &str, beside: &str) -> Markup {
    html! { div.tile { b { (value) } span { (label) } @if !beside.is_empty() { span { (beside) } } } }
}

fn worst_tile(at: Option<Extreme>, unit: &str, label: &str, limit: &str) -> Markup {
    match at {
        Some(at) => tile(
            &format!("{} {unit}", short(at.value)),
            label,
            &format!("{limit} {} {unit}", short(at.limit)),
        ),
        None => tile("unknown", label, ""),
    }
}

fn drawings(run: &Run) -> Markup {
    html! {
        h2 { "What happened" }
        ul.legend {
            @for (index, robot) in run.robots.iter().enumerate() {
                li { i class=(colour::robot_class(index)) {} (robot.name)
                    @if !robot.role.is_empty() { ", " (robot.role) } }
            }
            li { i.limit {} "limit in force" }
            @if !run.stops.is_empty() {
                li { i.stop {} "stop, numbered as in the table" }
            }
        }
        div.panel {
            h3 { "Phases per role, and the safety monitor's state" }
            @if run.roles.is_empty() && run.states.is_empty() {
                p { "Neither the runtime nor the safety monitor was heard." }
            } @else {
                (PreEscaped(chart::timeline(run)))
            }
            @for quantity in Quantity::ALL {
                h3 { (quantity.title()) @if quantity.stays_above() { ": stays above its limit" } }
                @if chart::has_samples(run, quantity) {
                    (PreEscaped(chart::quantity(run, quantity)))
                } @else {
                    p { "Not recorded." }
                }
            }
        }
    }
}

fn stops(run: &Run) -> Markup {
    html! {
        h2 { "Stops" }
        @if run.stops.is_empty() {
            p { "The safety monitor stopped nothing." }
        } @else {
            div.panel {
                table {
                    thead { tr {
                        th.number { "no." } th.number { "at" } th { "state" } th { "cause" } th { "where" }
                        th.number { "value" } th.number { "limit" } th { "lasted" }
                    } }
                    tbody { @for (index, stop) in run.stops.iter().enumerate() { (stop_rows(index + 1, stop)) } }
                }
            }
        }
    }
}

fn stop_rows(number: usize, stop: &Stop) -> Markup {
    let status = &stop.status;
    let place = [status.robot.as_str(), status.joint.as_str()];
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let lasted =
        stop.until_s.map_or("to the end".to_owned(), |until_s| format!("{:.2} s", until_s - stop.from_s));
    // A cause without a limit (an emergency stop, a missing input) has neither value nor limit.
    let compared = status.value != 0.0 || status.limit != 0.0;
    html! {
        tr {
            td.number { (number) }
            td.number { (format!("{:.2} s", stop.from_s)) }
            td { (status.state) }
            td { code { (status.cause) } @if !status.detail.is_empty() { br; (status.detail) } }
            td { @if place.is_empty() { "whole cell" } @else { (place.join(", ")) } }
            td.number { @if compared { (short(status.value)) } }
            td.number { @if compared { (short(status.limit)) } }
            td { (lasted) }
        }
    }
}

fn figures(run: &Run) -> Markup {
    let cell = |at: Option<Extreme>, unit: &str| {
        html! {
            td.number { @if let Some(at) = at { (short(at.value)) " " (unit) } @else { "unknown" } }
            td.number { @if let Some(at) = at { (short(at.limit)) } }
        }
    };
    let most = |samples: &crate::Samples| samples.known().map(|(_, value)| value).fold(f64::NAN, f64::max);
    let measured = run.result.iter().flat_map(|result| &result.figures);
    html! {
        h2 { "Figures" }
        @if run.robots.is_empty() {
            p { "The safety monitor was not heard." }
        } @else {
            div.panel {
                table {
                    thead { tr {
                        th { "robot" } th.number { "fastest" } th.number { "limit" } th.number { "strongest contact" }
                        th.number { "limit" } th.number { "closest" } th.number { "at least" }
                        th.number { "joint speed of limit" } th.number { "oldest input" }
                    } }
                    tbody {
                        @for robot in &run.robots {
                            tr {
                                th scope="row" { (robot.name) }
                                (cell(robot.fastest(), Quantity::Speed.unit()))
                                (cell(robot.strongest(), Quantity::Force.unit()))
                                (cell(robot.closest(), Quantity::Separation.unit()))
                                td.number { (short(most(&robot.joint_velocity_ratio) * 100.0)) " %" }
                                td.number { (short(most(&robot.input_age) * 1e3)) " ms" }
                            }
                        }
                    }
                }
            }
        }
        @if run.result.as_ref().is_some_and(|result| !result.figures.is_empty()) {
            h3 { "Measured by the run" }
            div.panel { dl { @for (name, value) in measured { dt { code { (name) } } dd { (short(*value)) } } } }
        }
    }
}

fn phases(run: &Run) -> Markup {
    html! {
        details {
            summary { "Phases as a table" }
            div.panel {
                table {
                    thead { tr {
                        th { "role" } th { "phase" } th { "state" } th.number { "from" } th.number { "to" } th { "said" }
                    } }
                    tbody {
                        @for track in &run.roles {
                            @for span in track.phases.iter().filter(|span| span.state != RoleState::Idle) {
                                tr {
                                    th scope="row" { (track.role) }
                                    td { (span.phase) }
                                    td { (span.state) }
                                    td.number { (format!("{:.2} s", span.from_s)) }
                                    td.number { (format!("{:.2} s", span.to_s)) }
                                    td { (span.message) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn events(run: &Run) -> Markup {
    html! {
        @if !run.events.is_empty() {
            h2 { "What was done to the cell" }
            div.panel {
                table {
                    thead { tr { th.number { "at" } th { "what" } th { "how" } } }
                    tbody {
                        @for (at_s, event) in &run.events {
                            tr {
                                td.number { (format!("{at_s:.2} s")) }
                                td { code { (event.name) } }
                                td { (event.text) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn conditions(run: &Run) -> Markup {
    let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    html! {
        h2 { "Conditions" }
        div.panel {
            dl {
                @if let Some(header) = &run.header {
                    dt { "cell" } dd { (header.cell) @if header.simulated { ", simulated" } @else { ", real" } }
                    dt { "robots" } dd {
                        @for (index, robot) in header.robots.iter().enumerate() {
                            @if index > 0 { "; " } (robot.name) " (" (robot.model) ")"
                        }
                    }
                    dt { "started" } dd { (or_unknown(&header.started_utc)) }
                    dt { "seed" } dd { @if let Some(seed) = header.seed { (seed) } @else { "none" } }
                    dt { "permit time-out" } dd {
                        (short(header.permit_timeout_s * 1e3)) " ms, declared "
                        (short(header.permit_timeout_default_s * 1e3)) " ms"
                    }
                    dt { "computer" } dd { (or_unknown(&header.machine)) }
                }
                dt { "real-time scheduling" } dd {
                    @match run.real_time {
                        Some(true) => "granted to the safety monitor",
                        Some(false) => "not granted to the safety monitor",
                        None => "unknown: the safety monitor was not heard",
                    }
                }
                dt { "run" } dd { code { (or_unknown(&run.trace_id)) } }
                dt { "artifact, SHA-256" } dd { code { (or_unknown(&run.artifact)) } }
            }
        }
    }
}
