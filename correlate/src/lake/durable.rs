//! The local disk as a store whose writes are on the device when they return.
//!
//! `object_store` 0.13 flushes neither files nor directories, and whatever delta-rs does with a table
//! (commits, compaction, its checkpoints) writes through here: a commit is on the device after the
//! files that it names, and both are before anybody hears of it (DESIGN decision 3).

use std::fmt;
use std::fs::File;
use std::future;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use crate::lake::checksum;

/// How many directories above a file may be new: a partition's, and the table's.
const NEW_DIRECTORIES: usize = 2;

/// The local file system, flushed.
#[derive(Debug, Default)]
pub(crate) struct DurableFileSystem {
    inner: Arc<LocalFileSystem>,
}

impl DurableFileSystem {
    async fn flush(&self, location: &Path) -> Result<()> {
        flush(&self.inner, location).await
    }
}

/// Flushes a file, its checksums and the directories in which its name may be new. A file that cannot be flushed
/// goes: nobody is to build on what a power cut takes away.
async fn flush(files: &LocalFileSystem, location: &Path) -> Result<()> {
    let path = files.path_to_filesystem(location)?;
    let flushed = tokio::task::spawn_blocking(move || {
        let flushed = flush_to_device(&path);
        if flushed.is_err() {
            forget(&path);
        }
        flushed
    });
    let failed = |source| object_store::Error::Generic { store: "DurableFileSystem", source };
    flushed.await?.map_err(|error: io::Error| failed(Box::new(error)))
}

fn flush_to_device(path: &std::path::Path) -> io::Result<()> {
    File::open(path)?.sync_data()?;
    checksum::write(path)?;
    let above = path.ancestors().skip(1).take(NEW_DIRECTORIES);
    above.into_iter().try_for_each(|directory| File::open(directory)?.sync_all())
}

/// Removes a file and its checksums, as far as they are there.
fn forget(path: &std::path::Path) {
    for path in checksum::beside(path).into_iter().chain([path.to_owned()]) {
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(%error, path = %path.display(), "removing a file of the lake");
        }
    }
}

/// Whether the lake's readers may see a file: checksums are our own.
fn is_seen(meta: &Result<ObjectMeta>) -> bool {
    let is_checksums =
        |meta: &ObjectMeta| meta.location.filename().is_some_and(checksum::is_checksums);
    !meta.as_ref().is_ok_and(is_checksums)
}

impl fmt::Display for DurableFileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFileSystem({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for DurableFileSystem {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await?;
        self.flush(location).await?;
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { inner, files: Arc::clone(&self.inner), location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let files = Arc::clone(&self.inner);
        let deleted = self.inner.delete_stream(locations).inspect_ok(move |location| {
            let beside =
                files.path_to_filesystem(location).ok().and_then(|path| checksum::beside(&path));
            // Files that are older than checksums have none.
            let _absent = beside.map(std::fs::remove_file);
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix).filter(|meta| future::ready(is_seen(meta))).boxed()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list_with_offset(prefix, offset);
        listed.filter(|meta| future::ready(is_seen(meta))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.flush(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.flush(to).await
    }
}

/// A file that is written in parts.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    files: Arc<LocalFileSystem>,
    location: Path,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let put = self.inner.complete().await?;
        flush(&self.files, &self.location).await?;
        Ok(put)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
