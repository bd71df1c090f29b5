//! What requests ask for, and how what the registry knows becomes what it answers. The bodies themselves are `swarm_api`'s.

use serde::Deserialize;
use swarm_api::artifact::{self, Artifact, ArtifactPage, Provenance, Quarantine};
use swarm_yaml::moment;
use utoipa::{IntoParams, ToSchema};

use crate::record::{Page, Record, Status};

impl From<Record> for Artifact {
    fn from(record: Record) -> Self {
        let (status, quarantine) = match record.status {
            Status::Active => (artifact::Status::Active, None),
            Status::Quarantined { reason, by, since_unix } => {
                (artifact::Status::Quarantined, Some(Quarantine { reason, by, since: moment(since_unix) }))
            }
        };
        let from = record.provenance;
        Self {
            id: record.id,
            digest: record.digest.to_string(),
            skill_name: record.skill_name,
            version: record.version,
            size: record.size,
            status,
            signature_verified: true,
            signers: record.signers,
            uploaded_at: moment(record.uploaded_unix),
            provenance: Provenance {
                parent: from.parent.map(|parent| parent.to_string()),
                base_version: from.base_version,
                training_data: from.training_data,
                uploaded_by: from.uploaded_by,
                uploader: from.uploader,
                notes: from.notes,
            },
            quarantine,
        }
    }
}

impl From<Page<Record>> for ArtifactPage {
    fn from(page: Page<Record>) -> Self {
        let Page { items, next_after } = page;
        Self { items: items.into_iter().map(Into::into).collect(), next_after }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only artifacts of this skill.
    #[param(pattern = "^[a-z][a-z0-9_]{0,63}$")]
    pub(super) skill_name: Option<String>,
    /// Only artifacts of this status.
    #[param(pattern = "^(active|quarantined)$")]
    pub(super) status: Option<String>,
    /// The page after the artifact of this number.
    #[param(minimum = 1, maximum = 999_999_999_999_999_999_i64)]
    pub(super) after: Option<i64>,
    /// At most so many; 20 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<i64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DownloadQuery {
    /// Hand out a quarantined artifact too, for an investigation; needs `models:write`.
    pub(super) allow_quarantined: Option<bool>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DeltaQuery {
    /// Number or digest of the artifact that the client has.
    #[param(pattern = "^([0-9]{1,18}|[0-9a-f]{64})$")]
    pub(super) from: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// The page after the entry of this number.
    #[param(minimum = 0, maximum = 999_999_999_999_999_999_i64)]
    pub(super) after: Option<i64>,
    /// At most so many; 100 where it is not said.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<i64>,
}

/// Form of an upload in one piece.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "read field by field, so that the archive is never in memory; this describes it"
)]
pub(super) struct UploadForm {
    /// The archive (`.tar.gz`).
    #[schema(format = Binary)]
    file: String,
    /// Text of the signature file (`.sig`).
    signature: String,
    /// Who uploads, in the uploader's words.
    #[schema(max_length = 128)]
    uploaded_by: String,
    /// Digest of the artifact that it was made from.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    parent: Option<String>,
    /// What it was trained on.
    #[schema(max_length = 4000)]
    training_data: Option<String>,
    /// Digest that the archive is expected to have.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: Option<String>,
}

/// Bytes of one part.
#[derive(Debug, ToSchema)]
#[schema(format = Binary)]
#[expect(dead_code, reason = "the bytes flow, and are never in memory; this describes them")]
pub(super) struct PartBody(String);

/// Bytes of a delta.
#[derive(Debug, ToSchema)]
#[schema(format = Binary)]
#[expect(dead_code, reason = "the bytes flow, and are never in memory; this describes them")]
pub(super) struct DeltaBody(String);

/// Bytes of a bag's archive.
#[derive(Debug, ToSchema)]
#[schema(format = Binary)]
#[expect(dead_code, reason = "the bytes flow, and are never in memory; this describes them")]
pub(super) struct BagBody(String);
