//! Promises of the calibration.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const PERIOD: i64 = 33_333_333;

/// Flashes at irregular times as cameras of these biases and phases see them.
fn seen(seed: u64, flashes: u64, cameras: &[(&str, i64)], with_host: bool) -> Vec<Sighting> {
    let mut random = StdRng::seed_from_u64(seed);
    let phases: Vec<i64> = cameras.iter().map(|_| random.random_range(0..PERIOD)).collect();
    let mut all = Vec::new();
    let mut at = 1_790_000_000_000_000_000_i64;
    for event in 0..flashes {
        at += random.random_range(1_000_000_000..2_000_000_000);
        if with_host {
            all.push(Sighting { event, serial: HOST.to_owned(), stamp_ns: at, resolution_ns: 0 });
        }
        for ((serial, bias), phase) in cameras.iter().zip(&phases) {
            // The first frame at or after the flash.
            let stamp_ns = at + (phase - at).rem_euclid(PERIOD) + bias;
            all.push(Sighting { event, serial: (*serial).to_owned(), stamp_ns, resolution_ns: PERIOD });
        }
    }
    all
}

#[test]
fn biases_are_found_within_their_uncertainty_which_falls_with_the_number_of_flashes() {
    let cameras = [("A", 53_000_000), ("B", 81_500_000), ("C", 54_000_000)];
    let mut uncertainties = Vec::new();
    for flashes in [20, 200, 2_000] {
        let mut within = 0;
        for seed in 0..20 {
            let found = calibrate(&seen(seed, flashes, &cameras, true)).unwrap();
            assert_eq!((found.reference, found.rejected), (Reference::Host, 0));
            for (serial, bias) in cameras {
                let got = found.cameras[serial];
                within += usize::from((got.bias_ns - bias).abs() <= 2 * got.uncertainty_ns);
                uncertainties.push((flashes, got.uncertainty_ns));
            }
        }
        assert!(within >= 54, "{within} of 60 within two standard deviations after {flashes} flashes");
    }
    let most =
        |flashes| uncertainties.iter().filter(|(of, _)| *of == flashes).map(|(_, ns)| *ns).max().unwrap();
    assert!(most(200) < most(20) / 2 && most(2_000) < 300_000, "{} ns after 2000", most(2_000));
}

#[test]
fn without_the_host_the_earliest_camera_is_the_zero() {
    let found = calibrate(&seen(1, 1_000, &[("A", 90_000_000), ("B", 20_000_000)], false)).unwrap();
    assert_eq!(found.reference, Reference::EarliestCamera);
    assert_eq!(found.cameras["B"].bias_ns, 0);
    let off = found.cameras["A"].bias_ns - 70_000_000;
    assert!(off.abs() <= 2 * found.cameras["A"].uncertainty_ns, "{off}");
}

#[test]
fn a_flash_that_a_camera_missed_or_saw_too_late_does_not_move_its_bias() {
    let mut sightings = seen(2, 400, &[("A", 50_000_000), ("B", 60_000_000), ("C", 70_000_000)], true);
    let mut random = StdRng::seed_from_u64(9);
    sightings.retain(|sighting| sighting.serial == HOST || random.random::<f64>() > 0.1);
    for sighting in sightings.iter_mut().filter(|sighting| sighting.serial == "B").step_by(10) {
        sighting.stamp_ns += 5 * PERIOD;
    }
    let found = calibrate(&sightings).unwrap();
    assert!(found.rejected >= 30, "{}", found.rejected);
    for (serial, bias) in [("A", 50_000_000), ("B", 60_000_000), ("C", 70_000_000)] {
        let got = found.cameras[serial];
        assert!((got.bias_ns - bias).abs() < 3 * got.uncertainty_ns, "{serial}: {got:?}");
    }
}

#[test]
fn what_cannot_be_calibrated_is_refused_by_name() {
    assert_eq!(calibrate(&[]), Err(CalibrateError::NothingToCompare(0)));
    let alone = seen(3, 50, &[("A", 0)], false);
    assert_eq!(calibrate(&alone), Err(CalibrateError::NothingToCompare(1)));
    let few = seen(3, 5, &[("A", 0), ("B", 0)], false);
    assert_eq!(calibrate(&few), Err(CalibrateError::TooFew { serial: "A".to_owned(), events: 5 }));
    let mut twice = seen(3, 50, &[("A", 0), ("B", 0)], false);
    twice.push(twice[0].clone());
    assert_eq!(calibrate(&twice), Err(CalibrateError::SeenTwice { event: 0, serial: "A".to_owned() }));
    let mut still = seen(3, 50, &[("A", 0), ("B", 0)], false);
    still[0].resolution_ns = 0;
    assert_eq!(
        calibrate(&still),
        Err(CalibrateError::Resolution { serial: "A".to_owned(), resolution_ns: 0 })
    );
}

#[test]
fn a_flash_costs_bits_and_key_frames_are_no_flashes() {
    let mut frames: Vec<(i64, u32, bool)> = (0..300)
        .map(|k| (k * PERIOD, if k % 30 == 0 { 60_000 } else { 2_000 + (k % 7) as u32 * 100 }, k % 30 == 0))
        .collect();
    for flash in [45, 104, 200] {
        frames[flash].1 = 30_000; // on
        frames[flash + 3].1 = 25_000; // off
    }
    frames[151].1 = 30_000; // right behind a key frame: the flash may have been in that
    assert_eq!(flashes(&frames), [45 * PERIOD, 104 * PERIOD, 200 * PERIOD]);
    assert_eq!(flashes(&frames[..10]), [], "the usual size is not known yet");
}

#[test]
fn flashes_near_each_other_are_one_event() {
    let window = 500_000_000;
    let mut cameras = BTreeMap::new();
    cameras
        .insert("A".to_owned(), (vec![1_000_000_000, 3_000_000_000, 5_000_000_000, 5_300_000_000], PERIOD));
    cameras.insert("B".to_owned(), (vec![1_100_000_000, 5_100_000_000, 9_000_000_000], PERIOD));
    let matched: Vec<(u64, String, i64)> = match_flashes(&cameras, window)
        .into_iter()
        .map(|s| (s.event, s.serial, s.stamp_ns / 100_000_000))
        .collect();
    let expected = [(0, "A", 10), (0, "B", 11), (1, "A", 30), (2, "B", 90)];
    assert_eq!(matched, expected.map(|(event, serial, stamp)| (event, serial.to_owned(), stamp)));
}

#[test]
fn a_file_says_what_was_found_and_is_read_again() {
    let found = calibrate(&seen(4, 100, &[("A \"1\"", 53_000_000), ("0042", 21_000_000)], true)).unwrap();
    let biases = Biases {
        reference: found.reference,
        source: "flashes: of 2026.csv".to_owned(),
        measured: 1_790_000_000,
        cameras: found.cameras,
    };
    assert_eq!(Biases::parse(&biases.to_yaml()).unwrap(), biases, "{}", biases.to_yaml());
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let text = "schema: 1\nreference: moon\nsource: x\nmeasured: 2026-01-31T12:00:00Z\ncameras:\n  - serial_number: \"\"\n    bias: 99\n    uncertainty: 0.1\n    events: 3\n";
    let mistakes = Biases::parse(text).unwrap_err().to_string();
    for expected in ["reference", "serial_number", "bias"] {
        assert!(mistakes.contains(expected), "{mistakes}");
    }
}
