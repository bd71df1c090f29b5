//! Downloads into the cache. They go on where they were cut, and nothing has an artifact's name before all of it was checked.
//!
//! 1. the signature file, which is small: read, and put in its place;
//! 2. where an older artifact of the skill is here and no download is under way: the delta from it, and the `.tmp` made out of both. It is
//!    a hint, and whatever is wrong with it costs its bytes and no more (`delta`);
//! 3. otherwise the rest of the archive into `<sha256>.tmp`: `Range` from where it ends, `If-Range` with the digest, which is its
//!    entity tag;
//! 4. the whole `.tmp` checked against the metadata; wrong bytes are removed, so that the next try begins anew;
//! 5. synced, renamed, and the rename synced.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use swarm_artifact::{ArtifactId, SignatureFile};
use swarm_tuf::{Limits, Refusal, Target};
use ureq::http::{Response, header};
use ureq::{Body, BodyReader};

use crate::cache::{ARCHIVE, Cache, IN_FLIGHT, read, read_signatures};
use crate::connection::{Connection, failed, good};
use crate::{ClientError, files};

const CHUNK: usize = 256 * 1024;

/// How an artifact came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downloaded {
    /// The artifact that it was made from, and the bytes of the delta.
    pub by_delta: Option<(ArtifactId, u64)>,
    /// Why it was not made by a delta, where that was tried.
    pub no_delta: Option<String>,
}

impl fmt::Display for Downloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.by_delta, &self.no_delta) {
            (Some((base, bytes)), _) => write!(f, "by a delta of {bytes} bytes from {base}"),
            (None, Some(why)) => write!(f, "downloaded whole, because {why}"),
            (None, None) => f.write_str("downloaded whole"),
        }
    }
}

impl Cache {
    /// Fetches an artifact, or what is missing of it, without deltas; otherwise as [`Self::download_from`].
    pub fn download(
        &self,
        connection: &Connection,
        artifact: ArtifactId,
        target: &Target,
        tell: impl FnMut(u64) -> bool,
    ) -> Result<(), ClientError> {
        self.download_from(connection, artifact, target, &[], tell).map(drop)
    }

    /// Fetches an artifact, or what is missing of it, by a delta from the first of `bases` that is in the cache if that is possible.
    /// `tell` hears how many bytes of it are there; false ends the download, which goes on the next time.
    pub fn download_from(
        &self,
        connection: &Connection,
        artifact: ArtifactId,
        target: &Target,
        bases: &[ArtifactId],
        mut tell: impl FnMut(u64) -> bool,
    ) -> Result<Downloaded, ClientError> {
        // 1.
        self.fetch_signatures(connection, artifact)?;
        // 2.
        let mut how = Downloaded::default();
        let path = self.path(artifact, IN_FLIGHT);
        let base = bases.iter().find(|base| **base != artifact && self.archive(**base).is_file());
        if let (Some(base), Some(apply), false) = (base, self.apply_delta, path.exists()) {
            let made = self.make(connection, artifact, *base, apply, target, &mut tell);
            match made.and_then(|bytes| self.keep(artifact, target).map(|()| bytes)) {
                Ok(bytes) => return Ok(Downloaded { by_delta: Some((*base, bytes)), ..how }),
                Err(ClientError::Stopped) => return Err(ClientError::Stopped),
                Err(error) => {
                    files::remove(&path)?;
                    how.no_delta = Some(error.to_string());
                }
            }
        }
        // 3.
        fetch_archive(connection, artifact, target.file.length, &path, tell)?;
        self.keep(artifact, target)?;
        Ok(how)
    }

    /// 4 and 5.
    fn keep(&self, artifact: ArtifactId, target: &Target) -> Result<(), ClientError> {
        let path = self.path(artifact, IN_FLIGHT);
        let mut check = target.check()?;
        let checked = read(&path, |chunk| check.update(chunk)).and_then(|()| Ok(check.finish()?));
        if let Err(error) = checked {
            if error.is_refusal() {
                files::remove(&path)?;
            }
            return Err(error);
        }
        let placed = (|| {
            File::open(&path)?.sync_all()?;
            let archive = self.path(artifact, ARCHIVE);
            fs::rename(&path, &archive)?;
            archive.parent().map_or(Ok(()), files::sync_folder)
        })();
        placed.map_err(ClientError::at("keep", &path))
    }

    fn fetch_signatures(&self, connection: &Connection, artifact: ArtifactId) -> Result<(), ClientError> {
        let path = format!("/api/v1/csa/{artifact}/signature");
        let limit = Limits::default().time_for(SignatureFile::MAX_BYTES);
        let bytes = connection.find(&path, SignatureFile::MAX_BYTES, limit)?;
        let bytes = bytes.ok_or_else(|| ClientError::Status {
            url: connection.url(&path),
            status: 404,
            problem: None,
            beginning: String::new(),
        })?;
        if bytes.len() as u64 > SignatureFile::MAX_BYTES {
            let what = format!("the signature file of {artifact}");
            return Err(Refusal::TooLong { what, limit: SignatureFile::MAX_BYTES }.into());
        }
        read_signatures(artifact, &bytes)?;
        files::write(&self.signatures(artifact), &bytes)
    }
}

/// Appends to the file of an artifact's archive until it has its length. What it then has is not checked.
pub fn fetch_archive(
    connection: &Connection,
    artifact: ArtifactId,
    length: u64,
    path: &Path,
    tell: impl FnMut(u64) -> bool,
) -> Result<(), ClientError> {
    fetch(connection, &format!("/api/v1/csa/{artifact}/download"), artifact, length, path, tell)
}

