//! Settings of the outputs `stream`, an adaptive stream, and `progressive`, one of its renditions in one file.

use serde::{Deserialize, Serialize};

use super::{Span, VideoCodec, invalid};
use crate::error::DomainError;

/// Shortest and longest fragment.
const FRAGMENT_MS: std::ops::RangeInclusive<u64> = 1_000..=12_000;

/// An adaptive stream: HLS and DASH over the same CMAF fragments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamRecipe {
    /// Shorter sides of the renditions in pixels; empty for those of the ladder that are not larger than the
    /// source. Sizes above the source's are left out; if none is left, there is one of the source's size.
    pub heights: Vec<u32>,
    /// Codec of the pictures: `h264`, `hevc` or `av1`.
    pub codec: VideoCodec,
    /// Constant rate factor; the bit rate is capped for each size, but for AV1. Absent for the default by codec (23,
    /// 28, 35).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// Mean bit rate of the largest rendition, kbit/s; the others get theirs in proportion. Absent for `crf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kbps: Option<u32>,
    /// The encoder's preset; absent for the default by codec (`medium`, `medium`, `8`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Length of a fragment: a player can switch renditions this often.
    pub fragment: Span,
    /// Bit rate of each pair of channels of each audio track, kbit/s.
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
            codec: VideoCodec::H264,
            crf: None,
            kbps: None,
            preset: None,
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
        let most = if self.codec == VideoCodec::Av1 { 63 } else { 51 };
        if self.crf.is_some_and(|crf| crf > most) {
            return Err(invalid(format!("crf is above {most}")));
        }
        if self.kbps.is_some_and(|kbps| !(50..=200_000).contains(&kbps)) {
            return Err(invalid("kbps is not between 50 and 200000"));
        }
        if let Some(preset) = &self.preset {
            let is_known = match self.codec {
                VideoCodec::Av1 => preset.parse::<u8>().is_ok_and(|preset| preset <= 13),
                VideoCodec::H264 | VideoCodec::Hevc => PRESETS.contains(&preset.as_str()),
            };
            if !is_known {
                let known = PRESETS.join(", ");
                return Err(invalid(format!("preset is none of {known}, or for av1 a number up to 13")));
            }
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

/// Presets of x264 and x265.
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
