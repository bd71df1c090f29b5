//! Uploads while the registry's database is stopped and started again: what was acknowledged has to be there.
//!
//! Each uploader is the bridge's own spool, which hands in what is marked, artifact by artifact, and tries again what did not succeed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use swarm_api::artifact::Artifact;
use swarm_artifact::ArchiveDigest;
use swarm_registry_client::{Connection, Settings, Spool};
use swarm_store::signature_path;
use swarm_test_postgres::Server;

use crate::artifacts::{Made, Maker};
use crate::http::Http;
use crate::program::{Registry, Setup};
use crate::wait::until_true;

/// Of an artifact; some take several parts.
const KIB: usize = 256;
const UPLOADERS: u64 = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_mins(3);

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) uploads: u64,
    /// How often the database is stopped.
    pub(crate) stops: u64,
    pub(crate) seed: u64,
}

/// Hands everything in below `work`; gives figures.
pub(crate) fn drill(work: &Path, size: Size) -> Result<Value> {
    let maker = Maker::new(&work.join("artifacts"), KIB)?;
    let trust = work.join("trust.yaml");
    fs::write(&trust, maker.trust().to_yaml())?;
    let spools: Vec<_> = (0..UPLOADERS).map(|number| work.join(format!("spool-{number}"))).collect();
    let mut made = Vec::new();
    for number in 0..size.uploads {
        let artifact = maker.make("uploaded", &format!("1.0.{number}"))?;
        mark(&spools[(number % UPLOADERS) as usize], &artifact)?;
        made.push(artifact);
    }
    let mut database = Server::start()?;
    let address = database.database()?;
    let registry = Registry::start(Setup {
        data: &work.join("registry"),
        trust: &trust,
        update_key: None,
        database_url: Some(&address),
        log: &work.join("registry-postgres.log"),
    })?;
    let connection = Connection::new(&Settings { url: registry.url(), ..Settings::default() })?;
    let (acknowledged, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let uploaders: Vec<_> = spools
            .iter()
            .map(|folder| {
                let (connection, acknowledged, failed) = (&connection, &acknowledged, &failed);
                scope.spawn(move || hand_in(folder, connection, acknowledged, failed))
            })
            .collect();
        let mut rng = SmallRng::seed_from_u64(size.seed);
        for stop in 1..=size.stops {
            // Spread over the whole, in the middle of what happens then.
            let due = size.uploads * stop / (size.stops + 1);
            // An uploader that has ended early says why below.
            until_true("uploads are acknowledged", LONGEST, || {
                let ended = uploaders.iter().any(thread::ScopedJoinHandle::is_finished);
                acknowledged.load(Ordering::SeqCst) >= due || ended
            })?;
            thread::sleep(Duration::from_millis(rng.random_range(0..40)));
            database.stop()?;
            thread::sleep(Duration::from_millis(rng.random_range(50..400)));
            database.begin()?;
        }
        uploaders.into_iter().try_for_each(|it| it.join().map_err(|_| anyhow!("an uploader broke off"))?)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let http = Http::new(registry.url());
    let told: BTreeSet<String> =
        spools.iter().map(|folder| told(folder)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    ensure!(
        told.len() as u64 == size.uploads,
        "{} of {} uploads were acknowledged",
        told.len(),
        size.uploads
    );
    let lost =
        made.iter().filter(|artifact| told.contains(&artifact.id.to_string()) && !is_there(&http, artifact));
    Ok(json!({
        "uploads": told.len(),
        "uploads_lost": lost.count(),
        "database_stops": size.stops,
        "uploads_tried_again": failed.load(Ordering::SeqCst),
        "uploads_s": seconds,
    }))
}

/// Puts an artifact into a spool, as the cell's programs do it.
fn mark(spool: &Path, artifact: &Made) -> Result<()> {
    fs::create_dir_all(spool)?;
    let name = artifact.archive.file_name().context("an archive has a name")?;
    let archive = spool.join(name);
    fs::copy(&artifact.archive, &archive)?;
    fs::copy(signature_path(&artifact.archive), signature_path(&archive))?;
    fs::write(with(&archive, ".upload"), "")?;
    Ok(())
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn hand_in(
    folder: &Path,
    connection: &Connection,
    acknowledged: &AtomicU64,
    failed: &AtomicU64,
) -> Result<()> {
    let spool = Spool::open(folder, "uploader")?;
    let begun = Instant::now();
    loop {
        match spool.upload_next(connection, &|| true) {
            Ok(None) => return Ok(()),
            Ok(Some(said)) => {
                ensure!(spool.state()?.refused == 0, "an upload was refused: {said}");
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => {
                failed.fetch_add(1, Ordering::SeqCst);
                ensure!(begun.elapsed() < LONGEST, "an upload does not succeed: {error}");
                thread::sleep(TRY_AGAIN_AFTER);
            }
        }
    }
}

/// Digests of what the registry said that it has.
fn told(folder: &Path) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "uploaded") {
            told.push(serde_json::from_slice::<Artifact>(&fs::read(path)?)?.digest);
        }
    }
    Ok(told)
}

/// Listed, and all of it handed out.
fn is_there(http: &Http, artifact: &Made) -> bool {
    let listed = http.get::<Artifact>(&format!("/api/v1/csa/{}", artifact.id));
    let bytes = http.bytes(&format!("/api/v1/csa/{}/download", artifact.id));
    listed.is_ok() && bytes.is_ok_and(|bytes| ArchiveDigest::of(&bytes).id == artifact.id)
}
