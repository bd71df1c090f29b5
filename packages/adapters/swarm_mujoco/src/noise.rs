//! Seeded noise. The policy is trained on runs of this simulator, so a seed must mean the same run for ever: the generator is
//! written out here instead of taken from a library whose stream may change with its version.

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    state: u64,
}

impl Noise {
    /// Streams of one seed are independent of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut noise = Self { state: seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03) };
        noise.next();
        noise
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Even on [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Even on [-bound, bound).
    pub(crate) fn within(&mut self, bound: f64) -> f64 {
        (2.0 * self.unit() - 1.0) * bound
    }

    /// Normal with mean zero (Box and Muller).
    pub(crate) fn normal(&mut self, sigma: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        sigma * radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_paper() {
        // First outputs of SplitMix64 for state 0, from the authors' reference code.
        let mut noise = Noise { state: 0 };
        assert_eq!(noise.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(noise.next(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn normal_noise_has_the_promised_spread() {
        let mut noise = Noise::new(1, 2);
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|_| noise.normal(2.0)).collect();
        let mean = values.iter().sum::<f64>() / f64::from(n);
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.05, "{mean}");
        assert!((variance.sqrt() - 2.0).abs() < 0.05, "{variance}");
    }
}
