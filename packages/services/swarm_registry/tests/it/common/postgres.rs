//! A PostgreSQL server of the tests' own: Debian's programs, a temporary folder, a free port, an unprivileged user, and a password
//! with a blank, as the address has to write it. The command line's tests use it, too.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Debian's user without rights: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "correct horse";
const PASSWORD_IN_ADDRESS: &str = "correct%20horse";

#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

/// The server of this process; it ends with its last user.
static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    pub(crate) fn shared() -> Arc<Self> {
        let mut server = SERVER.lock().unwrap();
        server.upgrade().unwrap_or_else(|| {
            let new = Arc::new(Self::start());
            *server = Arc::downgrade(&new);
            new
        })
    }

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
            .args([
                "-p",
                &port.to_string(),
                "-h",
                "127.0.0.1",
                "-c",
                "fsync=off",
                "-c",
                "max_connections=200",
                "-k",
            ])
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
        loop {
            let ready = Command::new(programs().join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-U", "swarm", "-p", &self.port.to_string()])
                .status()
                .unwrap();
            if ready.success() {
                return;
            }
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(self.child.try_wait().unwrap().is_none(), "PostgreSQL ended: {}", log());
            assert!(begun.elapsed() < Duration::from_mins(1), "PostgreSQL does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The address of a new, empty database.
    pub(crate) fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("registry_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(programs().join("createdb"))
            .env("PGPASSWORD", PASSWORD)
            .args(["-h", "127.0.0.1", "-U", "swarm", "-p", &self.port.to_string(), &name])
            .output()
            .unwrap();
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        format!("postgresql://swarm:{PASSWORD_IN_ADDRESS}@127.0.0.1:{}/{name}", self.port)
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
    let newest = versions.map(|version| version.path().join("bin")).filter(|bin| has_server(bin)).max();
    newest.expect(
        "no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql, or set SWARM_POSTGRES_BIN",
    )
}

fn has_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}
