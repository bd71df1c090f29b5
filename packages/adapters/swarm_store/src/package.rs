//! Making an archive from a folder: the same folder gives the same bytes.
//!
//! Entries are sorted (the manifest first), with mode 0644, owner 0, time 0 and a plain ustar header; the gzip header
//! carries no name and no time. Compression is `miniz_oxide` at a fixed level: unlike the zlib-ng family it picks no
//! algorithm by the machine's CPU, so the bytes agree between machines. A test pins them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use semver::Version;
use sha2::{Digest, Sha256};
use swarm_artifact::{
    ArchiveDigest, ArchiveHasher, EntryPath, FileEntry, Limits, MANIFEST_NAME, Manifest, Sha256Sum, SkillId,
    SkillSource,
};
use tar::{EntryType, Header};

use crate::error::PackageError;
use crate::unpack::check_contents;

/// What may be decided when packaging.
#[derive(Clone, Debug)]
pub struct PackageOptions {
    /// Instead of `skill.yaml`'s.
    pub skill_id: Option<SkillId>,
    /// Instead of `skill.yaml`'s.
    pub version: Option<Version>,
    /// 0 (store) to 9; other levels give other bytes.
    pub compression_level: u32,
}

impl Default for PackageOptions {
    fn default() -> Self {
        Self { skill_id: None, version: None, compression_level: 6 }
    }
}

/// What was packaged.
#[derive(Clone, Debug)]
pub struct Packaged {
    pub digest: ArchiveDigest,
    pub manifest: Manifest,
    /// Files and folders beginning with a dot, which are left out.
    pub left_out: Vec<PathBuf>,
}

/// Packages every file of `folder` (its `skill.yaml` becomes the manifest) into `output`.
///
/// `output` appears complete or not at all; an existing file is replaced.
pub fn package(folder: &Path, output: &Path, options: &PackageOptions) -> Result<Packaged, PackageError> {
    let mut skill = read_source(folder)?;
    skill.skill_id = options.skill_id.clone().unwrap_or(skill.skill_id);
    skill.version = options.version.clone().unwrap_or(skill.version);

    let mut found = Found::default();
    collect(folder, "", &mut found)?;
    for path in skill.referenced_files() {
        if !found.files.contains_key(path) {
            return Err(PackageError::MissingFile { folder: folder.to_owned(), path: path.to_string() });
        }
    }
    let files = found.files.iter().map(|(path, source)| measure(path, source)).collect::<Result<_, _>>()?;
    let manifest = Manifest { skill, files };

    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut staged = tempfile::NamedTempFile::new_in(parent).map_err(io_error("create a file in", parent))?;
    let digest = write_archive(&manifest, &found.files, options.compression_level, staged.as_file_mut())?;
    // What the cell would refuse is refused here, where its author sees it.
    let archive = File::open(staged.path()).map_err(io_error("open", output))?;
    check_contents(&archive, &digest, Limits::default()).map_err(PackageError::Refused)?;
    staged.as_file().sync_all().map_err(io_error("write", output))?;
    staged.persist(output).map_err(|error| error.error).map_err(io_error("write", output))?;
    Ok(Packaged { digest, manifest, left_out: found.left_out })
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackageError {
    move |source| PackageError::Io { what, path: path.to_owned(), source }
}

fn read_source(folder: &Path) -> Result<SkillSource, PackageError> {
    let path = folder.join(SkillSource::FILE_NAME);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(PackageError::NoSource { folder: folder.to_owned() });
        }
        read => read.map_err(io_error("read", &path))?,
    };
    SkillSource::parse(&text).map_err(|source| PackageError::Source { folder: folder.to_owned(), source })
}

#[derive(Default)]
struct Found {
    files: BTreeMap<EntryPath, PathBuf>,
    left_out: Vec<PathBuf>,
}

