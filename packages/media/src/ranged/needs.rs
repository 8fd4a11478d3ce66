//! Predicts the ranges that ffmpeg will read, from the index.
//!
//! ffmpeg's demuxer reads the bytes of a packet only when it returns that packet, and never those of a
//! discarded stream. A seek goes to a keyframe before the requested time, and the demuxer
//! reads every stream from there on.

use std::ops::Range;

use crate::facts::{SourceFacts, StreamFacts, StreamKind};
use crate::mp4::{Movie, Sample, Track};

use super::GAP;

/// Maximum number of packet bytes that ffmpeg reads to identify the streams (`-probesize`, whose
/// default is 5,000,000), with a margin.
const PROBED: u64 = 6_000_000;
/// Packets of every track that a probe may read, at any offset.
const FIRST: usize = 64;
/// Margin of a probe's range in time, microseconds.
const LOOK_US: i64 = 2_000_000;
/// Tracks with fewer bytes and packets than these are fetched whole: chapters, time codes, stills.
/// ffmpeg reads chapters when it opens a file; those of QuickTime may be more.
const SMALL: u64 = 1 << 20;
const FEW: usize = 1000;
/// Gap up to which their ranges are merged, bytes: their packets are far apart, with other streams between.
const SMALL_GAP: u64 = 16 << 10;
/// Margin around a requested time range, microseconds: decoders and filters read
/// ahead, and edit lists shift a track slightly.
const MARGIN_US: i64 = 5_000_000;
/// Number of keyframes before a time to which ffmpeg may seek back.
const KEYFRAMES_BACK: usize = 2;

/// Sorts and merges ranges; those with a gap of less than `gap` bytes become one.
pub(super) fn merged(mut ranges: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    let mut all: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

fn place(sample: &Sample) -> Range<u64> {
    sample.offset..sample.offset.saturating_add(u64::from(sample.size))
}

/// Byte ranges of samples.
pub(crate) fn places<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Vec<Range<u64>> {
    merged(samples.into_iter().map(place).collect(), GAP)
}

/// The index, and the ranges of the tracks that a probe reads.
pub(super) fn head(movie: &Movie) -> Vec<Range<u64>> {
    let until = looked_until(movie) + LOOK_US;
    let mut ranges = vec![movie.index.clone()];
    for track in &movie.tracks {
        let looked_at = |(i, sample): &(usize, &Sample)| *i < FIRST || micros(track, sample.dts) <= until;
        let looked_at = track.samples.iter().enumerate().filter(looked_at);
        ranges.extend(places(looked_at.map(|(_, sample)| sample)));
        let few = track.samples.len() <= FEW || &track.fourcc() == b"text";
        if few && track.bytes() < SMALL {
            ranges.extend(merged(track.samples.iter().map(place).collect(), SMALL_GAP));
        }
    }
    merged(ranges, SMALL_GAP)
}

/// The decode time up to which a probe reads its maximum of bytes, of all tracks together.
fn looked_until(movie: &Movie) -> i64 {
    let mut all: Vec<(i64, u32)> = Vec::new();
    for track in &movie.tracks {
        let mut bytes = 0;
        for sample in &track.samples {
            if bytes > PROBED {
                break;
            }
            bytes += u64::from(sample.size);
            all.push((micros(track, sample.dts), sample.size));
        }
    }
    all.sort_unstable();
    let mut bytes = 0;
    let reached = all.iter().find(|(_, size)| {
        bytes += u64::from(*size);
        bytes > PROBED
    });
    reached.map_or(i64::MAX / 2, |(at, _)| *at)
}

/// The ranges that are read of one stream between two times of ffmpeg's clock; `None` if the index does
/// not determine them.
pub(super) fn stretch(
    movie: &Movie,
    facts: &SourceFacts,
    stream: &StreamFacts,
    from_us: i64,
    to_us: i64,
) -> Option<Vec<Range<u64>>> {
    let wanted = track_of(movie, stream)?;
    let mut from = from_us;
    // ffmpeg seeks by a video stream if there is one
    for video in facts.of(StreamKind::Video).chain(facts.of(StreamKind::Picture)) {
        let Some(track) = track_of(movie, video) else { continue };
        let shift = shift(movie, track, video)?;
        let before = track.samples.iter().filter(|s| s.keyframe).map(|s| micros(track, s.pts()) + shift);
        let before: Vec<i64> = before.filter(|at| *at <= from_us).collect();
        from = from.min(before.iter().rev().nth(KEYFRAMES_BACK - 1).copied().unwrap_or(i64::MIN));
    }
    let shift = shift(movie, wanted, stream)?;
    // the keyframe at which decoding of the stream itself may start
    let from = from.saturating_sub(MARGIN_US);
    let key = wanted.samples.iter().filter(|s| s.keyframe).map(|s| micros(wanted, s.pts()) + shift);
    let start = key.filter(|at| *at <= from).max().unwrap_or(i64::MIN);
    let end = to_us.saturating_add(MARGIN_US);
    let read = wanted.samples.iter().filter(|sample| {
        let (at, shown) = (micros(wanted, sample.dts) + shift, micros(wanted, sample.pts()) + shift);
        at.max(shown) >= start && at <= end
    });
    Some(places(read))
}

fn track_of<'a>(movie: &'a Movie, stream: &StreamFacts) -> Option<&'a Track> {
    let id = stream.track_id?;
    movie.tracks.iter().find(|track| track.id == id)
}

/// Offset from the index's times to ffmpeg's, microseconds.
fn shift(movie: &Movie, track: &Track, stream: &StreamFacts) -> Option<i64> {
    let shown = track.shown(movie.timescale)?;
    let first = track.samples.iter().map(Sample::pts).filter(|pts| *pts >= shown.start).min()?;
    Some(stream.timebase.to_micros(stream.start?) - micros(track, first))
}

fn micros(track: &Track, ticks: i64) -> i64 {
    let us = i128::from(ticks) * 1_000_000 / i128::from(track.timescale.max(1));
    i64::try_from(us).unwrap_or(i64::MAX / 4)
}
