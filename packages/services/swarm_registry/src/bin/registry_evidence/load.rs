//! Lists, downloads and uploads, in turns with the bare server, so that both see the same machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use swarm_api::artifact::ArtifactPage;

use crate::artifacts::{Maker, Signed};
use crate::program::Program;
use crate::{upload, wrk};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) turns: usize,
    /// Of a turn.
    pub(crate) seconds: u32,
    /// Of a large artifact.
    pub(crate) megabytes: u64,
}

/// Rows of a list.
const ROWS: usize = 20;
const LIST: &str = "/api/v1/csa/list?limit=20&skill_name=listed";
const LIST_CONNECTIONS: u32 = 16;
const DOWNLOAD_CONNECTIONS: u32 = 2;
const MANY_CONNECTIONS: u32 = 1000;

/// Runs the workload and gives `{figures, reference, ratios}`.
pub(crate) fn measure(size: Size) -> Result<Value> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let maker = Maker::new(folder.path());
    let registry = registry(folder.path(), &maker)?;
    for row in 0..ROWS {
        hand_in(&registry, &maker.make("listed", &format!("1.0.{row}"), 100)?)?;
    }
    let large = maker.make("large", "1.0.0", size.megabytes * 1_000_000)?;
    let large_bytes = fs::metadata(&large.archive)?.len();
    hand_in(&registry, &large)?;
    let list = folder.path().join("list.json");
    fs::write(&list, get(&registry, LIST)?)?;
    let rows = serde_json::from_slice::<ArtifactPage>(&fs::read(&list)?)?.items.len();
    anyhow::ensure!(rows == ROWS, "the registry lists {rows} artifacts, expected {ROWS}");
    let bare =
        Program::start(Command::new(std::env::current_exe()?).arg("bare").args([&list, &large.archive]))?;

    let url = |server: &Program, path: &str| format!("http://{}{path}", server.address);
    let download = format!("/api/v1/csa/{}/download", large.digest);
    let mut turns = Turns::default();
    for turn in 0..size.turns {
        let ours = wrk::run(&url(&registry, LIST), LIST_CONNECTIONS, size.seconds)?;
        let theirs = wrk::run(&url(&bare, "/list"), LIST_CONNECTIONS, size.seconds)?;
        turns.list.push((ours.requests_per_s, theirs.requests_per_s));

        let gb = large_bytes as f64 / 1e9;
        let ours = wrk::run(&url(&registry, &download), DOWNLOAD_CONNECTIONS, size.seconds)?;
        let theirs = wrk::run(&url(&bare, "/file"), DOWNLOAD_CONNECTIONS, size.seconds)?;
        turns.download.push((ours.requests_per_s * gb, theirs.requests_per_s * gb));

        let next = maker.make("large", &format!("1.1.{turn}"), size.megabytes * 1_000_000)?;
        let form = upload::form(&next)?;
        let gb = form.len() as f64 / 1e9;
        let theirs = upload::send(bare.address, "/upload", &form)?;
        let ours = upload::send(registry.address, "/api/v1/csa/upload", &form)?;
        turns.upload.push((gb / ours.as_secs_f64(), gb / theirs.as_secs_f64()));
        fs::remove_file(&next.archive)?;
    }
    let few = registry.memory_mb("VmHWM")?;
    wrk::run(&url(&registry, LIST), MANY_CONNECTIONS, size.seconds.max(5))?;
    let many = registry.memory_mb("VmHWM")?;
    let (list, download, upload) = (medians(&turns.list), medians(&turns.download), medians(&turns.upload));
    Ok(json!({
        "figures": {
            "list_per_s": list.ours,
            "download_gb_per_s": download.ours,
            "upload_gb_per_s": upload.ours,
            "rss_mb_few_clients": few,
            "rss_mb_1000_clients": many,
            "turns": size.turns,
        },
        "reference": {
            "bare_list_per_s": list.theirs,
            "bare_download_gb_per_s": download.theirs,
            "bare_upload_gb_per_s": upload.theirs,
        },
        "ratios": {
            "ratio_list": list.ratio,
            "ratio_download": download.ratio,
            "ratio_upload": upload.ratio,
        },
    }))
}

/// Ours and theirs, turn by turn.
#[derive(Default)]
struct Turns {
    list: Vec<(f64, f64)>,
    download: Vec<(f64, f64)>,
    upload: Vec<(f64, f64)>,
}

struct Medians {
    ours: f64,
    theirs: f64,
    /// Of the turns' ratios.
    ratio: f64,
}

fn medians(turns: &[(f64, f64)]) -> Medians {
    let of = |value: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Medians { ours: of(|turn| turn.0), theirs: of(|turn| turn.1), ratio: of(|turn| turn.0 / turn.1) }
}

/// The registry as it is without any set-up, but for the trust file.
fn registry(folder: &Path, maker: &Maker) -> Result<Program> {
    let program = std::env::current_exe()?.with_file_name("swarm_registry");
    let mut command = Command::new(program);
    command.args(["--profile", "development", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
    command.arg("--trust").arg(maker.trust()?).env("RUST_LOG", "warn");
    Program::start(&mut command)
}

fn hand_in(registry: &Program, artifact: &Signed) -> Result<()> {
    upload::send(registry.address, "/api/v1/csa/upload", &upload::form(artifact)?).map(|_| ())
}

/// The body of an answer.
fn get(server: &Program, path: &str) -> Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(server.address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let body =
        answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no body")?;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
    Ok(answer.split_off(body + 4))
}
