//! Archives built entry by entry, so that they can be wrong in every way that `swarm_store::package` cannot be.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};
use swarm_artifact::{EntryPath, FileEntry, Manifest, Sha256Sum, SkillSource};
use tar::{EntryType, Header};

pub(super) const TREE: &str = "trees/leader.xml";
pub(super) const ENVELOPE: &str = "safety_envelope.yaml";

/// A small sound skill: its files and what `skill.yaml` says.
#[derive(Clone)]
pub(super) struct Skill {
    pub(super) source: SkillSource,
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
}

/// `skill.yaml` of the sound skill.
pub(super) const SOURCE: &str = "schema_version: 1\nskill_id: assembly\nversion: 1.0.0\n\
    roles:\n  leader: {tree: trees/leader.xml, tree_id: Leader, robot_group: leader}\n\
    envelope: safety_envelope.yaml\n";

impl Skill {
    pub(super) fn sound() -> anyhow::Result<Self> {
        let source = SkillSource::parse(SOURCE)?;
        let tree =
            b"<root BTCPP_format=\"4\"><BehaviorTree ID=\"Leader\"><AlwaysSuccess/></BehaviorTree></root>\n";
        let envelope = b"max_tcp_speed_m_s: 0.25\n";
        Ok(Self { source, files: vec![(ENVELOPE, envelope.to_vec()), (TREE, tree.to_vec())] })
    }

    pub(super) fn manifest(&self) -> anyhow::Result<Manifest> {
        let mut files = Vec::new();
        for (path, bytes) in &self.files {
            let path: EntryPath = path.parse()?;
            files.push(FileEntry { path, size: bytes.len() as u64, sha256: Sha256Sum::of(bytes) });
        }
        Ok(Manifest { skill: self.source.clone(), files })
    }

    /// The archive as it should be, without the end mark.
    pub(super) fn open_archive(&self) -> anyhow::Result<RawArchive> {
        let mut archive = RawArchive::with_manifest(&self.manifest()?.to_yaml());
        for (path, bytes) in &self.files {
            archive.file(path, bytes);
        }
        Ok(archive)
    }

    pub(super) fn archive(&self) -> anyhow::Result<Vec<u8>> {
        self.open_archive()?.end().gzip()
    }
}

/// A tar archive in the making.
pub(super) struct RawArchive {
    pub(super) tar: Vec<u8>,
}

impl RawArchive {
    pub(super) fn empty() -> Self {
        Self { tar: Vec::new() }
    }

    pub(super) fn with_manifest(text: &str) -> Self {
        let mut archive = Self::empty();
        archive.file("manifest.yaml", text.as_bytes());
        archive
    }

    pub(super) fn file(&mut self, path: &str, bytes: &[u8]) {
        self.entry(&header(path.as_bytes(), EntryType::Regular, bytes.len() as u64), bytes);
    }

    pub(super) fn entry(&mut self, header: &Header, bytes: &[u8]) {
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(bytes);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
    }

    /// A link, device, folder: an entry without bytes.
    pub(super) fn special(&mut self, path: &str, kind: EntryType, link: &str) {
        let mut header = header(path.as_bytes(), kind, 0);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.entry(&header, b"");
    }

    /// Adds the end mark.
    pub(super) fn end(mut self) -> Self {
        self.tar.extend_from_slice(&[0; 1024]);
        self
    }

    pub(super) fn gzip(self) -> anyhow::Result<Vec<u8>> {
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&self.tar)?;
        Ok(gzip.finish()?)
    }
}

/// A ustar header that takes any bytes as the name.
pub(super) fn header(path: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    header
}
