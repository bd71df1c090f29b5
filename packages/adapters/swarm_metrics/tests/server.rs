//! The page over a real socket, beside clients that only sit there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use swarm_metrics::{MAX_CONNECTIONS, Metrics, RunEnd, Server};

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: robot\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_is_served_as_prometheus_text_and_nothing_else_is() {
    let metrics = Arc::new(Metrics::new());
    let server = Server::start(0, Arc::clone(&metrics)).unwrap();
    assert!(server.address().ip().is_loopback());
    metrics.run_ended("assembly", RunEnd::Canceled);
    let page = get(server.address(), "/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("content-type: text/plain; version=0.0.4\r\n"), "{page}");
    assert!(page.contains("skill_execution_total{skill_id=\"assembly\",status=\"canceled\"} 1\n"), "{page}");
    assert!(get(server.address(), "/").starts_with("HTTP/1.1 404 "));
}

#[test]
fn silent_clients_below_the_bound_keep_nobody_out() {
    let server = Server::start(0, Arc::new(Metrics::new())).unwrap();
    let _silent: Vec<_> =
        (1..MAX_CONNECTIONS).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    assert!(get(server.address(), "/metrics").contains("control_overruns_total 0"));
}

#[test]
fn a_taken_port_is_named() {
    let first = Server::start(0, Arc::new(Metrics::new())).unwrap();
    let error = Server::start(first.address().port(), Arc::new(Metrics::new())).unwrap_err();
    assert!(
        error.to_string().starts_with(&format!(
            "cannot serve metrics on {}; if another program is there",
            first.address()
        )),
        "{error}"
    );
}
