//! Clients that hardly do anything: what each of them costs the registry in memory.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::program::Program;
use crate::upload;

/// Bytes that a client sends before it falls silent: more than a block of the registry's.
const SENT: usize = 200_000;

/// Open connections; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held, not used")] Vec<TcpStream>);

/// Clients that ask for a file and read none of it.
pub(crate) fn downloads(server: &Program, path: &str, clients: usize) -> Result<Held> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    hold(server, request.as_bytes(), clients, |link| link.ends_with(".tar.gz"))
}

/// Clients that begin a form and fall silent.
pub(crate) fn uploads(server: &Program, path: &str, form: &[u8], clients: usize) -> Result<Held> {
    let mut request = upload::head(server.address, path, form.len()).into_bytes();
    request.extend_from_slice(&form[..SENT.min(form.len() / 2)]);
    hold(server, &request, clients, |link| link.contains("/staging/"))
}

/// Connects, sends, and waits until the server has a file open for each of them.
fn hold(server: &Program, request: &[u8], clients: usize, counts: fn(&str) -> bool) -> Result<Held> {
    let mut held = Vec::with_capacity(clients);
    for client in 0..clients {
        let mut stream = TcpStream::connect(server.address)
            .with_context(|| format!("cannot connect client {client} of {clients}"))?;
        stream.write_all(request)?;
        held.push(stream);
    }
    let begun = Instant::now();
    loop {
        let open = server.open_files()?.iter().filter(|link| counts(link)).count();
        if open >= clients {
            break;
        }
        let problem = "the registry serves only";
        ensure!(begun.elapsed() < Duration::from_mins(1), "{problem} {open} of {clients} slow clients");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What they sent, or are to be sent, is taken from the sockets until the memory stays as it is.
    let mut memory = server.memory_mb("VmRSS")?;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = server.memory_mb("VmRSS")?;
        if (now - memory).abs() < 1.0 {
            return Ok(Held(held));
        }
        memory = now;
    }
}
