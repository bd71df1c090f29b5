//! The load: `wrk`, which others wrote, over loopback.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// What a turn of `wrk` has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests_per_s: f64,
}

/// Asks for `url` over so many connections for so long. Anything but success is an error.
pub(crate) fn run(url: &str, connections: u32, seconds: u32) -> Result<Seen> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "20s", url]);
    let output = wrk.output().context("cannot run wrk (Debian package wrk)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk ended with {}: {said}", output.status);
    read(&said).with_context(|| format!("of {url}, wrk said:\n{said}"))
}

fn read(said: &str) -> Result<Seen> {
    let line = |start: &str| said.lines().find_map(|line| line.trim().strip_prefix(start));
    ensure!(line("Non-2xx").is_none(), "not every answer was a success");
    ensure!(line("Socket errors").is_none(), "connections failed");
    let rate = line("Requests/sec:").context("there is no rate")?;
    Ok(Seen { requests_per_s: rate.trim().parse().context("the rate is no number")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 1s test @ http://127.0.0.1:8080/\n  1 threads and 2 connections\n  \
        3000 requests in 1.00s, 1.00GB read\nRequests/sec:   2998.70\nTransfer/sec:      0.99GB\n";

    #[test]
    fn a_refused_request_spoils_the_turn() {
        assert!((read(GOOD).unwrap().requests_per_s - 2998.7).abs() < 1e-9);
        assert!(read(&format!("{GOOD}  Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(read(&format!("{GOOD}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_err());
        assert!(read("unable to connect").is_err());
    }
}
