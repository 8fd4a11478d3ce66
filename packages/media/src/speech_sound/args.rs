//! The decoders' arguments, as pure functions.

use std::ffi::OsString;
use std::path::Path;

use super::{CLOCK, SAMPLE_RATE};
use crate::facts::StreamFacts;
use crate::mux::seconds;
use crate::probe::source_input;

/// Audio read before a block: history of the resampler and the decoder.
const WARM_UP_SECONDS: i64 = 1;
/// Audio read after a block: lookahead of the resampler.
const RUN_OUT_SECONDS: i64 = 1;
/// Additional distance of the seek, for the preroll of decoders.
const SEEK_MARGIN_US: i64 = 1_000_000;

/// Packets before and after the decoded range, for the preroll of decoders and for
/// their delay.
const WINDOW_SECONDS: i64 = 1;

/// The range decoded for a block, in whole seconds of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRange {
    /// First decoded second.
    pub from: i64,
    /// Seconds at its start that are discarded.
    pub warm_up: i64,
    /// First second after the range.
    pub to: i64,
}

impl BlockRange {
    /// The range of one block.
    pub fn of(number: i64, block_seconds: i64) -> BlockRange {
        let start = number * block_seconds;
        let warm_up = start.min(WARM_UP_SECONDS);
        BlockRange { from: start - warm_up, warm_up, to: start + block_seconds + RUN_OUT_SECONDS }
    }

    /// The range of a track that its decoder gets, in ticks of an index where the audio starts at
    /// `origin`.
    pub(super) fn packets(&self, origin: i64, timescale: u32) -> (i64, i64) {
        let second = i64::from(timescale);
        (origin + (self.from - WINDOW_SECONDS) * second, origin + (self.to + WINDOW_SECONDS) * second)
    }

    /// Upper bound on the bytes that a decoder outputs for it.
    pub(super) fn most_bytes(&self) -> usize {
        ((self.to - self.from + 10) * SAMPLE_RATE * 2) as usize
    }
}

/// Seek target and stop time of a block's decoder, microseconds of ffmpeg's clock.
pub(super) fn read_us(stream: &StreamFacts, origin: i64, range: &BlockRange) -> (i64, i64) {
    let origin_us = stream.timebase.to_micros(origin);
    let from = if range.from == 0 { i64::MIN } else { origin_us + range.from * 1_000_000 - SEEK_MARGIN_US };
    (from, origin_us + range.to * 1_000_000)
}

/// Gaps are filled with silence, so that time and samples stay in sync; contiguous
/// audio is unchanged.
const FILL: &str = "aresample=async=1:min_hard_comp=0.1:first_pts=0";

/// The arguments that decode a block of the stream `index` of an input to standard output. In
/// the input the audio starts at `origin`; the decoder seeks to the block if the input's earliest time
/// is known, else the block is at the start.
pub fn block_args(
    input: Vec<OsString>,
    index: u32,
    stream: &StreamFacts,
    origin: i64,
    start_time_us: Option<i64>,
    range: &BlockRange,
) -> Vec<OsString> {
    let rate = i64::from(stream.sample_rate);
    let clock = segue_domain::Timebase { num: 1, den: stream.sample_rate.max(1) };
    let origin_samples = stream.timebase.rescale(origin, clock);
    let (first, end) = (origin_samples + range.from * rate, origin_samples + range.to * rate);
    let mut args = words(&["-v", "error", "-nostdin", "-copyts", "-noaccurate_seek"]);
    let sought = stream.timebase.to_micros(origin) + range.from * 1_000_000 - SEEK_MARGIN_US;
    if let Some(seek) = start_time_us.map(|start| sought - start).filter(|seek| range.from > 0 && *seek > 0) {
        args.extend(words(&["-ss", &seconds(seek)]));
    }
    args.extend(input);
    let filters = format!("atrim=start_pts={first}:end_pts={end},asetpts=PTS-({first}),{FILL}");
    args.extend(output(index, &filters));
    args.push("pipe:1".into());
    args
}

/// The arguments that decode a whole stream into a file.
pub fn whole_args(path: &Path, stream: &StreamFacts, out: &Path) -> Vec<OsString> {
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]);
    args.extend(source_input(path));
    args.extend(output(stream.index, &format!("asetpts=PTS-STARTPTS,{FILL}")));
    args.push(out.into());
    args
}

fn output(index: u32, filters: &str) -> Vec<OsString> {
    let map = format!("0:{index}");
    let rate = CLOCK.den.to_string();
    // with 16-bit output ffmpeg selects a mixer that cannot clip, for any number of channels
    let tail = ["-map", &map, "-af", filters, "-ac", "1", "-ar", &rate, "-c:a", "pcm_s16le", "-f", "s16le"];
    words(&tail)
}

fn words(all: &[&str]) -> Vec<OsString> {
    all.iter().map(OsString::from).collect()
}
