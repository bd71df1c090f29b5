//! The skill runtime's own counters, off its page for Prometheus.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result};

/// Longest wait for the page.
const PATIENCE: Duration = Duration::from_secs(10);

/// What has been counted since the runtime was started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counters {
    /// Runs that have ended, however.
    pub runs: f64,
    /// Barriers of phases that all roles of a run have passed.
    pub barriers: f64,
    /// Turns of the control loop.
    pub turns: f64,
    /// Turns that ended after the next one should have begun.
    pub overruns: f64,
}

impl Counters {
    /// Reads the page on this machine's `port`.
    pub(super) fn read(port: u16) -> Result<Self> {
        let page = get(port).map_err(|error| {
            Error::Failed(format!("cannot read the skill runtime's metrics on port {port}: {error}"))
        })?;
        Self::parse(&page).map_err(|missing| {
            Error::Failed(format!("the skill runtime's metrics on port {port} lack {missing}:\n{page}"))
        })
    }

    /// What has been counted since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            runs: self.runs - earlier.runs,
            barriers: self.barriers - earlier.barriers,
            turns: self.turns - earlier.turns,
            overruns: self.overruns - earlier.overruns,
        }
    }

    /// Prometheus text; an error is the name of what it lacks. What has labels is absent before it has happened once.
    fn parse(page: &str) -> std::result::Result<Self, &'static str> {
        let sum = |name: &str| {
            let value = |line: &str| {
                let rest = line.strip_prefix(name)?;
                let (labels, value) = rest.rsplit_once(' ')?;
                (labels.is_empty() || labels.starts_with('{')).then(|| value.parse::<f64>().ok())?
            };
            page.lines()
                .filter_map(value)
                .fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
        };
        Ok(Self {
            runs: sum("skill_execution_total").unwrap_or(0.0),
            barriers: sum("phase_transition_duration_seconds_count").unwrap_or(0.0),
            turns: sum("control_tick_seconds_count").ok_or("control_tick_seconds_count")?,
            overruns: sum("control_overruns_total").ok_or("control_overruns_total")?,
        })
    }
}

/// A port of this machine that is free now.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn get(port: u16) -> std::io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Of HTTP 1.0, so that the answer comes in one piece and ends with the connection.
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split_whitespace().nth(1) == Some("200") {
        return Ok(body.to_owned());
    }
    Err(std::io::Error::other(format!("expected a page, the answer is '{status}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# TYPE control_overruns_total counter
control_overruns_total 7
control_tick_seconds_bucket{le="0.01"} 90
control_tick_seconds_count 100
phase_transition_duration_seconds_bucket{from="start",to="grip",le="0.01"} 5
phase_transition_duration_seconds_count{from="start",to="grip"} 5
phase_transition_duration_seconds_count{from="grip",to="mate"} 4
skill_execution_total{skill_id="a b",status="aborted"} 1
skill_execution_total{skill_id="a b",status="succeeded"} 4
"#;

    /// Serves one page to one client.
    fn serve(answer: String) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /metrics "), "{request:?}");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    #[test]
    fn counters_are_summed_over_their_labels() {
        let counters = Counters::read(serve(format!("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{PAGE}"))).unwrap();
        assert_eq!(counters, Counters { runs: 5.0, barriers: 9.0, turns: 100.0, overruns: 7.0 });
        let later = Counters { runs: 6.0, barriers: 15.0, turns: 150.0, overruns: 7.0 };
        assert_eq!(later.since(counters), Counters { runs: 1.0, barriers: 6.0, turns: 50.0, overruns: 0.0 });
    }

    #[test]
    fn a_page_that_is_another_one_is_an_error_and_not_a_zero() {
        let error = Counters::read(serve("HTTP/1.1 200 OK\r\n\r\nrequests 5\n".into())).unwrap_err();
        assert!(error.to_string().contains("lack control_tick_seconds_count"), "{error}");
        let error = Counters::read(serve("HTTP/1.1 404 Not Found\r\n\r\nnothing".into())).unwrap_err();
        assert!(error.to_string().contains("the answer is 'HTTP/1.1 404 Not Found'"), "{error}");
    }
}
