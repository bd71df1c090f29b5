//! The line under points that can be late but never early.
//!
//! The points are (RTP time, arrival): arrival = line(RTP time) + delay, delay >= 0, and nothing else is known of the delay
//! than that it is often near its minimum. Averages are worthless here (load and jitter shift them); the earliest points are
//! the clock. The set of lines below all points is bounded by their lower convex hull. With `density` the share of delays
//! per second next to the minimum, the likelihood of a line is exp(sum over points of density * line value) on that set, so
//! that for each slope the best line touches the hull. What remains is one integral over the slope, which is done numerically
//! and gives mean and spread: no least squares, no thresholds between "good" and "bad" points. (Moon, Skelly and Towsley,
//! INFOCOM 1999, take the best line of the same likelihood; the mean over the likely lines is nearer to the truth where the
//! points are few, and says how near.)
//!
//! The density is told anew for each [`BLOCK_S`] of points. A quiet half minute knows the line to microseconds, and must not
//! be outvoted by an hour of jitter: with one density for all, the earliest of the late points pull the line up by a
//! millisecond.
//!
//! Memory: of a block its lower hull is kept, since what is not on the hull of a part is not on the hull of the whole, its
//! count, and the few points that tell its density.
//!
//! Window: of [`WINDOWS_S`] the one whose line is known best at its end, with what the drift may have changed meanwhile. A
//! quiet network needs little memory and follows a crystal that warms up; under jitter the line gets better with time.

use std::collections::VecDeque;

/// Points of so much time, and at least [`LEAST`], are put together, s.
const BLOCK_S: f64 = 2.0;
/// Fewer points do not tell how dense their delays are.
const LEAST: usize = 16;
/// No more points are held one by one; four seconds at 60 Hz.
const MOST: usize = 240;
/// Windows that are tried, s; nothing older than the last is kept.
const WINDOWS_S: [f64; 4] = [60.0, 120.0, 300.0, 600.0];
/// How fast a crystal's drift changes with the temperature of its housing, per second: 0.001 ppm/s.
const DRIFT_CHANGES: f64 = 1e-9;
/// The share of a block's points that is kept to tell the density of delays.
const NEAR: f64 = 0.1;
/// So many blocks before and behind tell it together: one alone would be led by chance.
const AROUND: usize = 4;
/// Of what they have kept, the point behind this share of the earliest is taken.
const EARLIEST: f64 = 0.25;
/// Delays are never believed to be denser than this, s: time stamps of RTP have a resolution of 11 us.
const FINEST_S: f64 = 11e-6;
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
    /// Where `value` holds: the weighted mean of the points' x.
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

/// Points that are no longer held one by one.
#[derive(Clone, Debug)]
struct Block {
    begin: f64,
    hull: Vec<Point>,
    count: f64,
    mean_x: f64,
    /// The points with the smallest delays.
    earliest: Vec<Point>,
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
    /// Points of the block to come.
    open: Vec<Point>,
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
            open: Vec::new(),
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
        // Every point at first, once a second later: a line of a minute does not move by more than it is known to.
        if x - self.fitted_at >= ((x - self.oldest) / 40.0).min(1.0) {
            self.refit();
        }
        Taken::Used
    }

    fn take(&mut self, x: f64, y: f64) {
        self.newest = x;
        self.oldest = self.oldest.min(x);
        let begin = self.open.first().map_or(x, |first| first.0);
        if (x - begin >= BLOCK_S && self.open.len() >= LEAST) || self.open.len() >= MOST {
            let block = self.block(begin);
            self.blocks.push_back(block);
            self.open.clear();
        }
        self.open.push((x, y));
        while self.blocks.front().is_some_and(|block| x - block.begin > WINDOWS_S[WINDOWS_S.len() - 1]) {
            self.blocks.pop_front();
        }
    }

    /// The open points as a block.
    fn block(&self, begin: f64) -> Block {
        let mut hull = Vec::new();
        self.open.iter().for_each(|point| push_on_hull(&mut hull, *point));
        let count = self.open.len() as f64;
        let mean_x = self.open.iter().map(|(x, _)| x).sum::<f64>() / count;
        let slope = self.fit.map_or(self.prior.slope, |fit| fit.slope);
        let late = |point: &Point| point.1 - slope * (point.0 - begin);
        let mut earliest = self.open.clone();
        earliest.sort_unstable_by(|a, b| late(a).total_cmp(&late(b)));
        earliest.truncate(((count * NEAR) as usize).max(3));
        Block { begin, hull, count, mean_x, earliest }
    }

    /// Works the line out anew from all points.
    pub fn refit(&mut self) {
        let Some((begin, _)) = self.open.first().copied() else { return };
        self.fitted_at = self.newest;
        let open = self.block(begin);
        let blocks: Vec<&Block> = self.blocks.iter().chain([&open]).collect();
        let densities: Vec<f64> = (0..blocks.len()).map(|index| self.density(&blocks, index)).collect();
        let mut best: Option<(f64, Fit)> = None;
        for window in WINDOWS_S {
            let within = blocks.iter().copied().zip(densities.iter().copied());
            let within = within.filter(|(block, _)| self.newest - block.begin <= window);
            let fit = line_under(within, self.prior);
            // Where the drift changes evenly, the end of a line is off by an eighth of the change times the time squared.
            let bent = DRIFT_CHANGES * window.min(self.newest - self.oldest).powi(2) / 8.0;
            let off = fit.sd_at(self.newest) + bent;
            if best.is_none_or(|(least, _)| off < least) {
                best = Some((off, fit));
            }
            if self.newest - self.oldest <= window {
                break; // longer ones have the same points
            }
        }
        self.fit = best.map(|(_, fit)| fit);
    }

    /// Delays next to the minimum around the block at `index`: their share of all per second of delay.
    fn density(&self, blocks: &[&Block], index: usize) -> f64 {
        let around = &blocks[index.saturating_sub(AROUND)..(index + AROUND + 1).min(blocks.len())];
        let count: f64 = around.iter().map(|block| block.count).sum();
        let Some(fit) = self.fit.filter(|_| count >= LEAST as f64) else { return 1.0 / self.cold_s };
        let mut late: Vec<f64> =
            around.iter().flat_map(|block| &block.earliest).map(|(x, y)| y - fit.at(*x)).collect();
        let place = ((late.len() as f64 * EARLIEST) as usize).clamp(2, late.len() - 1);
        let (_, late, _) = late.select_nth_unstable_by(place, f64::total_cmp);
        // With `place` points before it: so many per delay, in the mean, where delays are spaced by chance.
        place as f64 / count / late.max(FINEST_S)
    }
}

