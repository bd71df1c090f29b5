//! Health and version of a service.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    #[cfg_attr(feature = "schema", schema(pattern = "^(ok|failed)$"))]
    pub status: String,
    /// What was asked: `service`, `database` or `artifact store`.
    pub checked: String,
}

/// Which program answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Version {
    pub name: String,
    pub version: String,
    /// `sqlite` or `postgresql`.
    pub database: String,
}
