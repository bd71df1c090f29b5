//! What the server knows of a tree, and its answers. No socket, no thread.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use swarm_base::Time;
use swarm_bt::{Value, tree_xml};

use crate::feed::{Change, Picture, Source};
use crate::protocol::{Header, Refusal, Request, refuse, status_number};

/// Transitions kept for a client that records; older ones are lost. The original keeps 1,000.
const HISTORY: usize = 20_000;

/// The tree on show, or none yet.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    tree: Option<Board>,
    recording: Option<Recording>,
}

#[derive(Debug)]
struct Board {
    id: [u8; 16],
    xml: Vec<u8>,
    /// Blackboard names, keys and places of all entries, in the order of the picture's.
    entries: Vec<(String, String)>,
    picture: Picture,
}

#[derive(Debug)]
struct Recording {
    since: Time,
    changes: VecDeque<Change>,
}

impl Shown {
    /// A new tree under a new name. A recording goes on: its times are those of one clock for all trees.
    pub(crate) fn begin(&mut self, source: &mut Source, id: [u8; 16]) {
        let main = source.tree.main();
        let scope = |scope: &str| if scope.is_empty() { main.to_owned() } else { scope.to_owned() };
        self.tree = Some(Board {
            id,
            xml: tree_xml(&source.tree).into_bytes(),
            entries: source.tree.slots().map(|(_, name, key, _)| (scope(name), key.to_owned())).collect(),
            picture: source.picture.read().clone(),
        });
    }

    /// Takes in what the ticking thread has said since the last call.
    pub(crate) fn update(&mut self, source: &mut Source) {
        // Not while the queue is never empty: at most what was in it when this began.
        for _ in 0..source.transitions.slots() {
            let (Ok(change), Some(recording)) = (source.transitions.pop(), &mut self.recording) else {
                continue;
            };
            if recording.changes.len() == HISTORY {
                recording.changes.pop_front();
            }
            recording.changes.push_back(change);
        }
        if source.picture.update()
            && let Some(board) = &mut self.tree
        {
            board.picture.clone_from(source.picture.output_buffer());
        }
    }

    /// Transitions that the ticking thread could not hand over.
    pub(crate) fn dropped(&self) -> u64 {
        self.tree.as_ref().map_or(0, |board| board.picture.dropped)
    }

    /// The reply to a request. `unix_us` is the time of day.
    pub(crate) fn answer(&mut self, request: &[Vec<u8>], unix_us: u64) -> Vec<Vec<u8>> {
        self.reply(request, unix_us).unwrap_or_else(|refusal| refuse(&refusal))
    }

    fn reply(&mut self, request: &[Vec<u8>], unix_us: u64) -> Result<Vec<Vec<u8>>, Refusal> {
        let header = Header::decode(request.first().map_or(&[], Vec::as_slice))?;
        let (expected, found) = (header.request.frames(), request.len());
        if header.request == Request::ChangeHooks {
            return Err(Refusal::ReadOnly);
        }
        if found < expected {
            return Err(Refusal::Frames { expected, found });
        }
        let board = self.tree.as_ref().ok_or(Refusal::NoTree)?;
        let payload = match header.request {
            Request::FullTree => Some(board.xml.clone()),
            Request::Status => Some(board.status()),
            Request::Blackboards => Some(board.blackboards(&request[1])),
            Request::DumpHooks => Some(b"[]".to_vec()),
            Request::ForgetHooks => None,
            Request::ChangeHooks => return Err(Refusal::ReadOnly),
            Request::ToggleRecording => match request[1].as_slice() {
                b"start" => {
                    self.recording = Some(Recording { since: board.picture.now, changes: VecDeque::new() });
                    Some(format!("{unix_us:016}").into_bytes())
                }
                b"stop" => {
                    self.recording = None;
                    None
                }
                other => return Err(Refusal::Recording(String::from_utf8_lossy(other).into_owned())),
            },
            Request::Transitions => Some(self.recording.as_mut().map_or_else(Vec::new, Recording::take)),
        };
        let id = board.id;
        Ok([Some(header.reply(&id)), payload].into_iter().flatten().collect())
    }
}

impl Board {
    fn status(&self) -> Vec<u8> {
        let nodes = self.picture.status.iter().zip(1_u16..);
        nodes
            .flat_map(|(status, uid)| {
                let [low, high] = uid.to_le_bytes();
                [low, high, *status]
            })
            .collect()
    }

    /// MessagePack: blackboard to key to value. Names that are not known are left out, as by the original.
    fn blackboards(&self, names: &[u8]) -> Vec<u8> {
        let names = String::from_utf8_lossy(names);
        let wanted: Vec<&str> = names.split(';').filter(|name| !name.is_empty()).collect();
        let mut boards: BTreeMap<&str, BTreeMap<&str, Entry<'_>>> = BTreeMap::new();
        for ((board, key), (_, value)) in self.entries.iter().zip(&self.picture.entries) {
            if wanted.is_empty() || wanted.contains(&board.as_str()) {
                let entries = boards.entry(board).or_default();
                if let Some(value) = value {
                    entries.insert(key, Entry::from(value));
                }
            }
        }
        rmp_serde::to_vec(&boards).expect("maps of text to numbers, text and lists can be written")
    }
}

/// A value as the original's JSON export has it.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    List(&'a [f64]),
}

impl<'a> From<&'a Value> for Entry<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Bool(b) => Entry::Bool(*b),
            Value::Int(i) => Entry::Int(*i),
            Value::Float(x) => Entry::Float(*x),
            Value::Str(text) => Entry::Text(text),
            Value::Vector(list) => Entry::List(list),
        }
    }
}

impl Recording {
    /// Nine bytes each, oldest first. Times before the recording's begin are its begin.
    fn take(&mut self) -> Vec<u8> {
        let changes = std::mem::take(&mut self.changes);
        let mut out = Vec::with_capacity(changes.len() * 9);
        for change in changes {
            let micros = change.at.since(self.since).as_micros();
            out.extend_from_slice(&micros.to_le_bytes()[..6]);
            out.extend_from_slice(&change.uid.to_le_bytes());
            out.push(status_number(change.status));
        }
        out
    }
}
