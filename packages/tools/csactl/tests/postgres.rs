//! Backup and restore of a registry on PostgreSQL, with PostgreSQL's own programs.

mod common;

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Csactl, Setup, artifact, text, trust_file};
use serde_json::json;

/// Debian's user without rights: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "correct horse";

/// A server of the test's own.
struct Server {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        if root {
            for path in [folder.path(), &password] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let data = folder.path().join("data");
        let program = |name: &str| {
            let mut command = Command::new(programs().join(name));
            if root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.current_dir(folder.path()).env("LC_ALL", "C").arg("-D").arg(&data);
            command
        };
        let made = program("initdb")
            .args(["-U", "swarm", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--pwfile"])
            .arg(&password)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // Free now; nobody else on this machine is given it before the server takes it, mostly.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = program("postgres")
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-c", "fsync=off", "-k"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, port, folder };
        server.wait_until_it_answers();
        server
    }

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        let ready = |port: u16| {
            let mut command = Command::new(programs().join("pg_isready"));
            command
                .args(["-q", "-h", "127.0.0.1", "-U", "swarm", "-p", &port.to_string()])
                .status()
                .unwrap()
                .success()
        };
        while !ready(self.port) {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(self.child.try_wait().unwrap().is_none(), "PostgreSQL ended: {}", log());
            assert!(begun.elapsed() < Duration::from_mins(1), "PostgreSQL does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn address(&self, name: &str) -> String {
        format!("postgresql://swarm:correct%20horse@127.0.0.1:{}/{name}", self.port)
    }

    fn database(&self, name: &str) -> String {
        let made = Command::new(programs().join("createdb"))
            .env("PGPASSWORD", PASSWORD)
            .args(["-h", "127.0.0.1", "-U", "swarm", "-p", &self.port.to_string(), name])
            .output()
            .unwrap();
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        self.address(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// The newest of Debian's PostgreSQL versions, or the folder that `SWARM_POSTGRES_BIN` names.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("SWARM_POSTGRES_BIN") {
        return folder.into();
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").is_file()).max();
    newest.expect(
        "no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql, or set SWARM_POSTGRES_BIN",
    )
}

#[test]
fn a_backup_of_a_running_registry_on_postgresql_comes_back_whole() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let (data, new, place) =
        (folder.path().join("data"), folder.path().join("new"), folder.path().join("backups"));
    let trust = trust_file(folder.path());
    let on =
        |address: &str, data: &Path| Setup { database_url: address.to_owned(), ..Setup::local(data) }.start();
    let csactl_on = |address: &str, data: &Path, registry: &str| {
        Csactl::at(registry)
            .with("DATABASE_URL", address)
            .with("REGISTRY_DATA_PATH", text(data))
            .with("BACKUP_PLACE", text(&place))
    };
    let old = server.database("registry");
    let registry = on(&old, &data);
    let csactl = csactl_on(&old, &data, &registry.address);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.0.0"))]);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.1.0"))]);
    csactl.json(&["quarantine", "2", "--reason", "drops the peg"]);
    let (list, audit) = (csactl.json(&["list"]), csactl.json(&["audit", "verify"]));
    let taken = csactl.json(&["backup"]);
    assert_eq!(taken["artifacts"], 2);
    csactl.json(&["upload", text(&artifact(folder.path(), "1.2.0"))]);
    csactl.run(&["restore"]).says(2, &["has tables already", "not overwritten"]);
    drop(registry);

    let address = server.database("restored");
    let csactl = csactl_on(&address, &new, "http://127.0.0.1:1");
    let restored = csactl.json(&["restore", "--trust", text(&trust)]);
    assert_eq!((&restored["rows_lost"], &restored["artifacts_lost"]), (&json!(0), &json!(0)));
    let registry = on(&address, &new);
    let csactl = csactl_on(&address, &new, &registry.address);
    assert_eq!(csactl.json(&["list"]), list);
    assert_eq!(csactl.json(&["audit", "verify"])["head"], audit["head"]);
    // It goes on: numbers are not used again.
    assert_eq!(csactl.json(&["upload", text(&artifact(folder.path(), "1.3.0"))])["id"], 3);
    // A backup of PostgreSQL is none of SQLite.
    let sqlite = format!("sqlite:{}", folder.path().join("x.db").display());
    csactl_on(&sqlite, &folder.path().join("x"), "http://127.0.0.1:1")
        .run(&["restore"])
        .says(2, &["is of a postgresql database"]);
    // The password was on no command line, and is in nothing that was printed.
    let wrong = address.replace("correct%20horse", "hunter2");
    let ended = csactl_on(&wrong, &new, "http://127.0.0.1:1").run(&["backup"]).expect(2);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hunter2"), "{ended:?}");
}
