//! Who else may provide targets: delegated roles by path, by digest of the path, and bins that are named by counting.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::glob;
use crate::key::{Key, KeyId};
use crate::metadata::unique;
use crate::names::good_role_name;
use crate::threshold::Authority;

/// Delegations of one targets role: a list in order of trust, or bins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegations {
    pub keys: BTreeMap<KeyId, Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<DelegatedRole>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succinct_roles: Option<SuccinctRoles>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegatedRole {
    pub name: String,
    pub keyids: Vec<KeyId>,
    pub threshold: NonZeroU64,
    /// What this role does not provide is not asked of those behind it in the list.
    pub terminating: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
}

/// 2^`bit_length` roles `PREFIX-XX`, each for the targets whose path's SHA-256 begins with its number (TAP 15).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccinctRoles {
    pub keyids: Vec<KeyId>,
    pub threshold: NonZeroU64,
    pub bit_length: u32,
    pub name_prefix: String,
}

/// A delegation that a search follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) role: String,
    pub(crate) terminating: bool,
}

impl Delegations {
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.roles, &self.succinct_roles) {
            (Some(roles), None) => {
                let mut names = BTreeSet::new();
                for role in roles {
                    role.check()?;
                    if !names.insert(&role.name) {
                        return Err(format!("role {} is delegated to twice", role.name.escape_debug()));
                    }
                }
                Ok(())
            }
            (None, Some(succinct)) => succinct.check(),
            _ => Err("delegations must have either `roles` or `succinct_roles`".to_owned()),
        }
    }

    /// The delegations that may provide `path`, in order, up to and with the first that is terminating.
    pub(crate) fn for_path(&self, path: &str) -> Vec<Next> {
        let mut found = Vec::new();
        for role in self.roles.iter().flatten().filter(|role| role.may_provide(path)) {
            found.push(Next { role: role.name.clone(), terminating: role.terminating });
            if role.terminating {
                break;
            }
        }
        // TAP 15: one bin is responsible for a path, and its delegation is terminating.
        found.extend(
            self.succinct_roles
                .iter()
                .map(|succinct| Next { role: succinct.bin_of(path), terminating: true }),
        );
        found
    }

    /// Who may sign the role `name`, if this delegates to it.
    pub(crate) fn authority(&self, name: &str) -> Option<Authority<'_>> {
        if let Some(role) = self.roles.iter().flatten().find(|role| role.name == name) {
            return Some(Authority { keys: &self.keys, keyids: &role.keyids, threshold: role.threshold });
        }
        let succinct = self.succinct_roles.as_ref().filter(|succinct| succinct.has_bin(name))?;
        Some(Authority { keys: &self.keys, keyids: &succinct.keyids, threshold: succinct.threshold })
    }
}

impl DelegatedRole {
    fn check(&self) -> Result<(), String> {
        let name = self.name.escape_debug();
        if !good_role_name(&self.name) {
            return Err(format!("a delegated role cannot be called '{name}'"));
        }
        if self.paths.is_some() == self.path_hash_prefixes.is_some() {
            return Err(format!("role {name} must have either `paths` or `path_hash_prefixes`"));
        }
        unique(&self.keyids, &self.name)
    }

    /// Whether a target with this path may come from this role.
    pub fn may_provide(&self, path: &str) -> bool {
        if let Some(patterns) = &self.paths {
            return patterns.iter().any(|pattern| glob::matches(pattern, path));
        }
        let digest = hex::encode(Sha256::digest(path));
        self.path_hash_prefixes.iter().flatten().any(|prefix| digest.starts_with(prefix.as_str()))
    }
}

impl SuccinctRoles {
    fn check(&self) -> Result<(), String> {
        if !(1..=32).contains(&self.bit_length) {
            return Err(format!("bit_length of succinct roles is {}, expected 1 to 32", self.bit_length));
        }
        if !good_role_name(&self.name(0)) {
            return Err(format!("succinct roles cannot be called '{}'", self.name_prefix.escape_debug()));
        }
        unique(&self.keyids, &self.name_prefix)
    }

