//! `cell incident`: what it says is what was recorded, from a black box as from a bag of it, and what it cannot say it says.

use std::path::{Path, PathBuf};

use crate::common::{cell, declaration, recording, text};
use serde_json::Value;
use swarm_artifact::public_key_to_pem;
use swarm_bag::msg::{
    Bool, Header, JointCommand, JointState, Permit, RobotSafety, SafetyStatus, Time, Vector3, Wrench,
    WrenchStamped,
};
use swarm_bag::{BagWriter, Qos, Topic, WriteOptions};
use swarm_base::Duration;
use swarm_black_box::{Cycle, Record, records};
use swarm_black_box_file::Mode;
use swarm_cli::black_box::kills::{key, write, write_all};
use swarm_cli::black_box::work::Work;
use swarm_plot::short;

/// Cycles until the collision of the third round, and the stop by it.
const ROUNDS: u64 = 8_200;
/// Number of that stop.
const COLLISION: &str = "4";

/// The program's answer as JSON; it must have one.
#[track_caller]
fn incident(arguments: &[&str]) -> Value {
    let output = cell(&[&["incident", "--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program's refusal.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let output = cell(&[&["incident"], arguments].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    text(&output.stderr).to_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every recorded cycle.
fn cycles(folder: &Path) -> Vec<Cycle> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut cycles = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        cycles.extend(records(&bytes).unwrap().filter_map(|(_, record)| match record {
            Record::Cycle(cycle) => Some(cycle),
            _ => None,
        }));
    }
    cycles
}

fn only_file(folder: &Path) -> PathBuf {
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// The row of a table for a robot, where `field` is `name`.
#[track_caller]
fn row<'a>(rows: &'a Value, robot: &str, field: &str, name: &str) -> &'a Value {
    let found = rows.as_array().unwrap().iter().find(|row| row["robot"] == robot && row[field] == name);
    found.unwrap_or_else(|| panic!("no row of {robot}, {name}"))
}

fn export(files: &Path, bag: &Path) {
    let output = cell(&["blackbox", "export", path(files), "--out", path(bag)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

fn envelope(folder: &Path, group: &str) -> PathBuf {
    let file = folder.join("envelope.yaml");
    std::fs::write(&file, format!("schema: 1\nrobots: {{{group}}}\n")).unwrap();
    file
}

#[test]
fn the_report_tells_what_the_records_tell() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), ROUNDS);
    let found = incident(&[path(&files), "--stop", COLLISION]);
    let cycles = cycles(&files);
    let index = cycles
        .iter()
        .position(|cycle| cycle.verdict.cause.is_some_and(|cause| cause.kind.code() == "collision_force"));
    let (at, before) = (&cycles[index.unwrap()], &cycles[index.unwrap() - 1]);
    let (cause, stop) = (at.verdict.cause.unwrap(), &found["stop"]);
    assert_eq!(stop["cycle"], at.verdict.cycle);
    assert_eq!((&stop["state"], &stop["cause"]["code"]), (&"STOP1".into(), &"collision_force".into()));
    assert_eq!(
        (&stop["cause"]["value"], &stop["cause"]["limit"]),
        (&cause.value.into(), &cause.limit.into())
    );
    assert_eq!((&stop["cause"]["unit"], &stop["cause"]["robot"]), (&"N".into(), &"ur5e_left".into()));
    assert_eq!(stop["state_before"], before.verdict.state.name());
    assert_eq!(stop["utc"], format!("2026-01-01T00:00:0{:.3}Z", at.now.as_secs_f64()));
    assert_eq!(found["limit_source"]["field"], "robots.ur5e_left.wrench.collision_force_n");
    assert!(found["limit_source"]["provenance"].as_str().unwrap().contains("ISO/TS 15066"));

    let force = row(&found["margins"], "ur5e_left", "quantity", "contact_force");
    let measured = |cycle: &Cycle| cycle.verdict.robots[0].measures.contact_force_n;
    assert_eq!((&force["before_stop"], &force["at_stop"]), (&measured(before).into(), &measured(at).into()));
    assert_eq!(force["margin"], cause.limit - measured(before));
    assert_eq!((&force["nearest"], &force["nearest_s"]), (&measured(at).into(), &0.0.into()));
    // The envelope that came into force is the skill's, for the panda's tool.
    let speed = row(&found["margins"], "panda", "quantity", "tool_speed");
    let fastest =
        cycles[..=index.unwrap()].iter().map(|cycle| cycle.verdict.robots[2].measures.tcp_speed_m_s);
    assert_eq!((&speed["limit"], &speed["nearest"]), (&0.2.into(), &fastest.fold(0.0, f64::max).into()));
    assert_eq!(
        (&found["in_force"]["skill"], &found["in_force"]["generation"]),
        (&"evidence".into(), &1.into())
    );

    // Every other cycle of 1 ms, up to the stop.
    let joints = row(&found["inputs"], "panda", "input", "joint state");
    assert_eq!(
        (&joints["samples"], &joints["longest_gap_s"]),
        (&(at.verdict.cycle / 2).into(), &0.002.into())
    );
    assert_eq!((&joints["timeout_s"], &joints["refused"]), (&0.02.into(), &Value::Array(Vec::new())));
    let refused = row(&found["inputs"], "ur5e_right", "input", "joint state")["refused"].clone();
    assert_eq!(refused[0]["fault"], "not_finite");
    assert_eq!(refused[0]["at_s"], (5_000.0 - at.verdict.cycle as f64) * 1e-3);
    // No one commands the panda's gripper: nothing is known of it, and JSON has no infinity.
    let gripper = row(&found["inputs"], "panda", "input", "gripper command");
    assert_eq!((&gripper["age_at_stop_s"], &gripper["longest_gap_s"]), (&Value::Null, &Value::Null));
    assert_eq!((&found["lost_cycles"], &found["what_if"]), (&0.into(), &Value::Null));
    let stops: Vec<&str> = found["all_stops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stop| stop["cause"]["code"].as_str().unwrap())
        .collect();
    assert_eq!(stops, ["emergency_stop", "not_finite", "emergency_stop", "collision_force"]);
}

#[test]
fn a_bag_of_a_box_tells_the_same_stops_and_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), ROUNDS);
    let of_box = incident(&[path(&files), "--stop", COLLISION]);
    for name in ["incident.mcap", "incident.db3", "incident"] {
        let bag = folder.path().join(name);
        export(&files, &bag);
        let of_bag = incident(&[path(&bag), "--stop", COLLISION]);
        assert_eq!(of_bag["all_stops"], of_box["all_stops"], "{name}");
        assert_eq!(of_bag["stop"], of_box["stop"]);
        assert_eq!(of_bag["source"]["kind"], "bag");
        assert_eq!(of_bag["recording"]["verdict"], "unsealed");
        assert_eq!(of_bag["in_force"]["trace_id"], of_box["in_force"]["trace_id"]);
        for robot in ["ur5e_left", "ur5e_right", "panda"] {
            for quantity in ["tool_speed", "contact_force", "separation"] {
                let [one, two] =
                    [&of_bag, &of_box].map(|report| row(&report["margins"], robot, "quantity", quantity));
                assert_eq!(
                    (&one["at_stop"], &one["limit"]),
                    (&two["at_stop"], &two["limit"]),
                    "{robot} {quantity}"
                );
            }
            for input in ["joint state", "wrench", "command"] {
                let [one, two] =
                    [&of_bag, &of_box].map(|report| row(&report["inputs"], robot, "input", input));
                for figure in ["samples", "longest_gap_s", "age_at_stop_s"] {
                    assert_eq!(one[figure], two[figure], "{robot} {input} {figure}");
                }
                assert_eq!(one["refused"], Value::Null);
            }
        }
        let own = row(&of_bag["margins"], "panda", "quantity", "self_separation");
        assert_eq!((&own["limit"], &own["margin"]), (&Value::Null, &Value::Null));
        assert_eq!((&of_bag["cell"], &of_bag["lost_cycles"]), (&Value::Null, &Value::Null));
        let said = refusal(&[path(&bag), "--what-if", path(&envelope(folder.path(), "panda: {}"))]);
        assert!(said.contains("give the black box's files (*.swarmbox)"), "{said}");
    }
    let both = refusal(&[path(&files), path(&folder.path().join("incident.db3"))]);
    assert!(both.contains("is a bag: give one bag alone"), "{both}");
}