fn collect(folder: &Path, prefix: &str, found: &mut Found) -> Result<(), PackageError> {
    for entry in fs::read_dir(folder).map_err(io_error("read the folder", folder))? {
        let entry = entry.map_err(io_error("read the folder", folder))?;
        let path = entry.path();
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            found.left_out.push(path);
            continue;
        }
        let inside = [prefix.as_bytes(), name.as_encoded_bytes()].concat();
        if inside == SkillSource::FILE_NAME.as_bytes() {
            continue;
        }
        if inside == MANIFEST_NAME.as_bytes() {
            return Err(PackageError::ManifestPresent(path));
        }
        let bad_path = |source| PackageError::BadPath { path: path.clone(), source };
        // The type of the entry itself: a link is not followed.
        let kind = entry.file_type().map_err(io_error("look at", &path))?;
        let inside = EntryPath::from_bytes(&inside).map_err(bad_path)?;
        if kind.is_dir() {
            collect(&path, &format!("{inside}/"), found)?;
        } else if kind.is_file() {
            found.files.insert(inside, path);
        } else {
            let kind = if kind.is_symlink() { "symbolic link" } else { "special file" };
            return Err(PackageError::NotAFile { path, kind });
        }
    }
    Ok(())
}

fn measure(path: &EntryPath, source: &Path) -> Result<FileEntry, PackageError> {
    let mut file = File::open(source).map_err(io_error("open", source))?;
    let mut sha256 = Sha256::new();
    let size = io::copy(&mut file, &mut HashTo(&mut sha256)).map_err(io_error("read", source))?;
    Ok(FileEntry { path: path.clone(), size, sha256: Sha256Sum(sha256.finalize().into()) })
}

fn write_archive(
    manifest: &Manifest,
    sources: &BTreeMap<EntryPath, PathBuf>,
    level: u32,
    output: &mut File,
) -> Result<ArchiveDigest, PackageError> {
    let target = PathBuf::from("the archive");
    let written = |result: io::Result<()>| result.map_err(io_error("write", &target));
    let mut hashed = Hashed::new(BufWriter::new(output));
    let mut gzip = gzip(&mut hashed, level);
    let text = manifest.to_yaml();
    written(write_entry(&mut gzip, MANIFEST_NAME, text.len() as u64, text.as_bytes()))?;
    for file in &manifest.files {
        let source = &sources[&file.path];
        let bytes = File::open(source).map_err(io_error("open", source))?;
        written(write_entry(&mut gzip, file.path.as_str(), file.size, bytes))?;
    }
    written(gzip.write_all(&[0; 1024]))?;
    written(gzip.finish().map(|_| ()))?;
    hashed.finish().map_err(io_error("write", &target))
}

/// Compresses as an archive is compressed.
pub(crate) fn gzip<W: Write>(output: W, level: u32) -> GzEncoder<W> {
    // Operating system 255 is "unknown" (RFC 1952). Said here, so that the bytes do not hang on the library's defaults.
    GzBuilder::new().mtime(0).operating_system(255).write(output, Compression::new(level))
}

/// Writes one ustar entry with fixed metadata.
fn write_entry(output: &mut impl Write, path: &str, size: u64, bytes: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    output.write_all(header.as_bytes())?;
    // One byte more than announced, so that a file that grew meanwhile is noticed, too.
    let copied = io::copy(&mut bytes.take(size + 1), output)?;
    if copied != size {
        return Err(io::Error::other(format!("'{path}' changed while it was being packaged")));
    }
    let filling = size.next_multiple_of(512) - size;
    output.write_all(&[0; 512][..filling as usize])
}

struct HashTo<'h>(&'h mut Sha256);

impl Write for HashTo<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what is written through it.
pub(crate) struct Hashed<W> {
    inner: W,
    hasher: ArchiveHasher,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: ArchiveHasher::default() }
    }

    /// Writes the rest; gives the digest of all.
    pub(crate) fn finish(mut self) -> io::Result<ArchiveDigest> {
        self.inner.flush()?;
        Ok(self.hasher.finish())
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
