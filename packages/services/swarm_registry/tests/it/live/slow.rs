//! Many clients that are slow on purpose, or that leave in the middle: what they cost is bounded, and ends with them.

use std::io::Read;
use std::net::TcpStream;

use super::program::{Running, until};
use crate::common::artifacts::{FORM_TYPE, Signed};

const CLIENTS: usize = 100;
/// Of the artifact: much more than what sockets hold on the way.
const BYTES: usize = 16_000_000;
/// What a client may cost: blocks and pieces that are under way, and its connection. The artifact is thirty times that.
const MOST_PER_CLIENT: u64 = 512 * 1024;

/// The program's memory is asked for when it has stopped growing.
fn settled(running: &Running) -> u64 {
    let mut before = 0;
    until("the program's memory stays as it is", || {
        let now = running.memory("VmRSS");
        std::mem::replace(&mut before, now).abs_diff(now) < 64 * 1024
    });
    before
}

fn assert_bounded(what: &str, before: u64, after: u64) {
    let each = after.saturating_sub(before) / CLIENTS as u64;
    assert!(each < MOST_PER_CLIENT, "each of {CLIENTS} {what} costs {each} bytes ({before} -> {after})");
}

#[test]
fn clients_that_read_and_send_slowly_cost_little_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path());
    let large = Signed::large("1.0.0", BYTES);
    assert_eq!(running.upload(&large).0, 201);
    let before = settled(&running);

    let place = format!("GET /api/v1/csa/{}/download HTTP/1.1", large.digest());
    let readers: Vec<TcpStream> = (0..CLIENTS).map(|_| running.send(&place, b"\r\n")).collect();
    until("each download has begun", || running.open_files(".tar.gz") == CLIENTS);
    assert_bounded("slow downloads", before, settled(&running));
    // One of them goes on, and gets everything.
    let mut readers = readers.into_iter();
    let mut answer = Vec::new();
    readers.next().unwrap().read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&large.archive));
    drop(readers);
    until("who left is forgotten", || running.open_files(".tar.gz") == 0);

    let other = Signed::large("1.1.0", BYTES + 1);
    let form = other.form(&[]);
    let head = format!("Content-Type: {FORM_TYPE}\r\nContent-Length: {}\r\n\r\n", form.len());
    let begun = [head.as_bytes(), &form[..form.len() / 16]].concat();
    let before = settled(&running);
    let post = "POST /api/v1/csa/upload HTTP/1.1";
    let senders: Vec<TcpStream> = (0..CLIENTS).map(|_| running.send(post, &begun)).collect();
    until("each upload has begun", || running.open_files("/staging/") >= CLIENTS);
    assert_bounded("slow uploads", before, settled(&running));
    drop(senders);
    until("who left is forgotten", || running.open_files("/staging/") == 0);
    assert_eq!(running.upload(&other).0, 201);
}