/// The page without what XML does not know, as an element tree.
fn parsed(page: &str) -> String {
    let page =
        page.replacen("<!DOCTYPE html>", "", 1).replace("<meta charset=\"utf-8\">", "").replace("<br>", "");
    let meta = page.find("<meta name").unwrap();
    let end = meta + page[meta..].find('>').unwrap() + 1;
    format!("{}{}", &page[..meta], &page[end..])
}

#[test]
fn the_page_says_what_the_json_says_and_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), ROUNDS);
    let out = folder.path().join("new/report");
    let soft =
        envelope(folder.path(), "ur5e_left: {wrench: {provenance: soft parts, collision_force_n: 40}}");
    let printed =
        incident(&[path(&files), "--stop", COLLISION, "--what-if", path(&soft), "--out", path(&out)]);
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let found: Value = serde_json::from_str(&read("incident.json")).unwrap();
    assert_eq!(found, printed);
    let page = read("incident.html");
    for absent in ["<script", "http-equiv", "<link", "url(", "@import", " src=", "javascript:"] {
        assert!(!page.contains(absent), "the page has '{absent}'");
    }
    let tree = parsed(&page);
    let tree = roxmltree::Document::parse(&tree).unwrap_or_else(|error| panic!("not well formed: {error}"));
    let words = |node: roxmltree::Node<'_, '_>| -> String {
        node.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect()
    };
    let rows: Vec<Vec<String>> = tree
        .descendants()
        .filter(|node| node.has_tag_name("tr"))
        .map(|row| row.children().filter(roxmltree::Node::is_element).map(words).collect())
        .collect();
    let written = |value: &Value| value.as_f64().map_or("–".to_owned(), short);
    let mut robot = String::new();
    for margin in found["margins"].as_array().unwrap() {
        // Only the first row of a robot names it.
        let name = if robot == margin["robot"].as_str().unwrap() {
            String::new()
        } else {
            margin["robot"].as_str().unwrap().to_owned()
        };
        margin["robot"].as_str().unwrap().clone_into(&mut robot);
        let figures =
            ["before_stop", "at_stop", "limit", "margin", "nearest"].map(|key| written(&margin[key]));
        assert!(rows.iter().any(|row| row.len() == 8 && row[0] == name && row[2..7] == figures), "{margin}");
    }
    for stop in found["all_stops"].as_array().unwrap() {
        let [utc, code] = [&stop["utc"], &stop["cause"]["code"]].map(|value| value.as_str().unwrap());
        assert!(
            rows.iter().any(|row| row.iter().any(|cell| cell == utc) && row.iter().any(|cell| cell == code)),
            "{stop}"
        );
    }
    let all = words(tree.root_element());
    let cause = &found["stop"]["cause"];
    for said in [
        cause["detail"].as_str().unwrap(),
        found["limit_source"]["provenance"].as_str().unwrap(),
        "ur5e_left stopped by collision force",
    ] {
        assert!(all.contains(said), "the page lacks '{said}'");
    }
    // The other envelope stops earlier, and every drawing shows where.
    let at_s = found["what_if"]["at_s"].as_f64().unwrap();
    assert!(at_s < 0.0 && all.contains(&format!("{at_s:.3} s")), "{at_s}");
    assert_eq!(found["what_if"]["stop"]["cause"]["limit"], 40.0);
    let drawings: Vec<String> = tree
        .descendants()
        .filter(|node| {
            node.has_tag_name("svg")
                && node.attribute("aria-label").is_some_and(|label| label.contains("over time"))
        })
        .map(words)
        .collect();
    assert!(drawings.len() > 8, "{}", drawings.len());
    for drawing in drawings {
        assert!(drawing.contains("stop") && drawing.contains("other envelope"), "{drawing}");
    }
    let layout: Value = serde_json::from_str(&read("foxglove_layout.json")).unwrap();
    assert_eq!(layout["configById"]["RawMessages!status"]["topicPath"], "/safety_monitor");
    for robot in ["ur5e_left", "ur5e_right", "panda"] {
        assert!(layout["configById"][format!("Plot!wrench_{robot}")].is_object());
    }

    let again = refusal(&[path(&files), "--out", path(&out)]);
    assert!(again.contains("exists already and is not overwritten: name a new folder with --out"), "{again}");
    let beside = std::fs::read_dir(out.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "nothing half done is left");
}

