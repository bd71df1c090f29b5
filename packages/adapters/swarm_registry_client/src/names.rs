//! Names of artifacts in both repositories: `SKILL/SKILL_vX.Y.Z.tar.gz`.

use semver::Version;
use swarm_tuf::TargetPath;

const SUFFIX: &str = ".tar.gz";

/// The skill and version that a target's path names.
pub fn parse_target_path(path: &TargetPath) -> Option<(String, Version)> {
    let (skill, file) = path.as_str().split_once('/')?;
    let version = file.strip_suffix(SUFFIX)?.strip_prefix(skill)?.strip_prefix("_v")?;
    Some((skill.to_owned(), version.parse().ok()?))
}

/// `None` for a skill that has no proper name.
pub fn target_path(skill: &str, version: &Version) -> Option<TargetPath> {
    if skill.contains('/') {
        return None;
    }
    format!("{skill}/{skill}_v{version}{SUFFIX}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_others_are_none() {
        let version: Version = "1.2.0-rc.1+b7".parse().unwrap();
        let path = target_path("pick", &version).unwrap();
        assert_eq!(path.as_str(), "pick/pick_v1.2.0-rc.1+b7.tar.gz");
        assert_eq!(parse_target_path(&path), Some(("pick".to_owned(), version.clone())));
        for other in [
            "pick_v1.2.0.tar.gz",
            "pick/place_v1.2.0.tar.gz",
            "pick/pick_v1.2.tar.gz",
            "pick/pick_v1.2.0.zip",
            "a/a/a_v1.0.0.tar.gz",
        ] {
            assert_eq!(parse_target_path(&other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(target_path("a/b", &version), None);
        assert_eq!(target_path("", &version), None);
    }
}
