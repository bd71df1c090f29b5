//! A registry in this process, spoken to over loopback, and the program as people start it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde_json::Value;
use swarm_artifact::{KeyRole, Limits, SignatureFile, Trust, TrustedKey};
use swarm_registry::access::{Audience, TokenKeys};
use swarm_registry::approval::{Approvals, TwoPerson};
use swarm_registry::bags::{Bags, Keeping};
use swarm_registry::blobs::{Blobs, Location};
use swarm_registry::catalogue::Catalogue;
use swarm_registry::current::Current;
use swarm_registry::database::Database;
use swarm_registry::deltas::Deltas;
use swarm_registry::fleet::Fleet;
use swarm_registry::http::{Access, App, Lists, router};
use swarm_registry::intake::{Intake, Staging};
use swarm_registry::metrics::Metrics;
use swarm_registry::rollout::Rollouts;
use swarm_registry::serve::{Tls, serve};
use swarm_registry::update::{UpdateKeys, Updates};
use swarm_registry::uploads::Uploads;
use swarm_store::{PackageOptions, package, unix_now};
use tokio::sync::oneshot;

pub(crate) const BAGS: Keeping = Keeping { max_bytes: 4_000_000, quota_bytes: 6_000_000, days: 30 };
pub(crate) const MAX_BYTES: u64 = 64_000_000;

/// Runs until it is dropped; requests that are under way end first.
#[derive(Debug)]
pub(crate) struct Registry {
    pub(crate) address: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a registry is started with.
pub(crate) struct Setup {
    pub(crate) data: PathBuf,
    pub(crate) database_url: String,
    pub(crate) trust: Trust,
    pub(crate) token_keys: Option<PathBuf>,
    pub(crate) tls: Option<Tls>,
    /// The registry's online key, for the update repositories.
    pub(crate) update_keys: Option<PathBuf>,
    pub(crate) two_person: TwoPerson,
    pub(crate) now_unix: fn() -> i64,
}

impl Setup {
    /// SQLite and a folder; everybody may do everything.
    pub(crate) fn local(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            database_url: format!("sqlite:{}", data.join("registry.db").display()),
            trust: trust(),
            token_keys: None,
            tls: None,
            update_keys: None,
            two_person: TwoPerson::Off,
            now_unix: unix_now,
        }
    }

    pub(crate) fn start(self) -> Registry {
        let (told, address) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let tls = self.tls.clone();
                let scheme = if tls.is_some() { "https" } else { "http" };
                let app = self.app().await;
                let database = app.database.clone();
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(format!("{scheme}://{}", listener.local_addr().unwrap())).unwrap();
                let end = async {
                    let _ = ended.await;
                };
                serve(listener, tls, router(app).0, end).await;
                database.close().await;
            });
        });
        Registry { address: address.recv().unwrap(), end: Some(end), thread: Some(thread) }
    }

    async fn app(self) -> App {
        let staging = self.data.join("staging");
        std::fs::create_dir_all(&staging).unwrap();
        let blobs = Blobs::open(&Location::Folder(self.data.join("artifacts"))).unwrap();
        let database = Database::open(&self.database_url, 4).await.unwrap();
        let catalogue = Catalogue::new(database.clone());
        let access = match self.token_keys {
            None => Access::Development,
            Some(path) => {
                let keys = TokenKeys::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
                Access::Required {
                    keys: Current::new(Some(keys)),
                    audience: Audience("swarm_registry".to_owned()),
                }
            }
        };
        let update_keys = self.update_keys.map(|path| UpdateKeys::read(&path).unwrap());
        let staging = Staging { folder: staging, max_bytes: MAX_BYTES, max_silence: Duration::from_secs(20) };
        let updates = Updates::new(database.clone(), Current::new(update_keys));
        let metrics = Arc::new(Metrics::default());
        let fleet = Fleet::new(database.clone(), updates.clone(), Arc::clone(&metrics));
        App {
            intake: Intake {
                trust: Current::new(Some(self.trust)),
                limits: Limits::default(),
                catalogue: catalogue.clone(),
                blobs: blobs.clone(),
            },
            deltas: Deltas::new(blobs.clone(), staging.clone(), MAX_BYTES),
            staging,
            bags: Bags::new(database.clone(), blobs.clone(), BAGS),
            uploads: Uploads::new(database.clone(), blobs),
            catalogue,
            rollouts: Rollouts::new(database.clone(), fleet.clone()),
            fleet,
            updates,
            approvals: Approvals::new(database.clone(), self.two_person),
            database,
            lists: Lists::default(),
            metrics,
            access,
            limit: None,
            now_unix: self.now_unix,
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.end.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The key whose signatures the registry believes.
pub(crate) fn site_a() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn trust() -> Trust {
    let key = TrustedKey {
        key: site_a().verifying_key(),
        signer: "site_a".to_owned(),
        roles: BTreeSet::from([KeyRole::Artifact]),
        not_before_unix: None,
        not_after_unix: None,
        revoked: false,
    };
    Trust { threshold: 1, keys: vec![key] }
}

/// The example skill in this version, signed by site A: the archive, with its signature file beside it.
pub(crate) fn artifact(folder: &Path, version: &str) -> PathBuf {
    let archive = folder.join(format!("cooperative_assembly_v{version}.tar.gz"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/cooperative_assembly");
    let options = PackageOptions { version: Some(version.parse().unwrap()), ..PackageOptions::default() };
    let packaged = package(&source, &archive, &options).unwrap();
    let mut signature = SignatureFile::empty();
    signature.sign(&packaged.digest.signing_digest(), &site_a(), "site_a");
    std::fs::write(swarm_store::signature_path(&archive), signature.to_yaml()).unwrap();
    archive
}

/// A trust file on disk.
pub(crate) fn trust_file(folder: &Path) -> PathBuf {
    let path = folder.join("trust.yaml");
    std::fs::write(&path, trust().to_yaml()).unwrap();
    path
}

/// The program, with nothing of this process's environment but the path.
pub(crate) struct Csactl {
    registry: String,
    variables: Vec<(String, String)>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Csactl {
    pub(crate) fn at(registry: &str) -> Self {
        Self { registry: registry.to_owned(), variables: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_csactl"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("REGISTRY_URL", &self.registry).envs(self.variables.iter().cloned()).args(arguments);
        if let Some(folder) = std::env::var_os("SWARM_POSTGRES_BIN") {
            command.env("SWARM_POSTGRES_BIN", folder);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        Ended {
            code: status.code().unwrap(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// As a script calls it, where it is to go well.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[&["--json"], arguments].concat()).expect(0).json()
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    /// Ended with this code, and said all of these.
    #[track_caller]
    pub(crate) fn says(self, code: i32, parts: &[&str]) -> Self {
        let ended = self.expect(code);
        for part in parts {
            let said = format!("{}{}", ended.stdout, ended.stderr);
            assert!(said.contains(part), "no '{part}' in:\n{said}");
        }
        ended
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// One statement, on a database that nobody else uses.
pub(crate) fn sql(file: &Path, statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::Connection as _;
        sqlx::any::install_default_drivers();
        let address = format!("sqlite:{}", file.display());
        let mut connection = sqlx::AnyConnection::connect(&address).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// A request without the program: its status and body.
pub(crate) fn exchange(address: &str, head: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address.strip_prefix("http://").unwrap()).unwrap();
    let length = body.len();
    let kind = "Content-Type: application/json";
    write!(stream, "{head} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[..end]).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

pub(crate) fn get(address: &str, path: &str) -> (u16, Vec<u8>) {
    exchange(address, &format!("GET {path}"), "")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
