//! The plan of a stream: sizes, the grid of fragments, and the parts that are encoded in parallel.

use std::ops::Range;

use segue_domain::recipe::StreamRecipe;
use segue_domain::{TickRange, Timebase};
use serde::{Deserialize, Serialize};

use super::grid::{fragment_starts, part_fragments, presentation_lead, target_seconds};
use super::ladder::{Rung, ladder, rungs_of};
use crate::encode::{NominalRate, nominal_rate};
use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts};
use crate::mp4::Sample;
use crate::plan::{OpenIndex, PicturePlan};

/// Files of a rendition of a stream of two hours, at most. The length of a segment gives way to it.
const MOST_PARTS: usize = 24;

/// Longest frame of AAC: 1024 samples at 8 kHz.
const AUDIO_FRAME_US: i64 = 128_000;

/// Largest displayed side of a picture, pixels; an aspect ratio that gives a larger one is ignored.
const MAX_DISPLAYED: u64 = crate::bounds::MAX_SIDE as u64;

/// Ticks per second of a stream without pictures.
const SOUND_ONLY_TIMESCALE: u32 = 48_000;

/// How a stream is divided. Times are ticks from the earliest presentation time of any stream of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamPlan {
    /// Ticks per second.
    pub timescale: u32,
    /// Offset from the index's times of pictures to the stream's.
    pub shift: i64,
    /// Start of each fragment.
    pub starts: Vec<i64>,
    /// End of the last fragment.
    pub end: i64,
    /// Index of the first fragment of each part.
    pub parts: Vec<usize>,
    /// Ticks by which pictures are presented later in the files, for those that are decoded before their turn.
    pub lead: u32,
    /// Target duration of the playlists in seconds.
    pub target_s: u32,
    /// Length of a fragment in ticks, from which the longest one follows.
    pub fragment: i64,
    /// Number of pictures.
    pub pictures: u64,
    /// Hash of the presentation times of all pictures, [`hash_of_times`].
    pub times_hash: String,
    /// Frames per second of the encoder's rate control, as a fraction.
    pub rate: (u32, u32),
    /// The sizes; empty for a source without pictures.
    pub rungs: Vec<Rung>,
}

