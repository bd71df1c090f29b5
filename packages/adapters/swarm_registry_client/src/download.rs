//! Downloads into the cache. They go on where they were cut, and nothing has an artifact's name before all of it was checked.
//!
//! 1. the signature file, which is small: read, and put in its place;
//! 2. the rest of the archive into `<sha256>.tmp`: `Range` from where it ends, `If-Range` with the digest, which is its entity tag;
//! 3. the whole `.tmp` checked against the metadata; wrong bytes are removed, so that the next try begins anew;
//! 4. synced, renamed, and the rename synced.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use swarm_artifact::{ArtifactId, SignatureFile};
use swarm_tuf::{Limits, Refusal, Target};
use ureq::http::{Response, header};
use ureq::{Body, BodyReader};

use crate::cache::{Cache, IN_FLIGHT, read, read_signatures};
use crate::connection::{Connection, failed, good};
use crate::{ClientError, files};

const CHUNK: usize = 256 * 1024;

impl Cache {
    /// Fetches an artifact, or what is missing of it. `tell` hears how many bytes are there; false ends the download, which goes on
    /// the next time.
    pub fn download(
        &self,
        connection: &Connection,
        artifact: ArtifactId,
        target: &Target,
        mut tell: impl FnMut(u64) -> bool,
    ) -> Result<(), ClientError> {
        self.fetch_signatures(connection, artifact)?;
        let path = self.path(artifact, IN_FLIGHT);
        fetch_rest(connection, artifact, target, &path, &mut tell)?;
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
            let archive = self.archive(artifact);
            fs::rename(&path, &archive)?;
            archive.parent().map_or(Ok(()), files::sync_folder)
        })();
        placed.map_err(ClientError::at("keep", &path))
    }

    fn fetch_signatures(&self, connection: &Connection, artifact: ArtifactId) -> Result<(), ClientError> {
        let path = format!("/api/v1/csa/{artifact}/signature");
        let limit = Limits::default().time_for(SignatureFile::MAX_BYTES);
        let bytes = connection.get(&path, SignatureFile::MAX_BYTES, limit)?;
        let bytes = bytes.ok_or_else(|| ClientError::Status {
            url: connection.url(&path),
            status: 404,
            problem: None,
        })?;
        if bytes.len() as u64 > SignatureFile::MAX_BYTES {
            let what = format!("the signature file of {artifact}");
            return Err(Refusal::TooLong { what, limit: SignatureFile::MAX_BYTES }.into());
        }
        read_signatures(artifact, &bytes)?;
        files::write(&self.signatures(artifact), &bytes)
    }
}

/// Appends to the file in flight until it has its length.
fn fetch_rest(
    connection: &Connection,
    artifact: ArtifactId,
    target: &Target,
    path: &Path,
    tell: &mut impl FnMut(u64) -> bool,
) -> Result<(), ClientError> {
    let length = target.file.length;
    let mut here = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if here == length && length > 0 {
        return Ok(());
    }
    if here > length {
        files::remove(path)?;
        here = 0;
    }
    let limit = Limits::default().time_for(length - here);
    let url = format!("/api/v1/csa/{artifact}/download");
    let response = connection.get_from(&url, here, &format!("\"{artifact}\""), limit)?;
    let url = connection.url(&url);
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
    let file = File::options().append(true).create(true).open(path);
    let mut file = file.map_err(ClientError::at("write", path))?;
    if begins == 0 {
        file.set_len(0).map_err(ClientError::at("write", path))?;
    }
    let mut body =
        Incoming { reader: response.into_body().into_reader(), url, limit, received: begins, length };
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match body.next(&mut chunk) {
            Ok(0) => break,
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
        if !tell(body.received) {
            return Err(ClientError::Stopped);
        }
    }
    if body.received < length {
        return Err(ClientError::Cut { url: body.url, received: body.received, length });
    }
    Ok(())
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

/// An answer's body, which may not be longer than the artifact.
struct Incoming {
    reader: BodyReader<'static>,
    url: String,
    limit: Duration,
    received: u64,
    length: u64,
}

impl Incoming {
    /// The next bytes; 0 at the end, whether or not all have come.
    fn next(&mut self, chunk: &mut [u8]) -> Result<usize, ClientError> {
        loop {
            match self.reader.read(chunk) {
                Ok(count) => {
                    self.received += count as u64;
                    if self.received > self.length {
                        return Err(Refusal::TooLong { what: self.url.clone(), limit: self.length }.into());
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
