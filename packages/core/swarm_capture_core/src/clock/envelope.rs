//! The line under points that can be late but never early.
//!
//! The points are (RTP time, arrival): arrival = line(RTP time) + delay, delay >= 0, and nothing else is known of the delay
//! than that it is often near its minimum. Averages are worthless here (load and jitter shift them); the earliest points are
//! the clock. The set of lines below all points is bounded by their lower convex hull. With `density` the share of delays
//! per second next to the minimum, the likelihood of a line is exp(density * sum of line values) on that set, so that for
//! each slope the best line touches the hull. What remains is one integral over the slope, which is done numerically and
//! gives mean and spread: no least squares, no thresholds between "good" and "bad" points. (Moon, Skelly and Towsley, INFOCOM
//! 1999, take the best line of the same likelihood; the mean over the likely lines is nearer to the truth where the points
//! are few, and says how near.)
//!
//! Memory: points are kept in blocks of [`BLOCK_S`], each only as its own lower hull and a count, since what is not on the
//! hull of a part is not on the hull of the whole. A ring of the newest [`RECENT`] points tells the density.
//!
//! Window: the shortest multiple of a block between [`SHORT_WINDOW_S`] and [`LONG_WINDOW_S`] whose line is known to
//! [`ENOUGH_S`]. A quiet network needs little memory and follows a crystal that warms up; under jitter the line gets better
//! with time, and a drift that changes by 0.01 ppm/s costs less than what is gained.

use std::collections::VecDeque;

/// Points of so much time are put together, s.
const BLOCK_S: f64 = 2.0;
/// A line over less is not preferred to a longer one, s.
const SHORT_WINDOW_S: f64 = 60.0;
/// Nothing older is kept, s.
const LONG_WINDOW_S: f64 = 600.0;
/// A line known to this standard deviation needs no longer memory, s.
const ENOUGH_S: f64 = 5e-6;
/// Points from which the density of delays next to the minimum is told.
const RECENT: usize = 512;
/// The share of the recent points that counts as next to the minimum.
const NEAR: f64 = 0.25;
/// Delays are never believed to be denser than this, s: time stamps of RTP have a resolution of 11 us.
const FINEST_S: f64 = 2e-6;
/// Slopes beyond are not clocks: 29.97 and 30 Hz differ by 1000 ppm.
const STEEPEST: f64 = 5e-3;
/// A line of so little time is drawn to wherever points are, up to [`YOUNG_STEP_S`] below, s.
const YOUNG_S: f64 = 5.0;
const YOUNG_STEP_S: f64 = 0.25;
/// What a point may be below an older line beside what the line's spread explains, s.
const STEP_S: f64 = 5e-3;
/// Consecutive points far below the line that begin a new one; fewer are discarded as wrong stamps.
const SUSPECTS: usize = 3;

/// A line y(x) with how well it is known; seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Where `value` holds: the mean of the points' x.
    pub middle: f64,
    pub value: f64,
    /// Slope, seconds per second: 1e-6 is one part per million.
    pub slope: f64,
    /// Standard deviation of `value`.
    pub value_sd: f64,
    /// Standard deviation of `slope`.
    pub slope_sd: f64,
    /// Covariance of value and slope.
    pub covariance: f64,
}

impl Fit {
    pub fn at(&self, x: f64) -> f64 {
        self.value + self.slope * (x - self.middle)
    }

    /// Standard deviation of [`Fit::at`].
    pub fn sd_at(&self, x: f64) -> f64 {
        let dx = x - self.middle;
        (self.value_sd.powi(2) + 2.0 * dx * self.covariance + (self.slope_sd * dx).powi(2)).max(0.0).sqrt()
    }
}

/// What became of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Used,
    /// So far below the line that it is a wrong stamp or the first of a new line; it is kept aside.
    Suspect,
    /// The line began anew with the last few points, which agree with each other and not with the line.
    Restarted,
}

#[derive(Clone, Debug)]
struct Block {
    begin: f64,
    hull: Vec<Point>,
    count: usize,
    sum_x: f64,
}

type Point = (f64, f64);

/// What is believed of the slope before the points say something.
#[derive(Clone, Copy, Debug)]
struct Prior {
    slope: f64,
    /// Half of the belief lies within this of `slope`, the rest in the long tails of a Cauchy distribution.
    scale: f64,
}

