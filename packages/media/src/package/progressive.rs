//! One rendition of a stream as a plain MP4 with its index first. Packets are copied.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::encode::File;
use super::plan::{StreamPlan, hash_of_times};
use super::track::refused;
use crate::bounds::{self, Demuxers};
use crate::encode::input;
use crate::error::{MediaError, Result};
use crate::mp4::{self, Sample, TrackChoice};
use crate::probe;
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

/// Distance of a track's start from the stream's that rounding to ticks explains.
const START_US: i64 = 1_000;

/// A rendition to be written.
#[derive(Debug, Clone)]
pub struct ProgressiveTrack {
    /// Whether it holds pictures.
    pub is_picture: bool,
    /// Its language by ISO 639-3, if known.
    pub language: Option<String>,
    /// Its initialisation segment and its parts, in order.
    pub files: Vec<PathBuf>,
}

/// What was found in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressiveProof {
    /// Number of pictures: that of the source.
    pub pictures: u64,
    /// Hash of their presentation times, those of the source.
    pub times_hash: String,
    /// Whether the index comes before the media, so that a player can start before it has the whole file.
    pub index_first: bool,
}

/// Writes the tracks into one file and compares its pictures with the plan.
///
/// # Errors
/// A track that ffmpeg cannot read, or pictures at other times than planned.
pub async fn write_progressive(
    tools: &Tools,
    plan: &StreamPlan,
    tracks: &[ProgressiveTrack],
    out: &Path,
    limits: &Limits,
) -> Result<ProgressiveProof> {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts"]);
    for track in tracks {
        let url = input::url_of(&track.files).ok_or_else(|| input::unreadable(out))?;
        args.extend(bounds::input("file,concat", Demuxers::Only("mov"), url));
    }
    for index in 0..tracks.len() {
        args.extend(words(&["-map", &format!("{index}:0")]));
    }
    args.extend(words(&["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact"]));
    args.extend(words(&[
        "-avoid_negative_ts",
        "disabled",
        "-video_track_timescale",
        &plan.timescale.to_string(),
    ]));
    for (index, track) in tracks.iter().enumerate() {
        if let Some(language) = &track.language {
            args.extend(words(&[&format!("-metadata:s:{index}"), &format!("language={language}")]));
        }
    }
    args.extend(words(&["-movflags", "+faststart", "-f", "mp4"]));
    args.push(out.into());
    let mut call = tools.ffmpeg("writing one file of the stream", args).writing(out);
    for file in tracks.iter().flat_map(|track| &track.files) {
        call = call.reading(file);
    }
    process::run(&call.with_growing_lists(), limits, |_| Heard::Progress).await?;
    check_starts(tools, plan, tracks, out).await?;
    let (plan, out) = (plan.clone(), out.to_owned());
    let has_picture = tracks.iter().any(|track| track.is_picture);
    let check = tokio::task::spawn_blocking(move || check(&plan, has_picture, &out));
    check.await.map_err(|e| MediaError::internal(format!("the task that reads the file failed: {e}")))?
}

/// Compares the starts of both tracks with the stream's.
async fn check_starts(
    tools: &Tools,
    plan: &StreamPlan,
    tracks: &[ProgressiveTrack],
    out: &Path,
) -> Result<()> {
    let facts = probe(tools, out).await?;
    if facts.streams.len() != tracks.len() {
        return Err(MediaError::internal(format!(
            "{} tracks instead of {}",
            facts.streams.len(),
            tracks.len()
        )));
    }
    for (stream, track) in facts.streams.iter().zip(tracks) {
        let expected = if track.is_picture { plan.starts.first().copied().unwrap_or(0) } else { 0 };
        let expected = if track.is_picture { plan.timebase().to_micros(expected) } else { 0 };
        let found = stream.timebase.to_micros(stream.start.unwrap_or(0));
        if (found - expected).abs() > START_US {
            let what = stream.label();
            return Err(MediaError::internal(format!(
                "{what} starts at {found} us instead of {expected} us"
            )));
        }
    }
    Ok(())
}

fn check(plan: &StreamPlan, has_picture: bool, out: &Path) -> Result<ProgressiveProof> {
    let File(file) = File::open(out)?;
    let choice = if has_picture { TrackChoice::FirstVideo } else { TrackChoice::Any };
    let index = mp4::read_index(&file, choice).map_err(refused)?;
    let media = index.track.samples.iter().map(|sample| sample.offset).min().unwrap_or(0);
    let index_first = mp4::has_index_before(&file, media).map_err(refused)?;
    if !index_first {
        return Err(MediaError::internal("the index of the file does not come first"));
    }
    if !has_picture {
        return Ok(ProgressiveProof { pictures: 0, times_hash: hash_of_times(&[]), index_first });
    }
    let mut times: Vec<i64> = index.track.samples.iter().map(Sample::pts).collect();
    times.sort_unstable();
    // what the edit list of the file subtracts; the offset between picture and sound is checked by the caller
    let shift = plan.starts.first().copied().unwrap_or(0) - times.first().copied().unwrap_or(0);
    times.iter_mut().for_each(|time| *time += shift);
    let times_hash = hash_of_times(&times);
    if times_hash != plan.times_hash || times.len() as u64 != plan.pictures {
        let count = times.len();
        return Err(MediaError::internal(format!(
            "{count} pictures, or their times, are not those of the stream"
        )));
    }
    Ok(ProgressiveProof { pictures: times.len() as u64, times_hash, index_first })
}