/// The line under the points of blocks whose delays have these densities.
fn line_under<'a>(blocks: impl Iterator<Item = (&'a Block, f64)>, prior: Prior) -> Fit {
    let mut hull = Vec::with_capacity(64);
    let (mut weight, mut sum_x) = (0.0, 0.0);
    for (block, density) in blocks {
        weight += density * block.count;
        sum_x += density * block.count * block.mean_x;
        for point in &block.hull {
            push_on_hull(&mut hull, *point);
        }
    }
    integrate(&hull, sum_x / weight, weight, prior)
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

/// Mean and spread of the line over all slopes; see the module. `weight` is the sum of the points' densities, `middle` their
/// mean x with those as weights.
fn integrate(hull: &[Point], middle: f64, weight: f64, prior: Prior) -> Fit {
    // Highest line of slope b below all points, at `middle`: concave in b.
    let touch = |b: f64| hull.iter().map(|(x, y)| y - b * (x - middle)).fold(f64::INFINITY, f64::min);
    let log_weight = |b: f64| {
        if b.abs() > STEEPEST {
            return f64::NEG_INFINITY; // no clock: two packets of a jittery network make any slope
        }
        weight * touch(b) - (1.0 + ((b - prior.slope) / prior.scale).powi(2)).ln()
    };
    let peak = highest(hull, prior, &log_weight);
    let top = log_weight(peak);
    // To where the weight is e^-16 of the peak's.
    let reach = |direction: f64| {
        let mut step = 1e-8;
        while log_weight(peak + direction * step) > top - 16.0 {
            step *= 1.5;
        }
        step
    };
    let (low, high) = (peak - reach(-1.0), peak + reach(1.0));
    let reference = touch(peak);
    let (mut mass, mut value, mut slope) = (0.0, 0.0, 0.0);
    let (mut value2, mut slope2, mut both) = (0.0, 0.0, 0.0);
    // Two meshes that meet at the peak, since the reach differs on both sides; midpoints, so that no edge counts double.
    for (from, to) in [(low, peak), (peak, high)] {
        const MESH: usize = 32;
        let step = (to - from) / MESH as f64;
        for i in 0..MESH {
            let b = from + (i as f64 + 0.5) * step;
            let w = (log_weight(b) - top).exp() * step;
            let (v, s) = (touch(b) - reference, b - peak);
            mass += w;
            value += w * v;
            slope += w * s;
            value2 += w * v * v;
            slope2 += w * s * s;
            both += w * v * s;
        }
    }
    let (value, slope) = (value / mass, slope / mass);
    // Below the touching line the likelihood falls by exp(weight) per second: so much lower is the mean.
    let gap = 1.0 / weight;
    Fit {
        middle,
        value: reference + value - gap,
        slope: peak + slope,
        value_sd: ((value2 / mass - value * value).max(0.0) + gap * gap).sqrt(),
        slope_sd: (slope2 / mass - slope * slope).max(0.0).sqrt(),
        covariance: both / mass - value * slope,
    }
}

/// The likeliest slope: among those of the hull's edges and of the prior, then improved by halving steps.
fn highest(hull: &[Point], prior: Prior, log_weight: &impl Fn(f64) -> f64) -> f64 {
    let edges = hull.windows(2).map(|edge| (edge[1].1 - edge[0].1) / (edge[1].0 - edge[0].0));
    let candidates = edges.chain([prior.slope]);
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
            Some(better) if better.1 > best.1 => best = better,
            _ => step /= 2.0,
        }
    }
    best.0
}
