//! Join without a muxer: if the parts were only read and the output has the source's dialect,
//! the result is the source's tracks with new chunk offsets, and its media bytes are copied unchanged.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::container::{Fate, FinalContainer, Fit};
use crate::copy_out::{CopyError, Written, copy_out};
use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamKind};
use crate::hash::hex;
use crate::join::{JoinParts, JoinRequest};
use crate::mp4::{self, Brand, CountedFile, Rewrite};
use crate::plan::{PicturePlan, TrackPlace};
use crate::probe;
use crate::process::{Finished, Limits};

/// Interval of progress reports, bytes.
const TELL_EVERY: u64 = 4 << 20;

/// A file written by this copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// State of the source before it was read.
    pub source: FileState,
    /// State of the file after its rename to its name.
    pub result: FileState,
}

/// State of a file that changes with every modification (stat(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Device and inode number.
    inode: (u64, u64),
    /// Size in bytes.
    bytes: u64,
    /// Modification time (mtime): seconds and nanoseconds.
    modified: (i64, i64),
    /// Change time (ctime) of the inode, which user programs cannot set.
    changed: (i64, i64),
}

impl FileState {
    /// Reads the state of the file at `path`.
    ///
    /// # Errors
    /// A missing file, or an error of stat(2).
    pub fn of(path: &Path) -> io::Result<FileState> {
        let found = fs::metadata(path)?;
        Ok(FileState {
            inode: (found.dev(), found.ino()),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// Predicts whether a join of packets that were only read will copy the tracks unchanged. The join
/// decides; after a wrong prediction the packets are read twice, or later than necessary.
pub fn may_be_carried(facts: &SourceFacts, picture: &PicturePlan) -> bool {
    facts.container == Container::Mov
        && facts.short_by_bytes.is_none()
        && matches!(picture.track, TrackPlace::Source { .. })
}

/// The container that a request can be copied into, or the reason against it.
pub(crate) fn target(request: &JoinRequest<'_>, fits: &[Fit]) -> Option<FinalContainer> {
    let untouched = matches!(request.parts, JoinParts::ByReference)
        && request.audio.is_empty()
        && request.subtitles.is_empty()
        && request.mapped_codec.is_none();
    let facts = request.facts;
    if !untouched || facts.container != Container::Mov || facts.short_by_bytes.is_some() {
        return None;
    }
    let file = CountedFile::new(File::open(request.source).ok()?).ok()?;
    let container = match mp4::brand(&file).ok()? {
        Brand::Mp4 => FinalContainer::Mp4,
        Brand::QuickTime => FinalContainer::Mov,
    };
    if request.container.is_some_and(|wanted| wanted != container) {
        return None;
    }
    let fit = fits.iter().find(|f| f.container == container)?;
    let holds = facts.streams.iter().zip(&fit.fates).all(|(s, fate)| match s.kind {
        // a data track of unknown format is copied as it is
        StreamKind::Data | StreamKind::Unknown => true,
        _ => s.codec.is_none() || !matches!(fate, Fate::Drop(_)),
    });
    let preferred = container == FinalContainer::Mp4
        || request.container.is_some()
        || fits.first().is_some_and(|f| f.container == container);
    (holds && preferred).then_some(container)
}

/// Copies the source's tracks into a new file; `None` where the muxer must write the file.
pub(crate) async fn carry(
    request: &JoinRequest<'_>,
    container: FinalContainer,
    limits: &Limits,
) -> Result<Option<(PathBuf, Carried, Finished)>> {
    let started = Instant::now();
    let file = CountedFile::new(probe::open(request.source)?)
        .map_err(|e| MediaError::io(request.source.display(), &e))?;
    let rewrite = match mp4::plan_rewrite(&file) {
        Ok(rewrite) => rewrite,
        Err(why) => {
            tracing::debug!(%why, "falling back to the muxer");
            return Ok(None);
        }
    };
    let state = |path: &Path| FileState::of(path).map_err(|e| MediaError::io(path.display(), &e));
    let source = state(request.source)?;
    let name = format!("{}.{}", request.stem, container.extension());
    let (path, partial) = (request.out_dir.join(&name), request.out_dir.join(format!(".{name}.partial")));
    let moved = move_bytes(request, rewrite, &partial, limits).await;
    let renamed = moved.and_then(|written| {
        fs::rename(&partial, &path).map_err(|e| MediaError::io(format!("writing {}", path.display()), &e))?;
        Ok((written, state(&path)?))
    });
    match renamed {
        Ok((Written { bytes, sha256 }, result)) => {
            let wall_ms = started.elapsed().as_millis() as u64;
            let carried = Carried { bytes, sha256: hex(&sha256), source, result };
            Ok(Some((path, carried, Finished { wall_ms, ..Finished::default() })))
        }
        Err(e) => {
            // a missing file counts as removed
            let _ = fs::remove_file(&partial);
            Err(e)
        }
    }
}

async fn move_bytes(
    request: &JoinRequest<'_>,
    rewrite: Rewrite,
    out: &Path,
    limits: &Limits,
) -> Result<Written> {
    let from = probe::open(request.source)?;
    let length_us = request.facts.duration_us.unwrap_or(0) as f64;
    let len = rewrite.len as f64;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (cancel, to) = (limits.cancel.clone(), out.to_owned());
    let copying = tokio::task::spawn_blocking(move || {
        let mut next = 0;
        copy_out(&from, &rewrite, &to, |done| {
            let tells = done >= next || done == rewrite.len;
            next = if tells { done + TELL_EVERY } else { next };
            // the receiver is closed only if the join itself was dropped
            (!tells || tell.send(done).is_ok()) && !cancel.is_cancelled()
        })
    });
    while let Some(done) = told.recv().await {
        (request.progress)((length_us * done as f64 / len) as i64);
    }
    let copied = copying.await.map_err(|e| MediaError::internal(format!("the copying task failed: {e}")))?;
    copied.map_err(|e| match e {
        CopyError::Read(e) => MediaError::io(format!("reading {}", request.source.display()), &e),
        CopyError::Write(e) => MediaError::io(format!("writing {}", out.display()), &e),
        CopyError::Stopped => MediaError::cancelled(),
    })
}
