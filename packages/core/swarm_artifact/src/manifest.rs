//! `manifest.yaml`: what an artifact is and what it contains.
//!
//! ```yaml
//! schema_version: 1
//! skill_id: cooperative_assembly
//! version: 1.2.0
//! base_version: 1.1.0                 # optional: the version that this one was made from
//! roles:                              # at least one of leader, follower, spotter
//!   leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader}
//!   follower: {tree: trees/follower.xml, tree_id: Follower, robot_group: follower, policy: mate}
//! policies:                           # optional; those that answer with chunks of actions are in the module `policy`
//!   mate: {file: policies/mate.onnx, golden: policies/mate.golden.json, deadline_us: 2000}
//! envelope: safety_envelope.yaml
//! provenance: {trainer: tests/data/train.py, demonstrations: "200"}     # optional, free texts
//! files:                              # every file of the archive except this one
//! - {path: safety_envelope.yaml, size: 812, sha256: "..."}
//! ```
//!
//! `skill.yaml`, from which `cell package` makes the manifest, is the same without `files`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use semver::Version;
use swarm_base::Role;
use swarm_yaml::{Cursor, Document, Field, Mistakes, Value, quoted};

use crate::path::EntryPath;
use crate::policy::PolicyEntry;
use crate::sum::Sha256Sum;

/// Name of the manifest in the archive; it is the first entry.
pub const MANIFEST_NAME: &str = "manifest.yaml";

/// The manifest schema that this code reads and writes.
pub const SCHEMA_VERSION: u64 = 1;

/// Name of a skill: a lower-case letter, then up to 63 of `a-z 0-9 _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SkillId(String);

impl SkillId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SkillId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 64 && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let shown = text.escape_debug();
        Err(format!("expected a lower-case name such as cooperative_assembly (a-z, 0-9, _), found '{shown}'"))
    }
}

impl fmt::Display for SkillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One role of the skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleEntry {
    /// The XML file of the role's behaviour tree.
    pub tree: EntryPath,
    /// Id of the tree within the file.
    pub tree_id: String,
    /// The policy that the tree may call.
    pub policy: Option<String>,
    /// The group of the cell's robots that may play this role.
    pub robot_group: String,
}

/// One file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    pub path: EntryPath,
    /// In bytes.
    pub size: u64,
    pub sha256: Sha256Sum,
}

/// What a skill is, without the list of its files: the contents of `skill.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct SkillSource {
    pub skill_id: SkillId,
    pub version: Version,
    pub base_version: Option<Version>,
    pub roles: BTreeMap<Role, RoleEntry>,
    pub policies: BTreeMap<String, PolicyEntry>,
    pub envelope: EntryPath,
    pub provenance: BTreeMap<String, String>,
}

