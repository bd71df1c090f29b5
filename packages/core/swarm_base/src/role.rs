//! The roles that the robots of a cell play in a cooperative skill.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part that one robot plays in a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sets the pace.
    Leader,
    /// Works against what the leader holds.
    Follower,
    /// Watches, and may hold or abort the run.
    Spotter,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Leader, Self::Follower, Self::Spotter];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Spotter => "spotter",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a role; expected leader, follower or spotter")]
pub struct ParseRoleError(pub String);

impl FromStr for Role {
    type Err = ParseRoleError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| ParseRoleError(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_read_back_from_its_name() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
    }

    #[test]
    fn an_unknown_role_is_named_with_what_was_expected() {
        let error = "watcher".parse::<Role>().unwrap_err();
        assert_eq!(error.to_string(), "'watcher' is not a role; expected leader, follower or spotter");
    }
}
