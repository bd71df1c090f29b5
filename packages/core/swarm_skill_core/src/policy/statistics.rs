//! What a policy was trained on, in numbers: scaling of its inputs and outputs, and how far an observation is from them.
//!
//! The file is a LeRobot data set's `meta/stats.json` as it is: per feature the lists `mean`, `std`, `min`, `max`, and others that are
//! not read here (`count`, quantiles, those of images). Scaling is LeRobot's too (`processor/normalize_processor.py`, version 0.4):
//!
//! | [`Scaling`] | to the network | from the network |
//! |---|---|---|
//! | `mean_std` | (x - mean) / (std + 1e-8) | y std + mean |
//! | `min_max` | 2 (x - min) / (max - min) - 1 | (y + 1) / 2 (max - min) + min |
//! | `identity` | x | y |
//!
//! Where LeRobot replaces a spread of zero by 1e-8, it is refused here: a value that never changed in training would reach the network
//! multiplied by a hundred million as soon as it changes in the cell.
//!
//! # Out of distribution
//!
//! A value's deviation is `z = |x - mean| / std`, and an observation's score is the largest `z` of all its values. The largest, not
//! the mean: one sensor far off must not be outvoted by twenty that are as ever, and a largest value has a name. It is the Mahalanobis
//! distance of each value by itself; that two values are usual, but not together, it does not see.

use std::fmt;

use serde_json::{Map, Value};
use swarm_artifact::Scaling;

/// The statistics of all features.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics(Map<String, Value>);

/// A feature's statistics, checked: finite, as many as values, with a spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    name: String,
    scaling: Scaling,
    /// mean or min.
    low: Vec<f64>,
    /// std or max - min.
    spread: Vec<f64>,
    mean: Vec<f64>,
    std: Vec<f64>,
}

/// A value and how far it is from its mean in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    pub feature: String,
    pub index: usize,
    pub value: f64,
    pub mean: f64,
    pub std: f64,
}

/// A file that holds no statistics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the statistics cannot be read: {0}; expected the contents of a LeRobot data set's meta/stats.json")]
pub struct StatisticsUnreadable(String);

/// Why the statistics of a feature cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StatisticsProblem {
    #[error("the statistics have no feature '{feature}'; they have {known}")]
    NoFeature { feature: String, known: String },
    #[error("the statistics of '{feature}' have no {list}")]
    NoList { feature: String, list: &'static str },
    #[error("{list} of '{feature}' has {found} values, expected {expected}")]
    Length { feature: String, list: &'static str, found: usize, expected: usize },
    #[error("{list}[{index}] of '{feature}' is no finite number")]
    NotFinite { feature: String, list: &'static str, index: usize },
    #[error(
        "std[{index}] of '{feature}' is {found}, expected a number above 0: the value did not change in training"
    )]
    Std { feature: String, index: usize, found: f64 },
    #[error("max[{index}] of '{feature}' is {max}, expected a number above its min, {min}")]
    Range { feature: String, index: usize, min: f64, max: f64 },
}

/// As in LeRobot.
const EPSILON: f64 = 1e-8;

impl Statistics {
    /// Reads the JSON text. Python writes `NaN` and `Infinity`, which JSON does not know; they are found by [`Self::feature`].
    pub fn parse(json: &str) -> Result<Self, StatisticsUnreadable> {
        match serde_json::from_str(&without_python_numbers(json)) {
            Ok(Value::Object(features)) => Ok(Self(features)),
            Ok(_) => Err(StatisticsUnreadable("it is no JSON object".into())),
            Err(error) => Err(StatisticsUnreadable(error.to_string())),
        }
    }

