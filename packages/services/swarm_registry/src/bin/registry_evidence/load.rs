//! Lists, downloads and uploads, in turns with the bare server, so that both see the same machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use swarm_api::artifact::ArtifactPage;
use swarm_artifact::ArchiveDigest;

use crate::artifacts::{Maker, Signed};
use crate::program::Program;
use crate::{slow, upload, wrk};

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
const UPLOAD: &str = "/api/v1/csa/upload";
const LIST_CONNECTIONS: u32 = 16;
const DOWNLOAD_CONNECTIONS: u32 = 2;
/// In a turn.
const UPLOADS: usize = 2;
const MANY: u32 = 1000;

/// Runs the workload and gives `{figures, reference, ratios}`.
pub(crate) fn measure(size: Size) -> Result<Value> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let bed = Bed::set_up(folder.path(), size)?;
    let mut turns = Turns::default();
    for turn in 0..size.turns {
        bed.list(&mut turns)?;
        bed.download(&mut turns)?;
        bed.upload(turn, &mut turns)?;
    }
    let memory = bed.memory()?;
    let [list, bytes, download, upload] =
        [&turns.list, &turns.bytes, &turns.download, &turns.upload].map(|turns| medians(turns));
    Ok(json!({
        "figures": {
            "list_per_s": list.ours,
            "download_gb_per_s": download.ours,
            "upload_gb_per_s": upload.ours,
            "rss_mb_few_clients": memory.few,
            "rss_mb_1000_clients": memory.lists,
            "rss_mb_1000_slow_downloads": memory.downloads,
            "rss_mb_1000_slow_uploads": memory.uploads,
            "turns": size.turns,
        },
        "reference": {
            "bare_list_per_s": list.theirs,
            "bare_bytes_per_s": bytes.theirs,
            "bare_download_gb_per_s": download.theirs,
            "bare_upload_gb_per_s": upload.theirs,
            "sha256_gb_per_s": sha256_gb_per_s(),
        },
        "ratios": {
            // Beside a handler that writes 20 rows as JSON each time; the registry does so when they changed.
            "ratio_list": list.ratio,
            // Beside a handler that answers bytes which it has.
            "ratio_list_bytes": bytes.ratio,
            "ratio_download": download.ratio,
            "ratio_upload": upload.ratio,
        },
    }))
}

/// The registry, the bare server, and what both have.
struct Bed {
    maker: Maker,
    size: Size,
    registry: Program,
    bare: Program,
    large: Signed,
}

/// The registry's most, in MB, after each kind of clients.
struct Memory {
    few: f64,
    lists: f64,
    downloads: f64,
    uploads: f64,
}

impl Bed {
    fn set_up(folder: &Path, size: Size) -> Result<Self> {
        let maker = Maker::new(folder);
        let registry = registry(folder, &maker)?;
        for row in 0..ROWS {
            hand_in(&registry, &maker.make("listed", &format!("1.0.{row}"), 100)?)?;
        }
        let large = maker.make("large", "1.0.0", size.megabytes * 1_000_000)?;
        hand_in(&registry, &large)?;
        let list = folder.join("list.json");
        fs::write(&list, get(&registry, LIST)?)?;
        let rows = serde_json::from_slice::<ArtifactPage>(&fs::read(&list)?)?.items.len();
        anyhow::ensure!(rows == ROWS, "the registry lists {rows} artifacts, expected {ROWS}");
        let mut bare = Command::new(std::env::current_exe()?);
        let bare = Program::start(bare.arg("bare").args([&list, &large.archive]))?;
        Ok(Self { maker, size, registry, bare, large })
    }

    fn load(&self, server: &Program, path: &str, connections: u32) -> Result<f64> {
        let url = format!("http://{}{path}", server.address);
        Ok(wrk::run(&url, connections, self.size.seconds)?.requests_per_s)
    }

    fn list(&self, turns: &mut Turns) -> Result<()> {
        let ours = self.load(&self.registry, LIST, LIST_CONNECTIONS)?;
        turns.list.push((ours, self.load(&self.bare, "/list", LIST_CONNECTIONS)?));
        turns.bytes.push((ours, self.load(&self.bare, "/bytes", LIST_CONNECTIONS)?));
        Ok(())
    }

    fn download_path(&self) -> String {
        format!("/api/v1/csa/{}/download", self.large.digest)
    }

    fn download(&self, turns: &mut Turns) -> Result<()> {
        let gb = fs::metadata(&self.large.archive)?.len() as f64 / 1e9;
        let ours = self.load(&self.registry, &self.download_path(), DOWNLOAD_CONNECTIONS)?;
        let theirs = self.load(&self.bare, "/file", DOWNLOAD_CONNECTIONS)?;
        turns.download.push((ours * gb, theirs * gb));
        Ok(())
    }

    fn upload(&self, turn: usize, turns: &mut Turns) -> Result<()> {
        for part in 0..UPLOADS {
            let version = format!("1.{}.{part}", turn + 1);
            let next = self.maker.make("large", &version, self.size.megabytes * 1_000_000)?;
            let form = upload::form(&next)?;
            fs::remove_file(&next.archive)?;
            // What was written before is not to be put on the disk on the time of this one.
            Command::new("sync")
                .arg("--file-system")
                .arg(&self.large.archive)
                .status()
                .context("cannot run sync")?;
            let theirs = upload::send(self.bare.address, "/upload", &form)?;
            let ours = upload::send(self.registry.address, UPLOAD, &form)?;
            let gb = form.len() as f64 / 1e9;
            turns.upload.push((gb / ours.as_secs_f64(), gb / theirs.as_secs_f64()));
        }
        Ok(())
    }

    fn memory(&self) -> Result<Memory> {
        let most = || self.registry.memory_mb("VmHWM");
        let few = most()?;
        let url = format!("http://{}{LIST}", self.registry.address);
        wrk::run(&url, MANY, self.size.seconds.max(5))?;
        let lists = most()?;
        let held = slow::downloads(&self.registry, &self.download_path(), MANY as usize)?;
        let downloads = most()?;
        drop(held);
        let form = upload::form(&self.large)?;
        let held = slow::uploads(&self.registry, UPLOAD, &form, MANY as usize)?;
        let uploads = most()?;
        drop(held);
        Ok(Memory { few, lists, downloads, uploads })
    }
}

/// Of one thread: what bounds an upload.
fn sha256_gb_per_s() -> f64 {
    let bytes = vec![7; 64 << 20];
    let begun = Instant::now();
    std::hint::black_box(ArchiveDigest::of(&bytes));
    bytes.len() as f64 / 1e9 / begun.elapsed().as_secs_f64()
}

/// Ours and theirs, turn by turn.
#[derive(Default)]
struct Turns {
    list: Vec<(f64, f64)>,
    bytes: Vec<(f64, f64)>,
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
