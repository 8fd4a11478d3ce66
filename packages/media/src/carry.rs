//! The join without a muxer: a file whose parts were only read, of the same dialect as its
//! source, is its tracks with new chunk offsets, and its bytes are moved by the kernel.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::container::{Fate, FinalContainer, Fit};
use crate::error::{MediaError, Result};
use crate::facts::{Container, StreamKind};
use crate::join::{JoinParts, JoinRequest};
use crate::mp4::{self, Brand, CountedFile, Rewrite};
use crate::probe;
use crate::process::{Finished, Limits};

/// Bytes moved between two looks at whether to stop.
const PIECE: u64 = 64 << 20;

/// The container that a request can be carried into, and why not where it cannot.
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
        // what nobody knows is carried as it is
        StreamKind::Data | StreamKind::Unknown => true,
        _ => s.codec.is_none() || !matches!(fate, Fate::Drop(_)),
    });
    let preferred = container == FinalContainer::Mp4
        || request.container.is_some()
        || fits.first().is_some_and(|f| f.container == container);
    (holds && preferred).then_some(container)
}

/// Carries the source's tracks into a new file; `None` where the source is one for the muxer.
pub(crate) async fn carry(
    request: &JoinRequest<'_>,
    container: FinalContainer,
    limits: &Limits,
) -> Result<Option<(PathBuf, Finished)>> {
    let started = Instant::now();
    let file = CountedFile::new(probe::open(request.source)?)
        .map_err(|e| MediaError::io(request.source.display(), &e))?;
    let rewrite = match mp4::plan_rewrite(&file) {
        Ok(rewrite) => rewrite,
        Err(why) => {
            tracing::debug!(%why, "left to the muxer");
            return Ok(None);
        }
    };
    let name = format!("{}.{}", request.stem, container.extension());
    let (path, partial) = (request.out_dir.join(&name), request.out_dir.join(format!(".{name}.partial")));
    let moved = move_bytes(request, &rewrite, &partial, limits).await;
    let renamed = moved.and_then(|()| {
        fs::rename(&partial, &path).map_err(|e| MediaError::io(format!("writing {}", path.display()), &e))
    });
    if let Err(e) = renamed {
        // a file that is not there is as good as one that was removed
        let _ = fs::remove_file(&partial);
        return Err(e);
    }
    let wall_ms = started.elapsed().as_millis() as u64;
    Ok(Some((path, Finished { wall_ms, ..Finished::default() })))
}

async fn move_bytes(request: &JoinRequest<'_>, rewrite: &Rewrite, out: &Path, limits: &Limits) -> Result<()> {
    let failed = |e: std::io::Error| MediaError::io(format!("writing {}", out.display()), &e);
    let mut to = File::create(out).map_err(failed)?;
    to.write_all(&rewrite.head).map_err(failed)?;
    let mut from = probe::open(request.source)?;
    let length_us = request.facts.duration_us.unwrap_or(0);
    let mut done = rewrite.head.len() as u64;
    for run in &rewrite.runs {
        from.seek(SeekFrom::Start(run.from)).map_err(failed)?;
        let mut left = run.len;
        while left > 0 {
            if limits.cancel.is_cancelled() {
                return Err(MediaError::cancelled());
            }
            let piece = left.min(PIECE);
            (from, to) = tokio::task::spawn_blocking(move || {
                // between two files this is one call of the kernel
                let moved = std::io::copy(&mut (&from).take(piece), &mut to)?;
                if moved == piece { Ok((from, to)) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
            })
            .await
            .map_err(|e| MediaError::internal(format!("moving bytes ended badly: {e}")))?
            .map_err(failed)?;
            left -= piece;
            done += piece;
            (request.progress)((length_us as f64 * done as f64 / rewrite.len as f64) as i64);
        }
    }
    Ok(())
}
