//! Track files for sources without an index that this crate reads: the video packets, copied once by
//! ffmpeg into a MOV with an exact timescale.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::error::{MediaError, MediaErrorKind, Result};
use crate::facts::{SourceFacts, StreamFacts};
use crate::mp4::{Track, TrackChoice};
use crate::packets;
use crate::plan::{OpenIndex, open_at};
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
use crate::tools::Tools;

/// Packets whose times are compared with ffmpeg's.
const COMPARED: usize = 12;

/// Codecs that the MOV demuxer of every ffmpeg version supports.
const NAMED: [&str; 9] = ["h264", "hevc", "vvc", "av1", "vp9", "vp8", "mpeg4", "mpeg2video", "mpeg1video"];

/// ffmpeg's name of MPEG program streams. They may give a time to only one picture of a group;
/// ffmpeg's demuxer derives the others from the decode order if an option requests it; its
/// muxers guess wrong otherwise.
const PROGRAM_STREAM: &str = "mpeg";

/// A track file that was made.
pub(crate) struct Made {
    pub open: OpenIndex,
    pub anchor: i64,
    pub file_name: String,
    /// Whether the codec must be passed to ffmpeg.
    pub unnamed: bool,
}

/// The times ffmpeg reads from the first packets of an indexed track: those of
/// the facts if they are enough, else read now.
pub(crate) async fn seen(
    tools: &Tools,
    source: &Path,
    facts: &SourceFacts,
    stream: u32,
    track: &Track,
) -> Result<Vec<Option<i64>>> {
    match facts.first_packets.get(&stream) {
        Some(seen) if seen.len() >= COMPARED.min(track.samples.len()) => Ok(seen.clone()),
        _ => first_packets(tools, source, stream).await,
    }
}

/// The times ffmpeg reads from the first packets of a stream; `None` if it reads none.
pub(crate) async fn first_packets(tools: &Tools, source: &Path, stream: u32) -> Result<Vec<Option<i64>>> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-of", "json", "-select_streams"].map(OsString::from).to_vec();
    args.push(stream.to_string().into());
    args.extend(["-show_entries", "packet=pts"].map(OsString::from));
    args.extend(["-read_intervals".into(), format!("%+#{COMPARED}").into()]);
    args.extend(source_input(source));
    let call = tools.ffprobe(format!("reading the first packets of {}", source.display()), args);
    let call = call.reading(source);
    let limits = Limits { time: Duration::from_secs(120), ..Limits::default() };
    let answer = process::output(&call, &limits, 1 << 20).await?;
    let value: Value = serde_json::from_slice(&answer)
        .map_err(|e| MediaError::internal(format!("ffprobe's answer is not JSON: {e}")))?;
    Ok(value["packets"]
        .as_array()
        .map(|all| all.iter().map(|p| p["pts"].as_i64()).collect())
        .unwrap_or_default())
}

/// Number of packets of a stream that ffmpeg would decode and not present.
pub(crate) async fn hidden_packets(
    tools: &Tools,
    source: &Path,
    stream: u32,
    limits: &Limits,
) -> Result<u64> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-of", "csv=p=0", "-select_streams"].map(OsString::from).to_vec();
    args.push(stream.to_string().into());
    args.extend(["-show_entries", "packet=flags"].map(OsString::from));
    args.extend(source_input(source));
    let call = tools.ffprobe(format!("reading the edits of {}", source.display()), args).reading(source);
    let mut hidden = 0;
    process::run(&call, limits, |piece| {
        hidden += piece.iter().filter(|b| **b == b'D').count() as u64;
        Heard::Progress
    })
    .await?;
    Ok(hidden)
}

/// Offset from the index's times to ffmpeg's, if it is constant.
pub(crate) fn anchor(seen: &[Option<i64>], track: &Track) -> Option<i64> {
    let mut found = None;
    for (sample, seen) in track.samples.iter().zip(seen) {
        let Some(seen) = seen else { continue };
        let shift = seen - sample.pts();
        if *found.get_or_insert(shift) != shift {
            return None;
        }
    }
    found
}

