//! The bytes of artifacts and of uploads that are under way: a local folder, or a bucket of an S3 server.
//!
//! - `sha256/ab/abcd….tar.gz`: an artifact, by its digest. Never changed; written again only where it is found damaged.
//! - `bags/ab/abcd…-<random>.tar`: a bag (see [`crate::bags`]). Backups leave them out.
//! - `deltas/ab/abcd…-<base>.delta`: the delta to an artifact, by both digests (see [`crate::deltas`]). It can be made again.
//! - `incoming/<upload>/<start>-<random>.tmp`: a part of an upload. Backups leave `*.tmp` out.
//!
//! Into a folder on the same file system as the staging folder, a file comes by getting its name there; elsewhere its bytes are copied.

mod local;

use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload,
};
use swarm_artifact::{ArchiveDigest, ArchiveHasher, ArtifactId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bytes at a time that are copied.
const COPY: usize = 512 * 1024;
/// S3 wants parts of at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;

/// Where the bytes are.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where the store is, if it is a folder.
    folder: Option<Arc<std::path::Path>>,
}

/// Where they are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    S3 { bucket: String, prefix: String },
}

impl Location {
    /// `s3://bucket/prefix`, or a folder.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err("expected s3://BUCKET/PREFIX, found no bucket".to_owned());
            }
            let prefix = prefix.trim_matches('/').to_owned();
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix });
        }
        match text.split_once("://") {
            Some((scheme, _)) => Err(format!("expected a folder or s3://BUCKET/PREFIX, found {scheme}://")),
            None if text.is_empty() => {
                Err("expected a folder or s3://BUCKET/PREFIX, found nothing".to_owned())
            }
            None => Ok(Self::Folder(text.into())),
        }
    }
}

/// Why bytes could not be stored or fetched. The text is for the registry's own log.
#[derive(Debug, thiserror::Error)]
#[error("the artifact store refused to {what} '{object}': {source}")]
pub struct BlobError {
    what: &'static str,
    object: String,
    #[source]
    source: object_store::Error,
}

fn failed(what: &'static str, object: &impl ToString) -> impl FnOnce(object_store::Error) -> BlobError {
    let object = object.to_string();
    move |source| BlobError { what, object, source }
}

fn disk(what: &'static str, object: &impl ToString) -> impl FnOnce(std::io::Error) -> BlobError {
    let object = object.to_string();
    move |error| BlobError {
        what,
        object,
        source: object_store::Error::Generic { store: "local", source: Box::new(error) },
    }
}

impl Blobs {
    /// Opens the place. S3's address and keys come from the environment (`AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_ALLOW_HTTP`).
    pub fn open(location: &Location) -> Result<Self, BlobError> {
        Ok(match location {
            Location::Folder(folder) => {
                let shown = folder.display();
                std::fs::create_dir_all(folder).map_err(disk("make the folder", &shown))?;
                let store = LocalFileSystem::new_with_prefix(folder).map_err(failed("open", &shown))?;
                Self { store: Arc::new(store.with_fsync(true)), folder: Some(folder.as_path().into()) }
            }
            Location::S3 { bucket, prefix } => {
                let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build();
                let store = store.map_err(failed("open the bucket", bucket))?;
                Self::of(store, prefix)
            }
        })
    }

