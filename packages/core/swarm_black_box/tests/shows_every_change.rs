//! A recording that was tampered with is refused, and the reason names the place.

mod cell;

use cell::{key, recorded};
use ed25519_dalek::VerifyingKey;
use swarm_black_box::{CloseReason, End, Junction, Problem, Signed, frames, junction, verify};

fn trusted() -> [VerifyingKey; 1] {
    [key().verifying_key()]
}

/// Start and end in the file of each whole record.
fn places(file: &[u8]) -> Vec<(usize, usize)> {
    let starts: Vec<usize> = frames(file).unwrap().map(|frame| frame.offset).collect();
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().copied().zip(ends).collect()
}

fn problems(file: &[u8]) -> Vec<Problem> {
    verify(file, Some(&trusted())).unwrap().faults.into_iter().map(|fault| fault.problem).collect()
}

#[test]
fn an_untouched_recording_is_whole() {
    let file = recorded(300, Some(key())).bytes;
    let found = verify(&file, Some(&trusted())).unwrap();
    assert_eq!(found.faults, []);
    assert_eq!((found.cycles, found.first_cycle, found.last_cycle), (300, 1, 300));
    assert_eq!((found.signed, found.end), (Signed::Trusted, End::Closed(CloseReason::Shutdown)));
    // 300 cycles of 2 ms in segments of 100 ms.
    assert_eq!(found.segments, 6);
}

#[test]
fn every_single_changed_byte_is_found() {
    let file = recorded(60, Some(key())).bytes;
    let header = places(&file)[0].1;
    // The header's texts are long: every 97th byte of them, then every byte.
    let step = |at: usize| if at < header { 97 } else { 7 };
    let mut at = 8;
    while at < file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1 << (at % 8);
        let whole = verify(&changed, Some(&trusted())).is_ok_and(|found| found.is_whole());
        assert!(!whole, "byte {at} of {}", file.len());
        at += step(at);
    }
}

#[test]
fn one_changed_record_is_one_fault_with_its_number() {
    let mut file = recorded(60, Some(key())).bytes;
    let (start, _) = places(&file)[20];
    // In the low bits of a joint's position.
    file[start + 4 + 1 + 8 + 2] ^= 1;
    let found = verify(&file, Some(&trusted())).unwrap();
    assert_eq!(found.faults.len(), 1, "{:?}", found.faults);
    assert_eq!((found.faults[0].record, found.faults[0].problem.clone()), (20, Problem::Link));
}

#[test]
fn a_record_that_was_taken_out_is_missed() {
    let mut file = recorded(60, Some(key())).bytes;
    let (start, end) = places(&file)[20];
    file.drain(start..end);
    let found = problems(&file);
    assert!(found.iter().any(|problem| matches!(problem, Problem::CycleGap { .. })), "{found:?}");
}

#[test]
fn two_records_that_changed_places_are_found() {
    let file = recorded(60, Some(key())).bytes;
    let places = places(&file);
    let (one, two) = (places[20], places[21]);
    let swapped = [&file[..one.0], &file[two.0..two.1], &file[one.0..one.1], &file[two.1..]].concat();
    assert!(problems(&swapped).contains(&Problem::Link));
}

#[test]
fn a_history_that_was_written_anew_with_another_key_is_not_trusted() {
    let forger = ed25519_dalek::SigningKey::from_bytes(&[66; 32]);
    let file = recorded(60, Some(forger.clone())).bytes;
    assert_eq!(problems(&file), [Problem::UntrustedKey(forger.verifying_key().to_bytes())]);
    assert_eq!(problems(&recorded(60, None).bytes), [Problem::NoKey]);
}

#[test]
fn a_seal_of_another_key_is_found() {
    // The forger keeps the header, which names the cell's key, and seals anew.
    let (genuine, mut forged) = (recorded(60, Some(key())), recorded(60, None));
    let header = places(&genuine.bytes)[0].1;
    assert_eq!(places(&forged.bytes)[0].1, header);
    forged.bytes[8..header].copy_from_slice(&genuine.bytes[8..header]);
    assert!(problems(&forged.bytes).contains(&Problem::Signature));
}

#[test]
fn a_file_cut_anywhere_stays_readable_to_its_last_whole_record_and_has_an_open_end() {
    let file = recorded(120, Some(key())).bytes;
    let places = places(&file);
    for cut in (places[0].1..file.len()).step_by(211) {
        let found = verify(&file[..cut], Some(&trusted())).unwrap();
        let whole = places.iter().filter(|(_, end)| *end <= cut).count() as u64;
        assert_eq!(found.faults, [], "cut at {cut}");
        assert_eq!(found.records, whole);
        let End::Open { unsealed_records, cut_bytes } = found.end else { panic!("closed at {cut}") };
        assert_eq!(
            cut_bytes,
            cut - places.iter().map(|place| place.1).filter(|end| *end <= cut).max().unwrap()
        );
        // A segment of 100 ms has 50 cycles and a snapshot.
        assert!(unsealed_records <= 53, "{unsealed_records} records are not proven");
    }
}

#[test]
fn the_next_file_shows_that_the_end_of_this_one_was_cut_off() {
    let first = recorded(120, Some(key()));
    let second = cell::recorded_at(60, Some(key()), first.next).bytes;
    let header = verify(&second, None).unwrap().header;
    let whole = verify(&first.bytes, None).unwrap();
    assert_eq!(junction(&whole, &header, &[]), Ok(()));
    // Cut behind the first seal, which itself is genuine.
    let places = places(&first.bytes);
    let cut = verify(&first.bytes[..places[60].1], None).unwrap();
    assert!(cut.faults.is_empty());
    assert!(matches!(junction(&cut, &header, &[1]), Err(Junction::Seal { before: 0, after: 1, .. })));
    assert!(matches!(junction(&whole, &whole.header, &[]), Err(Junction::FileMissing { .. })));
}

#[test]
fn what_is_appended_behind_the_end_is_found() {
    let mut file = recorded(60, Some(key())).bytes;
    let (start, end) = places(&file)[5];
    let copy = file[start..end].to_vec();
    file.extend(copy);
    assert!(problems(&file).contains(&Problem::AfterClose));
}

#[test]
fn bytes_of_something_else_are_named_so() {
    let text = |file: &[u8]| verify(file, None).unwrap_err().to_string();
    assert_eq!(text(b"bag"), "the file has 3 bytes and begins with no black box's magic");
    assert_eq!(text(b"SWARMBB\x09 more"), "the file is a black box of format 9; this program reads format 3");
    assert_eq!(
        text(&swarm_black_box::MAGIC),
        "the file has no whole header, so that nothing in it can be judged"
    );
}
