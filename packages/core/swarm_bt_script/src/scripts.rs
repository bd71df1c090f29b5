//! The script file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;
use swarm_bt::{Halt, LeafKind, Status, Value};

/// What all leaves answer: by node name or registration id.
#[derive(Clone, Debug, Default)]
pub struct Scripts {
    pub(crate) by_key: BTreeMap<String, Script>,
    /// How many more askings each node that was told to stop takes, by its uid.
    stopping: BTreeMap<u16, u32>,
}

/// A leaf is told to stop once, and asked until it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopCall {
    Told,
    Asked,
}

/// What one leaf answers.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) kind: Option<LeafKind>,
    /// Never empty.
    pub(crate) answers: Vec<Status>,
    /// Port and what is written to it; no list is empty.
    pub(crate) outputs: Vec<(String, Vec<Option<Value>>)>,
    /// How often a halted leaf is asked before it has stopped.
    pub(crate) stops_after: u32,
    /// Answers given so far.
    pub(crate) position: usize,
}

/// A script file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptsError {
    #[error(
        "not a JSON object of leaves and their answers, such as {{\"Grasp\": [\"RUNNING\", \"SUCCESS\"]}}"
    )]
    Json(#[source] serde_json::Error),
    #[error("leaf '{leaf}': {why}")]
    Leaf { leaf: String, why: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Letters(String),
    List(Vec<String>),
    Detailed(Detailed),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Detailed {
    #[serde(default)]
    kind: Option<Kind>,
    answers: Answers,
    #[serde(default)]
    outputs: BTreeMap<String, Vec<Json>>,
    #[serde(default)]
    stops_after: u32,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answers {
    Letters(String),
    List(Vec<String>),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Action,
    Condition,
}

impl Scripts {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, ScriptsError> {
        let entries: BTreeMap<String, Entry> = serde_json::from_str(text).map_err(ScriptsError::Json)?;
        let mut scripts = Scripts::default();
        for (leaf, entry) in entries {
            match Script::of(entry) {
                Ok(script) => scripts.by_key.insert(leaf, script),
                Err(why) => return Err(ScriptsError::Leaf { leaf, why }),
            };
        }
        Ok(scripts)
    }

    /// Scripts from leaf ids and letters, as in a vector: ids that begin with `C` are conditions.
    pub fn from_letters<'a>(
        leaves: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ScriptsError> {
        let mut scripts = Scripts::default();
        for (leaf, text) in leaves {
            let answers = letters(text).map_err(|why| ScriptsError::Leaf { leaf: leaf.to_owned(), why })?;
            let kind = Some(if leaf.starts_with('C') { LeafKind::Condition } else { LeafKind::Action });
            scripts.by_key.insert(
                leaf.to_owned(),
                Script { kind, answers, outputs: Vec::new(), stops_after: 0, position: 0 },
            );
        }
        Ok(scripts)
    }

    /// The leaves that the file has a script for.
    pub fn leaves(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(String::as_str)
    }

    pub(crate) fn kind(&self, leaf: &str) -> Option<LeafKind> {
        self.by_key.get(leaf)?.kind
    }

    /// Whether a node has stopped, told so or asked.
    pub(crate) fn stop(&mut self, name: &str, id: &str, uid: u16, call: StopCall) -> Halt {
        let left = match call {
            StopCall::Told => self.of(name, id).map_or(0, |script| script.stops_after),
            StopCall::Asked => self.stopping.get(&uid).map_or(0, |left| left.saturating_sub(1)),
        };
        self.stopping.insert(uid, left);
        if left == 0 { Halt::Done } else { Halt::Pending }
    }

    fn of(&mut self, name: &str, id: &str) -> Option<&mut Script> {
        let key = if self.by_key.contains_key(name) { name } else { id };
        self.by_key.get_mut(key)
    }

    /// The next answer, and what is written with it. `None` where the leaf has no script.
    pub(crate) fn next(&mut self, name: &str, id: &str) -> Option<(Status, Vec<(String, Value)>)> {
        let script = self.of(name, id)?;
        let at = script.position;
        script.position += 1;
        let written = script.outputs.iter().filter_map(|(port, values)| {
            values[at % values.len()].clone().map(|value| (port.clone(), value))
        });
        Some((script.answers[at % script.answers.len()], written.collect()))
    }
}

impl Script {
    fn of(entry: Entry) -> Result<Self, String> {
        let (kind, answers, outputs, stops_after) = match entry {
            Entry::Letters(text) => (None, letters(&text)?, BTreeMap::new(), 0),
            Entry::List(list) => (None, words(&list)?, BTreeMap::new(), 0),
            Entry::Detailed(Detailed { kind, answers, outputs, stops_after }) => {
                let answers = match answers {
                    Answers::Letters(text) => letters(&text)?,
                    Answers::List(list) => words(&list)?,
                };
                (kind, answers, outputs, stops_after)
            }
        };
        let kind = kind.map(|kind| match kind {
            Kind::Action => LeafKind::Action,
            Kind::Condition => LeafKind::Condition,
        });
        let mut written = Vec::new();
        for (port, list) in outputs {
            if list.is_empty() {
                return Err(format!("outputs of port '{port}' are an empty list"));
            }
            let values: Result<Vec<_>, String> = list.iter().map(value).collect();
            written.push((port, values?));
        }
        Ok(Script { kind, answers, outputs: written, stops_after, position: 0 })
    }
}

fn letters(text: &str) -> Result<Vec<Status>, String> {
    words(&text.chars().map(|letter| letter.to_string()).collect::<Vec<_>>())
}

fn words(list: &[String]) -> Result<Vec<Status>, String> {
    if list.is_empty() {
        return Err("has no answers; at least one is needed".to_owned());
    }
    list.iter().map(|word| answer(word)).collect()
}

fn answer(word: &str) -> Result<Status, String> {
    match word.to_ascii_uppercase().as_str() {
        "R" | "RUNNING" => Ok(Status::Running),
        "S" | "SUCCESS" => Ok(Status::Success),
        "F" | "FAILURE" => Ok(Status::Failure),
        "K" | "SKIPPED" => Ok(Status::Skipped),
        _ => Err(format!("'{word}' is no answer; expected RUNNING, SUCCESS, FAILURE, SKIPPED or R, S, F, K")),
    }
}

/// A number, text, bool or list of numbers as it is; `null` is nothing.
fn value(json: &Json) -> Result<Option<Value>, String> {
    let unfit = || format!("output {json} is neither a bool, a number, text, a list of numbers nor null");
    Ok(Some(match json {
        Json::Null => return Ok(None),
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::Int(i),
            (None, Some(x)) => Value::Float(x),
            (None, None) => return Err(unfit()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => {
            let numbers: Option<Vec<f64>> = list.iter().map(Json::as_f64).collect();
            Value::from(numbers.ok_or_else(unfit)?)
        }
        Json::Object(_) => return Err(unfit()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_a_cycle_as_words_or_letters() {
        let text =
            r#"{"A": ["RUNNING", "success"], "B": "RF", "C": {"kind": "condition", "answers": ["K"]}}"#;
        let mut scripts = Scripts::parse(text).unwrap();
        let mut three = |leaf: &str| [(); 3].map(|()| scripts.next("named so", leaf).unwrap().0);
        assert_eq!(three("A"), [Status::Running, Status::Success, Status::Running]);
        assert_eq!(three("B"), [Status::Running, Status::Failure, Status::Running]);
        assert_eq!(three("C"), [Status::Skipped; 3]);
        assert_eq!((scripts.kind("A"), scripts.kind("C")), (None, Some(LeafKind::Condition)));
        assert!(scripts.next("D", "D").is_none());
    }

    #[test]
    fn a_name_goes_before_an_id() {
        let mut scripts = Scripts::parse(r#"{"Move": "S", "to the bin": "F"}"#).unwrap();
        assert_eq!(scripts.next("to the bin", "Move").unwrap().0, Status::Failure);
        assert_eq!(scripts.next("to the table", "Move").unwrap().0, Status::Success);
    }

    #[test]
    fn outputs_go_with_their_answers() {
        let text = r#"{"A": {"answers": "RRS", "outputs": {"n": [1, null], "pose": [[0.5, 2]]}}}"#;
        let mut scripts = Scripts::parse(text).unwrap();
        let mut written = || scripts.next("A", "A").unwrap().1;
        assert_eq!(written(), [("n".into(), Value::Int(1)), ("pose".into(), vec![0.5, 2.0].into())]);
        assert_eq!(written(), [("pose".into(), vec![0.5, 2.0].into())]);
    }

    #[test]
    fn a_wrong_file_says_which_leaf_and_why() {
        for (text, why) in [
            (r#"{"A": ["DONE"]}"#, "leaf 'A': 'DONE' is no answer; expected RUNNING, SUCCESS"),
            (r#"{"A": []}"#, "leaf 'A': has no answers"),
            (
                r#"{"A": {"answers": "S", "outputs": {"x": []}}}"#,
                "leaf 'A': outputs of port 'x' are an empty list",
            ),
            (r#"{"A": {"answers": "S", "outputs": {"x": [{}]}}}"#, "leaf 'A': output {} is neither a bool"),
            (r#"{"A": 1}"#, "not a JSON object of leaves and their answers"),
            ("[]", "not a JSON object of leaves and their answers"),
        ] {
            let said = Scripts::parse(text).unwrap_err().to_string();
            assert!(said.starts_with(why), "{text}: {said}");
        }
    }
}
