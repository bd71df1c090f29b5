//! An upload over one connection, with nothing of a client's own between the bytes and the socket.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::artifacts::Signed;

const BOUNDARY: &str = "measured-measured-measured";

/// The form of an upload, whole.
pub(crate) fn form(artifact: &Signed) -> Result<Vec<u8>> {
    let mut form = Vec::new();
    for (name, value) in [("signature", artifact.signature.as_str()), ("uploaded_by", "the measurement")] {
        write!(form, "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")?;
    }
    write!(
        form,
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.tar.gz\"\r\n\r\n"
    )?;
    form.extend_from_slice(&fs::read(&artifact.archive)?);
    write!(form, "\r\n--{BOUNDARY}--\r\n")?;
    Ok(form)
}

/// What comes before a form of this length.
pub(crate) fn head(server: SocketAddr, path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
}

/// Sends it and waits for the answer, which has to be a success; gives the time that it took.
pub(crate) fn send(server: SocketAddr, path: &str, form: &[u8]) -> Result<Duration> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_mins(2)))?;
    let begun = Instant::now();
    stream.write_all(head(server, path, form.len()).as_bytes())?;
    stream.write_all(form)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = begun.elapsed();
    if !answer.starts_with("HTTP/1.1 20") {
        bail!("{path} of {server} refused an upload: {answer}");
    }
    Ok(took)
}