/// Hash of presentation times in ascending order: BLAKE3 of their big-endian bytes, hex.
pub fn hash_of_times(times: &[i64]) -> String {
    let mut hasher = blake3::Hasher::new();
    for time in times {
        hasher.update(&time.to_be_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Presentation times of the pictures that are shown, in ascending order, on the stream's clock.
pub(super) fn times_of(samples: &[Sample], shift: i64) -> Vec<i64> {
    let shown = samples.iter().filter(|sample| !sample.hidden);
    let mut times: Vec<i64> = shown.map(|sample| sample.pts() + shift).collect();
    times.sort_unstable();
    times
}

/// Width and height as displayed: upright, with square pixels.
pub fn displayed_size(stream: &StreamFacts) -> (u32, u32) {
    let (mut width, height) = (u64::from(stream.width), stream.height);
    if let Some((x, y)) = stream.pixel_aspect {
        let wide = width * u64::from(x) / u64::from(y);
        if (1..=MAX_DISPLAYED).contains(&wide) && wide * u64::from(height) <= crate::bounds::MAX_PIXELS {
            width = wide;
        }
    }
    let width = u32::try_from(width).unwrap_or(u32::MAX);
    if stream.rotation.unwrap_or(0).rem_euclid(180) == 90 { (height, width) } else { (width, height) }
}

impl StreamPlan {
    /// Plans the pictures of a source, and returns the number of pictures of each part. Parts are as long as
    /// `segment_us`, shorter at the start, and longer where they would be too many.
    ///
    /// # Errors
    /// Pictures without distinct times, or a timescale that fragments cannot have.
    pub fn of_pictures(
        picture: &PicturePlan,
        open: &OpenIndex,
        facts: &SourceFacts,
        recipe: &StreamRecipe,
        segment_us: i64,
    ) -> Result<(StreamPlan, Vec<u64>)> {
        let track = &open.index.track;
        let stream = facts.streams.iter().find(|stream| stream.index == picture.stream);
        let stream = stream.ok_or_else(|| MediaError::internal("the facts lack the stream of the plan"))?;
        if track.timescale == 0 {
            return Err(MediaError::source("the source's index has no timescale"));
        }
        let clock = Timebase { num: 1, den: track.timescale };
        let shift = picture.anchor - clock.from_micros(facts.start_time_us);
        let mut times = times_of(&track.samples, shift);
        let Some(first) = times.first().copied() else {
            return Err(MediaError::source("the source shows no picture"));
        };
        // a source whose first time is rounded down to a tick before that of the source
        let shift = shift - first.min(0);
        times.iter_mut().for_each(|time| *time -= first.min(0));
        if let Some(pair) = times.windows(2).find(|pair| pair[0] == pair[1]) {
            let at = clock.to_micros(pair[0]) as f64 / 1e6;
            return Err(MediaError::source(format!(
                "two pictures have the same time, {at:.3} s; encode the source with --recipe mp4 first"
            )));
        }
        let range = picture.range().ok_or_else(|| MediaError::source("the source shows no picture"))?;
        let last = times.last().copied().unwrap_or(0);
        let end = (range.end - picture.anchor + shift).max(last + 1);
        let fragment = clock.from_micros(recipe.fragment.micros()).max(1);
        let starts = fragment_starts(&times, end, fragment);
        let NominalRate { num, den } = nominal_rate(picture);
        let (width, height) = displayed_size(stream);
        let frames = num.div_ceil(den.max(1));
        let rungs = if recipe.heights.is_empty() {
            ladder(width, height, frames)
        } else {
            rungs_of(width, height, frames, &recipe.heights)
        };
        let rungs: Vec<Rung> = rungs.into_iter().map(|rung| rung.for_codec(recipe.codec)).collect();
        if rungs.is_empty() {
            return Err(MediaError::source("the source states no size of its pictures"));
        }
        let plan = StreamPlan {
            timescale: track.timescale,
            shift,
            lead: presentation_lead(&times),
            target_s: target_seconds(&starts, end, track.timescale),
            fragment,
            pictures: times.len() as u64,
            times_hash: hash_of_times(&times),
            rate: (num, den),
            rungs,
            starts,
            end,
            parts: Vec::new(),
        };
        let plan = plan.divided(segment_us);
        let until = |tick: i64| times.partition_point(|time| *time < tick) as u64;
        let frames = (0..plan.parts.len()).map(|part| plan.range(part));
        let frames = frames.map(|range| until(range.end) - until(range.start)).collect();
        Ok((plan, frames))
    }

    /// Plans a source that has sound only.
    pub fn of_sound(facts: &SourceFacts, recipe: &StreamRecipe) -> StreamPlan {
        let clock = Timebase { num: 1, den: SOUND_ONLY_TIMESCALE };
        let fragment = clock.from_micros(recipe.fragment.micros()).max(1);
        let end = clock.from_micros(facts.duration_us.unwrap_or(0)).max(1);
        let slots: Vec<i64> = (0..=(end - 1) / fragment).map(|slot| slot * fragment).collect();
        let starts = fragment_starts(&slots, end, fragment);
        let plan = StreamPlan {
            timescale: SOUND_ONLY_TIMESCALE,
            shift: 0,
            lead: 0,
            target_s: target_seconds(&starts, end, SOUND_ONLY_TIMESCALE),
            fragment,
            pictures: 0,
            times_hash: hash_of_times(&[]),
            rate: (1, 1),
            rungs: Vec::new(),
            parts: vec![0],
            starts,
            end,
        };
        plan.with_target()
    }

    fn divided(mut self, segment_us: i64) -> StreamPlan {
        let clock = self.timebase();
        let length = clock.from_micros(segment_us).max(1);
        let wanted = usize::try_from(length / self.fragment).unwrap_or(usize::MAX).max(1);
        let most = wanted.max(self.starts.len().div_ceil(MOST_PARTS));
        self.parts = part_fragments(self.starts.len(), most).into_iter().map(|part| part.start).collect();
        self.with_target()
    }

    /// The tail of a track is up to half as long again as a fragment, and a fragment of sound is up to one audio frame
    /// longer than that of the pictures.
    fn with_target(mut self) -> StreamPlan {
        let scale = 2 * i64::from(self.timescale.max(1));
        let longest = (3 * self.fragment + scale - 1) / scale;
        let ends = self.starts.iter().skip(1).copied().chain([self.end]);
        let pictures = self.starts.iter().zip(ends).map(|(start, end)| end - start).max().unwrap_or(0);
        let frame = self.timebase().from_micros(AUDIO_FRAME_US);
        let rounded = (2 * (pictures + frame) + scale / 2) / scale;
        let target = longest.max(rounded);
        self.target_s = self.target_s.max(u32::try_from(target).unwrap_or(u32::MAX));
        self
    }

    /// Timebase of the times.
    pub fn timebase(&self) -> Timebase {
        Timebase { num: 1, den: self.timescale.max(1) }
    }

    /// The fragments of a part.
    pub fn fragments(&self, part: usize) -> Range<usize> {
        let from = self.parts.get(part).copied().unwrap_or(self.starts.len());
        from..self.parts.get(part + 1).copied().unwrap_or(self.starts.len())
    }

    /// The presentation times of a part.
    pub fn range(&self, part: usize) -> TickRange {
        let fragments = self.fragments(part);
        let at = |fragment: usize| self.starts.get(fragment).copied().unwrap_or(self.end);
        TickRange { start: at(fragments.start), end: at(fragments.end) }
    }

    /// Starts of the fragments in ticks of another timescale, the first at 0, and so on to `end` in these ticks.
    pub(super) fn starts_at(&self, timescale: u32, end: i64) -> Vec<i64> {
        let to = |tick: i64| {
            // to the first whole tick that is not earlier
            let scale = i128::from(self.timescale.max(1));
            ((i128::from(tick) * i128::from(timescale) + scale - 1) / scale) as i64
        };
        let length = to(self.fragment).max(1);
        let mut starts: Vec<i64> = vec![0];
        // sound that begins long before the pictures
        let first = to(self.starts.get(1).copied().unwrap_or(0));
        let mut early = length;
        while early + length <= first && early < end {
            starts.push(early);
            early += length;
        }
        starts.extend(self.starts.iter().skip(1).map(|start| to(*start)).filter(|start| *start < end));
        let mut next = starts.last().copied().unwrap_or(0) + length;
        while 2 * (end - next) >= length {
            starts.push(next);
            next += length;
        }
        starts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(fragments: i64, fragment: i64) -> StreamPlan {
        StreamPlan {
            timescale: 1000,
            shift: 0,
            starts: (0..fragments).map(|i| i * fragment).collect(),
            end: fragments * fragment,
            parts: Vec::new(),
            lead: 0,
            target_s: 4,
            fragment,
            pictures: 0,
            times_hash: String::new(),
            rate: (25, 1),
            rungs: Vec::new(),
        }
    }

    #[test]
    fn two_hours_have_few_parts_whatever_the_segments() {
        for segment_us in [4_000_000, 60_000_000, 300_000_000] {
            let plan = plan(1800, 4000).divided(segment_us);
            assert!(plan.parts.len() <= 30, "{} parts", plan.parts.len());
            let covered: usize = (0..plan.parts.len()).map(|part| plan.fragments(part).len()).sum();
            assert_eq!((covered, plan.fragments(0)), (1800, 0..3));
        }
        assert_eq!(plan(5, 4000).divided(4_000_000).parts, [0, 1, 2, 3, 4]);
        assert_eq!(plan(5, 4000).divided(8_000_000).parts, [0, 2, 4]);
    }

    #[test]
    fn sound_that_is_longer_than_the_pictures_has_more_fragments() {
        let plan = plan(2, 4000);
        assert_eq!(plan.starts_at(48_000, 8 * 48_000), [0, 192_000]);
        assert_eq!(plan.starts_at(48_000, 3 * 48_000), [0]);
        // 9.9 s: the rest is half a fragment or less
        assert_eq!(plan.starts_at(10, 99), [0, 40]);
        assert_eq!(plan.starts_at(10, 190), [0, 40, 80, 120, 160]);
    }

    #[test]
    fn sound_before_the_first_picture_is_divided_too() {
        let mut plan = plan(3, 4000);
        plan.starts = vec![9_500, 14_000, 18_000];
        plan.end = 22_000;
        assert_eq!(plan.starts_at(10, 220), [0, 40, 80, 140, 180]);
        plan.starts = vec![60_000];
        plan.end = 61_000;
        let starts = plan.starts_at(10, 610);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] <= 60), "{starts:?}");
    }

    #[test]
    fn the_displayed_size_is_upright_with_square_pixels() {
        let json = serde_json::json!({
            "index": 0, "track_id": null, "kind": "video", "codec": "h264", "profile": null, "tag": "",
            "timebase": { "num": 1, "den": 1000 }, "start": null, "duration_us": null, "frames": null,
            "dispositions": [], "language": null, "rotation": null, "pixel_format": null,
            "width": 720, "height": 576, "frame_rate": null, "sample_rate": 0, "channels": 0, "tags": {},
        });
        let stream: StreamFacts = serde_json::from_value(json).unwrap();
        assert_eq!(displayed_size(&stream), (720, 576));
        let wide = StreamFacts { pixel_aspect: Some((64, 45)), ..stream.clone() };
        assert_eq!(displayed_size(&wide), (1024, 576));
        let hostile = StreamFacts { pixel_aspect: Some((100, 1)), ..stream.clone() };
        assert_eq!(displayed_size(&hostile), (720, 576));
        let upright = StreamFacts { rotation: Some(-90), ..wide };
        assert_eq!(displayed_size(&upright), (576, 1024));
    }
}
