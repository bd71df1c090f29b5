//! Whether files of a black box are what was recorded, one by one and as a series.

use std::path::PathBuf;

use anyhow::Context as _;
use ed25519_dalek::VerifyingKey;
use swarm_artifact::{Sha256Sum, public_key_from_pem};
use swarm_black_box::{End, Verification, junction, verify};

use crate::box_files::BoxFile;
use crate::output::read;

/// What was found of one file of a series.
#[derive(Debug)]
pub(crate) struct Judged {
    pub path: PathBuf,
    /// `None` if it could not be read as a black box.
    pub found: Option<Verification>,
    pub problems: Vec<String>,
}

/// Judges each file, and whether it goes on where the one before it ends. `open_end` says of a file's index whether its end
/// may be open.
pub(crate) fn judge_all(
    files: &[BoxFile],
    trusted: Option<&[VerifyingKey]>,
    open_end: impl Fn(usize) -> bool,
) -> Vec<Judged> {
    let mut judged: Vec<Judged> =
        files.iter().enumerate().map(|(index, file)| judge(file, trusted, open_end(index))).collect();
    // A removal is recorded after the files between which it left a gap.
    let removed: Vec<u64> = judged
        .iter()
        .filter_map(|judged| judged.found.as_ref())
        .flat_map(|found| found.removed.clone())
        .collect();
    for index in 1..judged.len() {
        let [before, this] = [index - 1, index].map(|index| judged[index].found.as_ref());
        if let (Some(before), Some(this)) = (before, this)
            && let Err(problem) = junction(before, &this.header, &removed)
        {
            judged[index].problems.push(problem.to_string());
        }
    }
    judged
}

fn judge(file: &BoxFile, trusted: Option<&[VerifyingKey]>, open_end: bool) -> Judged {
    let path = file.path.clone();
    match verify(&file.bytes, trusted) {
        Err(error) => Judged { path, found: None, problems: vec![error.to_string()] },
        Ok(found) => {
            let mut problems: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
            if let End::Open { unsealed_records, cut_bytes } = found.end
                && !open_end
            {
                problems.push(format!(
                    "the end is open: the recorder did not close the file, or its end was cut off; {unsealed_records} records behind the last seal are not proven, {cut_bytes} bytes are no whole record"
                ));
            }
            Judged { path, found: Some(found), problems }
        }
    }
}

/// The key's id, as `cell keys generate` shows it.
pub(crate) fn key_id(public: &[u8; 32]) -> String {
    Sha256Sum::of(public).to_string()
}

/// Public keys from their files.
pub(crate) fn public_keys(paths: &[PathBuf]) -> anyhow::Result<Vec<VerifyingKey>> {
    let key =
        |path: &PathBuf| public_key_from_pem(&read(path)?).with_context(|| format!("'{}'", path.display()));
    paths.iter().map(key).collect()
}
