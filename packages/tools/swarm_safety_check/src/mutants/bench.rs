//! A workspace in which mutants are built and tried.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Fate, Mutant, mutated, source};

/// What the core, its tests and the exploration are built of.
const COPIED: [&str; 5] =
    ["packages/core", "packages/tools/swarm_safety_check", "urdf", "config", "Cargo.lock"];

/// Longer than any program here takes on a loaded machine. A mutant that hangs is ended by it.
const LIMIT: Duration = Duration::from_secs(400);

pub type Result<T> = std::result::Result<T, MutantError>;

/// Why mutants could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum MutantError {
    #[error(
        "mutant '{id}': its text stands {found} times in {file}, expected once; bring the table up to date"
    )]
    DoesNotApply { id: &'static str, file: &'static str, found: usize },
    #[error("mutant '{id}' does not build; bring the table up to date:\n{output}")]
    DoesNotBuild { id: &'static str, output: String },
    #[error("the unchanged core {what}, so that no mutant can be judged")]
    Unsound { what: String },
    #[error("could not {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the workspace's Cargo.toml has no line '{0}'")]
    Manifest(&'static str),
}

/// The workspace of copies.
#[derive(Debug)]
pub struct Bench {
    scratch: PathBuf,
}

/// What cargo built.
struct Built {
    explorer: PathBuf,
    tests: Vec<PathBuf>,
}

impl Bench {
    /// Copies what is needed from the workspace at `root` to `scratch`.
    pub fn set_up(root: &Path, scratch: &Path) -> Result<Self> {
        for part in COPIED {
            copy(&root.join(part), &scratch.join(part))?;
        }
        let manifest = read(&root.join("Cargo.toml"))?;
        write(&scratch.join("Cargo.toml"), &own_manifest(&manifest)?)?;
        Ok(Self { scratch: scratch.to_path_buf() })
    }

    /// Exploration and tests pass on the core as it is.
    pub fn unchanged(&self) -> Result<()> {
        let unsound = |what: String| MutantError::Unsound { what };
        let built = self.build()?.map_err(|output| unsound(format!("does not build:\n{output}")))?;
        let (invariants, tests) = self.judge(&built)?;
        match (invariants.as_slice(), tests.as_slice()) {
            ([], []) => Ok(()),
            _ => Err(unsound(format!("fails: {}", [invariants, tests].concat().join(", ")))),
        }
    }

    /// Builds the mutant, lets exploration and tests judge it, and undoes it.
    pub fn fate(&self, mutant: &'static Mutant) -> Result<Fate> {
        let path = self.scratch.join(source(mutant));
        let text = read(&path)?;
        write(&path, &mutated(mutant, &text)?)?;
        let judged = self.build().and_then(|built| match built {
            Ok(built) => self.judge(&built),
            Err(output) => Err(MutantError::DoesNotBuild { id: mutant.id, output }),
        });
        write(&path, &text)?;
        let (invariants, tests) = judged?;
        Ok(Fate { mutant, invariants, tests })
    }

    /// The programs, or what the compiler said.
    fn build(&self) -> Result<std::result::Result<Built, String>> {
        let explorer = ["build", "-p", "swarm_safety_check", "--bin", "safety_check"];
        let tests = ["test", "--no-run", "-p", "swarm_safety_core", "--lib", "--test", "it"];
        let mut executables = Vec::new();
        for what in [&explorer[..], &tests] {
            let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            command.args(what).args(["--offline", "--message-format=json"]).current_dir(&self.scratch);
            command.env("CARGO_TARGET_DIR", self.scratch.join("target"));
            let done = command.output().map_err(|source| io("run cargo in", &self.scratch, source))?;
            if !done.status.success() {
                return Ok(Err(compiler_said(&done.stdout, &done.stderr)));
            }
            executables.extend(executables_of(&done.stdout));
        }
        let (explorers, tests) = executables
            .into_iter()
            .partition(|path: &PathBuf| path.file_name() == Some("safety_check".as_ref()));
        let explorers: Vec<PathBuf> = explorers;
        let explorer = explorers.into_iter().next();
        Ok(explorer.map(|explorer| Built { explorer, tests }).ok_or("cargo named no executable".to_owned()))
    }

    /// Invariants broken and tests failed; both are looked for at the same time.
    fn judge(&self, built: &Built) -> Result<(Vec<String>, Vec<String>)> {
        thread::scope(|scope| {
            let invariants = scope.spawn(|| self.invariants_broken(&built.explorer));
            let tests = self.tests_failed(&built.tests)?;
            let invariants = invariants.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((invariants, tests))
        })
    }

    fn invariants_broken(&self, explorer: &Path) -> Result<Vec<String>> {
        let (passed, said) = self.run(Command::new(explorer).args(["explore", "--length", "short"]))?;
        let mut invariants: Vec<String> = Vec::new();
        for line in said.lines() {
            let ids = line.strip_prefix("BROKEN ").and_then(|line| line.split_once(':'));
            invariants.extend(ids.iter().flat_map(|(ids, _)| ids.split(", ")).map(str::to_owned));
        }
        if !passed && invariants.is_empty() {
            invariants.push("exploration ended badly".to_owned());
        }
        invariants.sort();
        invariants.dedup();
        Ok(invariants)
    }

    fn tests_failed(&self, programs: &[PathBuf]) -> Result<Vec<String>> {
        let mut tests = Vec::new();
        for test in programs {
            // The manual, which is not copied, is no matter of what the core decides.
            let (passed, said) = self.run(Command::new(test).args(["--skip", "requirements::"]))?;
            let failed =
                said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
            let before = tests.len();
            tests.extend(failed.map(str::to_owned));
            if !passed && tests.len() == before {
                tests.push("the tests ended badly".to_owned());
            }
        }
        Ok(tests)
    }

    /// Whether the program succeeded in time, and what it said.
    fn run(&self, command: &mut Command) -> Result<(bool, String)> {
        let folder = self.scratch.join("packages/core/swarm_safety_core");
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Random tests shall judge each mutant alike, and write nothing down.
        command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_FAILURE_PERSISTENCE", "off");
        let mut child = command.spawn().map_err(|source| io("start a program in", &folder, source))?;
        let reader = child.stdout.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut said = Vec::new();
                // What was said until then is judged even if the pipe breaks.
                let _ = pipe.read_to_end(&mut said);
                String::from_utf8_lossy(&said).into_owned()
            })
        });
        let passed = wait(&mut child).map_err(|source| io("wait for a program in", &folder, source))?;
        let said = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
        Ok((passed, said))
    }
}

