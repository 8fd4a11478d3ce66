//! The media folder: an object lies under its own key, and a reader gets its path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::Key;
use segue_ports::{MediaStore, Object, ObjectPage, PortError, PortErrorKind, PutMode, PutResult};

use crate::error::say;
use crate::media::OpenMedia;

mod folder;
mod listing;
mod place;
mod reading;

pub(crate) use folder::{Flush, Folder};

/// The media of a state folder.
#[derive(Debug)]
pub struct LocalStore {
    shared: Arc<OpenMedia>,
    flush: Flush,
}

impl LocalStore {
    pub(crate) fn of(shared: Arc<OpenMedia>) -> LocalStore {
        LocalStore { shared, flush: Flush::Now }
    }

    /// Opens the media of the folder `state` alone, without its database; the folder is made if it
    /// is not there. Temporary files of processes that died in it are removed. Blocks for a moment.
    ///
    /// # Errors
    /// `Denied` and `Environment` for a folder that cannot be written.
    pub fn open(state: &Path) -> Result<LocalStore, PortError> {
        let (media, ()) = OpenMedia::open(state, |_| Ok(()), |(), _, _| Ok(()))?;
        Ok(LocalStore::of(Arc::new(media)))
    }

    /// The same media, with files taken over as they are in memory: a power cut before the
    /// system has written them leaves them empty, short or full of zeros, under their keys. For
    /// what can be made again and is looked at before it is believed. Bytes are flushed all the
    /// same.
    pub fn without_flush(&self) -> LocalStore {
        LocalStore { shared: Arc::clone(&self.shared), flush: Flush::Later }
    }

    /// The folder that the keys are paths below. Whoever makes files on its file system
    /// has them taken over without a copy.
    pub fn root(&self) -> &Path {
        self.shared.folder.root()
    }

    /// Makes `key` stand for a source that stays where the user has it, without a copy.
    /// [`PutResult::Exists`] when it stands for that file already.
    ///
    /// # Errors
    /// `NotFound` and `Denied` for a file that cannot be read, `Misuse` for what is not a
    /// file, for a key that is not a source's, and for one that stands for another file.
    pub async fn adopt(&self, key: &Key, path: &Path) -> Result<PutResult, PortError> {
        let (key, path) = (key.clone(), path.to_owned());
        self.blocking(move |folder| folder.adopt(&key, &path)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared.folder)).await;
        done.unwrap_or_else(|e| {
            Err(say(PortErrorKind::Transient, format_args!("work on the media folder was stopped: {e}")))
        })
    }
}

#[async_trait]
impl MediaStore for LocalStore {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.put_bytes(&key, &bytes, mode)).await
    }

    async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError> {
        let (key, file, flush) = (key.clone(), file.to_owned(), self.flush);
        self.blocking(move |folder| folder.put_file(&key, &file, mode, flush)).await
    }

    async fn promote(&self, from: &Key, to: &Key, mode: PutMode) -> Result<PutResult, PortError> {
        let (from, to) = (from.clone(), to.clone());
        self.blocking(move |folder| folder.promote(&from, &to, mode)).await
    }

    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.get_bytes(&key, limit)).await
    }

    async fn get_file(&self, key: &Key, _scratch: &Path) -> Result<PathBuf, PortError> {
        let key = key.clone();
        self.blocking(move |folder| folder.find_file(&key)).await
    }

    async fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
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
}
