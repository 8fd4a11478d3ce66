//! One version of an object as a sparse local file. Ranges are fetched on request, each once for
//! all concurrent callers.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use rangemap::RangeSet;
use segue_domain::Key;
use segue_ports::{MediaStore, ObjectInfo, PortError, PortErrorKind, Prefetch};
use tokio::sync::Notify;

/// Maximum size of one range request, bytes.
const PIECE: u64 = 4 << 20;
/// Maximum number of concurrent requests of one caller.
const AT_ONCE: usize = 8;

/// A file of the object's size, with holes where nothing was fetched.
pub struct RangedFile {
    store: Arc<dyn MediaStore>,
    key: Key,
    object: ObjectInfo,
    file: Arc<File>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    there: RangeSet<u64>,
    /// In flight, claimed by the first caller.
    coming: RangeSet<u64>,
    /// Whether the complete file was verified against its stored checksum.
    proven: bool,
}

impl fmt::Debug for RangedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangedFile").field("key", &self.key).field("version", &self.object.version).finish()
    }
}

/// Ranges this caller has claimed; other callers may fetch the rest.
struct Claim<'a> {
    of: &'a RangedFile,
    ranges: Vec<Range<u64>>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.ranges.is_empty() {
            return;
        }
        let mut state = self.of.state();
        self.ranges.iter().for_each(|range| state.coming.remove(range.clone()));
        drop(state);
        self.of.changed.notify_waiters();
    }
}

impl RangedFile {
    /// Creates a sparse file of the object's size at `path`.
    pub fn create(
        store: Arc<dyn MediaStore>,
        key: Key,
        object: ObjectInfo,
        path: &Path,
    ) -> Result<RangedFile, PortError> {
        let made = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let file = made.and_then(|file| file.set_len(object.bytes).map(|()| file));
        let file = file.map_err(|e| PortError::io(format_args!("source cache {}", path.display()), e))?;
        Ok(RangedFile {
            store,
            key,
            object,
            file: Arc::new(file),
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Bytes allocated on the disk.
    pub fn bytes_there(&self) -> u64 {
        self.state().there.iter().map(|range| range.end - range.start).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of `ranges` that are neither present nor in flight; `None` when all are present.
    fn claim(&self, ranges: &[Range<u64>]) -> Option<Claim<'_>> {
        let mut state = self.state();
        let missing: Vec<_> = ranges.iter().flat_map(|range| state.there.gaps(range)).collect();
        if missing.is_empty() {
            return None;
        }
        let mut free = RangeSet::new();
        for range in &missing {
            free.extend(state.coming.gaps(range));
        }
        let ranges: Vec<Range<u64>> = free.into_iter().collect();
        state.coming.extend(ranges.iter().cloned());
        Some(Claim { of: self, ranges })
    }

    async fn fetch_claimed(&self, claim: &Claim<'_>) -> Result<(), PortError> {
        let pieces = claim.ranges.iter().flat_map(|range| {
            let end = range.end;
            range.clone().step_by(PIECE as usize).map(move |start| start..(start + PIECE).min(end))
        });
        let pieces: Vec<Range<u64>> = pieces.collect();
        stream::iter(pieces).map(Ok).try_for_each_concurrent(AT_ONCE, |piece| self.fetch_piece(piece)).await
    }

    async fn fetch_piece(&self, piece: Range<u64>) -> Result<(), PortError> {
        let bytes = self.read(piece.clone()).await.map_err(|error| match error.kind {
            PortErrorKind::Replaced => {
                let message = format_args!("{} was replaced while it was being read, try again", self.key);
                PortError::with(PortErrorKind::Transient, message, error)
            }
            _ => error,
        })?;
        if bytes.len() as u64 != piece.end - piece.start {
            let message = format_args!("{} gave {} bytes for {piece:?}", self.key, bytes.len());
            return Err(PortError::new(PortErrorKind::Transient, message.to_string()));
        }
        let (file, start) = (Arc::clone(&self.file), piece.start);
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&bytes, start)).await;
        written
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| PortError::io(format_args!("cannot keep {} on this machine", self.key), e))?;
        self.state().there.insert(piece);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn read(&self, piece: Range<u64>) -> Result<Bytes, PortError> {
        let mut bytes = BytesMut::with_capacity((piece.end - piece.start) as usize);
        let mut stream = self.store.get_range(&self.key, &self.object.version, piece).await?;
        while let Some(more) = stream.try_next().await? {
            bytes.extend_from_slice(&more);
        }
        Ok(bytes.freeze())
    }

    /// Verifies a complete file against its stored checksum, once.
    async fn prove(&self) -> Result<(), PortError> {
        let Some(crc32) = self.object.crc32 else { return Ok(()) };
        let all = 0..self.object.bytes;
        {
            let state = self.state();
            if state.proven || state.there.gaps(&all).next().is_some() {
                return Ok(());
            }
        }
        let file = Arc::clone(&self.file);
        let found = tokio::task::spawn_blocking(move || crc32_of(&file, all.end)).await;
        let found = found
            .unwrap_or_else(|e| Err(std::io::Error::other(e)))
            .map_err(|e| PortError::io(format_args!("cannot read {} on this machine", self.key), e))?;
        let mut state = self.state();
        if found == crc32 {
            state.proven = true;
            return Ok(());
        }
        state.there.clear();
        let message = format!("{} does not have the checksum that it was stored with", self.key);
        Err(PortError::new(PortErrorKind::Corrupt, message))
    }
}

fn crc32_of(file: &File, bytes: u64) -> std::io::Result<u32> {
    let (mut crc, mut buf) = (crc32fast::Hasher::new(), vec![0; 1 << 20]);
    let mut at = 0;
    while at < bytes {
        let n = (bytes - at).min(buf.len() as u64) as usize;
        file.read_exact_at(&mut buf[..n], at)?;
        crc.update(&buf[..n]);
        at += n as u64;
    }
    Ok(crc.finalize())
}

#[async_trait]
impl Prefetch for RangedFile {
    async fn prefetch(&self, ranges: &[Range<u64>]) -> Result<(), PortError> {
        let len = self.object.bytes;
        let within = |range: &Range<u64>| range.start.min(len)..range.end.min(len);
        let wanted: Vec<_> = ranges.iter().map(within).filter(|range| !range.is_empty()).collect();
        loop {
            // registered before the check, so that no change after it is missed
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(claim) = self.claim(&wanted) else { break };
            if claim.ranges.is_empty() {
                // all missing ranges are in flight for other callers
                drop(claim);
                changed.await;
            } else {
                self.fetch_claimed(&claim).await?;
            }
        }
        if ranges.iter().any(|range| range.start == 0 && range.end >= len) {
            self.prove().await?;
        }
        Ok(())
    }
}
