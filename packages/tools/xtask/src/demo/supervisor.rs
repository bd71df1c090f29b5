//! The processes of a run: started, watched, killed, restarted, and stopped whatever happens.
//!
//! Each runs in a process group of its own, so that Ctrl-C at the terminal reaches this program alone, which then ends them
//! in order: SIGINT, some time to finish, SIGKILL. Should this program itself be killed, the kernel tells them (`setpriv
//! --pdeathsig`, where it is installed), so that no simulated arm is left behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::interrupt::Interrupt;
use super::programs::Program;
use super::run_folder::RunFolder;
use crate::error::{Error, IoContext, Result, Tail};
use crate::process::{find_program, shown};

/// Between two looks at a condition.
const TURN: Duration = Duration::from_millis(20);
/// A node ends within 2 s of Ctrl-C; a loaded machine gets some more before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// Lines of a log that an error repeats.
const TAIL_LINES: usize = 20;

/// Why waiting ended without the condition.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    #[error("interrupted while waiting for {0}")]
    Interrupted(String),
    #[error("{what} did not happen within {} s", limit.as_secs_f64())]
    TimedOut { what: String, limit: Duration },
    #[error("{name} ended ({status}) while {what} was waited for{tail}")]
    Ended { name: String, what: String, status: ExitStatus, tail: Tail },
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<WaitError> for Error {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Other(error) => error,
            other => Self::Failed(other.to_string()),
        }
    }
}

#[derive(Debug)]
pub struct Supervisor {
    run: RunFolder,
    variables: Vec<(String, String)>,
    interrupt: Interrupt,
    running: Vec<Running>,
    /// Wraps each program so that it dies with us; empty where the tool is missing.
    wrapper: Option<PathBuf>,
}

#[derive(Debug)]
struct Running {
    program: Program,
    expected: Expected,
    child: Child,
    log: PathBuf,
}

/// What a program is expected to do while others are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A node: its end is an error.
    ToStay,
    /// A command: it ends by itself.
    ToEnd,
}

impl Supervisor {
    /// `variables` are set for every program, over this process's own.
    pub fn new(
        run: RunFolder,
        variables: impl IntoIterator<Item = (String, String)>,
        interrupt: Interrupt,
    ) -> Self {
        let search_path = std::env::var_os("PATH").unwrap_or_default();
        let wrapper = find_program("setpriv", &search_path);
        Self { run, variables: variables.into_iter().collect(), interrupt, running: Vec::new(), wrapper }
    }

    /// Starts a node; its output goes to its log. Names are unique among what runs.
    pub fn start(&mut self, program: Program) -> Result<()> {
        self.start_expecting(program, Expected::ToStay)
    }

    /// Starts a command, which may end while something else is waited for.
    pub fn start_command(&mut self, program: Program) -> Result<()> {
        self.start_expecting(program, Expected::ToEnd)
    }

    fn start_expecting(&mut self, program: Program, expected: Expected) -> Result<()> {
        if self.find(&program.name).is_some() {
            return Err(Error::Failed(format!("{} runs already", program.name)));
        }
        let log = self.run.log(&program.name);
        let file = File::options().create(true).append(true).open(&log).doing("open", &log)?;
        let mut command = self.command(&program);
        writeln!(&file, "$ {}", shown(&command)).doing("write", &log)?;
        let second = file.try_clone().doing("open", &log)?;
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        let child = command.spawn().map_err(|source| Error::Spawn { command: shown(&command), source })?;
        self.running.push(Running { program, expected, child, log });
        Ok(())
    }

    /// Runs a program to its end, while watching the others; gives its status and the path of its log.
    pub fn run_to_end(
        &mut self,
        program: Program,
        limit: Duration,
    ) -> std::result::Result<ExitStatus, WaitError> {
        let name = program.name.clone();
        self.start_command(program)?;
        self.wait_for_end(&name, limit)
    }

    /// Waits for a running program to end by itself; after `limit` it is stopped.
    pub fn wait_for_end(
        &mut self,
        name: &str,
        limit: Duration,
    ) -> std::result::Result<ExitStatus, WaitError> {
        let what = format!("the end of {name}");
        let status = self.wait_for(&what, limit, |supervisor| supervisor.ended(name));
        match status {
            Ok(status) => {
                self.running.retain(|running| running.program.name != name);
                Ok(status)
            }
            Err(error) => {
                self.stop(name)?;
                Err(error)
            }
        }
    }

