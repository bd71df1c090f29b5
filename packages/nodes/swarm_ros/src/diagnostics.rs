//! `/diagnostics`, once a second: what each part of a node reports about itself, as rqt_robot_monitor and Foxglove show it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};

use crate::stamp;

/// `diagnostic_msgs/DiagnosticStatus` levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Ok,
    Warn,
    Error,
    /// Nothing was heard for too long.
    Stale,
}

/// What one part of a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub level: Level,
    pub message: String,
    pub values: Vec<(String, String)>,
}

impl Report {
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), values: Vec::new() }
    }

    pub fn ok(message: impl Into<String>) -> Self {
        Self::new(Level::Ok, message)
    }

    /// Adds a value; its unit belongs into the name.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // callers hand over counters and temporaries
    pub fn with(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.values.push((name.into(), value.to_string()));
        self
    }
}

type Provider = Box<dyn FnMut() -> Report + Send>;

/// The reporting parts of one node. Clones share them.
#[derive(Clone, Default)]
pub struct Diagnostics {
    providers: Arc<Mutex<Vec<(String, Provider)>>>,
}

impl std::fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diagnostics").field("providers", &self.lock().len()).finish()
    }
}

impl Diagnostics {
    /// Adds a part; `provider` is asked once a second on the spin thread and must not block.
    pub fn add(&self, part: &str, provider: impl FnMut() -> Report + Send + 'static) {
        self.lock().push((part.to_owned(), Box::new(provider)));
    }

    /// Asks every part. Names are `<node>: <part>`, as upstream's diagnostic_updater writes them.
    pub(crate) fn collect(&self, node: &str) -> DiagnosticArray {
        let status = self
            .lock()
            .iter_mut()
            .map(|(part, provider)| {
                let report = provider();
                DiagnosticStatus {
                    level: match report.level {
                        Level::Ok => DiagnosticStatus::OK as u8,
                        Level::Warn => DiagnosticStatus::WARN as u8,
                        Level::Error => DiagnosticStatus::ERROR as u8,
                        Level::Stale => DiagnosticStatus::STALE as u8,
                    },
                    name: format!("{node}: {part}"),
                    message: report.message,
                    hardware_id: node.to_owned(),
                    values: report.values.into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
                }
            })
            .collect();
        let header = r2r::std_msgs::msg::Header { stamp: stamp::wall_now(), frame_id: String::new() };
        DiagnosticArray { header, status }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, Provider)>> {
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_asked_each_time() {
        let diagnostics = Diagnostics::default();
        let mut asked = 0;
        diagnostics.add("queue", move || {
            asked += 1;
            Report::new(Level::Warn, "losing messages").with("asked", asked)
        });
        diagnostics.collect("gate");
        let second = diagnostics.collect("gate");
        let status = &second.status[0];
        assert_eq!((status.name.as_str(), status.level), ("gate: queue", 1));
        assert_eq!((status.values[0].key.as_str(), status.values[0].value.as_str()), ("asked", "2"));
    }
}
