//! The folder as a media store: each call runs as blocking work beside the executor.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use segue_domain::Key;
use segue_ports::{
    ByteStream, Document, DocumentWrite, Expected, FileUse, MediaStore, ObjectInfo, ObjectPage, PortError,
    PortErrorKind, PutOptions, StoreDocuments, Version,
};

use crate::folder::{Flush, Folder};
use crate::listing;

/// Media store in a folder.
#[derive(Debug, Clone)]
pub struct FolderStore {
    folder: Arc<Folder>,
    flush: Flush,
}

impl FolderStore {
    /// Opens the folder `root`, which is created if missing, and removes the temporary files of
    /// processes that died. Blocking, for a moment.
    ///
    /// # Errors
    /// `Denied` and `Environment` for a folder that cannot be written.
    pub fn open(root: &Path) -> Result<FolderStore, PortError> {
        FolderStore::open_as(root, &uuid::Uuid::now_v7().to_string())
    }

    /// The same; its temporary files are in the folder `ROOT/.tmp/NAME`. No other open store
    /// has that name.
    ///
    /// # Errors
    /// As [`FolderStore::open`].
    pub fn open_as(root: &Path, name: &str) -> Result<FolderStore, PortError> {
        Ok(FolderStore { folder: Arc::new(Folder::open(root, name)?), flush: Flush::Now })
    }

    /// The same store without flushes of uploaded files: after a power cut they may be
    /// empty, short or full of zeros under their keys. For files that can be produced again and are verified
    /// before it is used. Bytes and documents are flushed all the same.
    #[must_use]
    pub fn without_flush(&self) -> FolderStore {
        FolderStore { folder: Arc::clone(&self.folder), flush: Flush::Later }
    }

    /// The root folder of the keys. A file on its file system is stored by a
    /// rename.
    pub fn root(&self) -> &Path {
        self.folder.root()
    }

    /// Makes `key` a link to a source that stays at the user's path. Succeeds when it is a
    /// link to that file already.
    ///
    /// # Errors
    /// `NotFound` and `Denied` for a file that cannot be read, `Misuse` for anything but a plain
    /// file, for a key that is not a source's, and for one that links to another file.
    pub async fn adopt(&self, key: &Key, path: &Path) -> Result<(), PortError> {
        let (key, path) = (key.clone(), path.to_owned());
        self.blocking(move |folder| folder.adopt(&key, &path)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let folder = Arc::clone(&self.folder);
        blocking(move || work(&folder)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| {
        let message = format!("work on the media folder was stopped: {e}");
        Err(PortError::new(PortErrorKind::Transient, message))
    })
}

#[async_trait]
impl MediaStore for FolderStore {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, _options: &PutOptions) -> Result<(), PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.put_bytes(&key, &bytes)).await
    }

    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        _options: &PutOptions,
    ) -> Result<(), PortError> {
        let (key, file, flush) = (key.clone(), file.to_owned(), self.flush);
        self.blocking(move |folder| folder.upload(&key, &file, file_use, flush)).await
    }

    async fn promote(&self, from: &Key, to: &Key, _options: &PutOptions) -> Result<(), PortError> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |folder| folder.promote(&from, &to)).await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.get_bytes(&key, limit)).await
    }

    async fn get_file(&self, key: &Key, _scratch: &Path) -> Result<PathBuf, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.find_file(&key)).await
    }

    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        let (key, version) = (key.clone(), version.clone());
        let open = self.blocking(move |folder| folder.open_range(&key, &version, &range)).await?;
        let pieces = stream::try_unfold(open, |mut open| {
            blocking(move || Ok(open.next()?.map(|bytes| (bytes, open))))
        });
        Ok(pieces.boxed())
    }

    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.head(&key)).await
    }

    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        let (prefix, from) = (prefix.to_owned(), from.map(str::to_owned));
        self.blocking(move |folder| listing::list(folder.root(), &prefix, from.as_deref(), max)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.delete(&key)).await
    }

    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        let keys = keys.to_vec();
        self.blocking(move |folder| keys.iter().try_for_each(|key| folder.delete(key))).await
    }
}

#[async_trait]
impl StoreDocuments for FolderStore {
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        _options: &PutOptions,
    ) -> Result<DocumentWrite, PortError> {
        let (key, expected) = (key.clone(), expected.clone());
        self.blocking(move |folder| folder.put_document(&key, &bytes, &expected)).await
    }

    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.get_document(&key, limit)).await
    }
}