#[test]
fn another_envelope_is_run_up_to_the_recorded_stop() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), ROUNDS);
    let speed = |speed: f64| {
        envelope(folder.path(), &format!("panda: {{tcp: {{provenance: test, speed_m_s: {speed}}}}}"))
    };
    let found = incident(&[path(&files), "--what-if", path(&speed(0.02))]);
    // Its first command asks for more than twice that.
    assert_eq!(found["what_if"]["stop"]["cause"]["code"], "tcp_speed_command", "{}", found["what_if"]);
    assert!(found["what_if"]["stop"]["cycle"].as_u64().unwrap() < 2_600);
    let found = incident(&[path(&files), "--what-if", path(&speed(7.0))]);
    assert!(found["what_if"]["refused"].as_str().unwrap().contains("robots.panda.tcp.speed_m_s"));
    // The envelope that was in force comes to the same stop in the same cycle.
    let found = incident(&[path(&files), "--stop", COLLISION, "--what-if", path(&speed(0.2))]);
    assert_eq!(found["what_if"]["stop"]["cycle"], found["stop"]["cycle"]);
    assert_eq!(found["what_if"]["at_s"], 0.0);
    // The emergency stop of the second round came while the cell stood still already.
    let said = refusal(&[path(&files), "--stop", "3", "--what-if", path(&speed(0.2))]);
    assert!(said.contains("stood still already when stop 3 came") && said.contains("--stop 2"), "{said}");
}

