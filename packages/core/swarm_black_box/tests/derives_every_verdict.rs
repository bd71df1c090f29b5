//! From the bytes alone every verdict is derived again; one that does not follow from its arguments is found.

mod cell;

use cell::{header, key, records, written};
use swarm_black_box::{Header, Limits, Record, Replay, Replayed, records as read};

fn replayed(file: &[u8]) -> Replayed {
    let mut records = read(file).unwrap();
    let Some((_, Record::Header(header))) = records.next() else { panic!("no header") };
    let mut replay = Replay::begin(header).unwrap();
    for (_, record) in records {
        replay.take(&record).unwrap();
    }
    replay.found().clone()
}

fn recording(records: &[Record]) -> Vec<u8> {
    written(header(), records, Some(key())).0
}

#[test]
fn every_verdict_and_state_comes_out_the_same() {
    let found = replayed(&recording(&records(&header(), 200)));
    assert_eq!((found.cycles, found.exact, found.states, found.states_exact), (200, 200, 3, 3));
    assert!(found.is_exact());
}

#[test]
fn what_is_read_is_what_was_written() {
    let written = records(&header(), 120);
    let file = recording(&written);
    let body = |record: &Record| !matches!(record, Record::Header(_) | Record::Seal(_) | Record::Close(_));
    let found: Vec<Record> = read(&file).unwrap().map(|(_, record)| record).filter(body).collect();
    assert_eq!(found, written);
}

#[test]
fn a_verdict_that_does_not_follow_is_shown_with_cycle_field_and_both_values() {
    let mut all = records(&header(), 60);
    let Some(Record::Cycle(cycle)) = all.get_mut(30) else { panic!("no cycle") };
    let (number, before) = (cycle.verdict.cycle, cycle.verdict.robots[1].measures.contact_force_n);
    cycle.verdict.robots[1].measures.contact_force_n = before.next_up();
    let found = replayed(&recording(&all));
    assert_eq!((found.exact, found.different), (59, 1));
    let differs = found.first_difference.unwrap();
    assert_eq!((differs.cycle, differs.what), (number, "verdict"));
    assert_eq!(differs.difference.path, "robots[1].measures.contact_force_n");
    assert_eq!(differs.difference.right, format!("{before:?}"));
    assert_ne!(differs.difference.left, differs.difference.right);
}

#[test]
fn an_argument_that_was_not_the_one_shows_in_the_verdicts() {
    let mut all = records(&header(), 60);
    let Some(Record::Cycle(cycle)) = all.get_mut(30) else { panic!("no cycle") };
    cycle.inputs.robots[0].joints.as_mut().unwrap().q[1] += 1e-9;
    assert!(!replayed(&recording(&all)).is_exact());
}

#[test]
fn after_a_loss_the_replay_goes_on_from_the_next_recorded_state() {
    let mut all = records(&header(), 150);
    // Cycles 20 to 29 never came.
    all.splice(20..30, [Record::Lost(10)]);
    let found = replayed(&recording(&all));
    assert_eq!((found.cycles, found.different), (140, 0));
    assert_eq!(found.without_state, 21);
    assert_eq!(found.exact, 119);
}

#[test]
fn a_gap_that_nobody_noted_is_not_bridged() {
    let mut all = records(&header(), 60);
    all.remove(20);
    let found = replayed(&recording(&all));
    assert_eq!((found.different, found.without_state), (0, 30));
}

#[test]
fn limits_that_were_exchanged_hold_from_there_on() {
    let header = header();
    let envelope = "schema: 1\nrobots: {panda: {tcp: {provenance: test, speed_m_s: 0.1}}}\n";
    let limits = Limits { generation: 1, envelope: Some(envelope.to_owned()), ..Limits::default() };
    // Recorded under the ceiling to the end, but the file says otherwise from the middle.
    let mut all = records(&header, 60);
    all.insert(30, Record::Limits(limits));
    let found = replayed(&written(header, &all, None).0);
    let differs = found.first_difference.unwrap();
    assert_eq!((found.exact, differs.cycle), (29, 30));
}

#[test]
fn a_header_whose_texts_make_no_cell_says_so() {
    let mut header: Header = header();
    header.sources.declaration.push_str("robots: again\n");
    let error = Replay::begin(header).unwrap_err();
    assert_eq!(error.to_string(), "the cell's texts in the header make no configuration");
}
