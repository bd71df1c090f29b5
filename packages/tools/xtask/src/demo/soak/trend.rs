//! How fast a measured value grows, and how sure that is.

/// A straight line through samples, by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// Per unit of time.
    pub slope: f64,
    /// Of the slope, for samples whose deviations from the line hang together over a while.
    pub standard_error: f64,
}

impl Trend {
    /// Through samples (time, value), the oldest first. `together` is the number of samples over which deviations may hang
    /// together; the usual standard error, which takes them for independent, would be too small then. The one of Newey and West
    /// is ("A Simple, Positive Semi-definite, Heteroskedasticity and Autocorrelation Consistent Covariance Matrix",
    /// Econometrica 55, 1987), here for the slope alone, with n / (n - 2) for the two numbers that the line has taken.
    ///
    /// `None` for fewer than three samples, or if all are of one time.
    pub(super) fn of(samples: &[(f64, f64)], together: usize) -> Option<Self> {
        let count = samples.len() as f64;
        if samples.len() < 3 {
            return None;
        }
        let mean_time = samples.iter().map(|(time, _)| time).sum::<f64>() / count;
        let mean = samples.iter().map(|(_, value)| value).sum::<f64>() / count;
        let spread: f64 = samples.iter().map(|(time, _)| (time - mean_time).powi(2)).sum();
        if spread <= 0.0 {
            return None;
        }
        let slope =
            samples.iter().map(|(time, value)| (time - mean_time) * (value - mean)).sum::<f64>() / spread;
        let scores: Vec<f64> = samples
            .iter()
            .map(|(time, value)| (time - mean_time) * (value - mean - slope * (time - mean_time)))
            .collect();
        let lagged = |lag: usize| scores.iter().zip(&scores[lag..]).map(|(a, b)| a * b).sum::<f64>();
        let most = together.min(samples.len() - 1);
        let weighted = (1..=most).map(|lag| 2.0 * (1.0 - lag as f64 / (most + 1) as f64) * lagged(lag));
        let variance = (lagged(0) + weighted.sum::<f64>()) / spread.powi(2) * count / (count - 2.0);
        // Zero from below by rounding, when the samples lie on the line.
        Some(Self { slope, standard_error: variance.max(0.0).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deviations of -1 to 1 that look random, the same in every run (Knuth's generator, MMIX).
    fn noise(count: usize) -> Vec<f64> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn timed(values: impl IntoIterator<Item = f64>) -> Vec<(f64, f64)> {
        values.into_iter().enumerate().map(|(second, value)| (second as f64, value)).collect()
    }

    #[test]
    fn samples_on_a_line_have_its_slope_and_no_error() {
        let line = timed((0..100).map(|second| 5_000.0 + 0.25 * f64::from(second)));
        let trend = Trend::of(&line, 10).unwrap();
        assert!((trend.slope - 0.25).abs() < 1e-12 && trend.standard_error < 1e-9, "{trend:?}");
    }

    /// Of independent deviations the error is that of the textbook, sigma / sqrt(sum of squared times).
    #[test]
    fn without_correlation_the_error_is_the_usual_one() {
        let samples = timed(noise(2_000));
        let sigma = (1.0_f64 / 3.0).sqrt();
        let spread = (2_000.0_f64.powi(3) / 12.0).sqrt();
        let ratio = Trend::of(&samples, 0).unwrap().standard_error / (sigma / spread);
        assert!((0.9..1.1).contains(&ratio), "{ratio}");
    }

    /// Each deviation lasts for thirty samples: there are thirty times fewer than it seems.
    #[test]
    fn deviations_that_last_make_the_error_larger() {
        let lasting = noise(60).into_iter().flat_map(|value| [value; 30]);
        let samples = timed(lasting);
        let naive = Trend::of(&samples, 0).unwrap().standard_error;
        let honest = Trend::of(&samples, 60).unwrap().standard_error;
        let ratio = honest / naive;
        assert!((3.0..8.0).contains(&ratio), "{ratio}, of sqrt(30) = 5.5");
    }

    #[test]
    fn a_small_leak_is_seen_through_the_ups_and_downs_of_runs() {
        let leak = 0.5;
        let runs = |second: usize| 400.0 * (second as f64 * std::f64::consts::TAU / 31.0).sin();
        let samples = timed(
            noise(1_500)
                .into_iter()
                .enumerate()
                .map(|(second, noise)| 90_000.0 + leak * second as f64 + runs(second) + 50.0 * noise),
        );
        let trend = Trend::of(&samples, 60).unwrap();
        assert!((trend.slope - leak).abs() < 3.0 * trend.standard_error, "{trend:?}");
        assert!(trend.slope > 5.0 * trend.standard_error, "{trend:?}");
    }

    #[test]
    fn what_has_no_line_has_no_trend() {
        assert_eq!(Trend::of(&[(0.0, 1.0), (1.0, 2.0)], 1), None);
        assert_eq!(Trend::of(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)], 1), None);
    }
}
