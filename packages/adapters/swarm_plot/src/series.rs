//! A figure over time, and as few points of it as a drawing needs.

/// Samples of one figure: time in s, value; not-a-number where the recorder did not know it. Times do not go back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(pub Vec<(f64, f64)>);

impl Samples {
    /// The samples that are known.
    pub fn known(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.0.iter().copied().filter(|(_, value)| value.is_finite())
    }

    /// The lines to draw: gaps where the value is unknown, and per column of `column_s` seconds only the first, lowest,
    /// highest and last sample. A peak of a single sample stays.
    pub(crate) fn lines(&self, column_s: f64) -> Vec<Vec<(f64, f64)>> {
        self.0
            .split(|(_, value)| !value.is_finite())
            .filter(|part| !part.is_empty())
            .map(|part| thin(part, column_s))
            .collect()
    }
}

fn thin(part: &[(f64, f64)], column_s: f64) -> Vec<(f64, f64)> {
    let column = |&(t, _): &(f64, f64)| (t / column_s).floor();
    let mut kept = Vec::new();
    for chunk in part.chunk_by(|a, b| column(a) == column(b)) {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let lowest = *chunk.iter().min_by(by_value).expect("chunk_by gives no empty chunk");
        let highest = *chunk.iter().max_by(by_value).expect("chunk_by gives no empty chunk");
        let mut points = vec![chunk[0], lowest, highest, chunk[chunk.len() - 1]];
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup();
        kept.extend(points);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_of_one_sample_survives_thinning() {
        let mut samples: Vec<_> = (0..10_000).map(|i| (f64::from(i) * 0.002, 1.0)).collect();
        samples[4321].1 = 50.0;
        samples[8765].1 = -3.0;
        let lines = Samples(samples).lines(0.5);
        assert!(lines[0].len() < 200, "{}", lines[0].len());
        assert!(lines[0].contains(&(4321.0 * 0.002, 50.0)));
        assert!(lines[0].contains(&(8765.0 * 0.002, -3.0)));
    }

    #[test]
    fn an_unknown_value_is_a_gap() {
        let samples = Samples(vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 4.0)]);
        assert_eq!(samples.lines(0.1), [vec![(0.0, 1.0), (1.0, 2.0)], vec![(3.0, 4.0)]]);
    }
}