    /// The statistics of one feature with `len` values, or everything that is wrong with them.
    pub fn feature(
        &self,
        name: &str,
        len: usize,
        scaling: Scaling,
    ) -> Result<Feature, Vec<StatisticsProblem>> {
        let feature = || name.to_owned();
        let Some(lists) = self.0.get(name) else {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(vec![StatisticsProblem::NoFeature { feature: feature(), known }]);
        };
        let mut problems = Vec::new();
        let mut read = |list| numbers(name, lists.get(list), list, len, &mut problems);
        let (mean, std) = (read("mean"), read("std"));
        let range = (scaling == Scaling::MinMax).then(|| (read("min"), read("max")));
        for (index, &found) in std.iter().enumerate().filter(|(_, std)| **std <= 0.0) {
            problems.push(StatisticsProblem::Std { feature: feature(), index, found });
        }
        if let Some((min, max)) = &range {
            for (index, (&min, &max)) in min.iter().zip(max).enumerate().filter(|(_, (min, max))| max <= min)
            {
                problems.push(StatisticsProblem::Range { feature: feature(), index, min, max });
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (low, spread) = match (scaling, range) {
            (Scaling::MinMax, Some((min, max))) => {
                let spread = max.iter().zip(&min).map(|(max, min)| max - min).collect();
                (min, spread)
            }
            _ => (mean.clone(), std.clone()),
        };
        Ok(Feature { name: feature(), scaling, low, spread, mean, std })
    }
}

impl Feature {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Values of one step.
    #[expect(clippy::len_without_is_empty, reason = "a feature without values is refused")]
    pub fn len(&self) -> usize {
        self.mean.len()
    }

    /// SI units to the network's. Both hold whole steps of [`Self::len`] values; what is longer is left as it is.
    pub fn normalise(&self, si: &[f64], network: &mut [f32]) {
        for (index, (value, scaled)) in si.iter().zip(network).enumerate() {
            let (low, spread) = (self.low[index % self.len()], self.spread[index % self.len()]);
            *scaled = match self.scaling {
                Scaling::MeanStd => (value - low) / (spread + EPSILON),
                Scaling::MinMax => 2.0 * (value - low) / spread - 1.0,
                Scaling::Identity => *value,
            } as f32;
        }
    }

    /// The network's units to SI, as [`Self::normalise`].
    pub fn denormalise(&self, network: &[f32], si: &mut [f64]) {
        for (index, (scaled, value)) in network.iter().zip(si).enumerate() {
            let (low, spread) = (self.low[index % self.len()], self.spread[index % self.len()]);
            let scaled = f64::from(*scaled);
            *value = match self.scaling {
                Scaling::MeanStd => scaled * spread + low,
                Scaling::MinMax => f64::midpoint(scaled, 1.0) * spread + low,
                Scaling::Identity => scaled,
            };
        }
    }

    /// The largest deviation of the values of any number of steps, in standard deviations. Infinite where one is no number.
    pub fn largest_deviation(&self, si: &[f64]) -> f64 {
        let z = |(at, value): (usize, &f64)| {
            let index = at % self.len();
            let z = (value - self.mean[index]).abs() / self.std[index];
            if z.is_nan() { f64::INFINITY } else { z }
        };
        si.iter().enumerate().map(z).fold(0.0, f64::max)
    }

    /// Of every value whose deviation is above `limit`, or is no number, what it is; in the order of the values.
    pub fn deviations_above<'a>(&'a self, si: &'a [f64], limit: f64) -> impl Iterator<Item = Deviation> + 'a {
        si.iter().enumerate().filter_map(move |(at, &value)| {
            let index = at % self.len();
            let (mean, std) = (self.mean[index], self.std[index]);
            // A deviation that is no number is above every limit.
            let usual = (value - mean).abs() / std <= limit;
            (!usual).then(|| Deviation { feature: self.name.clone(), index, value, mean, std })
        })
    }
}

impl Deviation {
    /// In standard deviations.
    pub fn z(&self) -> f64 {
        (self.value - self.mean).abs() / self.std
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { feature, index, value, mean, std } = self;
        let z = self.z();
        write!(f, "{feature}[{index}] is {value:.4}, {z:.1} standard deviations ({std:.4}) from {mean:.4}")
    }
}

/// One list, or the problems of it and then nothing.
fn numbers(
    feature: &str,
    found: Option<&Value>,
    list: &'static str,
    expected: usize,
    problems: &mut Vec<StatisticsProblem>,
) -> Vec<f64> {
    let feature = feature.to_owned();
    let Some(values) = found.and_then(Value::as_array) else {
        problems.push(StatisticsProblem::NoList { feature, list });
        return Vec::new();
    };
    if values.len() != expected {
        problems.push(StatisticsProblem::Length { feature, list, found: values.len(), expected });
        return Vec::new();
    }
    let read: Vec<Option<f64>> =
        values.iter().map(|value| value.as_f64().filter(|v| v.is_finite())).collect();
    for index in (0..read.len()).filter(|index| read[*index].is_none()) {
        problems.push(StatisticsProblem::NotFinite { feature: feature.clone(), list, index });
    }
    read.into_iter().collect::<Option<_>>().unwrap_or_default()
}

/// `NaN`, `Infinity` and `-Infinity` outside of texts become `null`.
fn without_python_numbers(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for (index, part) in quoted_parts(json).enumerate() {
        if index % 2 == 0 {
            out.push_str(
                &part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null"),
            );
        } else {
            out.push_str(part);
        }
    }
    out
}

/// Pieces of a JSON text, by turns outside and inside of quotation marks; a mark belongs to the piece behind it.
fn quoted_parts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(json);
    let mut inside = false;
    std::iter::from_fn(move || {
        let text = rest?;
        let first = usize::from(!text.is_empty() && text.starts_with('"'));
        let mut escaped = false;
        let end = text.bytes().enumerate().skip(first).find(|(_, byte)| {
            let ends = *byte == b'"' && !escaped;
            escaped = inside && *byte == b'\\' && !escaped;
            ends
        });
        inside = !inside;
        let Some((end, _)) = end else {
            rest = None;
            return Some(text);
        };
        let (part, remaining) = text.split_at(end);
        rest = Some(remaining);
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATS: &str = r#"{
        "observation.state": {"mean": [1.0, -2.0], "std": [0.5, 2.0], "min": [0.0, -6.0], "max": [2.0, 2.0], "count": [100]},
        "observation.images.top": {"mean": [[[0.4]], [[0.5]], [[0.6]]], "std": [[[0.2]], [[0.2]], [[0.2]]]}
    }"#;

    fn state(scaling: Scaling) -> Feature {
        Statistics::parse(STATS).unwrap().feature("observation.state", 2, scaling).unwrap()
    }

    /// Values worked out by hand from LeRobot's formulas.
    #[test]
    fn values_are_scaled_as_lerobot_scales_them() {
        for (scaling, expected) in [
            (Scaling::MeanStd, [2.0, 1.0, -2.0, 0.0]),
            (Scaling::MinMax, [1.0, 0.5, -1.0, 0.0]),
            (Scaling::Identity, [2.0, 0.0, 0.0, -2.0]),
        ] {
            let mut network = [0.0; 4];
            state(scaling).normalise(&[2.0, 0.0, 0.0, -2.0], &mut network);
            for (found, expected) in network.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{scaling:?}: {network:?}");
            }
        }
    }

    #[test]
    fn a_value_far_from_its_mean_is_named() {
        let found: Vec<String> = state(Scaling::MinMax)
            .deviations_above(&[1.0, 10.2, f64::NAN, 0.0], 6.0)
            .map(|d| d.to_string())
            .collect();
        assert_eq!(
            found,
            [
                "observation.state[1] is 10.2000, 6.1 standard deviations (2.0000) from -2.0000",
                "observation.state[0] is NaN, NaN standard deviations (0.5000) from 1.0000"
            ]
        );
    }

    #[test]
    fn every_bad_statistic_has_its_name() {
        let all = |json: &str, scaling| {
            let problems = Statistics::parse(json).unwrap().feature("s", 2, scaling).unwrap_err();
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            all(r#"{"t": {}, "u": {}}"#, Scaling::MeanStd),
            ["the statistics have no feature 's'; they have t, u"]
        );
        assert_eq!(
            all(r#"{"s": {"mean": [0], "max": [1, 2]}}"#, Scaling::MinMax),
            [
                "mean of 's' has 1 values, expected 2",
                "the statistics of 's' have no std",
                "the statistics of 's' have no min"
            ]
        );
        assert_eq!(
            all(r#"{"s": {"mean": [NaN, 0], "std": [0.0, -Infinity]}}"#, Scaling::MeanStd),
            ["mean[0] of 's' is no finite number", "std[1] of 's' is no finite number"]
        );
        assert_eq!(
            all(r#"{"s": {"mean": [0, 0], "std": [1, 0.0], "min": [0, 1], "max": [1, 1]}}"#, Scaling::MinMax),
            [
                "std[1] of 's' is 0, expected a number above 0: the value did not change in training",
                "max[1] of 's' is 1, expected a number above its min, 1"
            ]
        );
        for bad in ["", "[]", "{\"s\": ", "NaN"] {
            let error = Statistics::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("the statistics cannot be read: "), "{error}");
        }
    }

    #[test]
    fn a_name_is_no_number_even_if_it_reads_like_one() {
        let json = r#"{"NaN\"Infinity": {"mean": [1], "std": [1]}}"#;
        assert!(Statistics::parse(json).unwrap().feature("NaN\"Infinity", 1, Scaling::MeanStd).is_ok());
    }

    proptest! {
        /// There and back again is where one came from, within the network's precision.
        #[test]
        fn what_is_scaled_comes_back(values in prop::collection::vec(-1e3..1e3_f64, 0..12), by in 0..3_usize) {
            let feature = state([Scaling::MeanStd, Scaling::MinMax, Scaling::Identity][by]);
            let (mut network, mut back) = (vec![0.0; values.len()], vec![0.0; values.len()]);
            feature.normalise(&values, &mut network);
            feature.denormalise(&network, &mut back);
            for (value, back) in values.iter().zip(back) {
                prop_assert!((value - back).abs() <= 1e-6 * (1.0 + value.abs()) * 4.0, "{value} became {back}");
            }
        }

        /// No text makes the reader panic.
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", cut in 0..240_usize) {
            let _ = Statistics::parse(&text);
            if STATS.is_char_boundary(cut) {
                let _ = Statistics::parse(&STATS[..cut]);
            }
        }

        /// Nothing within the limit is called strange, and everything beyond is.
        #[test]
        fn the_limit_divides_usual_from_strange(z in -20.0..20.0_f64, limit in 0.5..10.0_f64) {
            prop_assume!((z.abs() - limit).abs() > 1e-9);
            let strange = state(Scaling::MeanStd).deviations_above(&[1.0 + 0.5 * z, -2.0], limit).count();
            prop_assert_eq!(strange, usize::from(z.abs() > limit));
        }
    }
}