    /// Any other store.
    pub fn of(store: impl ObjectStore, prefix: &str) -> Self {
        let store: Arc<dyn ObjectStore> =
            if prefix.is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) };
        Self { store, folder: None }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), BlobError> {
        let probe = Path::from("health");
        match self.store.head(&probe).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("answer about", &probe)(error)),
        }
    }

    /// Takes a file as a whole, wherever it stands; the artifact appears whole or not at all.
    pub async fn put_artifact(&self, digest: ArtifactId, file: std::fs::File) -> Result<(), BlobError> {
        self.put(&artifact_path(digest), file).await
    }

    /// For tests: puts other bytes in the place of an artifact, as a failing disk does.
    pub async fn damage(&self, digest: ArtifactId, bytes: Vec<u8>) -> Result<(), BlobError> {
        self.put_bytes(&artifact_path(digest), bytes).await
    }

    /// Whether the artifact is there, and every byte of it is what it was. What cannot be read is not.
    pub async fn has_artifact(&self, digest: &ArchiveDigest) -> Result<bool, BlobError> {
        let path = artifact_path(digest.id);
        match self.find(&path).await? {
            Some(found) if found.size == digest.length => {}
            _ => return Ok(false),
        }
        let Ok(mut pieces) = self.get(&path, None).await else { return Ok(false) };
        let mut hasher = ArchiveHasher::default();
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else { return Ok(false) };
            hasher.update(&piece);
        }
        Ok(hasher.finish() == *digest)
    }

    /// The bytes of an artifact, or a part of them (end exclusive).
    pub async fn get_artifact(
        &self,
        digest: ArtifactId,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        self.get(&artifact_path(digest), range).await
    }

    /// Stores a part of an upload; gives its name.
    pub async fn put_part(&self, upload: &str, start: u64, file: std::fs::File) -> Result<String, BlobError> {
        let path = Path::from(format!("incoming/{upload}/{start:020}-{:016x}.tmp", rand::random::<u64>()));
        self.put(&path, file).await?;
        Ok(path.to_string())
    }

    pub async fn get_part(
        &self,
        object: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        self.get(&Path::from(object), None).await
    }

    pub async fn delete_part(&self, object: &str) -> Result<(), BlobError> {
        self.delete(&Path::from(object)).await
    }

    /// Names of all parts of an upload.
    pub async fn parts(&self, upload: &str) -> Result<Vec<String>, BlobError> {
        let folder = Path::from(format!("incoming/{upload}"));
        let parts = self.store.list(Some(&folder)).map_ok(|found| found.location.to_string());
        parts.try_collect().await.map_err(failed("list", &folder))
    }

    /// Removes an object, if it is there.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), BlobError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", path)(error)),
        }
    }

    /// Length and entity tag of an object; `None` where it is not there.
    pub(crate) async fn find(&self, path: &Path) -> Result<Option<ObjectMeta>, BlobError> {
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("look at", path)(error)),
        }
    }

    /// Stores bytes; the object appears whole or not at all.
    pub(crate) async fn put_bytes(&self, path: &Path, bytes: Vec<u8>) -> Result<(), BlobError> {
        self.store.put(path, PutPayload::from(bytes)).await.map_err(failed("store", path))?;
        Ok(())
    }

    /// Takes a file as a whole, from its beginning; the object appears whole or not at all.
    pub(crate) async fn put(&self, path: &Path, mut file: std::fs::File) -> Result<(), BlobError> {
        if let Some(folder) = &self.folder {
            let (folder, place) = (Arc::clone(folder), folder.join(path.as_ref()));
            let linking = tokio::task::spawn_blocking(move || {
                let linked = local::link(&file, &folder, &place)?;
                Ok((linked, file))
            });
            let done: std::io::Result<_> =
                linking.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
            let (linked, same) = done.map_err(disk("store", path))?;
            if linked {
                return Ok(());
            }
            file = same;
        }
        file.seek(SeekFrom::Start(0)).map_err(disk("store", path))?;
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(PART);
        let size = file.metadata().await.map_err(disk("store", path))?.len();
        if size <= PART as u64 {
            let mut bytes = Vec::with_capacity(size as usize);
            file.read_to_end(&mut bytes).await.map_err(disk("store", path))?;
            self.store.put(path, PutPayload::from(bytes)).await.map_err(failed("store", path))?;
            return Ok(());
        }
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.store), path.clone(), PART);
        let mut chunk = vec![0; COPY];
        loop {
            let count = file.read(&mut chunk).await.map_err(disk("store", path))?;
            if count == 0 {
                break;
            }
            if let Err(error) = writer.write_all(&chunk[..count]).await {
                // What was sent so far is taken back; what cannot be is a `.tmp` of the store.
                let _ = writer.abort().await;
                return Err(disk("store", path)(error));
            }
        }
        writer.shutdown().await.map_err(disk("store", path))
    }

    pub(crate) async fn get(
        &self,
        path: &Path,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = self.store.get_opts(path, options).await.map_err(failed("fetch", path))?;
        let object = path.to_string();
        let range = found.range.clone();
        Ok(match found.payload {
            GetResultPayload::File(file, _) => {
                local::pieces(file, range).map_err(move |error| disk("fetch", &object)(error)).boxed()
            }
            GetResultPayload::Stream(stream) => {
                stream.map_err(move |error| failed("fetch", &object)(error)).boxed()
            }
        })
    }
}

fn artifact_path(digest: ArtifactId) -> Path {
    let digest = digest.to_string();
    Path::from(format!("sha256/{}/{digest}.tar.gz", &digest[..2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_or_a_bucket() {
        assert_eq!(Location::parse("/data/artifacts"), Ok(Location::Folder("/data/artifacts".into())));
        let s3 =
            |bucket: &str, prefix: &str| Ok(Location::S3 { bucket: bucket.into(), prefix: prefix.into() });
        assert_eq!(Location::parse("s3://cells/csa/v1/"), s3("cells", "csa/v1"));
        assert_eq!(Location::parse("s3://cells"), s3("cells", ""));
        for bad in ["s3://", "s3:///x", "ftp://x", ""] {
            assert!(Location::parse(bad).unwrap_err().contains("expected"), "{bad}");
        }
    }
}
