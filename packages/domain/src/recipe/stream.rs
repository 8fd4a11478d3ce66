//! Settings of the outputs `stream`, an adaptive stream, and `progressive`, one of its renditions in one file.

use serde::{Deserialize, Serialize};

use super::{Span, invalid};
use crate::error::DomainError;

/// Shortest and longest fragment.
const FRAGMENT_MS: std::ops::RangeInclusive<u64> = 1_000..=12_000;

/// An adaptive stream: HLS and DASH over the same CMAF fragments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamRecipe {
    /// Shorter sides of the renditions in pixels; empty for those of the ladder that are not larger than the
    /// source. A size above the source's is left out, but for the smallest.
    pub heights: Vec<u32>,
    /// Constant rate factor of x264, 0 to 51; the bit rate is capped for each size.
    pub crf: u8,
    /// Mean bit rate of the largest rendition, kbit/s; the others get theirs in proportion. Absent for `crf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kbps: Option<u32>,
    /// Preset of x264.
    pub preset: String,
    /// Length of a fragment: a player can switch renditions this often.
    pub fragment: Span,
    /// Bit rate of each audio track, kbit/s.
    pub sound_kbps: u32,
    /// Whether the transcript that the output needs becomes its subtitles.
    pub subtitles: bool,
    /// Whether a DASH manifest is written beside the HLS playlists.
    pub dash: bool,
    /// Whether a page that plays the stream is written.
    pub player: bool,
}

impl Default for StreamRecipe {
    fn default() -> Self {
        StreamRecipe {
            heights: Vec::new(),
            crf: 23,
            kbps: None,
            preset: "medium".into(),
            fragment: Span::from_millis(4_000),
            sound_kbps: 128,
            subtitles: false,
            dash: true,
            player: true,
        }
    }
}

impl StreamRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if self.heights.len() > 8 {
            return Err(invalid("heights has more than 8 sizes"));
        }
        if let Some(height) = self.heights.iter().find(|height| !(16..=4320).contains(*height)) {
            return Err(invalid(format!("the height {height} is not between 16 and 4320")));
        }
        if self.heights.iter().enumerate().any(|(at, height)| self.heights[..at].contains(height)) {
            return Err(invalid("heights names a size twice"));
        }
        if self.crf > 51 {
            return Err(invalid("crf is not between 0 and 51"));
        }
        if self.kbps.is_some_and(|kbps| !(50..=200_000).contains(&kbps)) {
            return Err(invalid("kbps is not between 50 and 200000"));
        }
        if !PRESETS.contains(&self.preset.as_str()) {
            return Err(invalid(format!("preset is none of {}", PRESETS.join(", "))));
        }
        if !FRAGMENT_MS.contains(&self.fragment.millis()) {
            return Err(invalid("fragment is not between 1s and 12s"));
        }
        if !(16..=512).contains(&self.sound_kbps) {
            return Err(invalid("sound_kbps is not between 16 and 512"));
        }
        Ok(())
    }
}

/// Presets of x264.
const PRESETS: [&str; 10] = [
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
];

/// One rendition of a stream with its sound in one MP4 that begins with its index; nothing is encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProgressiveRecipe {
    /// Shorter side of the rendition in pixels, or the next smaller one; absent for the largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl ProgressiveRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if self.height.is_some_and(|height| !(16..=4320).contains(&height)) {
            return Err(invalid("height is not between 16 and 4320"));
        }
        Ok(())
    }
}
