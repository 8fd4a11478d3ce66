//! The grid of fragments that all renditions of a stream share.
//!
//! It depends on the times of the source alone and not on the number of parts, so that another number of parts
//! gives the same playlists.

use std::ops::Range;

use segue_domain::playlist::FIRST_OFFER;

/// Starts of the fragments, in ticks: the first picture at or after each multiple of `length` ticks from the first
/// picture. `times` are the presentation times of all pictures in ascending order, `end` the tick after the last one. A
/// last fragment of less than half the length is part of the one before.
pub fn fragment_starts(times: &[i64], end: i64, length: i64) -> Vec<i64> {
    let (Some(origin), length) = (times.first().copied(), length.max(1)) else { return Vec::new() };
    let mut starts = vec![origin];
    let mut slot = 0;
    for time in times {
        let now = (time - origin) / length;
        if now > slot {
            slot = now;
            starts.push(*time);
        }
    }
    if starts.len() > 1 && starts.last().is_some_and(|last| 2 * (end - last) < length) {
        starts.pop();
    }
    starts
}

/// The target duration in seconds: the longest fragment, rounded to the nearest second, at least 1.
pub fn target_seconds(starts: &[i64], end: i64, timescale: u32) -> u32 {
    let ends = starts.iter().skip(1).copied().chain([end]);
    let longest = starts.iter().zip(ends).map(|(start, end)| end - start).max().unwrap_or(0).max(0);
    let scale = i64::from(timescale.max(1));
    u32::try_from((2 * longest + scale) / (2 * scale)).unwrap_or(u32::MAX).max(1)
}

/// Fragments of each part. The first parts are short, so that the stream can be offered soon, and each is as long as
/// all before it together until a part has `most` fragments.
pub fn part_fragments(fragments: usize, most: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut from = 0;
    while from < fragments {
        let length = from.max(FIRST_OFFER).min(most.max(1));
        let to = (from + length).min(fragments);
        parts.push(from..to);
        from = to;
    }
    parts
}

/// Pictures that are decoded before a picture and presented after it, at most: x264 and x265 use B-pictures as
/// references on one level.
const REORDERED: usize = 2;

/// Ticks by which the presentation times of pictures are moved in the files, so that none is presented before it is decoded
/// where pictures are decoded at `times`. It is the same for all parts and renditions.
pub fn presentation_lead(times: &[i64]) -> u32 {
    let spans = times.iter().enumerate().map(|(i, time)| times[(i + REORDERED).min(times.len() - 1)] - time);
    u32::try_from(spans.max().unwrap_or(0)).unwrap_or(u32::MAX)
}

/// Twice the ticks halfway between the picture before a start and the start, for each start after the first: an encoder that
/// makes the next picture a keyframe is not affected by how a time is rounded.
pub fn forced_keyframes(times: &[i64], starts: &[i64]) -> Vec<i64> {
    let before = |start: i64| times[..times.partition_point(|t| *t < start)].last().copied();
    starts.iter().skip(1).map(|start| start + before(*start).unwrap_or(start - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_counts_from_the_first_picture() {
        let times: Vec<i64> = (0..300).map(|i| 500 + i * 1001).collect();
        let end = 500 + 300 * 1001;
        let starts = fragment_starts(&times, end, 120_000);
        assert_eq!(starts, [500, 500 + 120 * 1001, 500 + 240 * 1001]);
        assert_eq!(target_seconds(&starts, end, 30_000), 4);
        // a tail of 0.3 s is part of the fragment before
        let starts = fragment_starts(&times[..250], 500 + 250 * 1001, 120_000);
        assert_eq!(starts, [500, 500 + 120 * 1001]);
        assert_eq!(fragment_starts(&[7], 8, 120_000), [7]);
        assert!(fragment_starts(&[], 0, 120_000).is_empty());
    }

    #[test]
    fn pictures_that_are_shown_for_long_skip_slots() {
        assert_eq!(fragment_starts(&[0, 10, 95, 100], 120, 20), [0, 95, 100]);
        assert_eq!(target_seconds(&[0, 95, 100], 120, 10), 10);
        assert_eq!(forced_keyframes(&[0, 10, 95, 100], &[0, 95, 100]), [105, 195]);
    }

    #[test]
    fn the_lead_is_two_of_the_longest_pictures() {
        assert_eq!(presentation_lead(&[0, 10, 20, 50, 60, 70]), 40);
        assert_eq!(presentation_lead(&[0, 10]), 10);
        assert_eq!(presentation_lead(&[5]), 0);
        assert_eq!(presentation_lead(&[]), 0);
    }

    #[test]
    fn parts_grow_and_two_hours_have_few() {
        assert_eq!(part_fragments(10, 90), [0..3, 3..6, 6..10]);
        assert_eq!(part_fragments(4, 90), [0..3, 3..4]);
        assert_eq!(part_fragments(7, 2), [0..2, 2..4, 4..6, 6..7]);
        let two_hours = part_fragments(1800, 90);
        assert!(two_hours.len() <= 28, "{}", two_hours.len());
        assert_eq!(two_hours.last().map(|p| p.end), Some(1800));
    }
}
