//! A PostgreSQL server for tests and drills: Debian's programs, a temporary folder, a free port of loopback, an unprivileged user,
//! and a password with a blank, as an address has to write it. It ends, with its folder, when it is dropped.
//!
//! It keeps what it acknowledged when it is [stopped](Server::stop) in the middle of anything: `fsync` is off, which only matters
//! when the machine itself loses power, and the write-ahead log is on.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// Debian's user without rights: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;
const USER: &str = "swarm";
const PASSWORD: &str = "correct horse";
const PASSWORD_IN_ADDRESS: &str = "correct%20horse";
const READY_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running server, or one that was stopped to be started again.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    root: bool,
    child: Option<Child>,
}

/// The server of this process; it ends with its last user.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The server that the tests of this process share.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn shared() -> Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }

    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    ///
    /// Where there is no PostgreSQL (with the package that has it), or where it does not start (with its own words).
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().context("cannot make a folder for PostgreSQL")?;
        let root = fs::metadata("/proc/self").context("cannot tell who this is")?.uid() == 0;
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).with_context(|| format!("cannot write {}", password.display()))?;
        if root {
            for path in [folder.path(), &password] {
                chown(path, Some(NOBODY), Some(NOBODY)).context("cannot give PostgreSQL its folder")?;
            }
        }
        // Free now; nobody else on this machine is given it before the server takes it, mostly.
        let port = TcpListener::bind("127.0.0.1:0").context("no free port")?.local_addr()?.port();
        let mut server = Self { programs, folder, port, root, child: None };
        let made = server
            .program("initdb")
            .args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--pwfile"])
            .arg(&password)
            .output()
            .context("cannot start initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.begin()?;
        Ok(server)
    }

    /// Starts the server again after [`Self::stop`], and waits until it answers.
    ///
    /// # Errors
    ///
    /// Where it does not start, with its own words.
    pub fn begin(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "PostgreSQL runs already");
        let log =
            File::options().create(true).append(true).open(self.log()).context("cannot write its log")?;
        let port = self.port.to_string();
        let mut command = self.program("postgres");
        command.args(["-p", &port, "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200", "-k"]);
        command.arg(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().context("cannot start PostgreSQL")?);
        let begun = Instant::now();
        let words = |log: &Path| fs::read_to_string(log).unwrap_or_default();
        loop {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-U", USER, "-p", &port]);
            if ready.status().context("cannot start pg_isready")?.success() {
                return Ok(());
            }
            if let Some(ended) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("PostgreSQL ended with {ended}: {}", words(&self.log()));
            }
            if begun.elapsed() > READY_WITHIN {
                bail!("PostgreSQL does not answer: {}", words(&self.log()));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Stops the server at once: connections are cut, and the next start recovers as after a crash.
    ///
    /// # Errors
    ///
    /// Where the server cannot be told.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // SIGQUIT is PostgreSQL's immediate shutdown.
        Command::new("kill")
            .args(["-QUIT", &child.id().to_string()])
            .status()
            .context("cannot start kill")?;
        child.wait().context("cannot wait for PostgreSQL")?;
        Ok(())
    }

    /// The address of a new, empty database.
    ///
    /// # Errors
    ///
    /// Where the server does not make one, with its words.
    pub fn database(&self) -> Result<String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("registry_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(self.programs.join("createdb"))
            .env("PGPASSWORD", PASSWORD)
            .args(["-h", "127.0.0.1", "-U", USER, "-p", &self.port.to_string(), &name])
            .output()
            .context("cannot start createdb")?;
        ensure!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        Ok(format!("postgresql://{USER}:{PASSWORD_IN_ADDRESS}@127.0.0.1:{}/{name}", self.port))
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A program that works on the cluster's folder.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        command.arg("-D").arg(self.folder.path().join("data"));
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The newest of Debian's PostgreSQL versions, or the folder that `SWARM_POSTGRES_BIN` names.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SWARM_POSTGRES_BIN") {
        return Ok(folder.into());
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    folders.filter(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file()).max().context(
        "no PostgreSQL server in /usr/lib/postgresql: apt-get install postgresql, or set SWARM_POSTGRES_BIN",
    )
}
