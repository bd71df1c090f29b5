//! The log of one run as JSON lines: the line between whoever records a run (a node, the lock-step cell) and whoever shows it.
//!
//! Vocabulary: a *line* is one JSON object with `t_s` (seconds since the recording began, monotonic; the simulator's virtual
//! time in a lock-step run) and `kind`; a *record* is what the line says. The first record is [`Record::Run`], the last
//! [`Record::Result`]; between them come safety statuses, runtime statuses and events in the order of their time. Field
//! names, units and frames are those of the ROS messages `SafetyStatus`, `RobotSafety`, `RuntimeStatus` and `RoleState`.
//!
//! A log may end anywhere: a recorder that is killed leaves a cut last line and no result. Reading keeps what is whole and
//! says what is not ([`Reading`]). Deliberately absent: files, clocks, ROS.

mod record;

pub use record::{
    Event, FORMAT, Outcome, Record, RobotInfo, RobotSafety, RoleProgress, RoleState, RunHeader, RunResult,
    Runtime, Status, StatusState,
};
use serde::{Deserialize, Serialize};

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since the recording began.
    pub t_s: f64,
    #[serde(flatten)]
    pub record: Record,
}

impl Line {
    /// The line's JSON without a line end.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .expect("a record has string keys and plain values only, which always serialise")
    }
}

/// What was found in a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Every line that could be read, in the log's order.
    pub lines: Vec<Line>,
    /// Lines that could not be read: number (from 1) and why.
    pub broken: Vec<(usize, String)>,
    /// Lines of a kind that this version does not know; a newer recorder may write them.
    pub unknown: usize,
}

/// Reads a whole log. Broken lines are set aside, never guessed at; empty lines are passed over.
pub fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(Line { record: Record::Unknown, .. }) => reading.unknown += 1,
            Ok(line) => reading.lines.push(line),
            Err(error) => reading.broken.push((index + 1, error.to_string())),
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_line() -> Line {
        let panda = RobotSafety {
            robot: "panda".into(),
            speed_scale: 1.0,
            tcp_speed: 0.1,
            tcp_speed_limit: 0.25,
            contact_force: 2.5,
            contact_force_limit: 60.0,
            separation: 0.4,
            separation_limit: 0.05,
            joint_velocity_ratio: 0.2,
            input_age: 0.002,
        };
        let status = Status { state: StatusState::Run, epoch: 2, robots: vec![panda], ..Status::default() };
        Line { t_s: 1.25, record: Record::Status(status) }
    }

    #[test]
    fn a_figure_that_is_not_known_is_written_as_null_and_stays_unknown() {
        let robots = vec![RobotSafety { robot: "panda".into(), ..RobotSafety::default() }];
        let json = Line {
            t_s: 0.0,
            record: Record::Status(Status { robots, value: f64::INFINITY, ..Status::default() }),
        }
        .to_json();
        assert!(json.contains(r#""separation":null"#) && json.contains(r#""value":null"#), "{json}");
        let Record::Status(status) = &read(&json).lines[0].record else { panic!("not a status: {json}") };
        assert!(status.robots[0].separation.is_nan() && status.value.is_nan());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let event = Event { name: "emergency_stop".into(), text: "pressed".into() };
        let lines = [status_line(), Line { t_s: 2.0, record: Record::Event(event) }];
        let text: String = lines.iter().map(|line| line.to_json() + "\n").collect();
        assert_eq!(read(&text), Reading { lines: lines.to_vec(), broken: vec![], unknown: 0 });
    }

    #[test]
    fn the_kind_stands_beside_the_time() {
        let json = status_line().to_json();
        assert!(json.starts_with(r#"{"t_s":1.25,"kind":"status","state":"run","#), "{json}");
    }

    #[test]
    fn a_cut_last_line_is_set_aside_and_counted() {
        let whole = status_line().to_json();
        let reading = read(&format!("{whole}\n{}", &whole[..40]));
        assert_eq!(reading.lines.len(), 1);
        assert_eq!(reading.broken.len(), 1);
        assert_eq!(reading.broken[0].0, 2);
    }

    #[test]
    fn a_kind_of_a_newer_recorder_is_counted_and_skipped() {
        let reading = read("{\"t_s\":0.0,\"kind\":\"camera_frame\",\"camera\":2}\n");
        assert_eq!((reading.lines.len(), reading.broken.len(), reading.unknown), (0, 0, 1));
    }

    #[test]
    fn fields_that_a_recorder_does_not_know_may_be_missing() {
        let reading = read(r#"{"t_s":0.5,"kind":"runtime","trace_id":"a1","running":true}"#);
        let Record::Runtime(runtime) = &reading.lines[0].record else {
            panic!("not a runtime record: {reading:?}")
        };
        assert_eq!(runtime.trace_id, "a1");
        assert!(runtime.roles.is_empty());
    }
}
