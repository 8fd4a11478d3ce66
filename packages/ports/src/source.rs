//! A source on this machine, of which only a part may be there yet.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::PortError;

/// Fetches bytes of a source into the file of this machine that stands for it.
#[async_trait]
pub trait FetchRanges: fmt::Debug + Send + Sync {
    /// Returns when all bytes of these half-open ranges are in the file. What lies past the end
    /// of the source does not matter.
    ///
    /// # Errors
    /// [`PortErrorKind::NotFound`](crate::PortErrorKind) when the source is gone,
    /// [`PortErrorKind::Transient`](crate::PortErrorKind) when it was replaced or nobody answers.
    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<(), PortError>;
}

/// A source as work is given it: a file of the source's length. What was not fetched yet is a
/// hole in it, which reads as zeros: ask for what you read.
#[derive(Debug, Clone, Default)]
pub struct Source {
    path: PathBuf,
    rest: Option<Arc<dyn FetchRanges>>,
}

impl Source {
    /// A file of which everything is there.
    pub fn whole(path: PathBuf) -> Source {
        Source { path, rest: None }
    }

    /// A file with holes, and who fills them.
    pub fn partial(path: PathBuf, rest: Arc<dyn FetchRanges>) -> Source {
        Source { path, rest: Some(rest) }
    }

    /// The file, with its holes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who fills the holes, if there are any.
    pub fn rest(&self) -> Option<&Arc<dyn FetchRanges>> {
        self.rest.as_ref()
    }

    /// The file, when all of it is there.
    ///
    /// # Errors
    /// As [`FetchRanges::fetch`] says.
    pub async fn all(&self) -> Result<&Path, PortError> {
        if let Some(rest) = &self.rest {
            rest.fetch(std::slice::from_ref(&(0..u64::MAX))).await?;
        }
        Ok(&self.path)
    }
}
