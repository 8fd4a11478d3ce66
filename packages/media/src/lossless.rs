//! Parts of an open GOP: packets cannot be copied at such a cut, so the owned frames are
//! decoded with the packets before them, and stored losslessly.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use crate::bounds::{self, Demuxers};
use crate::error::{MediaError, Result};
use crate::facts::StreamFacts;
use crate::mp4::{Brand, Sample, Track, TrackChoice};
use crate::part::{self, PartLedger};
use crate::plan::{OpenIndex, PicturePlan, PictureSegment, open_at};
use crate::probe::file_url;
use crate::process::{self, Heard, Limits};
use crate::times;
use crate::tools::Tools;

/// The packets that a segment must read: from the keyframe before it to the last packet that
/// is presented inside it.
pub(crate) fn packets_to_read(samples: &[Sample], segment: &PictureSegment, anchor: i64) -> Vec<Sample> {
    let (first, end) = (segment.first_packet as usize, segment.end_packet as usize);
    let from = if segment.closed_start {
        first
    } else {
        samples[..first].iter().rposition(|s| s.keyframe).unwrap_or(0)
    };
    let until = segment.range.end - anchor;
    let mut read = samples[from..end].to_vec();
    if !segment.closed_end {
        // the next keyframe, and the pictures that follow it and are presented before it
        let after = &samples[end..];
        let stop = after.iter().rposition(|s| s.pts() < until).map_or(0, |i| i + 1);
        let next_key = after.iter().skip(1).position(|s| s.keyframe).map_or(after.len(), |i| i + 1);
        read.extend_from_slice(&after[..stop.min(next_key)]);
    }
    read
}

/// Lossless encoding of a pixel format.
pub fn lossless_codec(pixel_format: Option<&str>) -> &'static [&'static str] {
    match pixel_format {
        Some(
            "yuv420p" | "yuvj420p" | "yuv422p" | "yuvj422p" | "yuv444p" | "yuvj444p" | "yuv420p10le"
            | "yuv422p10le" | "yuv444p10le",
        ) => &["-c:v", "libx264", "-qp", "0", "-preset", "ultrafast", "-bf", "0"],
        _ => &["-c:v", "ffv1", "-level", "3", "-g", "1"],
    }
}

/// The arguments that decode `input` and keep the frames `[start, end)` of its clock; `decoder`
/// names its codec, if its header does not.
#[expect(clippy::too_many_arguments, reason = "the whole context of one line, each of its own type")]
fn lossless_args(
    input: &Path,
    out: &Path,
    decoder: Vec<OsString>,
    stream: &StreamFacts,
    timescale: u32,
    start: i64,
    end: i64,
    threads: u32,
) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts", "-noautorotate"]
            .map(OsString::from)
            .to_vec();
    // a decoder that starts at an inexact keyframe would otherwise withhold its first frames
    args.extend(["-flags:v", "+output_corrupt"].map(OsString::from));
    args.extend(decoder);
    args.extend(bounds::input("file", Demuxers::Only("mov"), file_url(input)));
    args.extend(["-map".into(), "0:v:0".into(), "-vf".into()]);
    args.push(format!("trim=start_pts={start}:end_pts={end}").into());
    args.extend(["-fps_mode", "passthrough", "-enc_time_base"].map(OsString::from));
    args.push(format!("1:{timescale}").into());
    args.extend(lossless_codec(stream.pixel_format.as_deref()).iter().map(OsString::from));
    args.extend(["-threads".into(), threads.to_string().into()]);
    args.extend(["-video_track_timescale".into(), timescale.to_string().into()]);
    args.extend(["-map_metadata", "-1", "-f", "mov"].map(OsString::from));
    args.push(out.into());
    args
}

