//! Runs by hand: what a test of BehaviorTree.CPP 4.10 asserts, as XML, leaf scripts and the expectation, tick by tick.
//!
//! Every file in `tests/vectors/hand` is named after the test file of the original that it re-expresses and holds an
//! array of vectors. What is expected comes from the assertions there, never from our own output. A vector:
//!
//! | field | meaning |
//! |---|---|
//! | `name` | what is promised |
//! | `upstream` | the test in the original, as `Suite.Test` |
//! | `mode` | `compat` or `strict` |
//! | `xml` | a document, or the nodes of the main tree alone; `documents` (object: name to XML) adds others |
//! | `main` | the main tree, where the document does not say |
//! | `leaves` | leaf id to its script, see below |
//! | `constants` | names that scripts read as numbers |
//! | `substitutions` | substitution rules in BehaviorTree.CPP's JSON; with `substitution_error` they are refused |
//! | `load_error` | loading fails with a message that contains this; there are no ticks |
//! | `ticks` | what happens, in order |
//!
//! A leaf's script is its answers (`R`, `S`, `F`, `K` for SKIPPED), given in a cycle: `"RS"` or `["R", "S"]`, or an object with
//! `answers`, `kind` (`action`, `condition`), `ports` (name to `in|out|inout:any|bool|int|float|string|vector`, with
//! `=default` behind it where there is one), `writes` (port to the value written with each SUCCESS), `copies` and `doubles`
//! (output port to the input port whose value, or twice the value, is written with each SUCCESS), `needs` (ports without whose
//! values the answer is FAILURE) and `reads` (ports whose values are noted in `calls`).
//!
//! A tick, all fields but `status` optional:
//!
//! | field | meaning |
//! |---|---|
//! | `now_ms` | time of the tick; without it, that of the one before |
//! | `set` | entries of the blackboard written before: `key` of the main tree, or `path/key` of a SubTree |
//! | `answers` | leaf id to new answers, from here on |
//! | `halt` | the tree is halted instead of ticked |
//! | `how` | `exactly_once` (default), `once` (again while a node yields), `while_running` (again while RUNNING, `step_ms` apart, 10 by default) |
//! | `status` | the answer; `ERROR` for a tick that fails, with `error` in its message; absent after a halt |
//! | `calls` | all leaf calls, as `["start" \| "running" \| "halt", name]`, and a third element with what `reads` gave |
//! | `starts` | how often each leaf (by name) has been started since the beginning |
//! | `nodes` | what nodes (by name, or path) keep: IDLE, RUNNING, SUCCESS, FAILURE |
//! | `transitions` | all of them, as `[name or path, from, to]` |
//! | `writes` | how often entries have been written |
//! | `board` | entries after it; null for an empty one |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use swarm_base::Time;
use swarm_bt::{
    Direction, Halt, LeafCall, LeafKind, LeafModel, Leaves, Loader, Mode, NodeInfo, PortError, PortType,
    Registry, SlotId, State, Status, Substitutions, TickError, Transition, Tree, Value, halt, tick_observed,
    tick_until_settled,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    upstream: String,
    #[serde(default)]
    mode: String,
    xml: String,
    #[serde(default)]
    documents: BTreeMap<String, String>,
    main: Option<String>,
    #[serde(default)]
    leaves: BTreeMap<String, LeafScript>,
    #[serde(default)]
    constants: BTreeMap<String, i64>,
    substitutions: Option<Json>,
    substitution_error: Option<String>,
    load_error: Option<String>,
    #[serde(default)]
    ticks: Vec<Tick>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LeafScript {
    Letters(String),
    List(Vec<String>),
    Full(Leaf),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Leaf {
    #[serde(default)]
    answers: Vec<String>,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    ports: BTreeMap<String, String>,
    #[serde(default)]
    writes: BTreeMap<String, Json>,
    #[serde(default)]
    copies: BTreeMap<String, String>,
    #[serde(default)]
    doubles: BTreeMap<String, String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    reads: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tick {
    now_ms: Option<u64>,
    #[serde(default)]
    set: BTreeMap<String, Json>,
    #[serde(default)]
    answers: BTreeMap<String, String>,
    #[serde(default)]
    halt: bool,
    #[serde(default)]
    how: String,
    step_ms: Option<u64>,
    status: Option<String>,
    error: Option<String>,
    calls: Option<Vec<Json>>,
    starts: Option<BTreeMap<String, usize>>,
    nodes: Option<BTreeMap<String, String>>,
    transitions: Option<Vec<[String; 3]>>,
    writes: Option<BTreeMap<String, u64>>,
    board: Option<BTreeMap<String, Json>>,
}

/// The leaves of a vector, and what was asked of them.
struct Cast {
    leaves: BTreeMap<String, (Leaf, usize)>,
    calls: Vec<Json>,
    starts: BTreeMap<String, usize>,
}

impl Cast {
    fn answer(&mut self, what: &str, call: &mut LeafCall<'_>) -> Status {
        let (leaf, at) = self.leaves.get_mut(call.id()).expect("every leaf has a script");
        let mut note = vec![Json::from(what), Json::from(call.name())];
        if !leaf.reads.is_empty() {
            let values = leaf.reads.iter().map(|port| (port.clone(), read(call, port)));
            note.push(Json::Object(values.collect()));
        }
        self.calls.push(Json::Array(note));
        if what == "start" {
            *self.starts.entry(call.name().to_owned()).or_default() += 1;
        }
        let letters: Vec<char> = leaf.answers.iter().flat_map(|letters| letters.chars()).collect();
        let answer = match letters.get(*at % letters.len().max(1)) {
            Some('R') => Status::Running,
            Some('S') => Status::Success,
            Some('F') => Status::Failure,
            Some('K') => Status::Skipped,
            other => panic!("leaf {} has no answer {other:?}", call.id()),
        };
        *at += 1;
        if leaf.needs.iter().any(|port| call.get::<Value>(port).is_err()) {
            return Status::Failure;
        }
        if answer == Status::Success && leaf.write(call).is_err() {
            return Status::Failure;
        }
        answer
    }
}

impl Leaf {
    fn write(&self, call: &mut LeafCall<'_>) -> Result<(), PortError> {
        for (port, json) in &self.writes {
            call.set(port, value(json))?;
        }
        for (port, from) in &self.copies {
            let value: Value = call.get(from)?;
            call.set(port, value)?;
        }
        for (port, from) in &self.doubles {
            let value: f64 = call.get(from)?;
            call.set(port, 2.0 * value)?;
        }
        Ok(())
    }
}

impl Leaves for Cast {
    fn start(&mut self, call: &mut LeafCall<'_>) -> Status {
        self.answer("start", call)
    }

    fn running(&mut self, call: &mut LeafCall<'_>) -> Status {
        self.answer("running", call)
    }

    fn halt(&mut self, call: &mut LeafCall<'_>) -> Halt {
        self.calls.push(Json::from(vec!["halt", call.name()]));
        Halt::Done
    }
}

/// A port in the type that the leaf declares for it; text where it cannot be read.
fn read(call: &LeafCall<'_>, port: &str) -> Json {
    match call.get::<Value>(port) {
        Ok(Value::Bool(b)) => Json::from(b),
        Ok(Value::Int(i)) => Json::from(i),
        Ok(Value::Float(x)) => Json::from(x),
        Ok(Value::Str(s)) => Json::from(s.as_str()),
        Ok(Value::Vector(v)) => Json::from(v.to_vec()),
        Err(error) => Json::from(format!("error: {error}")),
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Bool(b) => Value::from(*b),
        Json::Number(n) => n.as_i64().map_or_else(|| Value::from(n.as_f64().expect("finite")), Value::from),
        Json::String(s) => Value::from(s.as_str()),
        Json::Array(items) => {
            Value::from(items.iter().map(|x| x.as_f64().expect("a list of numbers")).collect::<Vec<f64>>())
        }
        other => panic!("{other} is no value of the blackboard"),
    }
}

fn full(script: LeafScript) -> Leaf {
    match script {
        LeafScript::Letters(letters) => Leaf { answers: vec![letters], ..Leaf::default() },
        LeafScript::List(answers) => Leaf { answers, ..Leaf::default() },
        LeafScript::Full(leaf) => leaf,
    }
}

fn model(id: &str, leaf: &Leaf) -> LeafModel {
    let kind = if leaf.kind == "condition" { LeafKind::Condition } else { LeafKind::Action };
    let mut model = LeafModel { kind, ..LeafModel::action(id) };
    for (name, text) in &leaf.ports {
        let (direction, ty) = text.split_once(':').expect("a port is direction:type");
        let (ty, default) = ty.split_once('=').map_or((ty, None), |(ty, default)| (ty, Some(default)));
        let direction = match direction {
            "in" => Direction::Input,
            "out" => Direction::Output,
            "inout" => Direction::InOut,
            other => panic!("no direction is called {other}"),
        };
        let ty = match ty {
            "any" => PortType::Any,
            "bool" => PortType::Bool,
            "int" => PortType::Int,
            "float" => PortType::Float,
            "string" => PortType::Str,
            "vector" => PortType::Vector,
            other => panic!("no type is called {other}"),
        };
        let name = name.clone();
        model.ports.push(swarm_bt::Port { name, direction, ty, default: default.map(str::to_owned) });
    }
    model
}

type Checked = Result<(), String>;

fn run(vector: Vector) -> Checked {
    let leaves: BTreeMap<String, Leaf> =
        vector.leaves.into_iter().map(|(id, script)| (id, full(script))).collect();
    let mut registry =
        leaves.iter().fold(Registry::new(), |registry, (id, leaf)| registry.leaf(model(id, leaf)));
    for (name, value) in &vector.constants {
        registry = registry.constant(name, *value);
    }
    let xml = if vector.xml.contains("<root") {
        vector.xml
    } else {
        format!(r#"<root BTCPP_format="4"><BehaviorTree ID="Main">{}</BehaviorTree></root>"#, vector.xml)
    };
    let mode = match vector.mode.as_str() {
        "compat" => Mode::Compat,
        "strict" => Mode::Strict,
        other => return Err(format!("mode is '{other}' instead of compat or strict")),
    };
    let mut loader = Loader::new(&registry).mode(mode).document("vector.xml", &xml);
    for (name, xml) in &vector.documents {
        loader = loader.document(name, xml);
    }
    if let Some(json) = vector.substitutions {
        match (Substitutions::from_json(&json.to_string()), vector.substitution_error) {
            (Ok(substitutions), None) => loader = loader.substitute(substitutions),
            (Err(error), Some(expected)) if error.to_string().contains(&expected) => return Ok(()),
            (found, expected) => return Err(format!("rules: {found:?}, expected error {expected:?}")),
        }
    }
    if let Some(main) = vector.main {
        loader = loader.main_tree(main);
    }
    let tree = match (loader.load(), &vector.load_error) {
        (Ok(tree), None) => tree,
        (Ok(_), Some(expected)) => return Err(format!("it loads, expected '{expected}'")),
        (Err(errors), Some(expected)) if errors.to_string().contains(expected) => return Ok(()),
        (Err(errors), expected) => return Err(format!("loading: {errors}, expected {expected:?}")),
    };
    let mut state = State::new(&tree);
    let leaves = leaves.into_iter().map(|(id, leaf)| (id, (leaf, 0))).collect();
    let mut cast = Cast { leaves, calls: Vec::new(), starts: BTreeMap::new() };
    let mut now = Time(0);
    if vector.ticks.is_empty() {
        return Err("it expects nothing".to_owned());
    }
    for (i, step) in vector.ticks.iter().enumerate() {
        carry_out(&tree, &mut state, &mut cast, &mut now, step).map_err(|why| format!("tick {i}: {why}"))?;
    }
    Ok(())
}

fn carry_out(tree: &Tree, state: &mut State, cast: &mut Cast, now: &mut Time, step: &Tick) -> Checked {
    *now = step.now_ms.map_or(*now, Time::from_millis);
    for (key, json) in &step.set {
        let slot = slot(tree, key)?;
        state.set(tree, slot, value(json)).map_err(|error| format!("setting {key}: {error}"))?;
    }
    for (id, answers) in &step.answers {
        let (leaf, at) = cast.leaves.get_mut(id).ok_or_else(|| format!("no leaf {id}"))?;
        (leaf.answers, *at) = (vec![answers.clone()], 0);
    }
    let mut transitions = Vec::new();
    let answer = if step.halt {
        halt(tree, state, *now, cast, &mut transitions).map(|()| "-".to_owned())
    } else {
        perform(tree, state, cast, now, step, &mut transitions).map(|status| status.to_string())
    };
    let calls = std::mem::take(&mut cast.calls);
    let answer = answer.or_else(|error| match &step.error {
        Some(expected) if error.to_string().contains(expected) => Ok("ERROR".to_owned()),
        _ => Err(format!("{error}, expected {:?}", step.error)),
    })?;

    let status = if step.halt { Some("-") } else { step.status.as_deref() };
    same("status", &Some(answer.as_str()), &status)?;
    if let Some(expected) = &step.calls {
        same("calls", &calls, expected)?;
    }
    for (name, expected) in step.starts.iter().flatten() {
        same(&format!("starts of {name}"), &cast.starts.get(name).copied().unwrap_or(0), expected)?;
    }
    for (name, expected) in step.nodes.iter().flatten() {
        let uid = node(tree, name)?.uid;
        let kept = state.status(uid).map(|status| status.to_string());
        same(&format!("what {name} keeps"), &kept.as_ref(), &Some(expected))?;
    }
    if let Some(expected) = &step.transitions {
        let named = transitions
            .iter()
            .zip(expected.iter().map(|[name, ..]| Some(name)).chain(std::iter::repeat(None)));
        let ours: Vec<[String; 3]> = named.map(|(t, name)| describe(tree, *t, name)).collect();
        same("transitions", &ours, expected)?;
    }
    for (key, expected) in step.writes.iter().flatten() {
        same(&format!("writes of {key}"), &state.writes(slot(tree, key)?), expected)?;
    }
    for (key, expected) in step.board.iter().flatten() {
        let held = state.get(slot(tree, key)?);
        let fits = match (held, expected) {
            (None, Json::Null) => true,
            (None, _) | (Some(_), Json::Null) => false,
            // An int, a float and a bool are the same number here, as for whoever reads them in the original.
            (Some(held), Json::Number(n)) => {
                held.convert(PortType::Float).ok() == n.as_f64().map(Value::Float)
            }
            (Some(held), Json::Bool(b)) => held.convert(PortType::Bool).ok() == Some(Value::Bool(*b)),
            (Some(held), expected) => *held == value(expected),
        };
        if !fits {
            return Err(format!("entry {key} is {held:?}, expected {expected}"));
        }
    }
    Ok(())
}

fn perform(
    tree: &Tree,
    state: &mut State,
    cast: &mut Cast,
    now: &mut Time,
    step: &Tick,
    transitions: &mut Vec<Transition>,
) -> Result<Status, TickError> {
    const LIMIT: u32 = 10_000;
    match step.how.as_str() {
        "" | "exactly_once" => tick_observed(tree, state, *now, cast, transitions),
        "once" => tick_until_settled(tree, state, *now, cast, transitions, LIMIT),
        "while_running" => {
            let mut answer = tick_until_settled(tree, state, *now, cast, transitions, LIMIT)?;
            for _ in 0..LIMIT {
                if answer != Status::Running {
                    break;
                }
                *now = Time(now.0 + step.step_ms.unwrap_or(10) * 1_000_000);
                answer = tick_until_settled(tree, state, *now, cast, transitions, LIMIT)?;
            }
            Ok(answer)
        }
        other => panic!("no way of ticking is called {other}"),
    }
}

fn slot(tree: &Tree, key: &str) -> Result<SlotId, String> {
    let (scope, key) = key.rsplit_once('/').unwrap_or(("", key));
    tree.slot_in(scope, key).ok_or_else(|| format!("the tree has no entry '{key}' in '{scope}'"))
}

fn node<'t>(tree: &'t Tree, name: &str) -> Result<&'t NodeInfo, String> {
    let mut found = tree.nodes().iter().filter(|node| node.path == name || node.name == name);
    match (found.next(), found.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(format!("'{name}' is not the name of exactly one node")),
    }
}

fn describe(tree: &Tree, t: Transition, expected: Option<&String>) -> [String; 3] {
    let node = tree.node(t.uid).expect("transitions are of the tree's nodes");
    let name = if expected == Some(&node.path) { &node.path } else { &node.name };
    [name.clone(), t.previous.to_string(), t.new.to_string()]
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, expected: &T) -> Checked {
    if ours == expected { Ok(()) } else { Err(format!("{what}: {ours:?}, expected {expected:?}")) }
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/hand");

/// All vectors, by the name of their file.
fn files() -> BTreeMap<String, Vec<Vector>> {
    let entries = std::fs::read_dir(FOLDER).expect("the folder of the vectors is there");
    let paths = entries.map(|entry| entry.expect("can be listed").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| {
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("reading {file}: {e}"));
        let vectors = serde_json::from_str(&text).unwrap_or_else(|e| panic!("parsing {file}: {e}"));
        (file, vectors)
    };
    paths.map(read).collect()
}

#[test]
fn the_readme_counts_the_tests_of_the_original_as_the_files_do() {
    let readme = std::fs::read_to_string(Path::new(FOLDER).join("README.md")).expect("the readme is there");
    let files = files();
    for row in readme.lines().filter(|line| line.contains("_test") || line.starts_with("| gtest_")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [file, counts @ ..] = &cells[..] else { continue };
        let counts: Vec<usize> = counts.iter().filter_map(|count| count.parse().ok()).collect();
        let [tests, covered, left_out] = counts[..] else { continue };
        // Of a file of which nothing can be a vector there is none.
        let vectors = files.get(*file).map_or(&[][..], Vec::as_slice);
        let names: BTreeSet<&str> = vectors.iter().map(|vector| vector.upstream.as_str()).collect();
        assert_eq!(names.len(), covered, "{file}: tests of the original that have a vector");
        assert_eq!(covered + left_out, tests, "{file}: covered and left out");
        let listed = readme.lines().filter_map(|line| line.strip_prefix(&format!("| {file}: ")));
        let listed: usize =
            listed.filter_map(|rest| Some(rest.split_once(" |")?.0.split(", ").count())).sum();
        assert_eq!(listed, left_out, "{file}: tests named as left out");
    }
}

#[test]
fn behaves_as_the_tests_of_behaviortree_cpp_say() {
    let (mut different, mut count) = (Vec::new(), 0);
    for (file, vectors) in files() {
        assert!(!vectors.is_empty(), "{file} holds no vectors");
        count += vectors.len();
        for vector in vectors {
            let title = format!("{file}: {} ({})", vector.name, vector.upstream);
            if let Err(why) = run(vector) {
                different.push(format!("{title}\n    {why}"));
            }
        }
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
}