    /// Whether a line of the program's output contains `text`. The log's lines that show its command line do not count.
    pub fn has_logged(&self, name: &str, text: &str) -> Result<bool> {
        let log = self.run.log(name);
        Ok(fs::read_to_string(&log)
            .doing("read", &log)?
            .lines()
            .any(|line| !line.starts_with("$ ") && line.contains(text)))
    }

    pub fn pid(&self, name: &str) -> Option<u32> {
        self.find(name).map(|running| running.child.id())
    }

    /// SIGKILL, as a crash or a power cut of that process would be; the program no longer counts as running.
    pub fn kill(&mut self, name: &str) -> Result<Program> {
        let Some(at) = self.running.iter().position(|running| running.program.name == name) else {
            return Err(Error::Failed(format!("{name} does not run")));
        };
        let mut running = self.running.remove(at);
        running.child.kill().doing("kill", &running.program.executable)?;
        running.child.wait().doing("wait for", &running.program.executable)?;
        Ok(running.program)
    }

    /// Ends one program in order.
    pub fn stop(&mut self, name: &str) -> Result<()> {
        let (mut chosen, others) =
            std::mem::take(&mut self.running).into_iter().partition(|running| running.program.name == name);
        self.running = others;
        end(&mut chosen)
    }

    /// Ends all programs in order, the last started first told.
    pub fn stop_all(&mut self) -> Result<()> {
        let mut all = std::mem::take(&mut self.running);
        all.reverse();
        end(&mut all)
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Looks at `condition` until it gives something. Ends early when the user interrupts or a node dies.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> std::result::Result<T, WaitError> {
        let started = Instant::now();
        loop {
            if let Some(value) = condition(self)? {
                return Ok(value);
            }
            self.look_after(what)?;
            if started.elapsed() > limit {
                return Err(WaitError::TimedOut { what: what.to_owned(), limit });
            }
            sleep(TURN);
        }
    }

    /// Fails when the user has interrupted, or a node has died, while `what` is waited for.
    pub fn look_after(&mut self, what: &str) -> std::result::Result<(), WaitError> {
        if self.interrupt.is_asked() {
            return Err(WaitError::Interrupted(what.to_owned()));
        }
        for running in &mut self.running {
            if running.expected == Expected::ToStay
                && let Some(status) = running.child.try_wait().doing("look after", &running.log)?
            {
                let (name, tail) = (running.program.name.clone(), tail_of(&running.log)?);
                self.running.retain(|running| running.program.name != name);
                return Err(WaitError::Ended { name, what: what.to_owned(), status, tail });
            }
        }
        Ok(())
    }

    /// The status of a command that has ended.
    pub fn ended(&mut self, name: &str) -> Result<Option<ExitStatus>> {
        let Some(running) = self.running.iter_mut().find(|running| running.program.name == name) else {
            return Err(Error::Failed(format!("{name} does not run")));
        };
        running.child.try_wait().doing("look after", &running.log)
    }

    fn find(&self, name: &str) -> Option<&Running> {
        self.running.iter().find(|running| running.program.name == name)
    }

    fn command(&self, program: &Program) -> Command {
        let mut command = match &self.wrapper {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(&program.executable);
                command
            }
            None => Command::new(&program.executable),
        };
        command.args(&program.arguments).envs(self.variables.iter().cloned()).envs(&program.variables);
        command.current_dir(self.run.path()).process_group(0);
        command
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Err(error) = self.stop_all() {
            eprintln!("while stopping: {error}");
        }
    }
}

/// SIGINT to all, then the time they need, then SIGKILL to those that did not end.
fn end(running: &mut [Running]) -> Result<()> {
    for each in running.iter_mut() {
        if each.child.try_wait().doing("look after", &each.log)?.is_none() {
            interrupt_process(each.child.id()).doing("interrupt", &each.program.executable)?;
        }
    }
    let deadline = Instant::now() + GRACE;
    for each in running.iter_mut() {
        while each.child.try_wait().doing("look after", &each.log)?.is_none() {
            if Instant::now() > deadline {
                each.child.kill().doing("kill", &each.program.executable)?;
            }
            sleep(TURN);
        }
    }
    Ok(())
}

