//! Steps that are done once and again when their inputs change.
//!
//! A *step* has a name, a digest of all it depends on, and a deed. A *stamp* is a file that holds the digest with which the
//! step last finished. The stamp is taken away before a step begins and written after it ended, so a step that was
//! interrupted at any moment is done again, whole. A step's digest includes that of the step before: when one is redone,
//! all after it are.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{IoContext, Result};
use crate::ui::Task;

/// SHA-256 of a step's inputs, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of the digest to name a folder.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Collects inputs. Each is framed by its length, so that `ab`,`c` and `a`,`bc` differ.
#[derive(Debug, Default)]
pub struct Inputs(Sha256);

impl Inputs {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn text(mut self, text: impl AsRef<[u8]>) -> Self {
        self.add(text.as_ref());
        self
    }

    #[must_use]
    pub fn path(self, path: &Path) -> Self {
        self.text(path.as_os_str().as_encoded_bytes())
    }

    pub fn file(self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).doing("read", path)?;
        Ok(self.text(bytes))
    }

    /// Every file under `folder`, by relative name and content.
    pub fn tree(mut self, folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        for file in files {
            self.add(file.strip_prefix(folder).unwrap_or(&file).as_os_str().as_encoded_bytes());
            self = self.file(&file)?;
        }
        Ok(self)
    }

    pub fn digest(self) -> Digest {
        let mut text = String::with_capacity(64);
        for byte in self.0.finalize() {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        }
        Digest(text)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).doing("list", folder)? {
        let entry = entry.doing("list", folder)?;
        let kind = entry.file_type().doing("look at", entry.path())?;
        if kind.is_dir() {
            if entry.file_name() != "__pycache__" {
                collect(&entry.path(), files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// One step. `deed` may find traces of an earlier, interrupted try.
pub struct Step<'a> {
    pub name: &'static str,
    /// Shown to the person who waits.
    pub title: String,
    pub inputs: Inputs,
    #[allow(clippy::type_complexity)] // a closure's type is what it is
    pub deed: Box<dyn FnOnce(&Task) -> Result<()> + 'a>,
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The folder of stamps.
#[derive(Debug)]
pub struct Stamps {
    folder: PathBuf,
}

impl Stamps {
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Does those steps of the chain that are not done; gives the digest of the whole chain.
    pub fn carry_out(&self, chain: Vec<Step<'_>>) -> Result<Digest> {
        let mut before = Inputs::new().digest();
        for step in chain {
            let digest = step.inputs.text(before.as_str()).digest();
            if !self.is_current(step.name, &digest) {
                self.forget(step.name)?;
                let task = Task::start(step.title);
                (step.deed)(&task)?;
                task.done();
                self.remember(step.name, &digest)?;
            }
            before = digest;
        }
        Ok(before)
    }

    /// Whether every step is done; nothing is done to find out.
    pub fn all_current(&self, chain: Vec<Step<'_>>) -> bool {
        digests(chain).iter().all(|(name, digest)| self.is_current(name, digest))
    }

    /// What [`Stamps::carry_out`] would give.
    pub fn digest_of(chain: Vec<Step<'_>>) -> Digest {
        digests(chain).pop().map_or_else(|| Inputs::new().digest(), |(_, digest)| digest)
    }

    pub fn is_current(&self, name: &str, digest: &Digest) -> bool {
        fs::read_to_string(self.folder.join(name)).is_ok_and(|text| text.trim() == digest.0)
    }

    pub fn forget(&self, name: &str) -> Result<()> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).doing("remove", path),
            _ => Ok(()),
        }
    }

    pub fn remember(&self, name: &str, digest: &Digest) -> Result<()> {
        fs::create_dir_all(&self.folder).doing("create", &self.folder)?;
        let path = self.folder.join(name);
        fs::write(&path, format!("{}\n", digest.0)).doing("write", path)
    }
}

/// The digest of each step, that of the step before included.
fn digests(chain: Vec<Step<'_>>) -> Vec<(&'static str, Digest)> {
    let mut before = Inputs::new().digest();
    let mut all = Vec::new();
    for step in chain {
        before = step.inputs.text(before.as_str()).digest();
        all.push((step.name, before.clone()));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::error::Error;

    fn chain<'a>(did: &'a RefCell<Vec<&'static str>>, middle: &str, fail_last: bool) -> Vec<Step<'a>> {
        let step = |name, input: &str, fail: bool| Step {
            name,
            title: name.to_owned(),
            inputs: Inputs::new().text(input),
            deed: Box::new(move |_| {
                did.borrow_mut().push(name);
                if fail { Err(Error::Failed("interrupted".into())) } else { Ok(()) }
            }),
        };
        vec![step("first", "a", false), step("second", middle, false), step("third", "c", fail_last)]
    }

    #[test]
    fn a_second_pass_does_nothing_and_a_changed_input_redoes_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::in_folder(folder.path());
        let did = RefCell::new(Vec::new());
        let first = stamps.carry_out(chain(&did, "b", false)).unwrap();
        let second = stamps.carry_out(chain(&did, "b", false)).unwrap();
        assert_eq!(*did.borrow(), ["first", "second", "third"]);
        assert_eq!(first, second);
        assert!(stamps.all_current(chain(&did, "b", false)));

        did.borrow_mut().clear();
        let third = stamps.carry_out(chain(&did, "B", false)).unwrap();
        assert_eq!(*did.borrow(), ["second", "third"]);
        assert_ne!(first, third);
    }

    #[test]
    fn an_interrupted_step_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let stamps = Stamps::in_folder(folder.path());
        let did = RefCell::new(Vec::new());
        stamps.carry_out(chain(&did, "b", true)).unwrap_err();
        assert!(!stamps.all_current(chain(&did, "b", false)));
        did.borrow_mut().clear();
        stamps.carry_out(chain(&did, "b", false)).unwrap();
        assert_eq!(*did.borrow(), ["third"]);
    }

    #[test]
    fn neighbouring_inputs_do_not_run_together() {
        let one = Inputs::new().text("ab").text("c").digest();
        let two = Inputs::new().text("a").text("bc").digest();
        assert_ne!(one, two);
    }

    #[test]
    fn a_tree_changes_with_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let digest = || Inputs::new().tree(folder.path()).unwrap().digest();
        fs::write(folder.path().join("a"), "1").unwrap();
        let first = digest();
        fs::write(folder.path().join("a"), "2").unwrap();
        let second = digest();
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        let third = digest();
        assert!(first != second && second != third);
    }
}