    /// The bin for a target's path.
    pub fn bin_of(&self, path: &str) -> String {
        let digest = Sha256::digest(path);
        let first = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        self.name(u64::from(first) >> (32 - self.bit_length))
    }

    fn has_bin(&self, name: &str) -> bool {
        let number = name.strip_prefix(&self.name_prefix).and_then(|rest| rest.strip_prefix('-'));
        let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.is_some_and(|bin| bin < 1 << self.bit_length && self.name(bin) == name)
    }

    fn name(&self, bin: u64) -> String {
        let digits = self.bit_length.div_ceil(4) as usize;
        format!("{}-{bin:0digits$x}", self.name_prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn succinct(bit_length: u32) -> SuccinctRoles {
        SuccinctRoles {
            keyids: Vec::new(),
            threshold: NonZeroU64::MIN,
            bit_length,
            name_prefix: "bin".to_owned(),
        }
    }

    /// The expected names were made with `tuf.api.metadata.SuccinctRoles` 7.0.1.
    #[test]
    fn bins_are_named_as_python_tuf_names_them() {
        for (bits, path, expected) in BINS {
            assert_eq!(succinct(*bits).bin_of(path), *expected, "{path} at {bits} bits");
            assert!(succinct(*bits).has_bin(expected));
        }
        assert!(succinct(2).has_bin("bin-3"));
        for no_bin in ["bin-4", "bin-00", "bin-", "bin", "bin-+1", "other-1", "bin--1"] {
            assert!(!succinct(2).has_bin(no_bin), "{no_bin}");
        }
    }

    const BINS: &[(u32, &str, &str)] = &[
        (1, "skills/a.gz", "bin-0"),
        (1, "é/x", "bin-1"),
        (1, "targetfile", "bin-1"),
        (2, "skills/a.gz", "bin-0"),
        (2, "é/x", "bin-3"),
        (2, "targetfile", "bin-3"),
        (4, "skills/a.gz", "bin-3"),
        (4, "é/x", "bin-e"),
        (4, "targetfile", "bin-c"),
        (5, "skills/a.gz", "bin-06"),
        (5, "é/x", "bin-1d"),
        (5, "targetfile", "bin-18"),
        (8, "skills/a.gz", "bin-30"),
        (8, "é/x", "bin-ea"),
        (8, "targetfile", "bin-c6"),
        (13, "skills/a.gz", "bin-061d"),
        (13, "é/x", "bin-1d4b"),
        (13, "targetfile", "bin-18cf"),
        (16, "skills/a.gz", "bin-30ec"),
        (16, "é/x", "bin-ea5d"),
        (16, "targetfile", "bin-c67b"),
        (32, "skills/a.gz", "bin-30ec9cae"),
        (32, "é/x", "bin-ea5d2314"),
        (32, "targetfile", "bin-c67b627d"),
    ];

    #[test]
    fn a_role_may_provide_what_its_paths_or_digests_say() {
        let mut role = DelegatedRole {
            name: "a".to_owned(),
            keyids: Vec::new(),
            threshold: NonZeroU64::MIN,
            terminating: false,
            paths: Some(vec!["skills/*.gz".to_owned()]),
            path_hash_prefixes: None,
        };
        assert!(role.may_provide("skills/a.gz") && !role.may_provide("skills/b/a.gz"));
        let digest = hex::encode(Sha256::digest("skills/a.gz"));
        (role.paths, role.path_hash_prefixes) = (None, Some(vec![digest[..3].to_owned()]));
        assert!(role.may_provide("skills/a.gz") && !role.may_provide("skills/c.gz"));
        role.path_hash_prefixes = Some(Vec::new());
        assert!(!role.may_provide("skills/a.gz"));
    }
}