fn interrupt_process(id: u32) -> io::Result<()> {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    match kill_process(id, Signal::INT) {
        // It ended between the look and the signal.
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other.map_err(io::Error::from),
    }
}

fn tail_of(log: &Path) -> Result<Tail> {
    let text = fs::read_to_string(log).doing("read", log)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    Ok(Tail { lines: lines[lines.len().saturating_sub(TAIL_LINES)..].to_vec(), log: Some(log.to_path_buf()) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::layout::Layout;

    const LIMIT: Duration = Duration::from_secs(30);

    fn supervisor(folder: &Path) -> Supervisor {
        let run = RunFolder::create(&Layout::at(folder)).unwrap();
        Supervisor::new(run, [("GREETING".to_owned(), "hello".to_owned())], Interrupt::never())
    }

    fn shell(name: &str, script: &str) -> Program {
        Program {
            name: name.to_owned(),
            executable: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            variables: BTreeMap::new(),
        }
    }

    /// Says that it is there, and then stays.
    fn stays(name: &str) -> Program {
        shell(name, "trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.05; done")
    }

    fn wait_ready(supervisor: &mut Supervisor, name: &str) {
        supervisor
            .wait_for("readiness", LIMIT, |supervisor| {
                Ok(supervisor.has_logged(name, "ready")?.then_some(()))
            })
            .unwrap();
    }

    fn is_alive(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn a_program_runs_with_the_environment_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(folder.path());
        let status = supervisor.run_to_end(shell("greet", "echo \"$GREETING\"; exit 3"), LIMIT).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(supervisor.has_logged("greet", "hello").unwrap());
        assert_eq!(supervisor.pid("greet"), None);
    }

    #[test]
    fn a_program_that_dies_ends_the_waiting_with_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(folder.path());
        supervisor.start(shell("brittle", "echo about to break; exit 7")).unwrap();
        let error = supervisor.wait_for::<()>("the moon", LIMIT, |_| Ok(None)).unwrap_err().to_string();
        assert!(error.starts_with("brittle ended (exit status: 7) while the moon was waited for"), "{error}");
        assert!(error.contains("about to break"), "{error}");
    }

    #[test]
    fn stopping_tells_first_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(folder.path());
        supervisor.start(stays("node")).unwrap();
        wait_ready(&mut supervisor, "node");
        let pid = supervisor.pid("node").unwrap();
        supervisor.stop_all().unwrap();
        assert!(supervisor.has_logged("node", "interrupted").unwrap());
        assert!(!is_alive(pid));
    }

    #[test]
    fn a_killed_program_can_be_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(folder.path());
        supervisor.start(stays("node")).unwrap();
        wait_ready(&mut supervisor, "node");
        let first = supervisor.pid("node").unwrap();
        let program = supervisor.kill("node").unwrap();
        assert!(!is_alive(first));
        assert!(!supervisor.has_logged("node", "interrupted").unwrap());
        supervisor.start(program).unwrap();
        assert_ne!(supervisor.pid("node").unwrap(), first);
    }

    #[test]
    fn an_interrupt_ends_the_waiting_and_dropping_ends_the_programs() {
        let folder = tempfile::tempdir().unwrap();
        let mut supervisor = supervisor(folder.path());
        supervisor.start(stays("node")).unwrap();
        wait_ready(&mut supervisor, "node");
        let pid = supervisor.pid("node").unwrap();
        supervisor.interrupt().ask();
        let error = supervisor.wait_for::<()>("the moon", LIMIT, |_| Ok(None)).unwrap_err();
        assert!(matches!(error, WaitError::Interrupted(_)), "{error}");
        drop(supervisor);
        assert!(!is_alive(pid));
    }

    #[test]
    fn a_condition_that_never_holds_names_itself() {
        let folder = tempfile::tempdir().unwrap();
        let error = supervisor(folder.path())
            .wait_for::<()>("the moon", Duration::from_millis(30), |_| Ok(None))
            .unwrap_err();
        assert_eq!(error.to_string(), "the moon did not happen within 0.03 s");
    }
}
