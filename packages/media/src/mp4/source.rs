//! Positioned reads with a byte count, by which tests verify that planning reads the index and not the
//! media.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that can be read at any position without a cursor.
pub trait ByteSource {
    /// Total number of bytes.
    fn len(&self) -> u64;

    /// Whether it is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `pos`; an error if the source ends before.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ByteSource for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(pos).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        let from = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(from);
        Ok(())
    }
}

/// Fetches bytes of a file before they are read. Blocking.
pub trait Ahead: fmt::Debug + Send + Sync {
    /// Half-open byte ranges; ranges past the end are ignored.
    fn ahead(&self, ranges: &[Range<u64>]) -> io::Result<()>;
}

/// A file, with a count of the bytes that were read from it.
#[derive(Debug)]
pub struct CountedFile {
    file: File,
    len: u64,
    read: AtomicU64,
    ahead: Option<Box<dyn Ahead>>,
}

impl CountedFile {
    /// Wraps an open file.
    pub fn new(file: File) -> io::Result<CountedFile> {
        let len = file.metadata()?.len();
        Ok(CountedFile { file, len, read: AtomicU64::new(0), ahead: None })
    }

    /// The same for a sparse file whose missing bytes are fetched on demand.
    #[must_use]
    pub fn with(self, ahead: Option<Box<dyn Ahead>>) -> CountedFile {
        CountedFile { ahead, ..self }
    }

    /// Whether missing bytes are fetched on demand.
    pub fn is_fetched(&self) -> bool {
        self.ahead.is_some()
    }

    /// Announces reads, so that the bytes can be fetched at once. Blocking.
    pub fn expect(&self, ranges: impl FnOnce() -> Vec<Range<u64>>) -> io::Result<()> {
        self.ahead.as_ref().map_or(Ok(()), |ahead| ahead.ahead(&ranges()))
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl ByteSource for CountedFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        if let Some(ahead) = &self.ahead {
            let end = pos.checked_add(buf.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
            ahead.ahead(std::slice::from_ref(&(pos..end)))?;
        }
        self.file.read_exact_at(buf, pos)?;
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}
