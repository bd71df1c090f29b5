//! Runs are recorded, cut, damaged and replayed. The trees are those of the oracle's stored vectors.

use std::path::Path;

use swarm_base::Time;
use swarm_bt::{Mode, Registry, Status, Transition};
use swarm_bt_log::{
    Narrator, ReadError, Recipe, Recorder, Recording, Replay, Tail, first_difference, write_btlog,
};
use swarm_bt_script::{Batch, Event, Run, Scripts, Vector, declare};

fn vectors() -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../swarm_bt_script/tests/vectors/random.json");
    let batch: Batch = serde_json::from_str(&std::fs::read_to_string(path).expect("stored")).expect("JSON");
    batch.vectors
}

fn recipe(xml: &str, scripts: &Scripts) -> Recipe {
    let registry = declare(Registry::new(), &[("t.xml".to_owned(), xml.to_owned())], scripts);
    Recipe { mode: Mode::Compat, ..Recipe::new("t.xml", xml, &registry) }
}

/// A run that was recorded, and what happened in it.
struct Recorded {
    bytes: Vec<u8>,
    /// Length of `bytes` after each step.
    ends: Vec<usize>,
    transitions: Vec<Transition>,
    states: Vec<swarm_bt::State>,
}

/// Ticks and halts as `steps` says; entry `a` is written from outside before every fifth step.
fn record(xml: &str, scripts: Scripts, steps: &str) -> Recorded {
    let recipe = recipe(xml, &scripts);
    let mut run = Run::new(recipe.load().expect("loads"), scripts).expect("scripts");
    let mut out = Vec::new();
    let mut recorder = Recorder::begin(&mut out, &recipe, &run.tree).expect("written");
    let (mut transitions, mut states) = (Vec::new(), Vec::new());
    for (i, step) in steps.chars().enumerate() {
        let now = Time::from_millis(7 * i as u64);
        if let (4, Some(slot)) = (i % 5, run.tree.slot("a")) {
            run.state.set(&run.tree, slot, i64::try_from(i).expect("small")).expect("a is a number");
        }
        let mut sink = |_: &swarm_bt::Tree, event: Event<'_>| {
            if let Event::Transition(t) = event {
                transitions.push(t);
            }
        };
        let failed = if step == 'H' {
            run.halt_by(&mut sink, |tree, state, leaves, seen| recorder.halt(tree, state, now, leaves, seen))
                .is_err()
        } else {
            run.tick_by(&mut sink, |tree, state, leaves, seen| recorder.tick(tree, state, now, leaves, seen))
                .is_err()
        };
        states.push(run.state.clone());
        if failed {
            break;
        }
    }
    recorder.finish().expect("written");
    let ends = ends(&out);
    Recorded { bytes: out, ends, transitions, states }
}

/// Where records end, read by the description of the format alone.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut at = 16;
    let mut ends = Vec::new();
    while at < bytes.len() {
        at += 8 + u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        ends.push(at);
    }
    ends
}

fn of_vector(vector: &Vector) -> Recorded {
    let leaves = vector.leaves.iter().map(|(id, letters)| (id.as_str(), letters.as_str()));
    record(&vector.xml, Scripts::from_letters(leaves).expect("letters"), &vector.steps)
}

const TREE: &str = r#"<root BTCPP_format="4"><BehaviorTree ID="T"><Sequence>
  <Script code="a := 1; n := 0"/> <Look pose="{pose}"/> <Grasp at="{pose}" _onSuccess="n += 1"/> <Place/>
</Sequence></BehaviorTree></root>"#;

fn scripts(place: &str) -> Scripts {
    let text = format!(
        r#"{{"Look": {{"answers": "S", "outputs": {{"pose": ["1;2", "2;3", "4;5"]}}}}, "Grasp": "RRS", "Place": "{place}"}}"#
    );
    Scripts::parse(&text).expect("a script")
}

#[test]
fn every_run_is_replayed_bit_for_bit_forward_and_back() {
    let mut steps = 0;
    for vector in vectors() {
        let run = of_vector(&vector);
        let recording = Recording::read(run.bytes).expect("whole");
        assert_eq!((recording.tail, recording.len()), (Tail::Closed, run.states.len()));
        let mut replay = Replay::new(&recording).expect("the same engine");
        let mut transitions: Vec<Transition> = Vec::new();
        for state in &run.states {
            replay
                .forward(&mut transitions)
                .expect("a step")
                .unwrap_or_else(|parted| panic!("{parted}\n{}", vector.xml));
            assert!(replay.state() == state);
        }
        assert_eq!(transitions, run.transitions);
        assert!(replay.forward(&mut ()).is_none());
        for back in (1..=run.states.len()).rev() {
            replay.seek(back).expect("as before");
            assert!(replay.done() == back && replay.state() == &run.states[back - 1]);
        }
        steps += run.states.len();
    }
    assert!(steps > 1_000);
}

#[test]
fn a_recording_that_is_cut_anywhere_holds_every_step_before_the_cut() {
    let run = record(TREE, scripts("SF"), "TTTTHTTTT");
    let first = run.ends[0];
    for cut in 0..run.bytes.len() {
        match Recording::read(run.bytes[..cut].to_vec()) {
            Ok(recording) => {
                let whole = run.ends.iter().filter(|end| **end <= cut).count() - 1;
                assert_eq!(recording.len(), whole.min(run.states.len()), "cut at {cut}");
                let cut_bytes = cut - run.ends[whole];
                let tail = if cut_bytes == 0 { Tail::Open } else { Tail::Cut { bytes: cut_bytes } };
                assert_eq!(recording.tail, tail, "cut at {cut}");
                Replay::new(&recording).expect("replays").seek(recording.len()).expect("bit for bit");
            }
            Err(error) => {
                assert!(matches!(error, ReadError::NoHeader) && cut < first, "cut at {cut}: {error}");
            }
        }
    }
}

