//! `cell bag check`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use swarm_bag::BagReader;
use swarm_bag::check::{CheckOptions, Report, TopicReport, check};

use crate::Outcome;
use crate::output::print_json;

/// Look whether a bag is whole and fits together.
///
/// Reads every message and compares counts (of the storage, of metadata.yaml, and what the recorder said on /capture/loss),
/// topics, types and QoS between metadata.yaml and the storage, stamps of each topic, and gaps of topics that come regularly
/// (five of their intervals, unless --max-gap says otherwise). Losses that were counted are notes and no problems.
///
/// Exit codes: 0 good, 1 there are problems (each is named with what was expected and what is there), 2 no bag, or cannot be
/// read at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// X.db3, X.mcap, or rosbag2's folder.
    #[arg(value_name = "BAG")]
    bag: PathBuf,
    /// Longest gap that any topic may have, s.
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    max_gap: Option<Duration>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut bag = BagReader::open(&args.bag)?;
    let report = check(&mut bag, CheckOptions { longest_gap: args.max_gap });
    if args.json {
        print_json(&as_json(&report))?;
    } else {
        show(&report);
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::Refused })
}

fn show(report: &Report) {
    for topic in &report.topics {
        let rate = topic.interval.filter(|interval| !interval.is_zero());
        let rate = rate.map_or(String::new(), |interval| format!(", {:.1} Hz", 1.0 / interval.as_secs_f64()));
        let gap = topic
            .longest_gap
            .map_or(String::new(), |gap| format!(", longest gap {:.3} s", gap.as_secs_f64()));
        println!("{} ({}): {} messages{rate}{gap}", topic.name, topic.type_name, topic.messages);
    }
    for note in &report.notes {
        println!("note: {note}");
    }
    for problem in &report.problems {
        println!("PROBLEM: {problem}");
    }
    println!("{}", if report.is_good() { "good" } else { "not good" });
}

fn as_json(report: &Report) -> Value {
    let topics: Vec<Value> = report.topics.iter().map(topic_json).collect();
    let problems: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| {
            json!({"kind": problem.kind.name(), "subject": problem.subject, "expected": problem.expected, "actual": problem.actual})
        })
        .collect();
    json!({
        "good": report.is_good(), "finished": report.finished, "problems": problems, "notes": report.notes, "topics": topics,
    })
}

fn topic_json(topic: &TopicReport) -> Value {
    let loss = topic.loss.as_ref().map(|loss| {
        json!({"received": loss.received, "recorded": loss.recorded, "dropped_queue": loss.dropped_queue,
               "dropped_disk": loss.dropped_disk, "lost_network": loss.lost_network})
    });
    json!({
        "name": topic.name, "type": topic.type_name, "messages": topic.messages, "start": topic.first, "end": topic.last,
        "interval_s": topic.interval.map(|interval| interval.as_secs_f64()),
        "longest_gap_s": topic.longest_gap.map(|gap| gap.as_secs_f64()), "loss": loss,
    })
}

fn positive(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "expected seconds, such as 0.5".to_owned())
}
