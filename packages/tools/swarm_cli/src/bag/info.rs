//! `cell bag info`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swarm_bag::{BagReader, Metadata};

use super::times::shown;
use crate::Outcome;
use crate::output::print_json;

/// Show what is in a bag, as `ros2 bag info` does.
///
/// Counts and times are those of the storage. A bag that was cut off is shown as far as it goes, with what is damaged.
///
/// Exit codes: 0 done, 2 it is no bag, or cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// X.db3, X.mcap, or rosbag2's folder.
    #[arg(value_name = "BAG")]
    bag: PathBuf,
    /// Print as JSON; times are nanoseconds.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let bag = BagReader::open(&args.bag)?;
    let size = size_of(&args.bag, bag.metadata());
    if args.json {
        print_json(&as_json(&args.bag, &bag, size))?;
    } else {
        show(&bag, size);
    }
    Ok(Outcome::Done)
}

fn size_of(path: &Path, metadata: &Metadata) -> u64 {
    let size = |path: &Path| path.metadata().map_or(0, |found| found.len());
    if path.is_dir() {
        metadata.files.iter().map(|file| size(&path.join(&file.name))).sum()
    } else {
        size(path)
    }
}

fn show(bag: &BagReader, size: u64) {
    let metadata = bag.metadata();
    let span = metadata.span();
    let line = |name: &str, text: &str| println!("{name:<18} {text}");
    let mut files = metadata.files.iter();
    line("Files:", files.next().map_or("", |file| file.name.as_str()));
    files.for_each(|file| line("", &file.name));
    line("Bag size:", &bytes(size));
    line("Storage id:", metadata.storage.identifier());
    line("ROS Distro:", if metadata.ros_distro.is_empty() { "unknown" } else { &metadata.ros_distro });
    line("Duration:", &format!("{:.3} s", (span.last - span.first) as f64 * 1e-9));
    if span.count > 0 {
        line("Start:", &shown(span.first));
        line("End:", &shown(span.last));
    }
    line("Messages:", &span.count.to_string());
    let mut lead = "Topic information:";
    for counted in &metadata.topics {
        let topic = &counted.topic;
        let text = format!(
            "Topic: {} | Type: {} | Count: {} | Serialization Format: {}",
            topic.name, topic.type_name, counted.count, topic.serialization
        );
        line(lead, &text);
        lead = "";
    }
    lead = "Custom data:";
    for (name, text) in &metadata.custom {
        line(lead, &format!("{name}: {text}"));
        lead = "";
    }
    lead = "Damage:";
    for damage in bag.damage() {
        line(lead, &damage);
        lead = "";
    }
}

fn as_json(path: &Path, bag: &BagReader, size: u64) -> Value {
    let metadata = bag.metadata();
    let span = metadata.span();
    let files: Vec<Value> = metadata
        .files
        .iter()
        .map(|file| json!({"name": file.name, "messages": file.span.count, "start": file.span.first, "end": file.span.last}))
        .collect();
    let topics: Vec<Value> = metadata
        .topics
        .iter()
        .map(|counted| {
            let topic = &counted.topic;
            json!({"name": topic.name, "type": topic.type_name, "serialization": topic.serialization, "messages": counted.count,
                   "type_hash": topic.definition.type_hash, "offered_qos": topic.offered_qos})
        })
        .collect();
    json!({
        "bag": path, "files": files, "bytes": size, "storage": metadata.storage.identifier(), "ros_distro": metadata.ros_distro,
        "start": span.first, "end": span.last, "messages": span.count, "topics": topics, "custom_data": metadata.custom,
        "damage": bag.damage(),
    })
}

/// As `ros2 bag info` writes sizes.
fn bytes(size: u64) -> String {
    let mut value = size as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}