#[test]
fn a_recording_around_stops_alone_is_read_over_its_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let whole = recording(folder.path(), ROUNDS);
    let around = folder.path().join("around");
    let mode = Mode::OnStop { before: Duration::from_millis(400), after: Duration::from_millis(200) };
    write(&mut Work::start(&declaration()).unwrap(), ROUNDS, &around, mode).unwrap();
    assert!(cycles(&around).len() < cycles(&whole).len() / 2);
    let soft =
        envelope(folder.path(), "ur5e_left: {wrench: {provenance: soft parts, collision_force_n: 40}}");
    let of = |files: &Path| incident(&[path(files), "--stop", COLLISION, "--what-if", path(&soft)]);
    let (gaps, no_gaps) = (of(&around), of(&whole));
    assert_eq!(gaps["all_stops"], no_gaps["all_stops"]);
    assert_eq!(gaps["what_if"]["stop"]["cycle"], no_gaps["what_if"]["stop"]["cycle"]);
    assert!(gaps["what_if"]["at_s"].as_f64().unwrap() < 0.0);
}

#[test]
fn of_many_starts_the_newest_with_a_stop_is_shown_and_any_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    for (earlier, cycles) in [(0, 2_700), (1, 5_700), (2, 500)] {
        let mut work = Work::start_again(&declaration(), earlier).unwrap();
        write_all(&mut work, cycles, &folder.path().join("box")).unwrap();
    }
    let files = folder.path().join("box");
    let found = incident(&[path(&files)]);
    assert_eq!((&found["start"], &found["stop"]["utc"]), (&2.into(), &"2026-01-01T01:00:02.600Z".into()));
    let stops: Vec<usize> = found["starts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|start| start["stops"].as_array().unwrap().len())
        .collect();
    assert_eq!(stops, [1, 3, 0]);
    let first = incident(&[path(&files), "--start", "1"]);
    assert_eq!((&first["start"], &first["stop"]["utc"]), (&1.into(), &"2026-01-01T00:00:02.600Z".into()));
    let listed = cell(&["incident", path(&files)]);
    assert!(
        text(&listed.stdout).contains("3 starts of the monitor, this is start 2"),
        "{}",
        text(&listed.stdout)
    );
    let none = refusal(&[path(&files), "--start", "3"]);
    assert!(
        none.contains("there is no stop in the 500 cycles of start 3")
            && none.contains("start 2 at 2026-01-01T01:00:00.000Z with 3 stops"),
        "{none}"
    );
    let fourth = refusal(&[path(&files), "--start", "4"]);
    assert!(fourth.contains("start 4 was asked for, the files hold 3"), "{fourth}");
    let stop = refusal(&[path(&files), "--stop", "4"]);
    assert!(stop.contains("stop 4 of start 2 was asked for, which has 3"), "{stop}");
    assert!(refusal(&[path(&files), "--stop", "0"]).contains("stop 0 of start 2"));
}

