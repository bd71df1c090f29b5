//! An artifact out of an older one and a delta, where the registry has one.
//!
//! A delta is not signed and needs not be: what it makes goes the way of every download, and is checked against the signed metadata
//! before it has a name. So nothing about it is believed but that it is short; whatever goes wrong, the whole artifact is fetched.
//!
//! 1. the delta into `<sha256>-<sha256 of the base>.delta.tmp`, going on where it was cut, and never more bytes than the artifact has;
//! 2. the archive made out of base and delta, by what the machine has for that, into `<sha256>.tmp`;
//! 3. the delta removed, but for one that was cut and may go on.

use std::fs;
use std::path::Path;

use swarm_artifact::ArtifactId;
use swarm_tuf::{Limits, Target};
use ureq::Body;
use ureq::http::{Response, header};

use crate::cache::{ApplyDelta, Cache, IN_FLIGHT};
use crate::connection::{Connection, good};
use crate::download::Incoming;
use crate::{ClientError, files};

impl Cache {
    /// Makes the `.tmp` of an artifact, unchecked. Gives the length of the delta in bytes.
    pub(crate) fn make(
        &self,
        connection: &Connection,
        artifact: ArtifactId,
        base: ArtifactId,
        apply: ApplyDelta,
        target: &Target,
        tell: &mut impl FnMut(u64) -> bool,
    ) -> Result<u64, ClientError> {
        let path = self.path(artifact, &format!("-{base}.delta{IN_FLIGHT}"));
        // None of the artifact's own bytes have come yet.
        let fetched = fetch(connection, artifact, base, target.file.length, &path, &mut |_| tell(0));
        let made = fetched.and_then(|length| {
            let output = self.path(artifact, IN_FLIGHT);
            let applied = apply(&self.archive(base), &path, artifact, &output);
            applied.map(|()| length).map_err(|problem| ClientError::Delta { base, problem })
        });
        let may_go_on =
            made.as_ref().is_err_and(|error| error.is_link() || matches!(error, ClientError::Stopped));
        if !may_go_on {
            files::remove(&path)?;
        }
        made
    }
}

/// The delta into a file, and its length. It has no more bytes than `most`.
fn fetch(
    connection: &Connection,
    artifact: ArtifactId,
    base: ArtifactId,
    most: u64,
    path: &Path,
    tell: &mut impl FnMut(u64) -> bool,
) -> Result<u64, ClientError> {
    let here = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let limit = Limits::default().time_for(most);
    let asked = format!("/api/v1/csa/{artifact}/delta?from={base}");
    // Without its entity tag: a mixture of two deltas makes nothing that is believed.
    let response = connection.get_from(&asked, here, None, limit)?;
    let url = connection.url(&asked);
    let response = good(&url, limit, response)?;
    let (begins, length) = match (response.status().as_u16(), extent(&response, here)) {
        (206, Some(length)) => (here, Some(length)),
        (206, None) => {
            return Err(ClientError::Malformed {
                url,
                expected: "a Content-Range with the rest of the delta",
                found: "another one, or none".to_owned(),
            });
        }
        (_, _) => (0, announced(&response)),
    };
    let mut body = Incoming::new(response, url, limit, begins, most);
    body.append_to(path, tell)?;
    let received = body.received();
    // Without a length only the one who applies it sees that it was cut.
    body.expect_end(length.unwrap_or(received))?;
    Ok(received)
}

/// The length of the whole, where the answer is its rest from byte `begins` on.
fn extent(response: &Response<Body>, begins: u64) -> Option<u64> {
    let stated = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, length) = stated.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let length: u64 = length.parse().ok()?;
    (first.parse() == Ok(begins) && last.parse::<u64>().ok()?.checked_add(1) == Some(length))
        .then_some(length)
}

fn announced(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
