//! Which capsules of one arm are checked against each other.

use crate::JointVector;
use crate::model::ArmModel;

impl ArmModel {
    /// Pairs of own capsules that are checked against each other: those that at least one joint lies between and that are
    /// not always in contact.
    pub fn self_pairs(&self) -> &[(usize, usize)] {
        &self.self_pairs
    }

    /// Capsules are larger than their links, so that neighbours but one can overlap for good (a wrist). Such a pair says
    /// nothing. It is left out if it overlaps in 95 % of 500 positions spread evenly over the joint ranges (the rule of
    /// `MoveIt`'s set-up assistant). Neighbours but one that never meet say nothing either; see [`Self::can_meet`].
    ///
    /// Those that are nearest to each other on the average come first: a search for the least gap can skip most of the others.
    pub(crate) fn find_self_pairs(&self) -> Vec<(usize, usize)> {
        const SAMPLES: usize = 500;
        let mut pairs = Vec::new();
        for i in 0..self.capsules.len() {
            for j in i + 1..self.capsules.len() {
                if self.capsules[i].body.abs_diff(self.capsules[j].body) >= 2 {
                    pairs.push((i, j));
                }
            }
        }
        let mut seen = vec![(0_usize, 0.0_f64); pairs.len()];
        for sample in 0..SAMPLES {
            let placed = self.capsules(&self.forward(&self.spread_position(sample as u64)));
            let capsules = placed.as_slice();
            for ((overlaps, sum), &(i, j)) in seen.iter_mut().zip(&pairs) {
                let gap = capsules[i].distance(&capsules[j]);
                *overlaps += usize::from(gap < 0.0);
                *sum += gap;
            }
        }
        let mut kept: Vec<(f64, (usize, usize))> = seen
            .into_iter()
            .zip(pairs)
            .filter(|((overlaps, _), pair)| overlaps * 100 < SAMPLES * 95 && self.can_meet(*pair))
            .map(|((_, sum), pair)| (sum, pair))
            .collect();
        kept.sort_by(|one, other| one.0.total_cmp(&other.0));
        kept.into_iter().map(|(_, pair)| pair).collect()
    }

    /// False for neighbours but one whose capsules are apart wherever the two joints between them stand.
    ///
    /// Looked at on a grid of 48 x 48 positions over both ranges, ends included. The distance is smooth in both angles, and its
    /// lowest point lies within 4 degrees of one of the grid's, where it is lower by less than the margin that is asked for.
    fn can_meet(&self, (i, j): (usize, usize)) -> bool {
        const STEPS: u32 = 48;
        const MARGIN_M: f64 = 0.001;
        let (near, far) = {
            let (one, two) = (self.capsules[i].body, self.capsules[j].body);
            (one.min(two), one.max(two))
        };
        if far - near != 2 {
            return true;
        }
        let at = |joint: usize, step: u32| {
            let info = &self.joints()[joint];
            let (lower, upper) =
                (info.lower.max(-std::f64::consts::PI), info.upper.min(std::f64::consts::PI));
            lower + (upper - lower) * f64::from(step) / f64::from(STEPS - 1)
        };
        let mut q = JointVector::zeros();
        (0..STEPS).any(|first| {
            (0..STEPS).any(|second| {
                (q[near], q[near + 1]) = (at(near, first), at(near + 1, second));
                let placed = self.capsules(&self.forward(&q));
                placed.as_slice()[i].distance(&placed.as_slice()[j]) < MARGIN_M
            })
        })
    }
}