/// The same of a bag's archive, of which number and digest are known.
pub fn fetch_bag(
    connection: &Connection,
    bag: i64,
    digest: ArtifactId,
    length: u64,
    path: &Path,
    tell: impl FnMut(u64) -> bool,
) -> Result<(), ClientError> {
    fetch(connection, &format!("/api/v1/bags/{bag}/download"), digest, length, path, tell)
}

/// `digest` is the entity tag of the file.
fn fetch(
    connection: &Connection,
    url: &str,
    digest: ArtifactId,
    length: u64,
    path: &Path,
    mut tell: impl FnMut(u64) -> bool,
) -> Result<(), ClientError> {
    let mut here = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if here == length && length > 0 {
        return Ok(());
    }
    if here > length {
        files::remove(path)?;
        here = 0;
    }
    let limit = Limits::default().time_for(length - here);
    let response = connection.get_from(url, here, Some(&format!("\"{digest}\"")), limit)?;
    let url = connection.url(url);
    let begins = match response.status().as_u16() {
        // It cannot be satisfied: what is here is not a beginning of it.
        416 => {
            files::remove(path)?;
            return Err(ClientError::Malformed {
                url,
                expected: "the rest of the artifact",
                found: format!("the answer that byte {here} is not there"),
            });
        }
        206 => match range_start(&response, here, length, &url) {
            Ok(start) => start,
            Err(error) => {
                // The next try asks for everything.
                files::remove(path)?;
                return Err(error);
            }
        },
        _ => 0,
    };
    let response = good(&url, limit, response)?;
    let mut body = Incoming::new(response, url, limit, begins, length);
    body.append_to(path, &mut tell)?;
    body.expect_end(length)
}

/// Reads an artifact's archive without keeping it, quarantined ones too, and gives how many bytes came; a longer one than `length`
/// bytes is refused.
pub fn read_archive(
    connection: &Connection,
    artifact: ArtifactId,
    length: u64,
    mut each: impl FnMut(&[u8]),
) -> Result<u64, ClientError> {
    let path = format!("/api/v1/csa/{artifact}/download?allow_quarantined=true");
    let (url, limit) = (connection.url(&path), Limits::default().time_for(length));
    let response = good(&url, limit, connection.get_from(&path, 0, None, limit)?)?;
    let mut body = Incoming::new(response, url, limit, 0, length);
    let mut chunk = vec![0; CHUNK];
    loop {
        match body.next(&mut chunk)? {
            0 => return Ok(body.received()),
            count => each(&chunk[..count]),
        }
    }
}

/// Where a partial answer begins: it has to be where it was asked to.
fn range_start(response: &Response<Body>, asked: u64, length: u64, url: &str) -> Result<u64, ClientError> {
    let stated =
        response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let expected = format!("bytes {asked}-{}/{length}", length - 1);
    if stated == expected {
        return Ok(asked);
    }
    Err(ClientError::Malformed {
        url: url.to_owned(),
        expected: "a Content-Range with the rest of the artifact",
        found: format!("Content-Range {} instead of {expected}", stated.escape_debug()),
    })
}

/// An answer's body, which may not be longer than `most` together with what was there before.
pub(crate) struct Incoming {
    reader: BodyReader<'static>,
    url: String,
    limit: Duration,
    begins: u64,
    received: u64,
    most: u64,
}

impl Incoming {
    pub(crate) fn new(
        response: Response<Body>,
        url: String,
        limit: Duration,
        begins: u64,
        most: u64,
    ) -> Self {
        Self { reader: response.into_body().into_reader(), url, limit, begins, received: begins, most }
    }

    /// What was there before, and what came.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Appends to a file whatever comes; from its beginning, if the answer begins there. Wrong bytes are removed with all of the file,
    /// and so are those that the disk had no room for.
    pub(crate) fn append_to(
        &mut self,
        path: &Path,
        tell: &mut impl FnMut(u64) -> bool,
    ) -> Result<(), ClientError> {
        let file = File::options().append(true).create(true).open(path);
        let mut file = file.map_err(ClientError::at("write", path))?;
        if self.begins == 0 {
            file.set_len(0).map_err(ClientError::at("write", path))?;
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = match self.next(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => {
                    if error.is_refusal() {
                        files::remove(path)?;
                    }
                    return Err(error);
                }
            };
            if let Err(error) = file.write_all(&chunk[..count]) {
                // A disk that is full is everybody's: the rest of the cell needs the room more.
                drop(file);
                files::remove(path)?;
                return Err(ClientError::at("write", path)(error));
            }
            if !tell(self.received) {
                return Err(ClientError::Stopped);
            }
        }
    }

    /// An error where bytes are missing.
    pub(crate) fn expect_end(self, length: u64) -> Result<(), ClientError> {
        if self.received < length {
            return Err(ClientError::Cut { url: self.url, received: self.received, length });
        }
        Ok(())
    }

    /// The next bytes; 0 at the end, whether or not all have come.
    fn next(&mut self, chunk: &mut [u8]) -> Result<usize, ClientError> {
        loop {
            match self.reader.read(chunk) {
                Ok(count) => {
                    self.received += count as u64;
                    if self.received > self.most {
                        return Err(Refusal::TooLong { what: self.url.clone(), limit: self.most }.into());
                    }
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Cut in the middle: what has come counts.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(failed(&self.url, self.limit, error.into())),
            }
        }
    }
}
