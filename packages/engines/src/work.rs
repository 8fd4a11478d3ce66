//! Predicted work, milliseconds of one core. Measured on one 2-core machine; a prediction
//! only orders tasks and scales progress bars.

use segue_domain::{Segment, Timebase};

/// A thumbnail.
pub const THUMBNAIL_MS: u64 = 700;

/// A poster: twelve frames, each with the way from a keyframe, and one in full size.
pub const POSTER_MS: u64 = 4_000;

/// A preview of a few seconds.
pub const PREVIEW_MS: u64 = 2_000;

/// An image: decoded once, and encoded in three sizes.
pub fn image_ms(pixels: u64) -> u64 {
    150 + pixels / 50_000
}

/// Pictures of a storyboard: each with the way from a keyframe.
pub fn storyboard_ms(pictures: u64) -> u64 {
    pictures * 300
}

fn length_ms(timebase: Timebase, segment: &Segment) -> u64 {
    (timebase.to_micros(segment.range.len()) / 1000).max(0) as u64
}

/// Transcribing a segment: base.en takes about an eighth of real time on one core.
pub fn transcribe_ms(timebase: Timebase, segment: &Segment) -> u64 {
    length_ms(timebase, segment) / 8
}

/// Encoding the audio: about a fiftieth of real time.
pub fn sound_ms(whole_ms: u64) -> u64 {
    whole_ms / 50
}

/// Audio files: the track is decoded to be measured, and for each file encoded and decoded again.
pub fn audio_ms(whole_ms: u64, files: usize) -> u64 {
    whole_ms / 80 * (files as u64 + 1)
}

/// Reading packets: about a gigabyte per second.
pub fn digest_ms(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// A map command of unknown cost: as long as the segment.
pub fn map_ms(timebase: Timebase, segment: &Segment) -> u64 {
    length_ms(timebase, segment)
}

/// Encoding video: x264 `medium` encodes about 50 million pixels per second on one core.
pub fn encode_ms(pixels: u64, frames: u64) -> u64 {
    pixels * frames / 50_000
}