/// The line under a stream of points, in the order of x. See the module.
#[derive(Clone, Debug)]
pub struct Envelope {
    blocks: VecDeque<Block>,
    recent: VecDeque<Point>,
    suspects: Vec<Point>,
    prior: Prior,
    /// Jitter that is assumed before delays were seen, s.
    cold_s: f64,
    fit: Option<Fit>,
    fitted_at: f64,
    newest: f64,
    oldest: f64,
}

impl Envelope {
    /// Nothing is known but that delays are about `cold_s`; slopes of some ten ppm are likely, as those of crystals.
    pub fn new(cold_s: f64) -> Self {
        Self::with_prior(Prior { slope: 0.0, scale: 20e-6 }, cold_s)
    }

    fn with_prior(prior: Prior, cold_s: f64) -> Self {
        Self {
            blocks: VecDeque::new(),
            recent: VecDeque::new(),
            suspects: Vec::new(),
            prior,
            cold_s,
            fit: None,
            fitted_at: f64::NEG_INFINITY,
            newest: f64::NEG_INFINITY,
            oldest: f64::INFINITY,
        }
    }

    /// The points of a new line, whose slope is about that of the old one: the crystal is the same.
    #[must_use]
    pub fn begin_again(&self) -> Self {
        let slope = self.fit.map_or(self.prior.slope, |fit| fit.slope);
        let known = self.fit.map_or(self.prior.scale, |fit| fit.slope_sd);
        Self::with_prior(Prior { slope, scale: known.clamp(3e-6, 20e-6) }, self.cold_s)
    }

    /// The line; none before the first point.
    pub fn fit(&self) -> Option<&Fit> {
        self.fit.as_ref()
    }

    /// Takes a point with x greater than all before. A point far under the line changes nothing by itself.
    pub fn push(&mut self, x: f64, y: f64) -> Taken {
        debug_assert!(x > self.newest, "points come in order: {x} after {}", self.newest);
        if let Some(fit) = &self.fit {
            let below = fit.at(x) - y;
            let young = x - self.oldest < YOUNG_S;
            let allowed = if young { YOUNG_STEP_S } else { STEP_S + 8.0 * fit.sd_at(x) };
            if below > allowed {
                self.suspects.push((x, y));
                if self.suspects.len() < SUSPECTS {
                    return Taken::Suspect;
                }
                let points = std::mem::take(&mut self.suspects);
                *self = self.begin_again();
                for (x, y) in points {
                    self.take(x, y);
                }
                self.refit();
                return Taken::Restarted;
            }
        }
        self.suspects.clear();
        self.take(x, y);
        // Every point at first, twice a second later: a line of a minute does not move by more than it is known to.
        if x - self.fitted_at >= ((x - self.oldest) / 40.0).min(0.5) {
            self.refit();
        }
        Taken::Used
    }

    fn take(&mut self, x: f64, y: f64) {
        self.newest = x;
        self.oldest = self.oldest.min(x);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((x, y));
        match self.blocks.back_mut() {
            Some(block) if x - block.begin < BLOCK_S => {
                block.count += 1;
                block.sum_x += x;
                push_on_hull(&mut block.hull, (x, y));
            }
            _ => self.blocks.push_back(Block { begin: x, hull: vec![(x, y)], count: 1, sum_x: x }),
        }
        while self.blocks.front().is_some_and(|block| x - block.begin > LONG_WINDOW_S) {
            self.blocks.pop_front();
        }
    }

    /// Works the line out anew from all points.
    pub fn refit(&mut self) {
        if self.blocks.is_empty() {
            return;
        }
        self.fitted_at = self.newest;
        let density = self.density();
        let short = self.fit_over(SHORT_WINDOW_S, density);
        let known = short.sd_at(self.newest);
        self.fit = Some(if known > ENOUGH_S && self.newest - self.oldest > SHORT_WINDOW_S {
            // The error falls with the number of points: as long as needed, and no longer.
            let window = (SHORT_WINDOW_S * known / ENOUGH_S).min(LONG_WINDOW_S);
            self.fit_over(window, density)
        } else {
            short
        });
    }

    /// Delays next to the minimum: their number per second of delay, as a share of all.
    fn density(&self) -> f64 {
        let slope = self.fit.map_or(self.prior.slope, |fit| fit.slope);
        let mut delays: Vec<f64> = self.recent.iter().map(|(x, y)| y - slope * (x - self.newest)).collect();
        let near = ((delays.len() as f64 * NEAR) as usize)
            .clamp(1, delays.len() - 1 + usize::from(delays.len() == 1));
        if near >= delays.len() {
            return 1.0 / self.cold_s;
        }
        let least = delays.iter().copied().fold(f64::INFINITY, f64::min);
        let (_, edge, _) = delays.select_nth_unstable_by(near, f64::total_cmp);
        let share = near as f64 / self.recent.len() as f64;
        let few = self.cold_s / (self.recent.len() as f64);
        share / (*edge - least + few * share).max(FINEST_S)
    }

