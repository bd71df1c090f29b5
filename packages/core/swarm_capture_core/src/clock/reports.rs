//! What sender reports say: the camera's clock beside its RTP time stamps, and how early a packet can come.

use std::collections::VecDeque;

use super::ClockEvent;
use super::envelope::{Envelope, Taken};
use crate::frame::HostTime;

/// Reports that are remembered: five minutes of a camera that reports every 5 s.
const KEPT: usize = 64;
/// Between these a report may be late against the line of the frames, s: earlier by the latency of an encoder, later by a
/// network that stood. What is outside names a time stamp that no frame has.
const EARLIEST_S: f64 = -3.0;
const LATEST_S: f64 = 10.0;
/// Contradictions in a row that end LOCKED.
const CONTRADICTIONS: u32 = 3;
/// A camera's clock that is off by more was set, and did not drift, s.
const SET_S: f64 = 0.1;

#[derive(Clone, Copy, Debug)]
struct Report {
    x: f64,
    y: f64,
    camera: f64,
}

/// How exactly cameras put their clock beside their time stamps, s; busy ones do it later.
const CAREFUL_S: f64 = 20e-6;

#[derive(Clone, Debug)]
pub(super) struct Reports {
    kept: VecDeque<Report>,
    /// Camera's clock at x = 0 when it was first told, ns; what follows is relative to it.
    camera_origin: i64,
    camera: Envelope,
    newest: Option<HostTime>,
    contradictions: u32,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            camera_origin: 0,
            camera: Envelope::new(CAREFUL_S),
            newest: None,
            contradictions: 0,
        }
    }
}

impl Reports {
    /// Takes the report at `x`, that arrived at `y` and so much later than the line says.
    pub(super) fn take(
        &mut self,
        x: f64,
        y: f64,
        late: f64,
        camera_ns: i64,
        arrival: HostTime,
    ) -> Vec<ClockEvent> {
        let backwards = self.kept.back().is_some_and(|last| x <= last.x);
        if !(EARLIEST_S..LATEST_S).contains(&late) || backwards {
            self.contradictions += 1;
            let noticed = self.contradictions == CONTRADICTIONS;
            return noticed.then_some(ClockEvent::ReportsContradict).into_iter().collect();
        }
        self.contradictions = 0;
        self.newest = Some(arrival);
        if self.kept.is_empty() {
            self.camera_origin = camera_ns.saturating_sub((x * 1e9).round() as i64);
        }
        let mut events = Vec::new();
        // Relative to RTP time: small, and its slope is how much faster the camera's clock runs than its RTP clock.
        let mut camera = (i128::from(camera_ns) - i128::from(self.camera_origin)) as f64 * 1e-9 - x;
        if let Some(fit) = self.camera.fit()
            && (camera - fit.at(x)).abs() > SET_S
        {
            events.push(ClockEvent::CameraStepped { by_ns: ((camera - fit.at(x)) * 1e9).round() as i64 });
            self.camera_origin = camera_ns.saturating_sub((x * 1e9).round() as i64);
            self.camera = self.camera.begin_again();
            self.kept.iter_mut().for_each(|report| report.camera = f64::NAN);
            camera = 0.0;
        }
        if self.camera.push(x, camera) == Taken::Restarted {
            self.kept.iter_mut().for_each(|report| report.camera = f64::NAN);
        }
        self.camera.refit();
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Report { x, y, camera });
        events
    }

    /// Arrival of the newest report that was believed.
    pub(super) fn newest(&self) -> Option<HostTime> {
        self.newest
    }

    /// Whether the last reports said what no frame says.
    pub(super) fn contradict(&self) -> bool {
        self.contradictions >= CONTRADICTIONS
    }

    pub(super) fn host_stepped(&mut self, by_ns: i64) {
        if let Some(newest) = &mut self.newest {
            *newest = newest.plus(by_ns);
        }
    }

    /// How late the earliest report is against a line, s; negative where reports come before frames.
    pub(super) fn earliest(&self, line: impl Fn(f64) -> f64) -> Option<f64> {
        self.kept.iter().map(|report| report.y - line(report.x)).min_by(f64::total_cmp)
    }

    /// The camera's clock at `x`, ns since the epoch.
    pub(super) fn camera_at(&self, x: f64) -> Option<i64> {
        self.camera.fit().map(|fit| self.camera_origin.saturating_add(((x + fit.at(x)) * 1e9).round() as i64))
    }

    /// How much faster the camera's clock runs than its RTP clock.
    pub(super) fn slope(&self) -> f64 {
        self.camera.fit().map_or(0.0, |fit| fit.slope)
    }

    /// Root mean square of the camera's clock around its fit, ns.
    pub(super) fn residual_ns(&self) -> f64 {
        let Some(fit) = self.camera.fit() else { return 0.0 };
        let squares: Vec<f64> = self
            .kept
            .iter()
            .filter(|report| !report.camera.is_nan())
            .map(|report| (report.camera - fit.at(report.x)).powi(2))
            .collect();
        (squares.iter().sum::<f64>() / squares.len().max(1) as f64).sqrt() * 1e9
    }
}
