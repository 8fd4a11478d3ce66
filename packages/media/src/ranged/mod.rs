//! Sources that lie elsewhere, of which only parts come to this machine.
//!
//! The file here has the source's length, and holes where nothing was brought yet. Whoever
//! reads it has to have the bytes brought before: what this crate reads itself comes on
//! demand; what ffmpeg will read follows from the index, which says where every packet lies.
//! A source without such an index is brought whole.

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

/// Ranges that are closer than this are fetched as one, bytes: a request costs as much time as
/// some hundred kilobytes of an answer.
pub(crate) const GAP: u64 = 256 << 10;

/// What is read here and there is fetched in blocks of this size, bytes.
const BLOCK: u64 = 64 << 10;

/// Brings bytes of a source to the file of this machine that stands for it.
#[async_trait]
pub trait Bring: fmt::Debug + Send + Sync {
    /// Returns when all bytes of these half-open ranges are there. What lies past the end of
    /// the source does not matter.
    ///
    /// # Errors
    /// The source is gone, was replaced, or cannot be reached.
    async fn bring(&self, ranges: &[Range<u64>]) -> Result<()>;
}

/// A source: a file, and whoever brings the bytes of it that are not there yet.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    rest: Option<Rest>,
}

#[derive(Debug, Clone)]
struct Rest {
    bring: Arc<dyn Bring>,
    /// The whole index, read once; `None` where there is none that says where packets lie.
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
    /// A file of which everything is there.
    pub fn whole(path: impl Into<PathBuf>) -> Source {
        Source { path: path.into(), rest: None }
    }

    /// A file with holes, and what fills them.
    pub fn partial(path: impl Into<PathBuf>, bring: Arc<dyn Bring>) -> Source {
        Source { path: path.into(), rest: Some(Rest { bring, movie: Arc::default() }) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns when these ranges are there.
    pub(crate) async fn bring(&self, ranges: &[Range<u64>]) -> Result<()> {
        match &self.rest {
            Some(rest) => rest.bring.bring(ranges).await,
            None => Ok(()),
        }
    }

    /// Returns when everything is there.
    pub async fn bring_all(&self) -> Result<()> {
        match &self.rest {
            Some(rest) => rest.bring.bring(std::slice::from_ref(&(0..u64::MAX))).await,
            None => Ok(()),
        }
    }

    /// Returns when a look at the file finds all it may look at: the index, and the first
    /// packets of every track; all of it where there is no index that says where those lie.
    pub async fn bring_head(&self) -> Result<()> {
        let Some(rest) = &self.rest else { return Ok(()) };
        match self.movie(rest).await? {
            Some(movie) => rest.bring.bring(&needs::head(&movie)).await,
            None => self.bring_all().await,
        }
    }

    /// Returns when all is there that ffmpeg reads of one stream when it is sent to `from_us`
    /// and stopped at `to_us`, both on ffmpeg's clock of the file.
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

    /// The index of all tracks; `None` where it is of a kind that does not say where packets lie.
    async fn movie(&self, rest: &Rest) -> Result<Option<Arc<Movie>>> {
        let read = async {
            let file = self.open()?;
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || read_movie(&file, &path));
            read.await.map_err(|e| MediaError::internal(format!("reading an index ended badly: {e}")))?
        };
        rest.movie.get_or_try_init(|| read).await.cloned()
    }

    /// Returns when all packets of a stream are there, and the head.
    pub async fn bring_stream(&self, facts: &SourceFacts, stream: &StreamFacts) -> Result<()> {
        self.bring_stretch(facts, stream, i64::MIN, i64::MAX).await
    }

    /// Opens the file for our own reading, which brings what it reads.
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

/// Brings what is read, when it is read.
#[derive(Debug)]
struct OnDemand {
    bring: Arc<dyn Bring>,
    runtime: Handle,
    /// What was asked for last: the next read is mostly in it.
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