/// The arguments that copy one stream into a track file.
pub fn track_args(
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    out: &Path,
    format: &str,
) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts"]
            .map(OsString::from)
            .to_vec();
    if facts.format == PROGRAM_STREAM {
        args.extend(["-fflags", "+genpts"].map(OsString::from));
    }
    args.extend(source_input(source));
    args.extend(["-map".into(), format!("0:{}", stream.index).into()]);
    args.extend(["-c", "copy", "-copyinkf", "-use_editlist", "0"].map(OsString::from));
    args.extend(["-map_metadata", "-1", "-map_chapters", "-1", "-f", format].map(OsString::from));
    args.push(out.into());
    args
}

/// Writes a track file into `scratch` and reads its index.
pub(crate) async fn write(
    tools: &Tools,
    source: &Path,
    scratch: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    limits: &Limits,
) -> Result<Made> {
    let codec = stream.codec.as_deref().unwrap_or_default();
    // QuickTime supports almost any codec, MP4 those that QuickTime refuses, and neither VP8
    let writers: &[Writer] = match codec {
        "vp8" => &[Writer::Packets],
        "vp9" | "av1" | "vvc" => &[Writer::Muxer("mp4"), Writer::Muxer("mov"), Writer::Packets],
        _ => &[Writer::Muxer("mov"), Writer::Muxer("mp4"), Writer::Packets],
    };
    let mut first_failure = None;
    for writer in writers {
        let file_name = format!("track.{}", writer.extension());
        let out = scratch.join(&file_name);
        let written = match writer {
            Writer::Muxer(format) => {
                let args = track_args(source, facts, stream, &out, format);
                let call = tools.ffmpeg(format!("indexing the picture of {}", source.display()), args);
                let call = call.reading(source).writing(&out);
                process::run(&call, limits, |_| Heard::Progress).await.map(drop)
            }
            Writer::Packets => packets::write(tools, source, stream, &out, limits).await,
        };
        match written {
            Ok(()) => {
                let open = open_at(&out, TrackChoice::FirstVideo)?;
                let seen = first_packets(tools, source, stream.index).await?;
                let anchor = settle(&seen, &open, stream);
                let unnamed =
                    !NAMED.contains(&codec) && named_codec(tools, &out).await?.as_deref() != Some(codec);
                return Ok(Made { open, anchor, file_name, unnamed });
            }
            Err(e) if e.kind() == MediaErrorKind::Source => {
                first_failure.get_or_insert(e);
            }
            Err(e) => return Err(e),
        }
    }
    Err(first_failure.unwrap_or_else(|| MediaError::internal("no container was tried")))
}

/// Writer of a track file.
#[derive(Debug, Clone, Copy)]
enum Writer {
    /// ffmpeg's muxer of that name.
    Muxer(&'static str),
    /// This crate, over packets that ffmpeg copies.
    Packets,
}

impl Writer {
    fn extension(self) -> &'static str {
        match self {
            Writer::Muxer(format) => format,
            Writer::Packets => "mov",
        }
    }
}

/// ffmpeg's name of the codec that it reads in a track file; RealVideo has none in MOV.
async fn named_codec(tools: &Tools, track: &Path) -> Result<Option<String>> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-of", "json", "-show_entries", "stream=codec_name"].map(OsString::from).to_vec();
    args.extend(source_input(track));
    let call = tools.ffprobe(format!("reading {}", track.display()), args).reading(track);
    let limits = Limits { time: Duration::from_secs(120), ..Limits::default() };
    let answer = process::output(&call, &limits, 1 << 20).await?;
    let value: Value = serde_json::from_slice(&answer)
        .map_err(|e| MediaError::internal(format!("ffprobe's answer is not JSON: {e}")))?;
    Ok(value["streams"][0]["codec_name"].as_str().map(str::to_owned))
}

/// The anchor in ticks of the track file, whose timescale may be finer than the source's.
fn settle(seen: &[Option<i64>], open: &OpenIndex, stream: &StreamFacts) -> i64 {
    let track = &open.index.track;
    let clock = segue_domain::Timebase { num: 1, den: track.timescale };
    let ticks = |t: i64| stream.timebase.rescale(t, clock);
    let first = track.samples.iter().zip(seen).find_map(|(s, t)| Some(ticks((*t)?) - s.pts()));
    first.unwrap_or_else(|| {
        let least = track.samples.iter().map(crate::mp4::Sample::pts).min().unwrap_or(0);
        stream.start.map_or(0, ticks) - least
    })
}
