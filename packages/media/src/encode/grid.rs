//! The keyframe grid: it depends on the source and the recipe, and not on the number of
//! parts.
//!
//! From one keyframe the grid continues at the source's last keyframe within the interval, or,
//! without one, at its next one; the encoder fills longer distances. A part that starts
//! on the grid is encoded as it would be within the whole.

use segue_domain::TickRange;
use segue_domain::recipe::EncodeRecipe;

use crate::access;
use crate::cuts::{self, Cut};
use crate::mp4::{Sample, Track};
use crate::plan::{OpenIndex, PicturePlan, PictureSegment};

/// Frame rate as a fraction: one for the whole video, used to encode every part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NominalRate {
    /// Frames.
    pub num: u32,
    /// Seconds.
    pub den: u32,
}

impl NominalRate {
    /// Frames in a duration, at least 1.
    pub fn frames_in(self, micros: i64) -> u64 {
        let exact = i128::from(micros) * i128::from(self.num) / (i128::from(self.den) * 1_000_000);
        u64::try_from(exact.clamp(1, i128::from(i32::MAX))).unwrap_or(1)
    }
}

/// The mean frame rate of a video.
pub fn nominal_rate(plan: &PicturePlan) -> NominalRate {
    let ticks = plan.range().map_or(1, TickRange::len).max(1) as u128 * u128::from(plan.timebase.num);
    let (mut num, mut den) = (u128::from(plan.frames.max(1)) * u128::from(plan.timebase.den), ticks);
    let common = gcd(num, den);
    (num, den) = (num / common, den / common);
    // encoders hold both in 32 bits, and some multiply them
    while num > 1 << 24 || den > 1 << 24 {
        (num, den) = (num >> 1, den >> 1);
    }
    // a still shown for an hour must not result in a rate that no encoder accepts
    if den == 0 || num > den * 1000 {
        (num, den) = (1000, 1);
    } else if num < den {
        (num, den) = (1, 1);
    }
    NominalRate { num: num as u32, den: den as u32 }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

/// Packets of the source that become keyframes of the result, independent of the parts.
fn grid(track: &Track, interval: i64) -> Vec<usize> {
    // every possible cut of the source
    let possible = cuts::cut(&track.samples, track.last_duration, 1, 0);
    let end = cuts::end_of(&track.samples, track.last_duration);
    let mut kept = Vec::new();
    let mut from = 0;
    for (i, cut) in possible.iter().enumerate() {
        let next = possible.get(i + 1).map_or(end, |n| n.start);
        if i == 0 || next - from > interval {
            kept.push(cut.packet);
            from = cut.start;
        }
    }
    kept
}

/// The same plan with segments that start on the grid only, so that no part has a keyframe
/// that the whole would not have. Required for every plan whose segments are encoded.
pub fn plan_on_grid(
    plan: &PicturePlan,
    open: &OpenIndex,
    recipe: &EncodeRecipe,
    segment_duration_us: i64,
) -> crate::Result<PicturePlan> {
    let mut track = open.index.track.clone();
    keep_grid(&mut track, recipe);
    let length = plan.timebase.from_micros(segment_duration_us).max(1);
    let grace = plan.timebase.from_micros(cuts::shortest_tail_us(segment_duration_us));
    let mut cut = cuts::cut(&track.samples, track.last_duration, length, grace);
    let looked_at = cut.iter().skip(1).filter(|c| c.closed).map(|c| &track.samples[c.packet]);
    open.expect_heads(looked_at)?;
    for c in cut.iter_mut().skip(1).filter(|c| c.closed) {
        c.closed = access::is_clean(&open.file, &track.stsd, &track.samples[c.packet]);
    }
    Ok(PicturePlan { segments: segments(&cut, &track, plan.anchor), ..plan.clone() })
}

fn segments(cuts: &[Cut], track: &Track, anchor: i64) -> Vec<PictureSegment> {
    let end = cuts::end_of(&track.samples, track.last_duration);
    let following = cuts.iter().skip(1).map(Some).chain([None]);
    (0u32..)
        .zip(cuts)
        .zip(following)
        .map(|((index, cut), next)| {
            let stop = next.map_or(track.samples.len(), |n| n.packet);
            let until = next.map_or(end, |n| n.start);
            PictureSegment {
                index,
                range: TickRange { start: cut.start + anchor, end: until + anchor },
                first_packet: cut.packet as u64,
                end_packet: stop as u64,
                frames: cuts::frames_between(track, cut, next),
                bytes: track.samples[cut.packet..stop].iter().map(|s| u64::from(s.size)).sum(),
                closed_start: cut.closed,
                closed_end: next.is_none_or(|n| n.closed),
            }
        })
        .collect()
}

/// Clears the keyframe flag of every packet that is not on the grid.
fn keep_grid(track: &mut Track, recipe: &EncodeRecipe) {
    let kept = grid(track, interval(track, recipe));
    let mut on = kept.iter().peekable();
    for (i, sample) in track.samples.iter_mut().enumerate() {
        let is = on.next_if(|p| **p == i).is_some();
        sample.keyframe &= is;
    }
}

fn interval(track: &Track, recipe: &EncodeRecipe) -> i64 {
    let clock = segue_domain::Timebase { num: 1, den: track.timescale.max(1) };
    clock.from_micros(recipe.keyframe_interval.micros()).max(1)
}

/// Twice the times, in the index's clock, halfway before the keyframes within a
/// segment: the first frame after each is forced to be a keyframe.
pub(super) fn forced(
    track: &Track,
    recipe: &EncodeRecipe,
    segment: &PictureSegment,
    anchor: i64,
) -> Vec<i64> {
    let own = TickRange { start: segment.range.start - anchor, end: segment.range.end - anchor };
    grid(track, interval(track, recipe))
        .into_iter()
        .map(|packet| (packet, track.samples[packet].pts()))
        .filter(|(_, pts)| *pts > own.start && *pts < own.end)
        .map(|(packet, pts)| pts + shown_before(&track.samples, packet))
        .collect()
}

/// The time of the last frame presented before a keyframe that separates the frames.
fn shown_before(samples: &[Sample], packet: usize) -> i64 {
    let pts = samples[packet].pts();
    let earlier = samples[..packet].iter().rev().take(64);
    let leading = samples[packet + 1..].iter().take(64);
    earlier.chain(leading).map(Sample::pts).filter(|t| *t < pts).max().unwrap_or(pts - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_domain::Timebase;
    use segue_domain::recipe::Span;

    fn track(frames: usize, gop: usize) -> Track {
        let samples = (0..frames as i64)
            .map(|i| Sample {
                offset: 0,
                dts: i,
                size: 1,
                composition: 0,
                description: 1,
                keyframe: i % gop as i64 == 0,
                hidden: false,
            })
            .collect();
        Track {
            id: 1,
            timescale: 10,
            language: 0,
            matrix: [0; 36],
            width: 0,
            height: 0,
            stsd: Vec::new(),
            edits: Vec::new(),
            last_duration: 1,
            samples,
        }
    }

    fn every(millis: u64) -> EncodeRecipe {
        EncodeRecipe { keyframe_interval: Span::from_millis(millis), ..EncodeRecipe::default() }
    }

    #[test]
    fn the_grid_takes_the_last_keyframe_within_the_interval() {
        let at = |gop: usize, interval: i64| grid(&track(100, gop), interval);
        assert_eq!(at(20, 50), [0, 40, 80]);
        assert_eq!(at(20, 40), [0, 40, 80]);
        assert_eq!(at(20, 39), [0, 20, 40, 60, 80]);
        assert_eq!(at(70, 50), [0, 70]);
        assert_eq!(at(1000, 50), [0]);
        assert_eq!(at(20, 100), [0]);
    }

    #[test]
    fn what_is_left_of_the_keyframes_is_the_grid() {
        let mut t = track(100, 20);
        keep_grid(&mut t, &every(5_000));
        let left: Vec<usize> = (0..100).filter(|i| t.samples[*i].keyframe).collect();
        assert_eq!(left, [0, 40, 80]);
    }

    #[test]
    fn keyframes_are_forced_inside_of_the_segment_only() {
        let segment = PictureSegment {
            index: 1,
            range: TickRange { start: 1040, end: 1090 },
            first_packet: 40,
            end_packet: 90,
            frames: 50,
            bytes: 50,
            closed_start: true,
            closed_end: true,
        };
        assert_eq!(forced(&track(100, 20), &every(2_000), &segment, 1000), [119, 159]);
    }

    #[test]
    fn the_rate_is_one_for_all() {
        let plan = |frames: u64, end: i64, den: u32| PicturePlan {
            stream: 0,
            codec: String::new(),
            timebase: Timebase { num: 1, den },
            anchor: 0,
            start_time_us: 0,
            track: crate::plan::TrackPlace::Source { track_id: 1 },
            packets: frames,
            frames,
            keyframes: 1,
            hidden: 0,
            unnamed: false,
            bytes_read: 0,
            lost: None,
            segments: vec![PictureSegment {
                index: 0,
                range: TickRange { start: 0, end },
                first_packet: 0,
                end_packet: frames,
                frames,
                bytes: 0,
                closed_start: true,
                closed_end: true,
            }],
        };
        let rate = |f, e, d| {
            let r = nominal_rate(&plan(f, e, d));
            (r.num, r.den)
        };
        assert_eq!(rate(300, 300 * 1001, 30_000), (30_000, 1001));
        assert_eq!(rate(1, 1, 90_000), (1000, 1));
        assert_eq!(rate(1, 3600 * 1000, 1000), (1, 1));
        let (num, den) = rate(1_000_003, 1_000_000_007 * 30, 90_000);
        assert!((f64::from(num) / f64::from(den) - 3.0).abs() < 0.01, "{num}/{den}");
        assert_eq!(NominalRate { num: 30_000, den: 1001 }.frames_in(5_000_000), 149);
    }
}
