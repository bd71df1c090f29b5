//! The three versions of the demo's skill. The last one has a mistake that nothing finds before an arm tries it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};

/// A version, and in what it differs from the sources in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub number: &'static str,
    /// In a sentence, for whoever reads the demo's output.
    pub about: &'static str,
    change: Option<Change>,
}

/// One text in one file that is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const FOLLOWER: &str = "trees/follower.xml";

pub const FIRST: Version = Version { number: "1.0.0", about: "as it is in the repository", change: None };

pub const BETTER: Version = Version {
    number: "1.1.0",
    about: "looks longer at the pocket before it inserts the peg",
    change: Some(Change {
        file: FOLLOWER,
        from: r#"<Locate part="part_a" samples="20"/>"#,
        to: r#"<Locate part="part_a" samples="25"/>"#,
    }),
};

/// A slip of the keyboard: 15.5 cm instead of 5.5 cm above the part. The tree is well formed, the pose can be reached and is within every
/// limit, so that signature, static check and safety gate have nothing against it; but the fingers close on air.
pub const BAD: Version = Version {
    number: "1.2.0",
    about: "grips 10 cm above the peg: a slip of the keyboard",
    change: Some(Change {
        file: FOLLOWER,
        from: r#"<MoveToPart name="onto the peg" part="part_b" xyz="0;0;0.055""#,
        to: r#"<MoveToPart name="onto the peg" part="part_b" xyz="0;0;0.155""#,
    }),
};

impl Version {
    /// Lays the version's sources into `folder`, which is made; `sources` are those of the repository.
    pub fn lay(&self, sources: &Path, folder: &Path) -> Result<PathBuf> {
        copy_tree(sources, folder)?;
        if let Some(Change { file, from, to }) = self.change {
            let path = folder.join(file);
            let text = fs::read_to_string(&path).doing("read", &path)?;
            if text.matches(from).count() != 1 {
                let path = sources.join(file);
                let problem = format!("to make version {}, '{from}' was expected in it once", self.number);
                return Err(Error::Malformed { path, problem });
            }
            fs::write(&path, text.replace(from, to)).doing("write", &path)?;
        }
        Ok(folder.to_path_buf())
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).doing("create", to)?;
    for entry in fs::read_dir(from).doing("list", from)? {
        let entry = entry.doing("list", from)?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &copy)?;
        } else {
            fs::copy(&source, &copy).doing("copy", &source)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::skill::source;
    use crate::layout::Layout;

    #[test]
    fn each_version_is_the_repositorys_skill_with_one_line_changed() {
        let sources = source(&Layout::of_this_program());
        let folder = tempfile::tempdir().unwrap();
        let read = |path: &Path| fs::read_to_string(path.join(FOLLOWER)).unwrap();
        for (version, changed) in [(FIRST, 0), (BETTER, 1), (BAD, 1)] {
            let laid = version.lay(&sources, &folder.path().join(version.number)).unwrap();
            let (before, after) = (read(&sources), read(&laid));
            let lines = before.lines().zip(after.lines()).filter(|(one, other)| one != other).count();
            assert_eq!((lines, before.lines().count()), (changed, after.lines().count()), "{version:?}");
            assert!(laid.join("policies/insert_peg.onnx").is_file());
        }
    }

    #[test]
    fn sources_without_the_line_are_refused() {
        let (sources, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(sources.path().join("trees")).unwrap();
        fs::write(sources.path().join(FOLLOWER), "<root/>").unwrap();
        let error = BAD.lay(sources.path(), &folder.path().join("bad")).unwrap_err().to_string();
        assert!(error.contains("follower.xml: to make version 1.2.0, '<MoveToPart"), "{error}");
    }
}