#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let run = record(TREE, scripts("SF"), "TTTTHTTTT");
    let steps = run.states.len();
    for at in 0..run.bytes.len() {
        let mut bytes = run.bytes.clone();
        bytes[at] ^= 0x10;
        match Recording::read(bytes) {
            // The last record is only known to be wrong, not how.
            Ok(recording) => assert!(
                recording.tail != Tail::Closed && recording.len() == steps,
                "byte {at}: {:?}, {} steps",
                recording.tail,
                recording.len()
            ),
            Err(ReadError::Damaged { .. } | ReadError::Magic { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn another_answer_in_the_recording_parts_the_replay_there() {
    // A recording of a tree is replayed with one that behaves otherwise from its third tick on.
    let run = record(TREE, scripts("S"), "TTTTTT");
    let recording = Recording::read(run.bytes).expect("whole");
    let other = TREE.replace("<Place/>", "<Inverter><Place/></Inverter>");
    let mut replay = Replay::of_version(&recording, &recipe(&other, &scripts("S"))).expect("loads");
    let parted = replay.seek(6).expect_err("the Inverter shows");
    assert_eq!(parted.to_string(), "step 3 at 0.014 s: recorded outcome SUCCESS, found FAILURE");
    let other = TREE.replace("<Place/>", "");
    let mut replay = Replay::of_version(&recording, &recipe(&other, &scripts("S"))).expect("loads");
    let parted = replay.seek(6).expect_err("a call is missing");
    assert_eq!(
        parted.to_string(),
        "step 3 at 0.014 s: recorded is start of a node that is not here, answered SUCCESS, found is no further call"
    );
}

#[test]
fn a_version_that_does_the_same_in_other_places_does_not_part() {
    let run = record(TREE, scripts("S"), "TTTTTT");
    let recording = Recording::read(run.bytes).expect("whole");
    let other = TREE.replace("<Look", "<AlwaysSuccess/> <Look");
    let mut replay = Replay::of_version(&recording, &recipe(&other, &scripts("S"))).expect("loads");
    replay.seek(6).expect("the leaves are found by their paths");
}

#[test]
fn two_runs_are_compared_up_to_where_they_part() {
    let read = |place: &str| Recording::read(record(TREE, scripts(place), "TTTTTT").bytes).expect("whole");
    let (a, b, c) = (read("S"), read("S"), read("SF"));
    let narrate = |recording| Narrator::new(recording, Replay::new(recording).expect("replays"));
    assert_eq!(first_difference(&mut narrate(&a), &mut narrate(&b)), Ok(None));
    let difference = first_difference(&mut narrate(&a), &mut narrate(&c)).expect("replays").expect("parts");
    assert_eq!(difference.step, 6);
    assert_eq!(difference.left.as_deref(), Some("start of Place::5, answered SUCCESS"));
    assert_eq!(difference.right.as_deref(), Some("start of Place::5, answered FAILURE"));
}

#[test]
fn a_step_is_told_with_its_inputs_transitions_and_entries() {
    let recording = Recording::read(record(TREE, scripts("S"), "TTTTTT").bytes).expect("whole");
    let mut narrator = Narrator::new(&recording, Replay::new(&recording).expect("replays"));
    narrator.seek(4).expect("replays");
    let lines = narrator.advance().expect("a fifth step").expect("replays");
    assert_eq!(
        lines,
        [
            "tick at 0.028000 s",
            "from outside a := 4",
            "running of Grasp::4, answered RUNNING",
            "outcome RUNNING",
            "a = 4"
        ]
    );
}

#[test]
fn a_disk_that_is_full_ends_the_recording_and_not_the_run() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let recipe = recipe(TREE, &scripts("S"));
    let mut run = Run::new(recipe.load().expect("loads"), scripts("S")).expect("scripts");
    let mut recorder = Recorder::begin(Full(700), &recipe, &run.tree).expect("room for the header");
    for i in 0..20 {
        let now = Time::from_millis(i);
        let mut sink = |_: &swarm_bt::Tree, _: Event<'_>| {};
        let answer =
            run.tick_by(&mut sink, |tree, state, leaves, seen| recorder.tick(tree, state, now, leaves, seen));
        assert!(matches!(answer, Ok(Status::Running | Status::Success)));
    }
    let health = recorder.health();
    assert!(health.error.is_some() && health.steps > 0 && health.steps + health.lost == 20, "{health:?}");
    assert!(recorder.finish().is_err());
}

#[test]
fn the_log_of_the_original_holds_the_tree_and_every_transition() {
    let run = record(TREE, scripts("S"), "TTT");
    let recording = Recording::read(run.bytes).expect("whole");
    let mut replay = Replay::new(&recording).expect("replays");
    let xml = swarm_bt::tree_xml(replay.tree());
    let mut out = Vec::new();
    let count = write_btlog(&mut out, &mut replay, 5).expect("memory").expect("replays");
    let head = 18 + 1 + 4 + xml.len() + 8;
    assert_eq!((count as usize, out.len()), (run.transitions.len(), head + 9 * run.transitions.len()));
    // The second transition is that of the Script, uid 2, to SUCCESS at time 0.
    assert_eq!(out[head + 9..head + 18], [0, 0, 0, 0, 0, 0, 2, 0, 2]);
    assert!(xml.contains(r#"<Grasp name="Grasp" _uid="4""#), "{xml}");
}
