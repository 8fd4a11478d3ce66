//! Predicted work, milliseconds of one core. Measured on one 2-core machine; a prediction
//! only orders tasks and shapes progress bars.

use segue_domain::{Segment, Timebase};

/// A thumbnail.
pub const THUMBNAIL_MS: u64 = 700;

fn length_ms(timebase: Timebase, segment: &Segment) -> u64 {
    (timebase.to_micros(segment.range.len()) / 1000).max(0) as u64
}

/// Hearing a segment: base.en takes about an eighth of real time on one core.
pub fn transcribe_ms(timebase: Timebase, segment: &Segment) -> u64 {
    length_ms(timebase, segment) / 8
}

/// Encoding the sound: about a fiftieth of real time.
pub fn sound_ms(whole_ms: u64) -> u64 {
    whole_ms / 50
}

/// Reading packets: about a gigabyte a second.
pub fn digest_ms(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// A program that nobody knows: as long as the segment.
pub fn map_ms(timebase: Timebase, segment: &Segment) -> u64 {
    length_ms(timebase, segment)
}

/// Encoding pictures: x264 `medium` does about 50 million pixels a second on one core.
pub fn encode_ms(pixels: u64, frames: u64) -> u64 {
    pixels * frames / 50_000
}
