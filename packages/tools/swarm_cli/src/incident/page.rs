//! The report as one page with its drawings inside: no script, nothing loaded from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use swarm_plot::{colour, short, style};

use super::drawings::Drawings;
use super::recorded::{ProofVerdict, SourceKind};
use super::report::{InputReport, Nearness, StopReport, WhatIfReport};
use super::text::{proof_words, source_words};
use super::{Quantity, Recorded, Report};

/// Figures that are always drawn in front; the others stand behind a fold.
const IN_FRONT: [Quantity; 4] =
    [Quantity::ToolSpeed, Quantity::JointSpeed, Quantity::ContactForce, Quantity::Separation];

/// The whole page as HTML.
pub(crate) fn page(recorded: &Recorded, report: &Report) -> String {
    let title = headline(&report.stop);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) ", " (report.stop.utc) }
                style { (PreEscaped(style())) }
            }
            body {
                main {
                    (head(report, &title))
                    (cause(report))
                    (drawings(recorded, report))
                    (margins(report))
                    (inputs(recorded, report))
                    (stops(report))
                    (conditions(report))
                    footer {
                        p {
                            "Seconds count from the stop. Margins and inputs are those up to the stop, its own "
                            (sample_word(report)) " included where the tables say so. A dash stands where nothing is monitored or "
                            "near, and where the recording does not tell. The same in figures: incident.json. "
                            "The safety monitor is a software stop beside the hard-wired emergency-stop circuit and claims no "
                            "safety integrity level."
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

fn headline(stop: &StopReport) -> String {
    let Some(cause) = &stop.cause else { return format!("{} without a cause", stop.state) };
    let what = cause.code.replace('_', " ");
    if cause.robot.is_empty() {
        format!("Stopped by {what}")
    } else {
        format!("{} stopped by {what}", cause.robot)
    }
}

fn sample_word(report: &Report) -> &'static str {
    match report.source.kind {
        SourceKind::BlackBox => "cycle",
        SourceKind::Bag => "status",
    }
}

/// As short as it can be; a dash for what is infinite or unknown.
fn figure(value: f64) -> String {
    if value.is_finite() { short(value) } else { "–".to_owned() }
}

fn with_unit(value: f64, unit: &str) -> String {
    if value.is_finite() {
        format!("{} {unit}", short(value)).trim_end().to_owned()
    } else {
        "–".to_owned()
    }
}

/// Whether a cause compares a value with a limit.
fn compares(stop: &StopReport) -> bool {
    stop.cause.as_ref().is_some_and(|cause| !cause.unit.is_empty())
}

fn head(report: &Report, title: &str) -> Markup {
    let stop = &report.stop;
    html! {
        header {
            div.head {
                h1 { (title) }
                span class="badge critical" { (stop.state) }
            }
            @if let Some(cause) = &stop.cause { p.said { (cause.detail) } }
            div.tiles {
                @let (date, time) = stop.utc.split_once('T').unwrap_or((&stop.utc, ""));
                (tile(time.trim_end_matches('Z'), &format!("UTC, {date}"), &format!("cycle {}", stop.cycle)))
                @if let Some(cause) = stop.cause.as_ref().filter(|_| compares(stop)) {
                    (tile(&with_unit(cause.value, cause.unit), "measured", &format!("limit {}", with_unit(cause.limit, cause.unit))))
                }
                (tile(&format!("{} of {}", stop.number, report.all_stops.len()), "stop of the recording",
                    &format!("from {}", stop.state_before.unwrap_or("an unrecorded state"))))
                @if let Some(what_if) = &report.what_if { (what_if_tile(what_if)) }
            }
            @let notices = notices(report);
            @if !notices.is_empty() {
                ul.notices role="note" { @for notice in &notices { li { (notice) } } }
            }
        }
    }
}

fn what_if_tile(what_if: &WhatIfReport) -> Markup {
    match (&what_if.stop, what_if.at_s) {
        (Some(stop), Some(at_s)) => {
            let code = stop.cause.as_ref().map_or("unknown", |cause| &cause.code);
            tile(&format!("{at_s:.3} s"), "other envelope: stop at", &format!("{} by {code}", stop.state))
        }
        _ if what_if.refused.is_some() => tile("refused", "other envelope", "see below"),
        _ => tile("no stop", "other envelope", "up to the recorded one"),
    }
}

fn tile(value: &str, label: &str, beside: &str) -> Markup {
    html! { div.tile { b { (value) } span { (label) } @if !beside.is_empty() { span { (beside) } } } }
}

/// What a reader must know before believing the page.
fn notices(report: &Report) -> Vec<String> {
    let mut notices = Vec::new();
    match report.recording.verdict {
        ProofVerdict::Genuine => {}
        ProofVerdict::Unsealed => notices.push(
            "Made from a bag: no seals show whether it was changed, and between two statuses nothing is seen. What the black box alone knows is missing.".to_owned(),
        ),
        _ => notices.push(format!("The recording is {}.", proof_words(report))),
    }
    notices.extend(report.recording.problems.iter().map(|problem| format!("Wrong: {problem}")));
    if let Some(lost @ 1..) = report.lost_cycles {
        notices.push(format!("{lost} cycles were lost in the recording."));
    }
    if report.stop.state_before.is_none() {
        notices.push("The recording begins in this stop: what came before it was not recorded.".to_owned());
    }
    if let Some(why) = report.what_if.as_ref().and_then(|what_if| what_if.refused.as_ref()) {
        notices.push(format!("The other envelope is refused: {why}"));
    }
    notices
}

fn cause(report: &Report) -> Markup {
    let stop = &report.stop;
    html! {
        h2 { "What stopped whom" }
        div.panel {
            dl {
                @if let Some(cause) = &stop.cause {
                    dt { "check" } dd { code { (cause.code) } }
                    dt { "robot" } dd { @if cause.robot.is_empty() { "whole cell" } @else { (cause.robot) } }
                    @if !cause.joint.is_empty() { dt { "joint or pair" } dd { (cause.joint) } }
                    @if compares(stop) {
                        dt { "measured" } dd { (with_unit(cause.value, cause.unit)) }
                        dt { "limit" } dd { (with_unit(cause.limit, cause.unit)) }
                    }
                }
                @if let Some(source) = &report.limit_source {
                    dt { "limit stands in" } dd { code { (source.field) } " of the " (source.document) }
                    dt { "its provenance" } dd { (source.provenance) }
                }
                dt { "when" } dd { (stop.utc) ", " (format!("{:.6}", stop.unix_s)) " s since 1970, cycle " (stop.cycle) }
                dt { "recording" } dd { (proof_words(report)) }
                dt { "states" } dd { (stop.state_before.unwrap_or("not recorded")) " to " (stop.state) }
                @if let Some(what_if) = report.what_if.as_ref().and_then(|what_if| what_if.stop.as_ref().zip(what_if.at_s)) {
                    dt { "other envelope" } dd {
                        (what_if.0.state) " at " (format!("{:.3}", what_if.1)) " s, cycle " (what_if.0.cycle)
                        @if let Some(cause) = &what_if.0.cause { ": " (cause.detail) }
                    }
                }
            }
        }
    }
}

fn drawings(recorded: &Recorded, report: &Report) -> Markup {
    let drawings = Drawings::of(recorded, report);
    let of_cause = report.stop.cause.as_ref().and_then(|cause| Quantity::of_cause(&cause.code));
    let mut front: Vec<Quantity> = of_cause.into_iter().collect();
    front.extend(IN_FRONT.into_iter().filter(|quantity| Some(*quantity) != of_cause));
    let behind =
        Quantity::ALL.into_iter().filter(|quantity| !front.contains(quantity) && drawings.knows(*quantity));
    let behind: Vec<Quantity> = behind.collect();
    html! {
        h2 { "The last " (short(report.window.before_s)) " s before the stop" }
        ul.legend {
            @for (index, robot) in report_robots(recorded) { li { i class=(colour::robot_class(index)) {} (robot) } }
            li { i.limit {} "limit in force" }
            li { i.stop {} "stop" }
            @if report.what_if.as_ref().is_some_and(|what_if| what_if.stop.is_some()) {
                li { i.other {} "stop under the other envelope" }
            }
        }
        div.panel {
            h3 { "State of the safety monitor" }
            (PreEscaped(drawings.states()))
            @for quantity in front.iter().filter(|quantity| drawings.knows(**quantity)) { (drawing(&drawings, *quantity)) }
        }
        @if !behind.is_empty() {
            details {
                summary { "Further figures" }
                div.panel { @for quantity in behind { (drawing(&drawings, quantity)) } }
            }
        }
    }
}

fn report_robots(recorded: &Recorded) -> impl Iterator<Item = (usize, &String)> {
    recorded.robots.iter().enumerate()
}

fn drawing(drawings: &Drawings<'_>, quantity: Quantity) -> Markup {
    html! {
        h3 { (title(quantity)) @if quantity.stays_above() { ": stays above its limit" } }
        (PreEscaped(drawings.figure(quantity)))
    }
}

/// Title with unit, first letter large.
fn title(quantity: Quantity) -> String {
    let text = [quantity.title(), quantity.unit()].join(", ");
    let text = text.trim_end_matches(", ");
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

fn margins(report: &Report) -> Markup {
    let word = sample_word(report);
    html! {
        h2 { "Margins to every limit" }
        div.panel {
            table {
                thead { tr {
                    th { "robot" } th { "quantity" } th.number { "last before" } th.number { "in its " (word) }
                    th.number { "limit" } th.number { "margin" } th.number { "nearest" } th.number { "at" }
                } }
                @for of_robot in report.margins.chunk_by(|one, two| one.robot == two.robot) {
                    tbody { @for (index, margin) in of_robot.iter().enumerate() { (margin_row(margin, index == 0, report)) } }
                }
            }
        }
    }
}

/// A row; the first of a robot names it, and that of the cause stands out.
fn margin_row(margin: &Nearness, first: bool, report: &Report) -> Markup {
    let of_cause = report.stop.cause.as_ref().is_some_and(|cause| {
        cause.robot == margin.robot && Quantity::of_cause(&cause.code) == Some(margin.quantity)
    });
    html! {
        tr class=[of_cause.then_some("critical")] {
            th scope="row" { @if first { (margin.robot) } }
            td { (title(margin.quantity)) }
            td.number { (figure(margin.before_stop)) }
            td.number { (figure(margin.at_stop)) }
            td.number { (figure(margin.limit)) }
            td.number { (figure(margin.margin)) }
            td.number { (figure(margin.nearest)) }
            td.number { (format!("{:.2} s", margin.nearest_s)) }
        }
    }
}

fn inputs(recorded: &Recorded, report: &Report) -> Markup {
    let drawings = Drawings::of(recorded, report);
    let ages: Vec<(&str, String)> = ["joint state", "wrench", "command"]
        .into_iter()
        .filter_map(|input| Some((input, drawings.ages(input)?)))
        .collect();
    let age_of = match report.source.kind {
        SourceKind::BlackBox => "Ages count from when messages were sent, as the safety monitor counts them.",
        SourceKind::Bag => {
            "Ages count from the messages' stamps; messages count when the recorder took them in."
        }
    };
    html! {
        h2 { "What each input did" }
        p { (age_of) }
        div.panel {
            table {
                thead { tr {
                    th { "robot" } th { "input" } th.number { "samples" } th.number { "rate" } th.number { "longest gap" }
                    th.number { "age at the stop" } th.number { "given up at" } th { "refused" }
                } }
                tbody { @for input in &report.inputs { (input_row(input)) } }
            }
            @for (input, drawing) in &ages {
                h3 { "Age of the " (input) ", ms" }
                (PreEscaped(drawing))
            }
        }
    }
}

fn input_row(input: &InputReport) -> Markup {
    let milliseconds = |seconds: f64| with_unit(seconds * 1e3, "ms");
    html! {
        tr {
            td { @if input.robot.is_empty() { "whole cell" } @else { (input.robot) } }
            td { (input.input) }
            td.number { (input.samples) }
            td.number { @if input.samples > 1 { (with_unit(input.rate_hz, "Hz")) } @else { "–" } }
            td.number { (milliseconds(input.longest_gap_s)) }
            td.number { @if let Some(age) = input.age_at_stop_s { (milliseconds(age)) } @else { "never heard" } }
            td.number { (input.timeout_s.map_or("–".to_owned(), milliseconds)) }
            td {
                @match &input.refused {
                    None => "unknown",
                    Some(refused) if refused.is_empty() => "none",
                    Some(refused) => {
                        @for (index, one) in refused.iter().take(5).enumerate() {
                            @if index > 0 { br; }
                            code { (one.fault) } " at " (format!("{:.3} s", one.at_s))
                        }
                        @if refused.len() > 5 { br; "and " (refused.len() - 5) " more" }
                    }
                }
            }
        }
    }
}

fn stops(report: &Report) -> Markup {
    html! {
        h2 { "All stops of the recording" }
        div.panel {
            table {
                thead { tr {
                    th.number { "no." } th { "UTC" } th.number { "cycle" } th { "state" } th { "cause" } th { "where" }
                    th.number { "measured" } th.number { "limit" }
                } }
                tbody {
                    @for stop in &report.all_stops {
                        tr {
                            td.number { (stop.number) @if stop.number == report.stop.number { " ◂" } }
                            td { (stop.utc) }
                            td.number { (stop.cycle) }
                            td { (stop.state) }
                            @if let Some(cause) = &stop.cause {
                                td { code { (cause.code) } }
                                td { @if cause.robot.is_empty() { "whole cell" } @else { (cause.robot) " " (cause.joint) } }
                                td.number { @if compares(stop) { (with_unit(cause.value, cause.unit)) } }
                                td.number { @if compares(stop) { (with_unit(cause.limit, cause.unit)) } }
                            } @else { td { "unknown" } td {} td {} td {} }
                        }
                    }
                }
            }
        }
        @if report.starts.len() > 1 {
            details {
                summary { (report.starts.len()) " starts of the monitor in these files; this is start " (report.start.unwrap_or(0)) }
                div.panel {
                    table {
                        thead { tr { th.number { "start" } th { "UTC" } th.number { "cycles" } th { "stops" } } }
                        tbody {
                            @for start in &report.starts {
                                tr {
                                    td.number { (start.number) }
                                    td { (start.started_utc) }
                                    td.number { (start.cycles) }
                                    td {
                                        @if start.stops.is_empty() { "none" }
                                        @for stop in &start.stops { (stop.number) ": " (stop.utc) ", " (stop.state) " " code { (stop.code) } br; }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn conditions(report: &Report) -> Markup {
    let in_force = &report.in_force;
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    html! {
        h2 { "Conditions" }
        div.panel {
            dl {
                dt { "cell" } dd { (report.cell.as_deref().unwrap_or("unknown")) }
                dt { "recorded by" } dd { (report.software.as_deref().unwrap_or("unknown")) }
                dt { "skill whose limits were in force" } dd { @if in_force.skill.is_empty() { "none: the cell's ceiling alone" } @else { (in_force.skill) } }
                dt { "artifact, SHA-256" } dd { code { (or_none(&in_force.artifact)) } }
                @if let Some(generation) = in_force.generation {
                    dt { "limits" } dd {
                        "generation " (generation)
                        @if let Some(since) = in_force.since_s { ", in force for " (format!("{since:.3}")) " s when it stopped" }
                    }
                }
                dt { "run heard last" } dd { code { (or_none(&in_force.trace_id)) } }
                dt { "epoch" } dd { (in_force.epoch) }
                dt { "recording" } dd { (proof_words(report)) }
                dt { "lost cycles" } dd { @if let Some(lost) = report.lost_cycles { (lost) } @else { "unknown" } }
                dt { "read from" } dd { (source_words(report)) ": " @for (index, file) in report.source.files.iter().enumerate() { @if index > 0 { ", " } code { (file) } } }
            }
        }
    }
}
