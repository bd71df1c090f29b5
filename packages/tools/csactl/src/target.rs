//! How artifacts are named in requests and in update metadata.

use std::fmt;
use std::str::FromStr;

use semver::Version;
use swarm_api::artifact::Artifact;
use swarm_artifact::{ArtifactId, SkillId};
use swarm_tuf::{TargetPath, TargetPathError};

use crate::connection::{CallError, Registry};

/// An artifact by its number, its digest, or as SKILL@VERSION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Number(i64),
    Digest(ArtifactId),
    Version(SkillId, Version),
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected a number, a digest of 64 lower-case hex digits, or SKILL@VERSION, found '{text}'"
            )
        };
        if let Some((skill, version)) = text.split_once('@') {
            let skill = skill.parse().map_err(|error| format!("{}: {error}", expected()))?;
            let version = version.parse().map_err(|error| format!("{}: {error}", expected()))?;
            return Ok(Self::Version(skill, version));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Digest(digest));
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number > 0);
        number.map(Self::Number).ok_or_else(expected)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
            Self::Version(skill, version) => write!(f, "{skill}@{version}"),
        }
    }
}

impl Reference {
    pub(crate) fn find(&self, registry: &Registry) -> Result<Artifact, CallError> {
        registry.get(&match self {
            Self::Number(number) => format!("/api/v1/csa/{number}"),
            Self::Digest(digest) => format!("/api/v1/csa/{digest}"),
            Self::Version(skill, version) => format!("/api/v1/skills/{skill}/versions/{version}"),
        })
    }
}

/// Where both update repositories have an artifact.
pub(crate) fn target_path(skill: &SkillId, version: &Version) -> Result<TargetPath, TargetPathError> {
    format!("{skill}/{skill}_v{version}.tar.gz").parse()
}

/// The name of a site, which is also that of its certificate.
pub(crate) fn site_id(text: &str) -> Result<String, String> {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if first && rest && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 64 letters, digits, '.', '_' and '-', a letter or digit first, such as cell-7"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_named_in_three_ways_and_no_other() {
        let digest = "0".repeat(64);
        for good in ["7", "pick@1.2.0", digest.as_str()] {
            assert_eq!(good.parse::<Reference>().unwrap().to_string(), good);
        }
        for bad in ["", "0", "-1", "+1", "pick", "pick@", "pick@1", "../x@1.0.0", "Pick@1.0.0", &digest[1..]]
        {
            let error = bad.parse::<Reference>().unwrap_err();
            assert!(error.starts_with("expected a number"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_target_has_the_path_that_cells_look_for() {
        let path = target_path(&"pick".parse().unwrap(), &"1.2.0".parse().unwrap()).unwrap();
        assert_eq!(path.as_str(), "pick/pick_v1.2.0.tar.gz");
    }

    #[test]
    fn a_site_s_name_is_no_path() {
        assert_eq!(site_id("cell-7.example"), Ok("cell-7.example".to_owned()));
        for bad in ["", ".", "..", "a/b", "-a", "a b", "ä"] {
            assert!(site_id(bad).is_err(), "{bad}");
        }
    }
}
