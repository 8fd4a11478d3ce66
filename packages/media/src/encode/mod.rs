//! Encoding: exactly the frames that one segment owns, with the settings of the recipe.
//!
//! ffmpeg reads a generated header before the source's own bytes, so a segment decodes
//! only what it needs and no media is copied first. The frames are selected by ticks. Every part of
//! a video is encoded with the same settings down to the nominal rate, because the join uses
//! one decoder configuration for all of them; the join restores the source's times.

mod args;
mod encoder;
mod grid;
pub(crate) mod input;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use segue_domain::recipe::EncodeRecipe;
use serde::{Deserialize, Serialize};

use crate::error::{MediaError, Result};
use crate::facts::StreamFacts;
use crate::lossless::{owned_times, packets_to_read};
use crate::mp4::{self, Sample, TrackChoice};
use crate::plan::{OpenIndex, PicturePlan, PictureSegment, open_at};
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::tools::Tools;

pub(crate) use args::keyframe_times;
pub use args::{EncodeArgs, encode_args};
pub(crate) use encoder::settings;
pub use encoder::{PictureEncoder, choose_encoder};
pub use grid::{NominalRate, nominal_rate, plan_on_grid};

/// Request to encode one segment.
#[derive(Debug, Clone, Copy)]
pub struct EncodeRequest<'a> {
    /// The file that holds the packets, [`PicturePlan::track_path`].
    pub track: &'a Path,
    /// The plan of the video.
    pub plan: &'a PicturePlan,
    /// The facts of the video stream.
    pub stream: &'a StreamFacts,
    /// Index of the segment.
    pub segment: u32,
    /// The encode settings.
    pub recipe: &'a EncodeRecipe,
    /// The encoder, the same for every part of a video.
    pub encoder: PictureEncoder,
    /// Path of the part; an `.mp4`.
    pub out: &'a Path,
    /// A folder for temporary files.
    pub scratch: &'a Path,
    /// Threads for the encoder; another number gives another bitstream of the same quality.
    pub threads: u32,
}

/// Report of one encoded segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodedPart {
    /// Index of the segment.
    pub index: u32,
    /// Frames: as many as the segment owns.
    pub frames: u64,
    /// Number of keyframes.
    pub keyframes: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Bytes of the encoded frames alone.
    pub payload_bytes: u64,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
}

/// Encodes the frames that one segment owns into a file of their own; `on_frames` is called with the
/// number of encoded frames. `open` is the index of [`EncodeRequest::track`]; it is dropped before the
/// encoder starts.
///
/// The file has no audio, no rotation and only the relative times of the frames.
///
/// # Errors
/// A part that does not hold exactly the owned frames is an error and is removed.
pub async fn encode_segment(
    tools: &Tools,
    open: Arc<OpenIndex>,
    request: &EncodeRequest<'_>,
    limits: &Limits,
    mut on_frames: impl FnMut(u64) + Send,
) -> Result<EncodedPart> {
    let work = Work::prepare(request, &open)?;
    // it grows with the source, and an encoder runs for long
    drop(open);
    let call = tools.encoder(format!("encoding segment {}", request.segment), work.args.clone());
    let mut call = call.reading(request.track).reading(&work.header).writing(&work.partial);
    // SVT-AV1 otherwise logs statistics, and the last lines of stderr are reserved for errors
    call.envs.push(("SVT_LOG".into(), "1".into()));
    let mut progress = Progress::default();
    let ran = process::run(&call, limits, |piece| {
        let heard = progress.push(piece);
        on_frames(progress.frames());
        heard
    })
    .await;
    let finished = ran?;
    let part = work.check(request, finished.wall_ms)?;
    mp4::stamp_matrix(&work.partial, &work.matrix)
        .map_err(|e| MediaError::internal(format!("segment {}: {e}", request.segment)))?;
    std::fs::rename(&work.partial, request.out)
        .map_err(|e| MediaError::io(format!("writing {}", request.out.display()), &e))?;
    Ok(part)
}

/// One run of the encoder: its arguments, and the temporary files that are removed at its end.
struct Work {
    segment: PictureSegment,
    /// Times of the owned frames, in the index's clock.
    times: Vec<i64>,
    matrix: [u8; 36],
    args: Vec<OsString>,
    header: PathBuf,
    partial: PathBuf,
    alias: Option<PathBuf>,
}