fn wait(child: &mut Child) -> std::io::Result<bool> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// The manifest with the copied members only.
fn own_manifest(manifest: &str) -> Result<String> {
    const DEFAULTS: (&str, &str) = ("default-members = [", "]\n");
    let mut text = String::new();
    let mut members = false;
    let (before, rest) = manifest.split_once(DEFAULTS.0).ok_or(MutantError::Manifest(DEFAULTS.0))?;
    let (_, after) = rest.split_once(DEFAULTS.1).ok_or(MutantError::Manifest(DEFAULTS.1))?;
    for line in before.lines().chain(after.lines()) {
        if line.starts_with("members = ") {
            members = true;
            text.push_str("members = [\"packages/core/*\", \"packages/tools/swarm_safety_check\"]\n");
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    if members { Ok(text) } else { Err(MutantError::Manifest("members = ")) }
}

fn executables_of(stdout: &[u8]) -> Vec<PathBuf> {
    let text = String::from_utf8_lossy(stdout);
    let values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    values.filter_map(|value| value["executable"].as_str().map(PathBuf::from)).collect()
}

fn compiler_said(stdout: &[u8], stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout);
    let values = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let said: String =
        values.filter_map(|value| value["message"]["rendered"].as_str().map(str::to_owned)).collect();
    said + &String::from_utf8_lossy(stderr)
}

/// Writes what differs.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        let bytes = fs::read(from).map_err(|source| io("read", from, source))?;
        if fs::read(to).is_ok_and(|present| present == bytes) {
            return Ok(());
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|source| io("create", folder, source))?;
        }
        return fs::write(to, bytes).map_err(|source| io("write", to, source));
    }
    for entry in fs::read_dir(from).map_err(|source| io("list", from, source))? {
        let entry = entry.map_err(|source| io("list", from, source))?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| io("read", path, source))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|source| io("write", path, source))
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> MutantError {
    MutantError::Io { doing, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copys_manifest_has_the_copied_members_only() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let manifest = own_manifest(&read(&root.join("Cargo.toml")).unwrap()).unwrap();
        assert!(
            manifest.contains("members = [\"packages/core/*\", \"packages/tools/swarm_safety_check\"]\n")
        );
        assert!(!manifest.contains("packages/nodes/*") && !manifest.contains("default-members"));
        assert!(manifest.contains("[profile.dev]"));
        assert!(own_manifest("[package]\n").is_err());
    }
}
