//! What `execute_skill --json` says of a run: one JSON object per line, feedback while it goes on and a result at the end.

use std::fmt;

/// A run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// `succeeded`, `aborted` or `canceled`.
    pub outcome: String,
    pub message: String,
    pub trace_id: String,
    pub duration_s: f64,
}

impl Execution {
    /// Whether there was a run at all; a goal that is refused takes no time.
    pub fn has_run(&self) -> bool {
        self.duration_s > 0.0
    }

    pub fn succeeded(&self) -> bool {
        self.outcome == "succeeded"
    }
}

impl fmt::Display for Execution {
    /// `succeeded after 26.7 s`, `aborted after 3.1 s: leader: ..`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:.1} s", self.outcome, self.duration_s)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// 0..1
    pub share: f64,
    pub text: String,
}

/// Follows a growing output.
#[derive(Debug, Default)]
pub struct Reader {
    bytes_read: usize,
    result: Option<Execution>,
}

impl Reader {
    /// Reads the whole lines that `text` has grown by; gives the newest progress among them.
    pub fn follow(&mut self, text: &str) -> Option<Progress> {
        let mut newest = None;
        while let Some(length) = text.get(self.bytes_read..).and_then(|rest| rest.find('\n')) {
            let line = &text[self.bytes_read..self.bytes_read + length];
            self.bytes_read += length + 1;
            match serde_json::from_str(line) {
                Ok(Event::Feedback { roles }) => newest = Some(progress(&roles)),
                Ok(Event::Result { outcome, message, trace_id, duration_s }) => {
                    self.result = Some(Execution { outcome, message, trace_id, duration_s });
                }
                // Other lines are for people.
                Err(_) => {}
            }
        }
        newest
    }

    pub fn result(&self) -> Option<&Execution> {
        self.result.as_ref()
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Feedback { roles: Vec<RoleLine> },
    Result { outcome: String, message: String, trace_id: String, duration_s: f64 },
}

#[derive(Debug, serde::Deserialize)]
struct RoleLine {
    role: String,
    phase: String,
    progress: f64,
    state: String,
}

/// The slowest role says how far the run is.
fn progress(roles: &[RoleLine]) -> Progress {
    let share = roles.iter().map(|role| role.progress).fold(1.0_f64, f64::min);
    let text: Vec<String> = roles
        .iter()
        .map(|role| {
            let what = if role.phase.is_empty() { &role.state } else { &role.phase };
            format!("{} {what}", role.role)
        })
        .collect();
    Progress { share, text: text.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = concat!(
        "$ execute_skill --json\n",
        r#"{"event":"feedback","roles":[{"role":"leader","phase":"bring","progress":0.5,"state":"running"},"#,
        r#"{"role":"follower","phase":"","progress":0.25,"state":"joining"}]}"#,
        "\n",
        r#"{"event":"result","outcome":"succeeded","message":"done","trace_id":"t","duration_s":21.5}"#,
        "\n",
    );

    #[test]
    fn progress_is_that_of_the_slowest_role() {
        let progress = Reader::default().follow(OUTPUT).unwrap();
        assert_eq!(progress, Progress { share: 0.25, text: "leader bring, follower joining".to_owned() });
    }

    #[test]
    fn a_line_counts_when_it_is_whole_and_only_once() {
        let mut reader = Reader::default();
        for end in 0..OUTPUT.len() {
            reader.follow(&OUTPUT[..end]);
            assert_eq!(reader.result(), None, "after {end} bytes");
        }
        reader.follow(OUTPUT);
        let result = reader.result().unwrap();
        assert!(result.succeeded() && result.has_run());
        assert_eq!(result.to_string(), "succeeded after 21.5 s: done");
        assert_eq!(reader.follow(OUTPUT), None);
    }
}