    fn fit_over(&self, window: f64, density: f64) -> Fit {
        let mut hull = Vec::with_capacity(64);
        let (mut count, mut sum_x) = (0, 0.0);
        for block in self.blocks.iter().filter(|block| self.newest - block.begin <= window) {
            count += block.count;
            sum_x += block.sum_x;
            for point in &block.hull {
                push_on_hull(&mut hull, *point);
            }
        }
        let middle = sum_x / count as f64;
        integrate(&hull, middle, count as f64, density, self.prior)
    }
}

/// Keeps `hull` the lower convex hull while points come from left to right.
fn push_on_hull(hull: &mut Vec<Point>, point: Point) {
    while let [.., (x1, y1), (x2, y2)] = hull[..] {
        if (x2 - x1) * (point.1 - y1) > (point.0 - x1) * (y2 - y1) {
            break;
        }
        hull.pop();
    }
    hull.push(point);
}

/// Mean and spread of the line over all slopes; see the module.
fn integrate(hull: &[Point], middle: f64, count: f64, density: f64, prior: Prior) -> Fit {
    // Highest line of slope b below all points, at `middle`: concave in b.
    let touch = |b: f64| hull.iter().map(|(x, y)| y - b * (x - middle)).fold(f64::INFINITY, f64::min);
    let log_weight =
        |b: f64| density * count * touch(b) - (1.0 + ((b - prior.slope) / prior.scale).powi(2)).ln();
    let peak = highest(hull, prior, &log_weight);
    let top = log_weight(peak);
    // To where the weight is e^-16 of the peak's.
    let reach = |direction: f64| {
        let mut step = 1e-8;
        while step < 2.0 * STEEPEST && log_weight(peak + direction * step) > top - 16.0 {
            step *= 1.5;
        }
        step
    };
    let (low, high) = (peak - reach(-1.0), peak + reach(1.0));
    let reference = touch(peak);
    let (mut weight, mut value, mut slope) = (0.0, 0.0, 0.0);
    let (mut value2, mut slope2, mut both) = (0.0, 0.0, 0.0);
    // Two meshes that meet at the peak, since the reach differs on both sides; midpoints, so that no edge counts double.
    for (from, to) in [(low, peak), (peak, high)] {
        const MESH: usize = 32;
        let step = (to - from) / MESH as f64;
        for i in 0..MESH {
            let b = from + (i as f64 + 0.5) * step;
            let w = (log_weight(b) - top).exp() * step;
            let (v, s) = (touch(b) - reference, b - peak);
            weight += w;
            value += w * v;
            slope += w * s;
            value2 += w * v * v;
            slope2 += w * s * s;
            both += w * v * s;
        }
    }
    let (value, slope) = (value / weight, slope / weight);
    // Below the touching line the weight falls with exp(density * count): that many seconds lower is the mean.
    let gap = 1.0 / (density * count);
    Fit {
        middle,
        value: reference + value - gap,
        slope: peak + slope,
        value_sd: ((value2 / weight - value * value).max(0.0) + gap * gap).sqrt(),
        slope_sd: (slope2 / weight - slope * slope).max(0.0).sqrt(),
        covariance: both / weight - value * slope,
    }
}

/// The likeliest slope: among those of the hull's edges and of the prior, then improved by halving steps.
fn highest(hull: &[Point], prior: Prior, log_weight: &impl Fn(f64) -> f64) -> f64 {
    let edges = hull.windows(2).map(|edge| (edge[1].1 - edge[0].1) / (edge[1].0 - edge[0].0));
    let candidates = edges.filter(|slope| slope.abs() < STEEPEST).chain([prior.slope]);
    let mut best = (prior.slope, f64::NEG_INFINITY);
    for slope in candidates {
        let weight = log_weight(slope);
        if weight > best.1 {
            best = (slope, weight);
        }
    }
    let mut step = 64e-6;
    while step > 1e-9 {
        let moved = [best.0 - step, best.0 + step].map(|slope| (slope, log_weight(slope)));
        match moved.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)) {
            Some(better) if better.1 > best.1 && better.0.abs() < STEEPEST => best = better,
            _ => step /= 2.0,
        }
    }
    best.0
}