/// The manifest of an artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub skill: SkillSource,
    /// Every file of the archive except the manifest, sorted by path.
    pub files: Vec<FileEntry>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error(
        "{name} has schema version {found}, this program reads {SCHEMA_VERSION}; package the skill again, or use the \
         program version that belongs to it"
    )]
    WrongSchema { name: &'static str, found: u64 },
    #[error("{name} cannot be used: {mistakes}")]
    Mistakes { name: &'static str, mistakes: Mistakes },
}

const MANIFEST_FIELDS: [&str; 9] = [
    "schema_version",
    "skill_id",
    "version",
    "base_version",
    "roles",
    "policies",
    "envelope",
    "provenance",
    "files",
];

/// Those of the manifest without the last, `files`.
const SKILL_FIELDS: [&str; 8] = {
    let [skill @ .., _] = MANIFEST_FIELDS;
    skill
};

impl SkillSource {
    pub const FILE_NAME: &str = "skill.yaml";

    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        read(Self::FILE_NAME, text, |document| read_skill(&document.fields(SKILL_FIELDS)?))
    }

    /// The files that roles, policies and envelope refer to.
    pub fn referenced_files(&self) -> BTreeSet<&EntryPath> {
        let trees = self.roles.values().map(|role| &role.tree);
        let policies = self.policies.values().flat_map(PolicyEntry::files);
        trees.chain(policies).chain([&self.envelope]).collect()
    }
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        read(MANIFEST_NAME, text, |document| {
            let [skill @ .., files] = document.fields(MANIFEST_FIELDS)?;
            let skill = read_skill(&skill);
            let files = files.required("a list of all files but this one", |list| {
                let files = read_files(list)?;
                for path in skill.iter().flat_map(SkillSource::referenced_files) {
                    if find(&files, path).is_none() {
                        list.note(format!("'{path}' is referred to but not listed"));
                    }
                }
                Some(files)
            });
            Some(Self { skill: skill?, files: files? })
        })
    }

    pub fn file(&self, path: &EntryPath) -> Option<&FileEntry> {
        find(&self.files, path)
    }

    /// Of all listed files, in bytes.
    pub fn total_size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The same manifest gives the same text.
    pub fn to_yaml(&self) -> String {
        let SkillSource { skill_id, version, base_version, roles, policies, envelope, provenance } =
            &self.skill;
        let mut text = String::new();
        let out = &mut text;
        let _ = writeln!(
            out,
            "schema_version: {SCHEMA_VERSION}\nskill_id: \"{skill_id}\"\nversion: \"{version}\""
        );
        if let Some(base) = base_version {
            let _ = writeln!(out, "base_version: \"{base}\"");
        }
        let _ = writeln!(out, "roles:");
        for (name, role) in roles {
            let (tree_id, group) = (quoted(&role.tree_id), quoted(&role.robot_group));
            let _ = writeln!(
                out,
                "  {name}:\n    tree: \"{}\"\n    tree_id: {tree_id}\n    robot_group: {group}",
                role.tree
            );
            if let Some(policy) = &role.policy {
                let _ = writeln!(out, "    policy: {}", quoted(policy));
            }
        }
        if !policies.is_empty() {
            let _ = writeln!(out, "policies:");
        }
        for (name, policy) in policies {
            let _ = writeln!(out, "  {}:", quoted(name));
            policy.write(out);
        }
        let _ = writeln!(out, "envelope: \"{envelope}\"");
        if !provenance.is_empty() {
            let _ = writeln!(out, "provenance:");
        }
        for (key, value) in provenance {
            let _ = writeln!(out, "  {}: {}", quoted(key), quoted(value));
        }
        let _ = writeln!(out, "files:");
        for FileEntry { path, size, sha256 } in &self.files {
            let _ = writeln!(out, "- path: \"{path}\"\n  size: {size}\n  sha256: \"{sha256}\"");
        }
        text
    }
}

fn find<'f>(sorted: &'f [FileEntry], path: &EntryPath) -> Option<&'f FileEntry> {
    sorted.binary_search_by(|file| file.path.cmp(path)).ok().map(|index| &sorted[index])
}