#[test]
fn the_report_says_whether_the_recording_can_be_believed() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 2_700);
    let public = folder.path().join("cell.pub.pem");
    std::fs::write(&public, public_key_to_pem(&key().verifying_key()).unwrap()).unwrap();
    let verdict = |arguments: &[&str]| {
        let found = incident(&[&[path(&files)], arguments].concat());
        (found["recording"]["verdict"].as_str().unwrap().to_owned(), found["recording"]["problems"].clone())
    };
    let nothing = Value::Array(Vec::new());
    assert_eq!(verdict(&[]), ("unvouched".to_owned(), nothing.clone()));
    assert_eq!(verdict(&["--public-key", path(&public)]), ("genuine".to_owned(), nothing));

    let file = only_file(&files);
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    let at = whole.len() / 2;
    changed[at] ^= 1;
    std::fs::write(&file, changed).unwrap();
    let (word, problems) = verdict(&["--public-key", path(&public)]);
    assert_eq!(word, "damaged");
    assert!(problems[0].as_str().unwrap().contains("record"), "{problems}");
    // What came before the cut is told; that its end is open too.
    std::fs::write(&file, &whole[..whole.len() - 100]).unwrap();
    let found = incident(&[path(&files), "--public-key", path(&public)]);
    assert_eq!(
        (&found["recording"]["verdict"], &found["recording"]["open_end"]),
        (&"genuine".into(), &true.into())
    );
}

#[test]
fn what_is_cut_old_or_nothing_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let files = recording(folder.path(), 2_700);
    let whole = std::fs::read(only_file(&files)).unwrap();
    let file = folder.path().join("one.swarmbox");
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        refusal(&[path(&file)])
    };
    let half = refused(&whole[..whole.len() / 2]);
    assert!(half.contains("there is no stop in the") && half.contains("is cut off:"), "{half}");
    let header = refused(&whole[..1_000]);
    assert!(header.contains("ends or is damaged in its header"), "{header}");
    let mut old = whole.clone();
    old[7] = 99;
    assert!(refused(&old).contains("is a black box of format 99"), "{}", refused(&old));
    assert!(refused(b"").contains("nothing was recorded in them"));
    assert!(refusal(&[path(&folder.path().join("no.mcap"))]).contains("no.mcap"));
    let bag = folder.path().join("calm.mcap");
    let output = {
        let calm = folder.path().join("calm");
        write_all(&mut Work::start(&declaration()).unwrap(), 500, &calm).unwrap();
        export(&calm, &bag);
        refusal(&[path(&bag)])
    };
    assert!(output.contains("there is no stop among the"), "{output}");
    let bytes = std::fs::read(&bag).unwrap();
    std::fs::write(&bag, &bytes[..bytes.len() / 2]).unwrap();
    // Whether a status came before the cut depends on when the writer ended a chunk.
    let cut = refusal(&[path(&bag)]);
    assert!(cut.contains("there is no stop among the") || cut.contains("has no topic of type"), "{cut}");
    assert!(cut.contains("(calm.mcap: "), "{cut}");
}

/// 2026-01-01, in nanoseconds since the epoch.
const NEW_YEAR_NS: i64 = 1_767_225_600_000_000_000;

fn header(at_ns: i64) -> Header {
    Header { stamp: Time::from_nanos(at_ns), frame_id: String::new() }
}

/// Two seconds as `ros2 bag record` takes them: one joint state for both arms, everything 3 ms after its stamp, and at the end
/// a stop because the right arm's wrench fell silent 30 ms before.
fn recorded_by_ros(bag: &Path, type_hash: Option<&str>) {
    let mut writer = BagWriter::create(bag, WriteOptions::default()).unwrap();
    let mut status_topic = Topic::of::<SafetyStatus>("/safety_monitor", Qos::reliable(10)).unwrap();
    if let Some(hash) = type_hash {
        hash.clone_into(&mut status_topic.definition.type_hash);
    }
    let qos = Qos::best_effort(10);
    let status = writer.add_topic(status_topic).unwrap();
    let joints = writer.add_topic(Topic::of::<JointState>("/joint_states", qos).unwrap()).unwrap();
    let [left, right] = ["left", "right"].map(|robot| {
        writer.add_topic(Topic::of::<WrenchStamped>(&format!("/{robot}/wrench"), qos).unwrap()).unwrap()
    });
    let command = writer.add_topic(Topic::of::<JointCommand>("/left/skill_command", qos).unwrap()).unwrap();
    let permit = writer.add_topic(Topic::of::<Permit>("/safety_monitor/permit", qos).unwrap()).unwrap();
    let stop = writer.add_topic(Topic::of::<Bool>("/emergency_stop", qos).unwrap()).unwrap();
    let zero = Vector3::default;
    let wrench = |at| WrenchStamped { header: header(at), wrench: Wrench { force: zero(), torque: zero() } };
    for millisecond in (0..=2_000).step_by(2) {
        let at = NEW_YEAR_NS + millisecond * 1_000_000;
        let received = at + 3_000_000;
        let name = ["left_elbow", "right_elbow"].map(String::from).to_vec();
        writer
            .write(joints, received, &JointState { header: header(at), name, ..JointState::default() })
            .unwrap();
        writer.write(left, received, &wrench(at)).unwrap();
        if millisecond <= 1_970 {
            writer.write(right, received, &wrench(at)).unwrap();
        }
        if millisecond % 10 == 0 {
            let wish = JointCommand { header: header(at), robot: "left".into(), ..JointCommand::default() };
            writer.write(command, received, &wish).unwrap();
            writer.write(permit, received, &Permit { header: header(at), ..Permit::default() }).unwrap();
        }
        if millisecond == 0 {
            writer.write(stop, received, &Bool { data: false }).unwrap();
        }
        if millisecond % 20 == 0 {
            let stopped = millisecond == 2_000;
            let robot = |name: &str, age| RobotSafety {
                robot: name.into(),
                input_age: age,
                tcp_speed_limit: 0.5,
                separation: f64::INFINITY,
                ..RobotSafety::default()
            };
            let cause = |text: &str| if stopped { text.to_owned() } else { String::new() };
            let message = SafetyStatus {
                header: header(at),
                state: if stopped { 5 } else { 2 },
                cause: cause("wrench_timeout"),
                robot: cause("right"),
                value: if stopped { 0.03 } else { 0.0 },
                limit: if stopped { 0.02 } else { 0.0 },
                cycle: (millisecond + 1).cast_unsigned(),
                trace_id: "run-7f3a".into(),
                robots: vec![robot("left", 0.0), robot("right", f64::INFINITY)],
                ..SafetyStatus::default()
            };
            writer.write(status, received, &message).unwrap();
        }
    }
    writer.finish().unwrap();
}

