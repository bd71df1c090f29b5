//! The registry's program, running in a folder of the test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::artifacts::{FORM_TYPE, Signed, trust};

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Running {
    pub(crate) fn start(folder: &Path) -> Self {
        let trust_file = folder.join("trust.yaml");
        std::fs::write(&trust_file, trust().to_yaml()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_swarm_registry"))
            .args(["--profile", "development", "--listen", "127.0.0.1:0", "--trust"])
            .arg(&trust_file)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("swarm_registry listens on ").unwrap().to_owned();
        Self { child, address }
    }

    pub(crate) fn send(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\n").unwrap();
        // A server that refuses early may have closed already.
        let _ = stream.write_all(body);
        stream
    }

    pub(crate) fn ask(&self, head: &str, body: &str) -> (u16, Value) {
        let length = body.len();
        let kind = "Content-Type: application/json";
        let mut stream =
            self.send(head, format!("{kind}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub(crate) fn upload(&self, signed: &Signed) -> (u16, Value) {
        let form = signed.form(&[]);
        let head = format!("Content-Type: {FORM_TYPE}\r\nContent-Length: {}\r\n\r\n", form.len());
        let mut stream = self.send("POST /api/v1/csa/upload HTTP/1.1", &[head.as_bytes(), &form].concat());
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    /// How many of its open files have this in their path.
    pub(crate) fn open_files(&self, part: &str) -> usize {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let links = descriptors.flatten().filter_map(|it| std::fs::read_link(it.path()).ok());
        links.filter(|link| link.to_string_lossy().contains(part)).count()
    }

    /// A value of `/proc/PID/status`, in bytes.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        value.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many files are below a folder.
pub(crate) fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}
