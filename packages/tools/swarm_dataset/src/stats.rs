//! Statistics as lerobot 0.4 computes them (`compute_stats.py`): of an episode, and of episodes together.
//!
//! Quantiles come from a histogram of 5000 bins, and those of several episodes are the mean of theirs, weighted by length. That
//! is an estimate; it is kept because normalisation by another program's quantiles would differ from training to training.

use serde::{Deserialize, Serialize};

const QUANTILES: [f64; 5] = [0.01, 0.10, 0.50, 0.90, 0.99];
const BINS: usize = 5000;

/// Of one feature; one value per dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
    pub count: u64,
    /// For 1, 10, 50, 90 and 99 %; nothing where only the rest is known.
    pub quantiles: Option<[Vec<f64>; 5]>,
}

/// Names of [`Stats::quantiles`].
pub const QUANTILE_NAMES: [&str; 5] = ["q01", "q10", "q50", "q90", "q99"];

impl Stats {
    /// Of `values`, which are `width` numbers for each of the samples. `count` is how many samples are said to be counted:
    /// of images it is their number and not that of their pixels.
    pub fn of(values: &[f64], width: usize, count: u64) -> Self {
        let columns: Vec<Column> =
            (0..width).map(|at| Column::of(values.iter().skip(at).step_by(width))).collect();
        let each = |of: fn(&Column) -> f64| columns.iter().map(of).collect();
        Self {
            min: each(|column| column.min),
            max: each(|column| column.max),
            mean: each(|column| column.mean),
            std: each(|column| column.std),
            count,
            quantiles: Some(std::array::from_fn(|at| {
                columns.iter().map(|column| column.quantiles[at]).collect()
            })),
        }
    }

    /// Of several episodes together. They must have the same dimensions; of none there is nothing.
    pub fn together(episodes: &[&Self]) -> Option<Self> {
        let width = episodes.first()?.mean.len();
        let total: u64 = episodes.iter().map(|stats| stats.count).sum();
        let weighted = |of: &dyn Fn(&Self) -> &[f64]| -> Vec<f64> {
            let sum =
                |at: usize| episodes.iter().map(|stats| of(stats)[at] * stats.count as f64).sum::<f64>();
            (0..width).map(|at| sum(at) / total as f64).collect()
        };
        let quantile = |at: usize| {
            weighted(&|stats| stats.quantiles.as_ref().map_or(&stats.mean, |quantiles| &quantiles[at]))
        };
        let quantiles =
            episodes.iter().all(|stats| stats.quantiles.is_some()).then(|| std::array::from_fn(quantile));
        let outermost = |of: fn(&Self) -> &Vec<f64>, pick: fn(f64, f64) -> f64| -> Vec<f64> {
            (0..width).filter_map(|at| episodes.iter().map(|stats| of(stats)[at]).reduce(pick)).collect()
        };
        let mean = weighted(&|stats| stats.mean.as_slice());
        let std = (0..width)
            .map(|at| {
                let spread = |stats: &&Self| {
                    (stats.std[at].powi(2) + (stats.mean[at] - mean[at]).powi(2)) * stats.count as f64
                };
                (episodes.iter().map(spread).sum::<f64>() / total as f64).sqrt()
            })
            .collect();
        Some(Self {
            min: outermost(|stats| &stats.min, f64::min),
            max: outermost(|stats| &stats.max, f64::max),
            quantiles,
            mean,
            std,
            count: total,
        })
    }
}

struct Column {
    min: f64,
    max: f64,
    mean: f64,
    std: f64,
    quantiles: [f64; 5],
}

impl Column {
    fn of<'a>(values: impl Iterator<Item = &'a f64> + Clone) -> Self {
        let count = values.clone().count().max(1) as f64;
        let min = values.clone().copied().fold(f64::INFINITY, f64::min);
        let max = values.clone().copied().fold(f64::NEG_INFINITY, f64::max);
        let mean = values.clone().sum::<f64>() / count;
        let std = (values.clone().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let quantiles = if count < 2.0 { [mean; 5] } else { quantiles(values, min, max, count) };
        Self { min, max, mean, std, quantiles }
    }
}

fn quantiles<'a>(values: impl Iterator<Item = &'a f64>, min: f64, max: f64, count: f64) -> [f64; 5] {
    let (low, high) = (min - 1e-10, max + 1e-10);
    let width = (high - low) / BINS as f64;
    let edge = |at: usize| if at == BINS { high } else { low + at as f64 * width };
    let mut bins = vec![0u64; BINS];
    for value in values {
        let mut bin = (((value - low) / width) as usize).min(BINS - 1);
        // Rounding may have put it next to its bin.
        while bin > 0 && *value < edge(bin) {
            bin -= 1;
        }
        while bin + 1 < BINS && *value >= edge(bin + 1) {
            bin += 1;
        }
        bins[bin] += 1;
    }
    QUANTILES.map(|quantile| {
        let target = quantile * count;
        let mut before = 0;
        for (at, inside) in bins.iter().enumerate() {
            if (before + inside) as f64 >= target {
                if at == 0 || *inside == 0 {
                    return edge(at);
                }
                let part = (target - before as f64) / *inside as f64;
                return edge(at) + part * (edge(at + 1) - edge(at));
            }
            before += inside;
        }
        high
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_an_episode_are_those_of_its_columns() {
        let values: Vec<f64> = (0..=100).flat_map(|k| [f64::from(k), 7.0]).collect();
        let stats = Stats::of(&values, 2, 101);
        assert_eq!((stats.min, stats.max, stats.mean), (vec![0.0, 7.0], vec![100.0, 7.0], vec![50.0, 7.0]));
        assert!((stats.std[0] - 850f64.sqrt()).abs() < 1e-9 && stats.std[1] == 0.0);
        for (quantile, expected) in stats.quantiles.unwrap().iter().zip([1.0, 10.0, 50.0, 90.0, 99.0]) {
            assert!(
                (quantile[0] - expected).abs() <= 1.0 && (quantile[1] - 7.0).abs() < 1e-9,
                "{quantile:?}"
            );
        }
    }

    #[test]
    fn episodes_together_have_the_figures_of_all_their_values() {
        let (first, second): (Vec<f64>, Vec<f64>) = ((0..10).map(f64::from).collect(), vec![20.0, 40.0]);
        let together = Stats::together(&[&Stats::of(&first, 1, 10), &Stats::of(&second, 1, 2)]).unwrap();
        let all = Stats::of(&[first, second].concat(), 1, 12);
        assert_eq!((together.min, together.max, together.count), (all.min, all.max, 12));
        assert!((together.mean[0] - all.mean[0]).abs() < 1e-9 && (together.std[0] - all.std[0]).abs() < 1e-9);
    }

    #[test]
    fn one_sample_is_its_own_quantiles() {
        assert_eq!(Stats::of(&[3.0], 1, 1).quantiles.unwrap()[4], [3.0]);
    }
}
