//! A target that metadata was found for, and the check of its bytes as they come.

use crate::metadata::TargetFile;
use crate::names::TargetPath;
use crate::refusal::Refusal;
use crate::rules::Digests;

/// What is signed of a target, and the role that provides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub path: TargetPath,
    pub role: String,
    pub file: TargetFile,
    pub(crate) consistent_snapshot: bool,
}

impl Target {
    /// Where the server has it, relative to the repository's targets, percent-encoded.
    pub fn remote_file(&self) -> String {
        let known = ["sha256", "sha512"].iter().find_map(|algorithm| self.file.hashes.get(*algorithm));
        let digest = known.filter(|_| self.consistent_snapshot && known.is_some_and(|digest| is_hex(digest)));
        self.path.remote_file(digest.map(String::as_str))
    }

    /// Begins the check of its bytes, whether they come over the network or from the disk. There is no other way to believe
    /// a file: it is done before every use, and not only once after the download.
    pub fn check(&self) -> Result<TargetCheck, Refusal> {
        let what = self.path.to_string();
        Ok(TargetCheck {
            digests: Digests::of(&what, &self.file.hashes)?,
            what,
            length: self.file.length,
            taken: 0,
        })
    }
}

fn is_hex(digest: &str) -> bool {
    digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A target's bytes, checked while they come.
#[derive(Clone, Debug)]
pub struct TargetCheck {
    what: String,
    digests: Digests,
    length: u64,
    taken: u64,
}

impl TargetCheck {
    /// Takes the next bytes, and refuses the first one too many.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.taken += bytes.len() as u64;
        if self.taken > self.length {
            return Err(Refusal::TooLong { what: self.what.clone(), limit: self.length });
        }
        self.digests.update(bytes);
        Ok(())
    }

    /// All bytes have come: whether they are those that were signed.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.taken != self.length {
            return Err(Refusal::Length { what: self.what, expected: self.length, actual: self.taken });
        }
        self.digests.check(&self.what)
    }
}