/// Writes the frames that a segment owns losslessly to a file of their own. `open` is
/// dropped before the decoder starts.
#[expect(clippy::too_many_arguments, reason = "the whole context of one part, each of its own type")]
pub async fn lossless_part(
    tools: &Tools,
    open: Arc<OpenIndex>,
    plan: &PicturePlan,
    stream: &StreamFacts,
    segment: &PictureSegment,
    out: &Path,
    threads: u32,
    limits: &Limits,
) -> Result<PartLedger> {
    let track = &open.index.track;
    let read = packets_to_read(&track.samples, segment, plan.anchor);
    let (raw, encoded) = (out.with_extension("read.mov"), out.with_extension("kept.mov"));
    let origin = read.first().map_or(0, |s| s.dts);
    // without an edit list the packets keep their times
    write_plain(&raw, &open, &read)?;
    let own = |tick: i64| tick - plan.anchor - origin;
    let args = lossless_args(
        &raw,
        &encoded,
        plan.decoder(),
        stream,
        track.timescale,
        own(segment.range.start),
        own(segment.range.end),
        threads,
    );
    let times = owned_times(&track.samples, segment, plan.anchor);
    let source = track.without_samples();
    // it grows with the source, and a decoder runs for long
    drop(open);
    let call = tools.encoder(format!("decoding segment {}", segment.index), args);
    let call = call.reading(&raw).writing(&encoded);
    let ran = process::run(&call, limits, |_| Heard::Progress).await;
    let ledger = match ran {
        Ok(_) => settle(&encoded, &source, &times, plan, segment, out),
        Err(e) => Err(e),
    };
    for temporary in [&raw, &encoded] {
        // a missing file counts as removed
        let _ = std::fs::remove_file(temporary);
    }
    ledger
}

fn write_plain(out: &Path, open: &OpenIndex, samples: &[Sample]) -> Result<()> {
    open.expect(samples)?;
    part::write_unedited(out, &open.index.track, samples, &open.file)
}

/// Checks the count and sets the source's times of the frames.
fn settle(
    encoded: &Path,
    source: &Track,
    times: &[i64],
    plan: &PicturePlan,
    segment: &PictureSegment,
    out: &Path,
) -> Result<PartLedger> {
    let mut made = open_at(encoded, TrackChoice::FirstVideo)?;
    let track = &mut made.index.track;
    let got = track.samples.len() as u64;
    if got != segment.frames {
        return Err(MediaError::source(format!(
            "FRAME MISMATCH in segment {}: it owns {} frames and {got} could be decoded",
            segment.index, segment.frames
        )));
    }
    track.timescale = source.timescale;
    track.language = source.language;
    track.matrix = source.matrix;
    (track.width, track.height) = (source.width, source.height);
    retime(&mut track.samples, times)?;
    let last = (segment.range.end - plan.anchor - times.last().copied().unwrap_or(0)).max(1);
    let samples = track.samples.clone();
    let ledger = part::write_file(out, Brand::QuickTime, track, &samples, last as u32, &made.file)?;
    Ok(PartLedger { index: segment.index, ..ledger })
}

/// The times of the frames that a segment owns, in the index's clock, in order.
pub(crate) fn owned_times(samples: &[Sample], segment: &PictureSegment, anchor: i64) -> Vec<i64> {
    let (from, until) = (segment.range.start - anchor, segment.range.end - anchor);
    let reach = if segment.closed_end {
        &samples[segment.first_packet as usize..segment.end_packet as usize]
    } else {
        &samples[segment.first_packet as usize..]
    };
    let mut times: Vec<i64> =
        reach.iter().filter(|s| !s.hidden && s.pts() >= from && s.pts() < until).map(Sample::pts).collect();
    times.sort_unstable();
    times
}

/// Assigns the k-th time to the k-th presented frame, and matching decode times.
pub(crate) fn retime(samples: &mut [Sample], times: &[i64]) -> Result<()> {
    let pts: Vec<i64> = times::ranks(samples).into_iter().filter_map(|r| times.get(r).copied()).collect();
    if pts.len() != samples.len() {
        return Err(MediaError::internal("more frames than times"));
    }
    for ((sample, dts), pts) in samples.iter_mut().zip(times::decode_times(&pts)).zip(&pts) {
        sample.dts = dts;
        sample.composition = i32::try_from(pts - dts)
            .map_err(|_| MediaError::source("a frame is shown too long after it is decoded"))?;
    }
    Ok(())
}
