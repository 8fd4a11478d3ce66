//! Remote sources, of which only ranges are fetched to this machine.
//!
//! The local file has the source's size, and is sparse where nothing was fetched yet. A reader
//! must request ranges before it reads them: this crate's own reads are fetched on
//! demand; the ranges that ffmpeg will read follow from the index, which lists every packet's offset.
//! A source without such an index is fetched whole.

mod needs;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts};
use crate::mp4::{self, Ahead, CountedFile, Movie};
use crate::probe;

pub(crate) use needs::places;

/// Ranges with a smaller gap than this are fetched as one, bytes: a request takes as long as
/// some hundred kilobytes of a response.
pub(crate) const GAP: u64 = 256 << 10;

/// Block size of small scattered reads, bytes.
const BLOCK: u64 = 64 << 10;

/// Fetches bytes of a source into the local file that represents it.
#[async_trait]
pub trait Bring: fmt::Debug + Send + Sync {
    /// Returns when all bytes of these half-open ranges are present. Ranges past the end of
    /// the source are ignored.
    ///
    /// # Errors
    /// The source was deleted or replaced, or cannot be reached.
    async fn bring(&self, ranges: &[Range<u64>]) -> Result<()>;
}

/// A source: a local file, and the fetcher of its missing bytes.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    rest: Option<Rest>,
}

#[derive(Debug, Clone)]
struct Rest {
    bring: Arc<dyn Bring>,
    /// The whole index, read once; `None` if there is none that lists packet offsets.
    movie: Arc<OnceCell<Option<Arc<Movie>>>>,
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Source {
        Source::whole(path)
    }
}

impl From<&PathBuf> for Source {
    fn from(path: &PathBuf) -> Source {
        Source::whole(path)
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Source {
        Source::whole(path)
    }
}

impl From<&Source> for Source {
    fn from(source: &Source) -> Source {
        source.clone()
    }
}

impl Source {
    /// A file that is complete.
    pub fn whole(path: impl Into<PathBuf>) -> Source {
        Source { path: path.into(), rest: None }
    }

    /// A sparse file, and its fetcher.
    pub fn partial(path: impl Into<PathBuf>, bring: Arc<dyn Bring>) -> Source {
        Source { path: path.into(), rest: Some(Rest { bring, movie: Arc::default() }) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns when these ranges are present.
    pub(crate) async fn bring(&self, ranges: &[Range<u64>]) -> Result<()> {
        match &self.rest {
            Some(rest) => rest.bring.bring(ranges).await,
            None => Ok(()),
        }
    }

    /// Returns when the whole file is present.
    pub async fn bring_all(&self) -> Result<()> {
        match &self.rest {
            Some(rest) => rest.bring.bring(std::slice::from_ref(&(0..u64::MAX))).await,
            None => Ok(()),
        }
    }

    /// Returns when all ranges that a probe reads are present: the index, and the first
    /// packets of every track; the whole file if there is no index that lists their offsets.
    pub async fn bring_head(&self) -> Result<()> {
        let Some(rest) = &self.rest else { return Ok(()) };
        match self.movie(rest).await? {
            Some(movie) => rest.bring.bring(&needs::head(&movie)).await,
            None => self.bring_all().await,
        }
    }

    /// Returns when all ranges are present that ffmpeg reads of one stream after a seek to `from_us`
    /// with a stop at `to_us`, both in ffmpeg's time of the file.
    pub async fn bring_stretch(
        &self,
        facts: &SourceFacts,
        stream: &StreamFacts,
        from_us: i64,
        to_us: i64,
    ) -> Result<()> {
        let Some(rest) = &self.rest else { return Ok(()) };
        self.bring_head().await?;
        let movie = self.movie(rest).await?;
        match movie.and_then(|movie| needs::stretch(&movie, facts, stream, from_us, to_us)) {
            Some(ranges) => rest.bring.bring(&ranges).await,
            None => self.bring_all().await,
        }
    }

    /// The index of all tracks; `None` for a format that does not list packet offsets.
    async fn movie(&self, rest: &Rest) -> Result<Option<Arc<Movie>>> {
        let read = async {
            let file = self.open()?;
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || read_movie(&file, &path));
            read.await
                .map_err(|e| MediaError::internal(format!("the task that reads the index failed: {e}")))?
        };
        rest.movie.get_or_try_init(|| read).await.cloned()
    }

    /// Returns when all packets of a stream, and the header, are present.
    pub async fn bring_stream(&self, facts: &SourceFacts, stream: &StreamFacts) -> Result<()> {
        self.bring_stretch(facts, stream, i64::MIN, i64::MAX).await
    }

    /// Opens the file for this crate's own reads, which fetch on demand.
    pub(crate) fn open(&self) -> Result<CountedFile> {
        let opened = probe::open(&self.path)?;
        let file = CountedFile::new(opened).map_err(|e| MediaError::io(self.path.display(), &e))?;
        let Some(rest) = &self.rest else { return Ok(file) };
        let ahead =
            OnDemand { bring: Arc::clone(&rest.bring), runtime: Handle::current(), there: Mutex::default() };
        Ok(file.with(Some(Box::new(ahead))))
    }
}

fn read_movie(file: &CountedFile, path: &Path) -> Result<Option<Arc<Movie>>> {
    let mut failed = None;
    let found = |index: &Range<u64>| failed = file.expect(|| vec![index.clone()]).err();
    let movie = mp4::read_movie(file, found);
    if let Some(e) = failed {
        return Err(MediaError::io(path.display(), &e));
    }
    match movie {
        Ok(movie) => Ok(Some(Arc::new(movie))),
        Err(mp4::IndexError::Io(why)) => Err(MediaError::environment(format!("{}: {why}", path.display()))),
        Err(_) => Ok(None),
    }
}

/// Fetches ranges when they are read.
#[derive(Debug)]
struct OnDemand {
    bring: Arc<dyn Bring>,
    runtime: Handle,
    /// The last fetched block: the next read is mostly within it.
    there: Mutex<Range<u64>>,
}

impl Ahead for OnDemand {
    fn ahead(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let one = match ranges {
            [one] => one,
            _ => return self.fetch(ranges),
        };
        {
            let there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
            if there.start <= one.start && one.end <= there.end {
                return Ok(());
            }
        }
        let block = one.start / BLOCK * BLOCK..one.end.div_ceil(BLOCK).saturating_mul(BLOCK);
        self.fetch(std::slice::from_ref(&block))?;
        *self.there.lock().unwrap_or_else(PoisonError::into_inner) = block;
        Ok(())
    }
}

impl OnDemand {
    fn fetch(&self, ranges: &[Range<u64>]) -> io::Result<()> {
        let ranges = needs::merged(ranges.to_vec(), 0);
        tokio::task::block_in_place(|| self.runtime.block_on(self.bring.bring(&ranges)))
            .map_err(io::Error::other)
    }
}
