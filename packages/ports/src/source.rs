//! A source as a local file, of which only some byte ranges may have been fetched.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::PortError;

/// Fetches byte ranges of a source into its local file before they are read.
#[async_trait]
pub trait Prefetch: fmt::Debug + Send + Sync {
    /// Returns when all bytes of these half-open ranges are in the file. Bytes past the end
    /// of the source is ignored.
    ///
    /// # Errors
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when the source does not exist,
    /// [`PortErrorKind::Transient`](crate::PortErrorKind) when it was replaced or the store
    /// cannot be reached.
    async fn prefetch(&self, ranges: &[Range<u64>]) -> Result<(), PortError>;
}

/// A source as a task reads it: a file of the source's length. Ranges that were not fetched are
/// holes, which read as zeros: call [`Source::prefetch`] before reading.
#[derive(Debug, Clone, Default)]
pub struct Source {
    path: PathBuf,
    remote: Option<Arc<dyn Prefetch>>,
}

impl Source {
    /// A file that is complete.
    pub fn whole(path: impl Into<PathBuf>) -> Source {
        Source { path: path.into(), remote: None }
    }

    /// A sparse file, which `remote` fills.
    pub fn partial(path: impl Into<PathBuf>, remote: Arc<dyn Prefetch>) -> Source {
        Source { path: path.into(), remote: Some(remote) }
    }

    /// The local file, possibly sparse.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The fetcher; `None` when the file is complete.
    pub fn remote(&self) -> Option<&Arc<dyn Prefetch>> {
        self.remote.as_ref()
    }

    /// Returns when these ranges can be read.
    ///
    /// # Errors
    /// As [`Prefetch::prefetch`].
    pub async fn prefetch(&self, ranges: &[Range<u64>]) -> Result<(), PortError> {
        match &self.remote {
            Some(remote) => remote.prefetch(ranges).await,
            None => Ok(()),
        }
    }

    /// Returns the file when all of it can be read.
    ///
    /// # Errors
    /// As [`Prefetch::prefetch`].
    pub async fn prefetch_all(&self) -> Result<&Path, PortError> {
        self.prefetch(std::slice::from_ref(&(0..u64::MAX))).await?;
        Ok(&self.path)
    }
}