fn read<T>(
    name: &'static str,
    text: &str,
    walk: impl FnOnce(&Cursor<'_>) -> Option<T>,
) -> Result<T, ManifestError> {
    let with_name = |mistakes| ManifestError::Mistakes { name, mistakes };
    let document = Document::parse(text).map_err(with_name)?;
    match document.get("schema_version") {
        // Nothing else in the document is judged: its rules are not known here.
        Some(&Value::Integer(found @ 0..)) if found.unsigned_abs() != SCHEMA_VERSION => {
            Err(ManifestError::WrongSchema { name, found: found.unsigned_abs() })
        }
        _ => document.read(walk).map_err(with_name),
    }
}

fn read_skill(fields: &[Field<'_>; 8]) -> Option<SkillSource> {
    let [schema, skill_id, version, base_version, roles, policies, envelope, provenance] = fields;
    let schema = schema.required("1", |at| at.schema(SCHEMA_VERSION));
    let skill_id = skill_id.required("the skill's name", Cursor::parse);
    let version = version.required("the skill's version", read_version);
    let base_version = base_version.optional(None, |at| match (read_version(at)?, &version) {
        (base, Some(version)) if base >= *version => {
            at.wrong(format!("expected a version below {version}, found {base}"))
        }
        (base, _) => Some(Some(base)),
    });
    // Also of those with mistakes, so that a role naming one of them is not called wrong too.
    let policy_names = policies.get().map(Cursor::names).unwrap_or_default();
    let policies = policies.optional(BTreeMap::new(), |at| {
        at.mapping("a mapping of names to policies", |_, at| PolicyEntry::read(at))
    });
    let roles = roles.required("which tree each role runs", |at| read_roles(at, &policy_names));
    let envelope = envelope.required("the path of the safety envelope", Cursor::parse);
    let provenance = provenance
        .optional(BTreeMap::new(), |at| at.mapping("a mapping of names to texts", |_, at| at.text()));
    schema?;
    Some(SkillSource {
        skill_id: skill_id?,
        version: version?,
        base_version: base_version?,
        roles: roles?,
        policies: policies?,
        envelope: envelope?,
        provenance: provenance?,
    })
}

fn read_version(at: &Cursor<'_>) -> Option<Version> {
    let text = at.text()?;
    let refuse =
        |error| at.wrong(format!("expected a semantic version such as 1.0.0, found '{text}': {error}"));
    Version::parse(&text).map_or_else(refuse, Some)
}

fn read_roles(at: &Cursor<'_>, policies: &[&str]) -> Option<BTreeMap<Role, RoleEntry>> {
    let fields = at.fields(Role::ALL.map(Role::as_str))?;
    let mut roles = Vec::new();
    for (role, field) in Role::ALL.into_iter().zip(fields) {
        if let Some(at) = field.get() {
            roles.push(read_role(at, policies).map(|entry| (role, entry)));
        }
    }
    if roles.is_empty() {
        return at.wrong("expected at least one role");
    }
    roles.into_iter().collect()
}

fn read_role(at: &Cursor<'_>, policies: &[&str]) -> Option<RoleEntry> {
    let [tree, tree_id, policy, robot_group] = at.fields(["tree", "tree_id", "policy", "robot_group"])?;
    let tree = tree.required("the path of the role's tree", Cursor::parse);
    let tree_id = tree_id.required("the id of the tree in its file", read_name);
    let policy = policy.optional(None, |at| match at.text()? {
        name if !policies.contains(&name.as_str()) => {
            at.wrong(format!("'{name}' is not one of the policies"))
        }
        name => Some(Some(name)),
    });
    let robot_group = robot_group.required("the robots that may play the role", read_name);
    Some(RoleEntry { tree: tree?, tree_id: tree_id?, policy: policy?, robot_group: robot_group? })
}

/// The files, sorted by path.
fn read_files(list: &Cursor<'_>) -> Option<Vec<FileEntry>> {
    let mut paths = BTreeSet::new();
    let mut files = list.list("a list of files", |item| read_file(item, &mut paths))?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(files)
}

/// One file; `listed` are the paths of those before it.
fn read_file(item: &Cursor<'_>, listed: &mut BTreeSet<EntryPath>) -> Option<FileEntry> {
    let [path, size, sha256] = item.fields(["path", "size", "sha256"])?;
    let path = path.required("the file's path in the archive", |at| match at.parse::<EntryPath>()? {
        path if path.as_str() == MANIFEST_NAME => at.wrong("the manifest does not list itself"),
        path if !listed.insert(path.clone()) => at.wrong(format!("'{path}' is listed twice")),
        path => Some(path),
    });
    let size = size.required("the file's size in bytes", |at| at.integer(0..));
    let sha256 = sha256.required("the file's SHA-256", Cursor::parse);
    Some(FileEntry { path: path?, size: size?, sha256: sha256? })
}

/// A tree id or robot group: one word that is safe to print and to compare.
fn read_name(at: &Cursor<'_>) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let good = |text: &str| !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
    at.text_that(good, "a name of letters, digits, '_', '-', '.'")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const GOOD: &str = r#"
schema_version: 1
skill_id: cooperative_assembly
version: 1.2.0
base_version: 1.1.0
roles:
  leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader}
  follower: {tree: trees/follower.xml, tree_id: Follower, robot_group: follower, policy: mate}
policies:
  mate: {file: policies/mate.onnx, golden: policies/mate.golden.json, deadline_us: 2000}
envelope: safety_envelope.yaml
provenance: {trainer: "train.py: \"v1\"", demonstrations: "200"}
files:
- {path: trees/leader.xml, size: 1, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
- {path: trees/follower.xml, size: 2, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
- {path: policies/mate.onnx, size: 3, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
- {path: policies/mate.golden.json, size: 4, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
- {path: safety_envelope.yaml, size: 5, sha256: "0000000000000000000000000000000000000000000000000000000000000000"}
"#;

    #[test]
    fn what_is_written_is_read_back() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!(manifest.total_size(), 15);
        assert_eq!(manifest.skill.roles[&Role::Follower].policy.as_deref(), Some("mate"));
        assert_eq!(Manifest::parse(&manifest.to_yaml()).unwrap(), manifest);
    }

    #[test]
    fn all_mistakes_are_listed_with_line_and_field() {
        let bad = GOOD
            .replace("skill_id: cooperative_assembly", "skill_id: Cooperative Assembly")
            .replace("version: 1.2.0", "version: 1.0")
            .replace("trees/leader.xml, tree_id: Leader,", "../leader.xml,")
            .replace("policy: mate", "policy: lift")
            .replace("deadline_us: 2000", "deadline_us: 0")
            .replace("size: 5", "size: -5")
            .replace("envelope:", "envelop:");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: 9 mistakes\n  \
             line 2, column 1: envelope: missing; expected the path of the safety envelope\n  \
             line 3, column 11: skill_id: expected a lower-case name such as cooperative_assembly (a-z, 0-9, _), found 'Cooperative Assembly'\n  \
             line 4, column 10: version: expected a text, found the number 1.0\n  \
             line 7, column 11: roles.leader.tree_id: missing; expected the id of the tree in its file\n  \
             line 7, column 18: roles.leader.tree: '../leader.xml' contains a '..' segment and would leave the artifact's folder\n  \
             line 8, column 90: roles.follower.policy: 'lift' is not one of the policies\n  \
             line 10, column 84: policies.mate.deadline_us: expected a whole number from 1 to 1000000, found the number 0\n  \
             line 11, column 1: envelop: unknown field; did you mean envelope?\n  \
             line 18, column 38: files[4].size: expected a whole number from 0, found the number -5"
        );
    }

    #[test]
    fn a_file_that_is_referred_to_must_be_listed_and_none_twice() {
        let bad = GOOD.replace("- {path: trees/leader.xml", "- {path: trees/follower.xml");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: line 15, column 10: files[1].path: 'trees/follower.xml' is listed twice"
        );
        let bad = GOOD.replace("- {path: trees/leader.xml", "- {path: trees/lead.xml");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: line 14, column 3: files: 'trees/leader.xml' is referred to but not listed"
        );
    }

    #[test]
    fn the_manifest_does_not_list_itself_and_some_role_is_played() {
        let bad = GOOD.replace("path: trees/leader.xml", "path: manifest.yaml").replace(
            "{tree: trees/leader.xml, tree_id: Leader, robot_group: leader}",
            "{tree: trees/follower.xml, tree_id: Leader, robot_group: leader}",
        );
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: line 14, column 10: files[0].path: the manifest does not list itself"
        );
        let source = GOOD[..GOOD.find("files:").unwrap()]
            .replace("  leader:", "  # leader:")
            .replace("  follower:", "  # follower:")
            .replace("roles:", "roles: {}");
        assert_eq!(
            SkillSource::parse(&source).unwrap_err().to_string(),
            "skill.yaml cannot be used: line 6, column 8: roles: expected at least one role"
        );
    }

    #[test]
    fn the_base_version_is_an_earlier_one() {
        let bad = GOOD.replace("base_version: 1.1.0", "base_version: 1.2.0");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: line 5, column 15: base_version: expected a version below 1.2.0, found 1.2.0"
        );
    }

    #[test]
    fn of_another_schema_only_the_schema_is_said() {
        let bad = GOOD.replace("schema_version: 1", "schema_version: 2").replace("envelope:", "envelope_v2:");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml has schema version 2, this program reads 1; package the skill again, or use the program version \
             that belongs to it"
        );
    }

    #[test]
    fn a_skill_source_is_a_manifest_without_files() {
        let source = &GOOD[..GOOD.find("files:").unwrap()];
        assert_eq!(SkillSource::parse(source).unwrap(), Manifest::parse(GOOD).unwrap().skill);
        assert!(SkillSource::parse(GOOD).unwrap_err().to_string().contains("files: unknown field"));
    }
}
