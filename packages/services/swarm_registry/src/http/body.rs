//! What requests and answers look like. Field names are those of the operations manual.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use swarm_yaml::moment;
use utoipa::{IntoParams, ToSchema};

use crate::audit::Entry;
use crate::record::{Page, Record, Status};

/// An artifact as the registry knows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Artifact)]
pub(super) struct ArtifactBody {
    #[schema(example = 42)]
    id: i64,
    /// SHA-256 of the archive.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    #[schema(example = "cooperative_assembly")]
    skill_name: String,
    #[schema(example = "1.2.0")]
    version: String,
    /// Of the archive, in bytes.
    size: u64,
    #[schema(pattern = "^(active|quarantined)$")]
    status: &'static str,
    /// Always true: what does not verify is not accepted.
    signature_verified: bool,
    /// The signers that counted.
    signers: Vec<String>,
    #[schema(format = DateTime)]
    uploaded_at: String,
    provenance: ProvenanceBody,
    /// Where it is quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<QuarantineBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provenance)]
pub(super) struct ProvenanceBody {
    /// Digest of the artifact that it was made from.
    parent: Option<String>,
    /// Version of the skill that it was made from, as its manifest says.
    base_version: Option<String>,
    training_data: Option<String>,
    /// As the uploader says.
    uploaded_by: String,
    /// As the registry knows: the token's subject, or the certificate's name.
    uploader: String,
    /// The texts of the manifest's `provenance`.
    notes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quarantine)]
pub(super) struct QuarantineBody {
    reason: String,
    by: String,
    #[schema(format = DateTime)]
    since: String,
}

impl From<Record> for ArtifactBody {
    fn from(record: Record) -> Self {
        let status = record.status.as_str();
        let quarantine = match record.status {
            Status::Active => None,
            Status::Quarantined { reason, by, since_unix } => {
                Some(QuarantineBody { reason, by, since: moment(since_unix) })
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
            provenance: ProvenanceBody {
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

/// A page of artifacts, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ArtifactPage)]
pub(super) struct ArtifactPageBody {
    items: Vec<ArtifactBody>,
    /// Ask with `after` = this number for the next page; null at the end.
    next_after: Option<i64>,
}

impl From<Page<Record>> for ArtifactPageBody {
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

/// Why an artifact is withdrawn, or given back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    #[schema(min_length = 1, max_length = 1000)]
    pub(super) reason: String,
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

/// Beginning of an upload in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginUpload {
    /// Of the archive, in bytes.
    #[schema(minimum = 1, maximum = 4_294_967_296_i64)]
    pub(super) length: u64,
}

/// End of an upload in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompleteUpload {
    /// Text of the signature file (`.sig`).
    #[schema(max_length = 65536)]
    pub(super) signature: String,
    /// Who uploads, in the uploader's words.
    #[schema(max_length = 128)]
    pub(super) uploaded_by: String,
    /// Digest of the artifact that it was made from.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) parent: Option<String>,
    /// What it was trained on.
    #[schema(max_length = 4000)]
    pub(super) training_data: Option<String>,
    /// Digest that the archive is expected to have.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub(super) digest: Option<String>,
}

/// How far an upload in parts is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UploadStatus {
    pub(super) upload_id: String,
    /// Bytes of the whole.
    pub(super) length: u64,
    /// Bytes that are here; go on at this one.
    pub(super) received: u64,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct AuditEntryBody {
    seq: i64,
    #[schema(format = DateTime)]
    at: String,
    /// The moment that was hashed: seconds since 1970-01-01 UTC.
    at_unix: i64,
    who: String,
    action: String,
    subject: String,
    detail: String,
    /// Hash of the entry before.
    previous: String,
    hash: String,
}

impl From<Entry> for AuditEntryBody {
    fn from(entry: Entry) -> Self {
        let Entry { seq, event, previous, hash } = entry;
        Self {
            seq,
            at: moment(event.at_unix),
            at_unix: event.at_unix,
            who: event.who,
            action: event.action,
            subject: event.subject,
            detail: event.detail,
            previous: previous.to_string(),
            hash: hash.to_string(),
        }
    }
}

/// A page of the audit log, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub(super) struct AuditPageBody {
    pub(super) items: Vec<AuditEntryBody>,
    /// Ask with `after` = this number for the next page; null at the end.
    pub(super) next_after: Option<i64>,
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

/// Whether the audit log is what was written.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AuditVerdict {
    pub(super) intact: bool,
    pub(super) entries: i64,
    /// The last hash; kept elsewhere, it shows a log that was cut short or written anew.
    pub(super) head: String,
    /// Where it is not.
    pub(super) problem: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(pattern = "^(ok|failed)$")]
    pub(super) status: &'static str,
    /// What was asked: `service`, `database` or `artifact store`.
    pub(super) checked: &'static str,
}

/// Which program answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionBody {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// `sqlite` or `postgresql`.
    pub(super) database: &'static str,
}
