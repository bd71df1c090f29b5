//! Events as JSON lines.

use serde_json::{Value as Json, json};
use swarm_base::Time;
use swarm_bt::{Halt, Status, TickError, Tree};

use crate::run::{Call, Event};

/// The first line of a trace: its format and the nodes that the uids stand for.
///
/// `{"event":"tree","format":1,"main":"T","nodes":[{"uid":1,"parent":null,"id":"Sequence","name":"Sequence","path":"Sequence","line":3},..]}`
pub fn tree_line(tree: &Tree) -> String {
    let nodes: Vec<Json> = tree
        .nodes()
        .iter()
        .map(|node| {
            json!({
                "uid": node.uid, "parent": node.parent, "id": node.id, "name": node.name, "path": node.path,
                "document": node.document, "line": node.line,
            })
        })
        .collect();
    json!({"event": "tree", "format": 1, "main": tree.main(), "nodes": nodes}).to_string()
}

/// One event as one line. `step` is that of the [`Event::Begin`] before it; times are in nanoseconds.
///
/// | `event` | fields |
/// |---|---|
/// | `begin` | `step`, `t_ns` |
/// | `call` | `step`, `uid`, `path`, `call` (`start`, `running`, `halt`, `halting`), `answer` (of the last two `DONE` or `PENDING`), `problem` (an output that could not be written) |
/// | `transition` | `step`, `uid`, `path`, `from`, `to` (`IDLE`, `RUNNING`, `SUCCESS`, `FAILURE`) |
/// | `ticked` | `step`, `answer`, or `error` with the `uid` and `path` of the node |
/// | `halted` | `step`, and `error` as above |
pub fn json_line(tree: &Tree, step: u64, event: &Event<'_>) -> String {
    let path = |uid: u16| tree.node(uid).map(|node| node.path.as_str());
    match event {
        Event::Begin { step, now: Time(t_ns) } => json!({"event": "begin", "step": step, "t_ns": t_ns}),
        Event::Call { uid, call, problem } => {
            let (call, answer) = match call {
                Call::Start(answer) => ("start", answer.as_str()),
                Call::Running(answer) => ("running", answer.as_str()),
                Call::Halt(answer) => ("halt", stopped(*answer)),
                Call::Halting(answer) => ("halting", stopped(*answer)),
            };
            let line = json!({"event": "call", "step": step, "uid": uid, "path": path(*uid), "call": call});
            let line = with(line, "answer", Some(answer));
            with(line, "problem", problem.as_deref())
        }
        Event::Transition(t) => json!({
            "event": "transition", "step": step, "uid": t.uid, "path": path(t.uid),
            "from": t.previous.as_str(), "to": t.new.as_str(),
        }),
        Event::Ticked(answer) => ended("ticked", step, answer.as_ref().ok().copied(), answer.as_ref().err()),
        Event::Halted(answer) => ended("halted", step, None, answer.as_ref().err()),
    }
    .to_string()
}

fn stopped(answer: Halt) -> &'static str {
    match answer {
        Halt::Done => "DONE",
        Halt::Pending => "PENDING",
    }
}

fn ended(event: &str, step: u64, answer: Option<Status>, error: Option<&TickError>) -> Json {
    let line = json!({"event": event, "step": step});
    let line = with(line, "answer", answer.map(Status::as_str));
    match error {
        None => line,
        Some(error) => {
            let line = with(line, "error", Some(error.to_string()));
            with(with(line, "uid", Some(error.uid)), "path", Some(error.path.as_str()))
        }
    }
}

fn with(mut line: Json, key: &str, value: Option<impl Into<Json>>) -> Json {
    if let (Json::Object(fields), Some(value)) = (&mut line, value) {
        fields.insert(key.to_owned(), value.into());
    }
    line
}