impl Drop for Work {
    fn drop(&mut self) {
        for path in [Some(&self.header), Some(&self.partial), self.alias.as_ref()].into_iter().flatten() {
            // a missing file counts as removed
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Work {
    fn prepare(request: &EncodeRequest<'_>, open: &OpenIndex) -> Result<Work> {
        let (plan, track) = (request.plan, &open.index.track);
        let segment = segment(request, track.samples.len() as u64)?.clone();
        let name = format!("segment-{:05}", segment.index);
        let mut work = Work {
            times: owned_times(&track.samples, &segment, plan.anchor),
            matrix: track.matrix,
            segment,
            args: Vec::new(),
            header: request.scratch.join(format!("{name}.head.mov")),
            partial: request.scratch.join(format!("{name}.partial.mp4")),
            alias: None,
        };
        let read = packets_to_read(&track.samples, &work.segment, plan.anchor);
        let origin = read.first().map_or(0, |s| s.dts);
        input::write(&work.header, open, &read)?;
        let input = work.input(request)?;
        let keyframes = grid::forced(track, request.recipe, &work.segment, plan.anchor);
        let keyframes: Vec<i64> = keyframes.into_iter().map(|twice| twice - 2 * origin).collect();
        let own = |tick: i64| tick - plan.anchor - origin;
        work.args = encode_args(&EncodeArgs {
            input,
            decoder: plan.decoder(),
            out: &work.partial,
            stream: request.stream,
            recipe: request.recipe,
            encoder: request.encoder,
            rate: nominal_rate(plan),
            timescale: track.timescale,
            start: own(work.segment.range.start),
            end: own(work.segment.range.end),
            keyframes: &keyframes,
            threads: request.threads,
        });
        Ok(work)
    }

    /// The header and the packets as one, under a name that ffmpeg can read.
    fn input(&mut self, request: &EncodeRequest<'_>) -> Result<OsString> {
        if let Some(url) = input::url(&self.header, request.track) {
            return Ok(url);
        }
        let alias = self.alias.insert(input::alias(&self.header, request.track)?);
        input::url(&self.header, alias).ok_or_else(|| input::unreadable(request.scratch))
    }

    /// Counts the frames and compares their relative times with the source's.
    fn check(&self, request: &EncodeRequest<'_>, wall_ms: u64) -> Result<EncodedPart> {
        let (index, owns) = (self.segment.index, self.segment.frames);
        let made = open_at(&self.partial, TrackChoice::FirstVideo).map_err(|_| {
            // ffmpeg leaves a file without video when it has decoded no frame
            MediaError::source(format!(
                "frame mismatch: segment {index} owns {owns} frames and none could be encoded"
            ))
        })?;
        let track = &made.index.track;
        let got = track.samples.len() as u64;
        if owns != got {
            return Err(MediaError::source(format!(
                "frame mismatch: segment {index} owns {owns} frames and {got} could be encoded; \
                 a copy (video.mode = \"copy\") keeps what cannot be decoded"
            )));
        }
        let rate = nominal_rate(request.plan);
        let frame_ticks = i64::from(track.timescale) * i64::from(rate.den) / i64::from(rate.num);
        if let Some(frame) = moved(&self.times, &track.samples, frame_ticks * 3 / 2) {
            return Err(MediaError::source(format!(
                "frame mismatch: frame {frame} of segment {index} is not the one that it owns"
            )));
        }
        let bytes =
            std::fs::metadata(&self.partial).map_err(|e| MediaError::io(self.partial.display(), &e))?;
        Ok(EncodedPart {
            index,
            frames: got,
            keyframes: track.samples.iter().filter(|s| s.keyframe).count() as u64,
            bytes: bytes.len(),
            payload_bytes: track.bytes(),
            wall_ms,
        })
    }
}

fn segment<'a>(request: &EncodeRequest<'a>, packets: u64) -> Result<&'a PictureSegment> {
    let found = request.plan.segments.get(request.segment as usize);
    found
        .filter(|s| s.first_packet <= s.end_packet && s.end_packet <= packets)
        .ok_or_else(|| MediaError::internal(format!("segment {} lies outside of the index", request.segment)))
}

/// The first frame whose distance from the first one differs from the source. A packet
/// without its own time has a neighbour's in an index, so an error of one frame is tolerated.
fn moved(times: &[i64], made: &[Sample], grace: i64) -> Option<usize> {
    let mut shown: Vec<i64> = made.iter().map(Sample::pts).collect();
    shown.sort_unstable();
    let (from, to) = (*times.first()?, *shown.first()?);
    times.iter().zip(&shown).position(|(t, s)| ((t - from) - (s - to)).abs() > grace)
}
