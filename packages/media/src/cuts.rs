//! Selects the cut points: pure arithmetic over a list of packets.

use crate::mp4::{Sample, Track};

/// One cut: the start of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// First packet of the segment, in decode order.
    pub packet: usize,
    /// First tick of the segment, in the index's time.
    pub start: i64,
    /// Whether all later packets in decode order are also presented later.
    pub closed: bool,
}

/// A last segment shorter than this is merged into the one before.
pub fn shortest_tail_us(segment_duration_us: i64) -> i64 {
    (segment_duration_us / 10).max(500_000).min(segment_duration_us / 2)
}

/// Cuts at the first keyframe at or after each multiple of `length`, counted from the first
/// frame; a tail shorter than `shortest_tail` is not cut off. Empty only if no frame is presented.
pub fn cut(samples: &[Sample], last_duration: u32, length: i64, shortest_tail: i64) -> Vec<Cut> {
    let shown = samples.iter().filter(|s| !s.hidden);
    let Some(first) = shown.map(Sample::pts).min() else { return Vec::new() };
    let mut cuts = vec![Cut { packet: 0, start: first, closed: true }];
    let least_after = suffix_minimum(samples);
    let mut latest = i64::MIN;
    let mut target = first.saturating_add(length);
    for (packet, sample) in samples.iter().enumerate() {
        let pts = sample.pts();
        // a keyframe before which a later packet is presented cannot separate the frames
        if packet > 0 && sample.keyframe && !sample.hidden && pts >= target && latest < pts {
            cuts.push(Cut { packet, start: pts, closed: least_after[packet] == pts });
            let passed = (pts - first) / length + 1;
            target = first.saturating_add(passed.saturating_mul(length));
        }
        latest = latest.max(pts);
    }
    let end = end_of(samples, last_duration);
    while cuts.len() > 1 && cuts.last().is_some_and(|c| end - c.start < shortest_tail) {
        cuts.pop();
    }
    cuts
}

/// First tick after the last frame.
pub fn end_of(samples: &[Sample], last_duration: u32) -> i64 {
    let mut times: Vec<i64> = samples.iter().filter(|s| !s.hidden).map(Sample::pts).collect();
    let last = times.len().saturating_sub(2);
    if times.len() > 1 {
        times.select_nth_unstable(last);
    }
    match times.as_slice() {
        [] => 0,
        [one] => one + i64::from(last_duration.max(1)),
        // the last frame presented is rarely the last one decoded: its duration is not in the index
        [.., before, end] => {
            let step = if last_duration > 0 { i64::from(last_duration) } else { end - before };
            end + step.max(1)
        }
    }
}

/// Frames presented from one cut to the next.
pub fn frames_between(track: &Track, cut: &Cut, next: Option<&Cut>) -> u64 {
    let until = next.map_or(i64::MAX, |n| n.start);
    // no packet before a cut is presented after it, so the frames are among these packets and those that
    // follow the next cut in decode order and are presented before it
    let from = &track.samples[cut.packet..];
    let stop = next.map_or(from.len(), |n| n.packet - cut.packet);
    let shown = |s: &&Sample| !s.hidden && s.pts() >= cut.start && s.pts() < until;
    let own = from[..stop].iter().filter(shown).count();
    let trailing = match next {
        Some(n) if !n.closed => from[stop..].iter().filter(shown).count(),
        _ => 0,
    };
    (own + trailing) as u64
}

fn suffix_minimum(samples: &[Sample]) -> Vec<i64> {
    let mut least = i64::MAX;
    let mut all: Vec<i64> = samples
        .iter()
        .rev()
        .map(|s| {
            least = least.min(s.pts());
            least
        })
        .collect();
    all.reverse();
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(dts: i64, pts: i64, keyframe: bool) -> Sample {
        Sample {
            offset: 0,
            dts,
            size: 1,
            composition: (pts - dts) as i32,
            description: 1,
            keyframe,
            hidden: false,
        }
    }

    fn steady(frames: usize, gop: usize) -> Vec<Sample> {
        (0..frames).map(|i| sample(i as i64, i as i64, i % gop == 0)).collect()
    }

    #[test]
    fn cuts_at_the_first_keyframe_after_each_multiple() {
        let starts = |n, gop, length, tail| -> Vec<i64> {
            cut(&steady(n, gop), 1, length, tail).iter().map(|c| c.start).collect()
        };
        assert_eq!(starts(100, 10, 25, 0), [0, 30, 50, 80]);
        assert_eq!(starts(100, 40, 10, 0), [0, 40, 80]);
        assert_eq!(starts(100, 40, 10, 21), [0, 40]);
        assert_eq!(starts(0, 1, 10, 0), [0i64; 0]);
        assert_eq!(starts(1, 1, 10, 5), [0]);
        assert_eq!(starts(2, 1, 1, 0), [0, 1]);
        assert_eq!(starts(50, 1000, 10, 0), [0]);
    }

    #[test]
    fn leading_pictures_make_a_boundary_open() {
        // I0 P3 B1 B2 | I6 B4 B5 P9 …
        let order =
            [(0, true), (3, false), (1, false), (2, false), (6, true), (4, false), (5, false), (9, false)];
        let samples: Vec<Sample> =
            order.iter().enumerate().map(|(i, (pts, key))| sample(i as i64, pts + 2, *key)).collect();
        let cuts = cut(&samples, 1, 4, 0);
        assert_eq!(cuts.len(), 2);
        assert!(!cuts[1].closed);
        assert_eq!((cuts[1].packet, cuts[1].start), (4, 8));
    }

    #[test]
    fn the_shortest_tail_stays_below_a_segment() {
        assert_eq!(shortest_tail_us(300_000_000), 30_000_000);
        assert_eq!(shortest_tail_us(2_000_000), 500_000);
        assert_eq!(shortest_tail_us(100_000), 50_000);
    }

    proptest! {
        #[test]
        fn segments_partition_the_frames(
            frames in 1usize..200, gop in 1usize..40, length in 1i64..60, tail in 0i64..30,
        ) {
            let samples = steady(frames, gop);
            let cuts = cut(&samples, 1, length, tail);
            prop_assert_eq!(cuts[0].packet, 0);
            prop_assert!(cuts.windows(2).all(|w| w[0].packet < w[1].packet && w[0].start < w[1].start));
            prop_assert!(cuts.iter().all(|c| samples[c.packet].keyframe && c.closed));
            let end = end_of(&samples, 1);
            prop_assert_eq!(end, frames as i64);
            if cuts.len() > 1 {
                prop_assert!(end - cuts[cuts.len() - 1].start >= tail);
            }
        }
    }
}
