//! A folder or a bucket with objects in it. Copies are hashed on the way, and appear whole or not at all.

use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use swarm_artifact::{ArchiveDigest, ArtifactId, Sha256Sum};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// S3 wants parts of at least 5 MiB.
const PART: usize = 8 * 1024 * 1024;

/// A folder, or a bucket of an S3 server.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    store: Arc<dyn ObjectStore>,
    /// As it was named.
    pub(crate) name: String,
}

/// Whether a folder that is missing is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Make,
    Refuse,
}

impl Place {
    /// `s3://BUCKET/PREFIX`, or a folder. Address and keys of S3 come from the environment, as the registry's (`AWS_ENDPOINT`,
    /// `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_ALLOW_HTTP`).
    pub(crate) fn open(name: &str, missing: Missing) -> anyhow::Result<Self> {
        let failed = || format!("cannot open '{name}'");
        let store: Arc<dyn ObjectStore> = if let Some(rest) = name.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                bail!("'{name}': expected a folder or s3://BUCKET/PREFIX");
            }
            let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build().with_context(failed)?;
            match prefix.trim_matches('/') {
                "" => Arc::new(store),
                prefix => Arc::new(PrefixStore::new(store, prefix)),
            }
        } else if name.is_empty() || name.contains("://") {
            bail!("'{name}': expected a folder or s3://BUCKET/PREFIX");
        } else {
            match missing {
                Missing::Make => crate::files::folder(FilePath::new(name))?,
                Missing::Refuse if !FilePath::new(name).is_dir() => bail!("there is no folder '{name}'"),
                Missing::Refuse => {}
            }
            Arc::new(LocalFileSystem::new_with_prefix(name).with_context(failed)?.with_fsync(true))
        };
        Ok(Self { store, name: name.to_owned() })
    }

    /// Bytes of an object, `None` where there is none.
    pub(crate) async fn size(&self, path: &str) -> anyhow::Result<Option<u64>> {
        match self.store.head(&Path::from(path)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| self.failed("look at", path)),
        }
    }

    /// Names of the objects below `prefix`, whole paths.
    pub(crate) async fn list(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let found = self.store.list(Some(&Path::from(prefix))).map_ok(|object| object.location.to_string());
        found.try_collect().await.with_context(|| self.failed("list", prefix))
    }

    /// A small object whole.
    pub(crate) async fn read(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let failed = || self.failed("read", path);
        let found = self.store.get(&Path::from(path)).await.with_context(failed)?;
        Ok(found.bytes().await.with_context(failed)?.to_vec())
    }

    pub(crate) async fn write(&self, path: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        let put = self.store.put(&Path::from(path), PutPayload::from(bytes)).await;
        put.map(|_| ()).with_context(|| self.failed("write", path))
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        match self.store.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error).with_context(|| self.failed("delete", path)),
        }
    }

    /// Reads an object through.
    pub(crate) async fn hash(&self, path: &str) -> anyhow::Result<ArchiveDigest> {
        let failed = || self.failed("read", path);
        let mut chunks = self.store.get(&Path::from(path)).await.with_context(failed)?.into_stream();
        let (mut sha256, mut length) = (Sha256::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.with_context(failed)?;
            sha256.update(&chunk);
            length += chunk.len() as u64;
        }
        Ok(digest(sha256, length))
    }

    /// Copies an object of `from`, and refuses bytes that have another digest than they should. Nothing appears then.
    pub(crate) async fn copy(
        &self,
        from: &Self,
        source: &str,
        path: &str,
        expected: &str,
    ) -> anyhow::Result<u64> {
        let read = || from.failed("read", source);
        let mut chunks = from.store.get(&Path::from(source)).await.with_context(read)?.into_stream();
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.store), Path::from(path), PART);
        let (mut sha256, mut length) = (Sha256::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    let _ = writer.abort().await; // what cannot be taken back is a `.tmp` of the store
                    return Err(error).with_context(read);
                }
            };
            sha256.update(&chunk);
            length += chunk.len() as u64;
            writer.put(chunk).await.with_context(|| self.failed("write", path))?;
        }
        let found = digest(sha256, length).id.to_string();
        if found != expected {
            let _ = writer.abort().await;
            bail!(
                "'{source}' in '{}' has the digest {found}, expected {expected}; it was changed where it is kept",
                from.name
            );
        }
        writer.shutdown().await.with_context(|| self.failed("write", path))?;
        Ok(length)
    }

    /// Copies a local file into the place; gives its length and digest.
    pub(crate) async fn put_file(&self, file: &FilePath, path: &str) -> anyhow::Result<ArchiveDigest> {
        let read = || format!("cannot read '{}'", file.display());
        let mut source = tokio::fs::File::open(file).await.with_context(read)?;
        let mut writer = BufWriter::with_capacity(Arc::clone(&self.store), Path::from(path), PART);
        let (mut sha256, mut length, mut chunk) = (Sha256::new(), 0, vec![0; PART]);
        loop {
            let count = source.read(&mut chunk).await.with_context(read)?;
            if count == 0 {
                break;
            }
            sha256.update(&chunk[..count]);
            length += count as u64;
            writer.write_all(&chunk[..count]).await.with_context(|| self.failed("write", path))?;
        }
        writer.shutdown().await.with_context(|| self.failed("write", path))?;
        Ok(digest(sha256, length))
    }

    /// Copies an object into a local file; gives its length and digest.
    pub(crate) async fn get_file(&self, path: &str, file: &FilePath) -> anyhow::Result<ArchiveDigest> {
        let failed = || self.failed("read", path);
        let write = || format!("cannot write '{}'", file.display());
        let mut chunks = self.store.get(&Path::from(path)).await.with_context(failed)?.into_stream();
        let mut target = tokio::fs::File::create(file).await.with_context(write)?;
        let (mut sha256, mut length) = (Sha256::new(), 0);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.with_context(failed)?;
            sha256.update(&chunk);
            length += chunk.len() as u64;
            target.write_all(&chunk).await.with_context(write)?;
        }
        target.flush().await.with_context(write)?;
        target.sync_all().await.with_context(write)?;
        Ok(digest(sha256, length))
    }

    fn failed(&self, tried: &str, path: &str) -> String {
        format!("cannot {tried} '{path}' in '{}'", self.name)
    }
}

fn digest(sha256: Sha256, length: u64) -> ArchiveDigest {
    ArchiveDigest { id: ArtifactId(Sha256Sum(sha256.finalize().into())), length }
}
