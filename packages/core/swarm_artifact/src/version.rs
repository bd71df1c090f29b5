//! The rollback rule: which version of a skill may follow which.

use semver::Version;

/// What the caller means to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Go forward. An older version is refused, so that a replayed artifact cannot bring back a withdrawn skill.
    Upgrade,
    /// Go back on purpose: an operator or a health check asked for it.
    Rollback,
}

/// Why a version may not follow the deployed one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error(
        "version {candidate} is older than the deployed {current}; to go back on purpose, ask for a rollback"
    )]
    Older { current: Version, candidate: Version },
    #[error(
        "version {candidate} is deployed already (as {current}) with other content; give the new artifact a higher version"
    )]
    Equal { current: Version, candidate: Version },
}

/// Decides whether `candidate` may follow `current` (both of the same skill).
///
/// Precedence is semver's (section 10 and 11): build metadata does not make a version newer.
pub fn check_version(
    current: Option<&Version>,
    candidate: &Version,
    intent: Intent,
) -> Result<(), VersionError> {
    let (Some(current), Intent::Upgrade) = (current, intent) else { return Ok(()) };
    match candidate.cmp_precedence(current) {
        std::cmp::Ordering::Greater => Ok(()),
        std::cmp::Ordering::Equal => {
            Err(VersionError::Equal { current: current.clone(), candidate: candidate.clone() })
        }
        std::cmp::Ordering::Less => {
            Err(VersionError::Older { current: current.clone(), candidate: candidate.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(current: &str, candidate: &str, intent: Intent) -> Result<(), String> {
        let current = Version::parse(current).unwrap();
        check_version(Some(&current), &Version::parse(candidate).unwrap(), intent)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_newer_version_follows_without_a_rollback() {
        assert_eq!(check("1.0.0", "1.0.1", Intent::Upgrade), Ok(()));
        assert_eq!(check("1.0.0-rc.1", "1.0.0", Intent::Upgrade), Ok(()));
        assert_eq!(
            check("1.10.0", "1.9.0", Intent::Upgrade).unwrap_err(),
            "version 1.9.0 is older than the deployed 1.10.0; to go back on purpose, ask for a rollback"
        );
        assert_eq!(
            check("1.0.0+a", "1.0.0+b", Intent::Upgrade).unwrap_err(),
            "version 1.0.0+b is deployed already (as 1.0.0+a) with other content; give the new artifact a higher version"
        );
    }

    #[test]
    fn a_rollback_may_go_anywhere_and_the_first_deployment_too() {
        assert_eq!(check("1.10.0", "1.9.0", Intent::Rollback), Ok(()));
        assert_eq!(check_version(None, &Version::new(0, 0, 1), Intent::Upgrade), Ok(()));
    }
}
