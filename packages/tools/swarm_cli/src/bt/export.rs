//! A recorded run as MCAP.
//!
//! | topic | message |
//! |---|---|
//! | `/bt/transitions` | `{"step", "uid", "path", "from", "to"}` |
//! | `/bt/steps` | `{"step", "lines"}`: what happened in the step, for people |
//!
//! Log times are those of the run's clock, which begins at its own zero.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use anyhow::Context as _;
use mcap::records::MessageHeader;
use serde_json::json;
use swarm_bt::Transition;
use swarm_bt_log::{Narrator, Recording, Replay};

/// Writes the file; gives the number of messages.
pub(crate) fn mcap(recording: &Recording, file: File) -> anyhow::Result<u64> {
    let mut writer = mcap::Writer::new(BufWriter::new(file)).context("cannot write MCAP")?;
    let mut channel = |topic: &str, schema: serde_json::Value| -> anyhow::Result<u16> {
        let name = topic.trim_start_matches('/').replace('/', ".");
        let schema = writer.add_schema(&name, "jsonschema", schema.to_string().as_bytes())?;
        Ok(writer.add_channel(schema, topic, "json", &BTreeMap::new())?)
    };
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let transitions = channel(
        "/bt/transitions",
        json!({"type": "object", "properties": {"step": number, "uid": number, "path": text, "from": text, "to": text}}),
    )?;
    let steps = channel(
        "/bt/steps",
        json!({"type": "object", "properties": {"step": number, "lines": {"type": "array", "items": text}}}),
    )?;

    let mut replay = Replay::new(recording)?;
    let mut narrator = Narrator::new(recording, Replay::new(recording)?);
    let mut sequence = 0;
    for number in 1..=recording.len() {
        let Some(step) = recording.step(number) else { break };
        let mut seen: Vec<Transition> = Vec::new();
        replay.forward(&mut seen).transpose()?;
        let lines = narrator.advance().transpose()?.unwrap_or_default();
        let tree = replay.tree();
        let messages = seen.iter().map(|t| {
            let path = tree.node(t.uid).map(|node| node.path.as_str());
            let (from, to) = (t.previous.as_str(), t.new.as_str());
            (transitions, json!({"step": number, "uid": t.uid, "path": path, "from": from, "to": to}))
        });
        for (channel_id, message) in messages.chain([(steps, json!({"step": number, "lines": lines}))]) {
            let header =
                MessageHeader { channel_id, sequence, log_time: step.now.0, publish_time: step.now.0 };
            writer.write_to_known_channel(&header, message.to_string().as_bytes())?;
            sequence += 1;
        }
    }
    writer.finish()?;
    Ok(u64::from(sequence))
}