#[test]
fn a_bag_that_ros_recorded_is_read_by_its_stamps() {
    let folder = tempfile::tempdir().unwrap();
    let bag = folder.path().join("rosbag2");
    recorded_by_ros(&bag, None);
    let out = folder.path().join("report");
    let found = incident(&[path(&bag), "--out", path(&out)]);
    let cause = &found["stop"]["cause"];
    assert_eq!(
        (&cause["code"], &cause["robot"], &cause["unit"]),
        (&"wrench_timeout".into(), &"right".into(), &"s".into())
    );
    assert_eq!(
        (&found["stop"]["utc"], &found["stop"]["state_before"]),
        (&"2026-01-01T00:00:02.000Z".into(), &"RUN".into())
    );
    assert_eq!(found["in_force"]["trace_id"], "run-7f3a");
    let age = |robot: &str, input: &str| {
        row(&found["inputs"], robot, "input", input)["age_at_stop_s"].as_f64().unwrap()
    };
    assert!((age("right", "wrench") - 0.03).abs() < 1e-9);
    // What was stamped 4 ms before the stop had been taken in by then, what came 2 ms before not yet.
    for (robot, input) in [("left", "joint state"), ("right", "joint state"), ("left", "wrench")] {
        assert!((age(robot, input) - 0.004).abs() < 1e-9, "{robot} {input}");
    }
    assert!((age("", "permit") - 0.01).abs() < 1e-9);
    assert_eq!(row(&found["inputs"], "", "input", "emergency stop")["samples"], 0);
    assert_eq!(row(&found["inputs"], "right", "input", "command")["age_at_stop_s"], Value::Null);
    // An infinite distance is no figure.
    assert!(found["margins"].as_array().unwrap().iter().all(|margin| margin["quantity"] != "separation"));
    assert!(out.join("incident.html").is_file());
}

#[test]
fn a_bag_without_statuses_or_with_those_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("joints.mcap");
    let mut bag = BagWriter::create(&empty, WriteOptions::default()).unwrap();
    bag.add_topic(Topic::of::<JointState>("/joint_states", Qos::reliable(1)).unwrap()).unwrap();
    bag.finish().unwrap();
    let said = refusal(&[path(&empty)]);
    assert!(
        said.contains("has no topic of type swarm_msgs/msg/SafetyStatus: record /safety_monitor too"),
        "{said}"
    );
    let old = folder.path().join("old.mcap");
    recorded_by_ros(&old, Some("RIHS01_00"));
    let said = refusal(&[path(&old)]);
    assert!(said.contains("another version of swarm_msgs/msg/SafetyStatus (type hash RIHS01_00"), "{said}");
    assert!(refusal(&[path(&old), "--start", "1"]).contains("--start is for files of the black box"));
}
