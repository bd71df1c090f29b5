//! What an export says of itself: to the user, and in the dataset.

use serde_json::{Value, json};

use crate::plan::{Episode, Plan, Split, Values};

/// Alignment of one camera over all episodes, s.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    pub camera: String,
    /// Of frames in a slot of their own: how far their capture is from the slot's time.
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
    /// Slots that show a frame once more, and frames that something before them is missing of.
    pub repeated: usize,
    pub damaged: usize,
    /// Frames whose clock was fitted to fresh reports, a part of 1; `None` where the recording does not say it.
    pub locked: Option<f64>,
}

/// Figures of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub episodes: usize,
    pub train: usize,
    pub slots: usize,
    pub seconds: f64,
    pub cameras: Vec<Alignment>,
    /// Between the latest and the earliest capture in a slot, s: median, 99 %, largest.
    pub residual: [f64; 3],
    /// Slots whose own frames are all of one group of the recording, a part of 1.
    pub grouped: f64,
    json: Value,
}

impl Report {
    pub fn of(plan: &Plan) -> Self {
        let slots: usize = plan.episodes.iter().map(|episode| episode.grid.slots).sum();
        let train = plan.episodes.iter().filter(|episode| episode.split == Split::Train).count();
        let cameras = plan.episodes.first().map_or(0, |episode| episode.cameras.len());
        let cameras: Vec<Alignment> = (0..cameras).map(|at| alignment(plan, at)).collect();
        let residuals = gather(plan, "capture.residual_s", 1, 0);
        let residual = quantiles(residuals.into_iter().map(|(_, value)| value).collect());
        let groups = gather(plan, "capture.group", 1, 0);
        let grouped = groups.iter().filter(|(_, number)| *number >= 0.0).count();
        let mut report = Self {
            episodes: plan.episodes.len(),
            train,
            slots,
            seconds: slots as f64 / f64::from(plan.options.fps),
            cameras,
            residual,
            grouped: grouped as f64 / groups.len().max(1) as f64,
            json: Value::Null,
        };
        report.json = report.make_json(plan);
        report
    }

    /// For `meta/export.json`.
    pub fn to_json(&self) -> Value {
        self.json.clone()
    }

    fn make_json(&self, plan: &Plan) -> Value {
        let bag = |episode: &Episode| {
            plan.bags[episode.bag].path.file_name().map(|name| name.to_string_lossy().into_owned())
        };
        let episodes: Vec<Value> = plan
            .episodes
            .iter()
            .enumerate()
            .map(|(at, episode)| {
                json!({
                    "episode_index": at,
                    "bag": bag(episode),
                    "name": episode.name,
                    "split": if episode.split == Split::Train { "train" } else { "val" },
                    "start_ns": episode.grid.start,
                    "slots": episode.grid.slots,
                    "trimmed_start_s": episode.trimmed.0,
                    "trimmed_end_s": episode.trimmed.1,
                })
            })
            .collect();
        let cameras: Vec<Value> = self
            .cameras
            .iter()
            .map(|camera| {
                json!({
                    "camera": camera.camera,
                    "alignment_error_s": {"p50": camera.p50, "p99": camera.p99, "max": camera.max},
                    "repeated_slots": camera.repeated,
                    "damaged_frames": camera.damaged,
                    "clock_locked": camera.locked,
                })
            })
            .collect();
        let bags: Vec<Value> = plan
            .bags
            .iter()
            .map(|bag| json!({"name": bag.path.file_name().map(|name| name.to_string_lossy().into_owned()), "files": bag.files, "damage": bag.damage}))
            .collect();
        let refused: Vec<Value> = plan
            .refused
            .iter()
            .map(|refusal| json!({"bag": refusal.bag, "episode": refusal.episode, "reason": refusal.reason}))
            .collect();
        json!({
            "seed": plan.options.seed,
            "validation": plan.options.validation,
            "options": plan.options,
            "bags": bags,
            "episodes": episodes,
            "refused": refused,
            "cameras": cameras,
            "residual_s": {"p50": self.residual[0], "p99": self.residual[1], "max": self.residual[2]},
            "grouped": self.grouped,
            "columns": {
                "observation.alignment_error_s": "capture of the shown frame minus the slot's time, per camera",
                "capture.residual_s": "latest minus earliest capture of the slot's own frames",
                "capture.group": "number of the recorded group (/capture/groups) that the slot's own frames are of; -1 where they are not of one",
                "capture.time_ns": "middle of the captures of the slot's own frames; states are interpolated there, actions are the first from then on",
                "capture.clock_state": "-1 not known, 0 time of arrival, 1 holdover, 2 locked to the camera's reports",
                "capture.frame_status": "0 the slot's own frame, 1 the frame before once more, 2 own frame, but something it builds upon was lost",
            },
        })
    }
}

fn alignment(plan: &Plan, at: usize) -> Alignment {
    let cameras = plan.episodes[0].cameras.len();
    let errors = gather(plan, "observation.alignment_error_s", cameras, at);
    let fresh = |(episode, slot): (usize, usize)| plan.episodes[episode].cameras[at].shown[slot].is_fresh();
    let own = errors.iter().filter(|(place, _)| fresh(*place)).map(|(_, value)| value.abs());
    let [p50, p99, max] = quantiles(own.collect());
    let count = |name: &str, wanted: f64| {
        gather(plan, name, cameras, at).iter().filter(|(_, value)| *value == wanted).count()
    };
    let known = errors.len() - count("capture.clock_state", -1.0);
    Alignment {
        camera: plan.episodes[0].cameras[at].name.clone(),
        p50,
        p99,
        max,
        repeated: count("capture.frame_status", 1.0),
        damaged: count("capture.frame_status", 2.0),
        locked: (known > 0).then(|| count("capture.clock_state", 2.0) as f64 / known as f64),
    }
}

/// One dimension of a feature over all episodes, with episode and slot.
fn gather(plan: &Plan, feature: &str, width: usize, at: usize) -> Vec<((usize, usize), f64)> {
    let Some(column) = plan.features.iter().position(|known| known.name == feature) else {
        return Vec::new();
    };
    let of_episode = |(number, episode): (usize, &Episode)| {
        let values = match &episode.columns[column] {
            Values::Float(values) => {
                values.iter().skip(at).step_by(width).map(|value| f64::from(*value)).collect()
            }
            Values::Integer(values) => {
                values.iter().skip(at).step_by(width).map(|value| *value as f64).collect::<Vec<_>>()
            }
        };
        values.into_iter().enumerate().map(move |(slot, value)| ((number, slot), value)).collect::<Vec<_>>()
    };
    plan.episodes.iter().enumerate().flat_map(of_episode).collect()
}

/// Median, 99 %, largest; zeros of nothing.
fn quantiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let last = values.len().saturating_sub(1);
        values.get((last as f64 * part).round() as usize).copied().unwrap_or(0.0)
    };
    [at(0.5), at(0.99), at(1.0)]
}
