//! Roles and what they permit.

use std::fmt;
use std::str::FromStr;

/// What a person or a site is to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Admin,
    Engineer,
    Operator,
    Auditor,
    /// The bridge of a cell.
    Site,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// List and download artifacts.
    ModelsRead,
    /// Upload an artifact; it counts only with its signatures.
    ModelsSubmit,
    /// Quarantine an artifact and lift a quarantine.
    ModelsWrite,
    MonitoringRead,
    /// Read and verify the audit log.
    LogsRead,
    ComplianceRead,
    /// List, download and remove the bags that cells handed in.
    Bags,
    /// Begin, change and end experiments.
    Experiments,
    /// Say which cell runs what: deployments, rollbacks, roll-outs.
    DeploymentsWrite,
    /// Hand in other keys of an update repository, and take cells out of the fleet.
    KeysWrite,
    /// Report what a cell runs and how it does.
    CellsReport,
}

impl Permission {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelsRead => "models:read",
            Self::ModelsSubmit => "models:submit",
            Self::ModelsWrite => "models:write",
            Self::MonitoringRead => "monitoring:read",
            Self::LogsRead => "logs:read",
            Self::ComplianceRead => "compliance:read",
            Self::Bags => "bags:*",
            Self::Experiments => "experiments:*",
            Self::DeploymentsWrite => "deployments:write",
            Self::KeysWrite => "keys:write",
            Self::CellsReport => "cells:report",
        }
    }
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Admin, Self::Engineer, Self::Operator, Self::Auditor, Self::Site];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Engineer => "engineer",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Site => "site",
        }
    }

    pub fn may(self, permission: Permission) -> bool {
        use Permission::{
            Bags, CellsReport, ComplianceRead, DeploymentsWrite, Experiments, LogsRead, ModelsRead,
            ModelsSubmit, ModelsWrite, MonitoringRead,
        };
        match self {
            Self::Admin => true,
            Self::Engineer => {
                matches!(
                    permission,
                    ModelsRead | ModelsSubmit | ModelsWrite | Bags | Experiments | DeploymentsWrite
                )
            }
            Self::Operator => matches!(permission, ModelsRead | MonitoringRead),
            Self::Auditor => matches!(permission, LogsRead | ComplianceRead),
            // A site hands in what its cell trained; it never says what other cells may run.
            Self::Site => matches!(permission, ModelsRead | ModelsSubmit | CellsReport),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("expected one of {names}, found '{}'", text.escape_debug())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_is_listed_and_no_more() {
        let given = |role: Role| {
            let all = [
                Permission::ModelsRead,
                Permission::ModelsSubmit,
                Permission::ModelsWrite,
                Permission::MonitoringRead,
                Permission::LogsRead,
                Permission::ComplianceRead,
                Permission::Bags,
                Permission::Experiments,
                Permission::DeploymentsWrite,
                Permission::KeysWrite,
                Permission::CellsReport,
            ];
            all.into_iter().filter(|it| role.may(*it)).map(Permission::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            Role::ALL.map(given),
            [
                "models:read models:submit models:write monitoring:read logs:read compliance:read bags:* experiments:* deployments:write keys:write cells:report",
                "models:read models:submit models:write bags:* experiments:* deployments:write",
                "models:read monitoring:read",
                "logs:read compliance:read",
                "models:read models:submit cells:report",
            ]
        );
    }
}
