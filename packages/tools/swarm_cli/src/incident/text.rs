//! The report in a screen of text.

use super::Report;
use super::recorded::{ProofVerdict, SourceKind};
use super::report::StopReport;

/// Prints the report.
pub(crate) fn show(report: &Report) {
    let unknown = "unknown".to_owned();
    let [cell, software] = [&report.cell, &report.software].map(|text| text.as_ref().unwrap_or(&unknown));
    println!("cell {cell}, recorded by {software}");
    if report.starts.len() > 1 {
        println!(
            "{} starts of the monitor, this is start {}",
            report.starts.len(),
            report.start.unwrap_or(0)
        );
        for start in &report.starts {
            println!("  start {:<3} {}  {} cycles", start.number, start.started_utc, start.cycles);
            for stop in &start.stops {
                println!("    stop {:<3} {}  {:<6} {}", stop.number, stop.utc, stop.state, stop.code);
            }
        }
    }
    show_stop("stopped", &report.stop);
    if let Some(source) = &report.limit_source {
        println!("  limit: {} of the {}: {}", source.field, source.document, source.provenance);
    }
    let in_force = &report.in_force;
    let skill = if in_force.skill.is_empty() { "none, the cell's ceiling alone" } else { &in_force.skill };
    println!("  skill {skill}; epoch {}", in_force.epoch);
    println!("  recording: {}", proof_words(report));
    for problem in &report.recording.problems {
        println!("  WRONG: {problem}");
    }
    if let Some(lost @ 1..) = report.lost_cycles {
        println!("  {lost} cycles were lost in the recording");
    }
    println!("\nall stops");
    for stop in &report.all_stops {
        let code = stop.cause.as_ref().map_or("unknown", |cause| &cause.code);
        println!("  {:<3} {}  cycle {:<9} {:<6} {code}", stop.number, stop.utc, stop.cycle, stop.state);
    }
    println!("\nmargins before the stop");
    println!(
        "  {:<12} {:<34} {:>10} {:>10} {:>10} {:>10}",
        "robot", "quantity", "last", "at stop", "limit", "nearest"
    );
    for margin in &report.margins {
        let [last, now, limit, nearest] =
            [margin.before_stop, margin.at_stop, margin.limit, margin.nearest].map(figure);
        let title = [margin.quantity.title(), margin.unit].join(", ");
        let title = title.trim_end_matches(", ");
        println!("  {:<12} {title:<34} {last:>10} {now:>10} {limit:>10} {nearest:>10}", margin.robot);
    }
    println!("\ninputs in the {} s before", figure(report.window.before_s));
    for input in &report.inputs {
        let age =
            input.age_at_stop_s.map_or("never heard".to_owned(), |age| format!("{age:.4} s old at the stop"));
        let refused = match &input.refused {
            None => "refusals unknown".to_owned(),
            Some(refused) => format!("{} refused", refused.len()),
        };
        println!(
            "  {:<12} {:<16} {:>6} samples, {:>9} Hz, longest gap {} s, {age}, {refused}",
            input.robot,
            input.input,
            input.samples,
            figure(input.rate_hz),
            figure(input.longest_gap_s),
        );
        for refused in input.refused.iter().flatten() {
            println!("      {:.3} s: {}", refused.at_s, refused.fault);
        }
    }
    match &report.what_if {
        None => {}
        Some(what_if) => match (&what_if.refused, &what_if.stop) {
            (Some(why), _) => println!("\nunder the other envelope: refused: {why}"),
            (None, Some(stop)) => {
                show_stop("\nunder the other envelope: stopped", stop);
                println!("  {} s from the recorded stop", figure(what_if.at_s.unwrap_or(f64::NAN)));
            }
            (None, None) => println!("\nunder the other envelope: no stop"),
        },
    }
}

/// Whether the recording can be believed, in words.
pub(crate) fn proof_words(report: &Report) -> String {
    let recording = &report.recording;
    let mut words = match recording.verdict {
        ProofVerdict::Genuine => {
            format!("genuine, sealed with the trusted key {}", recording.keys.join(", "))
        }
        ProofVerdict::Unvouched => format!(
            "whole, sealed with key {}, which nobody has vouched for (--public-key)",
            recording.keys.join(", ")
        ),
        ProofVerdict::HashOnly => "whole, linked by hashes alone: shows damage, but no forger".to_owned(),
        ProofVerdict::Damaged => "NOT what was recorded, or not all of it".to_owned(),
        ProofVerdict::Unsealed => "a bag carries no seals: nothing shows whether it was changed".to_owned(),
    };
    if recording.open_end {
        words += "; its end is open (the recorder was killed, is at work, or the end was cut off)";
    }
    words
}

/// What was read, in words.
pub(crate) fn source_words(report: &Report) -> &'static str {
    match report.source.kind {
        SourceKind::BlackBox => "black box",
        SourceKind::Bag => "bag",
    }
}

fn show_stop(what: &str, stop: &StopReport) {
    println!("{what} in cycle {}, at {}: {}", stop.cycle, stop.utc, stop.state);
    if let Some(cause) = &stop.cause {
        println!("  {}: {}", cause.code, cause.detail);
    }
}

/// Four decimals; a dash for what is infinite or unknown.
fn figure(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { "-".to_owned() }
}
