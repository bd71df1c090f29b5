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
//! policies:                           # optional
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

use crate::path::EntryPath;
use crate::sum::Sha256Sum;
use crate::yaml::{self, Cursor, Fields, Mistakes, quoted};

/// Name of the manifest in the archive; it is the first entry.
pub const MANIFEST_NAME: &str = "manifest.yaml";

/// The manifest schema that this code reads and writes.
pub const SCHEMA_VERSION: u64 = 1;

/// Longest time that a policy may be given for one inference: longer than this, a 100 Hz tick is out of the question.
const MAX_DEADLINE_US: u64 = 1_000_000;

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

/// One policy of the skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEntry {
    /// The ONNX file.
    pub file: EntryPath,
    /// Golden input and output vectors, checked when the artifact is deployed.
    pub golden: EntryPath,
    /// Longest time for one inference; a later answer is a failure.
    pub deadline_us: u32,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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

const SKILL_FIELDS: [&str; 8] =
    ["schema_version", "skill_id", "version", "base_version", "roles", "policies", "envelope", "provenance"];

impl SkillSource {
    pub const FILE_NAME: &str = "skill.yaml";

    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut wrong_schema = None;
        let read = yaml::read(text, |document| {
            wrong_schema = foreign_schema(&document);
            let fields = document.fields(&SKILL_FIELDS)?;
            read_skill(&fields)
        });
        finish(Self::FILE_NAME, read, wrong_schema)
    }

    /// The files that roles, policies and envelope refer to.
    pub fn referenced_files(&self) -> BTreeSet<&EntryPath> {
        let trees = self.roles.values().map(|role| &role.tree);
        let policies = self.policies.values().flat_map(|policy| [&policy.file, &policy.golden]);
        trees.chain(policies).chain([&self.envelope]).collect()
    }
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let mut wrong_schema = None;
        let read = yaml::read(text, |document| {
            wrong_schema = foreign_schema(&document);
            let fields = document.fields(&[&SKILL_FIELDS[..], &["files"]].concat())?;
            let skill = read_skill(&fields);
            let list = fields.required("files");
            let files = list.as_ref().and_then(read_files);
            let (skill, files) = (skill?, files?);
            for path in skill.referenced_files() {
                if files.binary_search_by(|file| file.path.cmp(path)).is_err() {
                    list.as_ref()?.wrong(format!("'{path}' is referred to but not listed"));
                }
            }
            Some(Self { skill, files })
        });
        finish(MANIFEST_NAME, read, wrong_schema)
    }

    pub fn file(&self, path: &EntryPath) -> Option<&FileEntry> {
        self.files.binary_search_by(|file| file.path.cmp(path)).ok().map(|index| &self.files[index])
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
        for (name, PolicyEntry { file, golden, deadline_us }) in policies {
            let name = quoted(name);
            let _ = writeln!(
                out,
                "  {name}:\n    file: \"{file}\"\n    golden: \"{golden}\"\n    deadline_us: {deadline_us}"
            );
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

/// A schema version other than ours. Then nothing else in the document is judged: its rules are not known here.
fn foreign_schema(document: &Cursor<'_>) -> Option<u64> {
    let entries = document.peek_entries()?;
    let (_, schema) = entries.iter().find(|(key, _)| *key == "schema_version")?;
    schema.peek_unsigned().filter(|found| *found != SCHEMA_VERSION)
}

fn finish<T>(
    name: &'static str,
    read: Result<T, Mistakes>,
    foreign: Option<u64>,
) -> Result<T, ManifestError> {
    match foreign {
        Some(found) => Err(ManifestError::WrongSchema { name, found }),
        None => read.map_err(|mistakes| ManifestError::Mistakes { name, mistakes }),
    }
}

fn read_skill(fields: &Fields<'_>) -> Option<SkillSource> {
    let schema = fields.required("schema_version").and_then(|schema| schema.unsigned());
    let skill_id = fields.required("skill_id").and_then(|id| id.parse());
    let version = fields.required("version").and_then(|version| read_version(&version));
    let base = fields.optional("base_version");
    let base_version = base.as_ref().and_then(read_version);
    if let (Some(version), Some(base_version), Some(base)) = (&version, &base_version, &base)
        && base_version >= version
    {
        base.wrong(format!("expected a version below {version}, found {base_version}"));
    }
    let policies = match fields.optional("policies") {
        Some(value) => read_policies(&value),
        None => Some(BTreeMap::new()),
    };
    let roles = fields.required("roles").and_then(|value| read_roles(&value, policies.as_ref()));
    let envelope = fields.required("envelope").and_then(|path| path.parse());
    let provenance = match fields.optional("provenance") {
        Some(value) => read_provenance(&value),
        None => Some(BTreeMap::new()),
    };
    schema?;
    Some(SkillSource {
        skill_id: skill_id?,
        version: version?,
        base_version,
        roles: roles?,
        policies: policies?,
        envelope: envelope?,
        provenance: provenance?,
    })
}

fn read_version(value: &Cursor<'_>) -> Option<Version> {
    let text = value.text()?;
    let version = Version::parse(text);
    if let Err(error) = &version {
        value.wrong(format!(
            "expected a semantic version such as 1.0.0, found '{}': {error}",
            text.escape_debug()
        ));
    }
    version.ok()
}

fn read_roles(
    value: &Cursor<'_>,
    policies: Option<&BTreeMap<String, PolicyEntry>>,
) -> Option<BTreeMap<Role, RoleEntry>> {
    let mut roles = BTreeMap::new();
    for (name, value) in value.entries()? {
        let Ok(role) = name.parse::<Role>() else {
            value.wrong("unknown role; known are leader, follower, spotter");
            continue;
        };
        let Some(fields) = value.fields(&["tree", "tree_id", "policy", "robot_group"]) else { continue };
        let tree = fields.required("tree").and_then(|tree| tree.parse());
        let tree_id = fields.required("tree_id").and_then(|id| read_name(&id));
        let robot_group = fields.required("robot_group").and_then(|group| read_name(&group));
        let policy = fields.optional("policy").and_then(|policy| {
            let name = policy.text()?;
            if policies.is_some_and(|policies| !policies.contains_key(name)) {
                policy.wrong(format!("'{name}' is not one of the policies"));
            }
            Some(name.to_owned())
        });
        if let (Some(tree), Some(tree_id), Some(robot_group)) = (tree, tree_id, robot_group) {
            roles.insert(role, RoleEntry { tree, tree_id, policy, robot_group });
        }
    }
    if value.entries()?.is_empty() {
        value.wrong("expected at least one role");
    }
    Some(roles)
}

fn read_policies(value: &Cursor<'_>) -> Option<BTreeMap<String, PolicyEntry>> {
    let mut policies = BTreeMap::new();
    for (name, value) in value.entries()? {
        let Some(fields) = value.fields(&["file", "golden", "deadline_us"]) else { continue };
        let file = fields.required("file").and_then(|file| file.parse());
        let golden = fields.required("golden").and_then(|golden| golden.parse());
        let deadline_us = fields.required("deadline_us").and_then(|deadline| {
            let found = deadline.unsigned()?;
            if !(1..=MAX_DEADLINE_US).contains(&found) {
                deadline.wrong(format!("expected 1 to {MAX_DEADLINE_US} us, found {found}"));
            }
            u32::try_from(found).ok()
        });
        if let (Some(file), Some(golden), Some(deadline_us)) = (file, golden, deadline_us) {
            policies.insert(name.to_owned(), PolicyEntry { file, golden, deadline_us });
        }
    }
    Some(policies)
}

fn read_provenance(value: &Cursor<'_>) -> Option<BTreeMap<String, String>> {
    let texts =
        value.entries()?.into_iter().map(|(key, value)| Some((key.to_owned(), value.text()?.to_owned())));
    let texts: Vec<_> = texts.collect();
    texts.into_iter().collect()
}

fn read_files(list: &Cursor<'_>) -> Option<Vec<FileEntry>> {
    let mut files = BTreeMap::new();
    let items = list.items()?;
    for item in &items {
        let Some(fields) = item.fields(&["path", "size", "sha256"]) else { continue };
        let path = fields.required("path").and_then(|path| {
            let parsed: EntryPath = path.parse()?;
            if parsed.as_str() == MANIFEST_NAME {
                path.wrong("the manifest does not list itself");
            }
            Some(parsed)
        });
        let size = fields.required("size").and_then(|size| size.unsigned());
        let sha256 = fields.required("sha256").and_then(|sum| sum.parse());
        if let (Some(path), Some(size), Some(sha256)) = (path, size, sha256) {
            let again = files.insert(path.clone(), FileEntry { path, size, sha256 });
            if let Some(FileEntry { path, .. }) = again {
                item.wrong(format!("'{path}' is listed twice"));
            }
        }
    }
    (files.len() == items.len()).then(|| files.into_values().collect())
}

/// A tree id or robot group: one word that is safe to print and to compare.
fn read_name(value: &Cursor<'_>) -> Option<String> {
    let text = value.text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        value.wrong(format!(
            "expected a name of letters, digits, '_', '-', '.', found '{}'",
            text.escape_debug()
        ));
        return None;
    }
    Some(text.to_owned())
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
             line 2, envelope: missing\n  \
             line 3, skill_id: expected a lower-case name such as cooperative_assembly (a-z, 0-9, _), found 'Cooperative Assembly'\n  \
             line 4, version: expected a text, found the number 1.0\n  \
             line 7, roles.leader.tree: '../leader.xml' contains a '..' segment and would leave the artifact's folder\n  \
             line 7, roles.leader.tree_id: missing\n  \
             line 8, roles.follower.policy: 'lift' is not one of the policies\n  \
             line 10, policies.mate.deadline_us: expected 1 to 1000000 us, found 0\n  \
             line 11, envelop: unknown field; known are schema_version, skill_id, version, base_version, roles, policies, \
             envelope, provenance, files\n  \
             line 18, files[4].size: expected a whole number from 0, found the number -5"
        );
    }

    #[test]
    fn a_file_that_is_referred_to_must_be_listed_and_none_twice() {
        let bad = GOOD.replace("- {path: trees/leader.xml", "- {path: trees/follower.xml");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: line 15, files[1]: 'trees/follower.xml' is listed twice"
        );
        let bad = GOOD.replace("- {path: trees/leader.xml", "- {path: trees/lead.xml");
        assert_eq!(
            Manifest::parse(&bad).unwrap_err().to_string(),
            "manifest.yaml cannot be used: line 14, files: 'trees/leader.xml' is referred to but not listed"
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
