//! Artifacts: how they are listed, handed in and withdrawn.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An artifact as the registry knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Artifact {
    #[cfg_attr(feature = "schema", schema(example = 42))]
    pub id: i64,
    /// SHA-256 of the archive.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    #[cfg_attr(feature = "schema", schema(example = "cooperative_assembly"))]
    pub skill_name: String,
    #[cfg_attr(feature = "schema", schema(example = "1.2.0"))]
    pub version: String,
    /// Of the archive, in bytes.
    pub size: u64,
    pub status: Status,
    /// Always true: what does not verify is not accepted.
    pub signature_verified: bool,
    /// The signers that counted.
    pub signers: Vec<String>,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub uploaded_at: String,
    pub provenance: Provenance,
    /// Where it is quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
}

/// Whether an artifact is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = ArtifactStatus))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    Quarantined,
}

/// Where an artifact comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Provenance {
    /// Digest of the artifact that it was made from.
    pub parent: Option<String>,
    /// Version of the skill that it was made from, as its manifest says.
    pub base_version: Option<String>,
    pub training_data: Option<String>,
    /// As the uploader says.
    pub uploaded_by: String,
    /// As the registry knows: the token's subject, or the certificate's name.
    pub uploader: String,
    /// The texts of the manifest's `provenance`.
    pub notes: BTreeMap<String, String>,
}

/// Why an artifact is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Quarantine {
    pub reason: String,
    pub by: String,
    #[cfg_attr(feature = "schema", schema(format = DateTime))]
    pub since: String,
}

/// A page of artifacts, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ArtifactPage {
    pub items: Vec<Artifact>,
    /// Ask with `after` = this number for the next page; null at the end.
    pub next_after: Option<i64>,
}

/// Why an artifact is withdrawn, or given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Reason {
    #[cfg_attr(feature = "schema", schema(min_length = 1, max_length = 1000))]
    pub reason: String,
}

/// Beginning of an upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BeginUpload {
    /// Of the archive, in bytes.
    #[cfg_attr(feature = "schema", schema(minimum = 1, maximum = 4_294_967_296_i64))]
    pub length: u64,
}

/// End of an upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteUpload {
    /// Text of the signature file (`.sig`).
    #[cfg_attr(feature = "schema", schema(max_length = 65536))]
    pub signature: String,
    /// Who uploads, in the uploader's words.
    #[cfg_attr(feature = "schema", schema(max_length = 128))]
    pub uploaded_by: String,
    /// Digest of the artifact that it was made from.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub parent: Option<String>,
    /// What it was trained on.
    #[cfg_attr(feature = "schema", schema(max_length = 4000))]
    pub training_data: Option<String>,
    /// Digest that the archive is expected to have.
    #[cfg_attr(feature = "schema", schema(pattern = "^[0-9a-f]{64}$"))]
    pub digest: Option<String>,
}

/// How far an upload in parts is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UploadStatus {
    pub upload_id: String,
    /// Bytes of the whole.
    pub length: u64,
    /// Bytes that are here; go on at this one.
    pub received: u64,
}
