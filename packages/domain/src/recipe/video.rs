//! Settings of the joined video: video and audio.

use serde::{Deserialize, Serialize};

use super::map::{MapRecipe, reads_and_writes};
use super::{Span, invalid};
use crate::error::DomainError;

/// Settings of the joined video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoRecipe {
    /// `copy` or `encode`.
    pub mode: VideoMode,
    /// Container; `auto` is the first of MP4, MOV, Matroska that supports the codecs.
    pub container: Container,
    /// Whether the transcript becomes a selectable track.
    pub subtitles: bool,
    /// Encoder settings, for `mode = "encode"`.
    pub encode: EncodeRecipe,
    /// Audio settings.
    pub sound: SoundRecipe,
    /// The map command for every segment; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<MapRecipe>,
}

impl Default for VideoRecipe {
    fn default() -> Self {
        VideoRecipe {
            mode: VideoMode::Copy,
            container: Container::Auto,
            subtitles: false,
            encode: EncodeRecipe::default(),
            sound: SoundRecipe::default(),
            map: None,
        }
    }
}

impl VideoRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        self.encode.check()?;
        if !(8..=1024).contains(&self.sound.kbps) {
            return Err(invalid("sound.kbps is not between 8 and 1024"));
        }
        if self.sound.map.as_ref().is_some_and(|map| !reads_and_writes(map)) {
            return Err(invalid("sound.map must name {input} and {output}"));
        }
        let Some(map) = &self.map else { return Ok(()) };
        map.check()?;
        if self.mode == VideoMode::Encode {
            return Err(invalid("map replaces mode = \"encode\"; let the command encode"));
        }
        Ok(())
    }
}

/// Whether the video is copied or encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoMode {
    /// The same packets.
    Copy,
    /// Encoded, segment by segment.
    Encode,
}

/// Container of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// The first that supports the codecs.
    Auto,
    /// ISO MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
}

/// A target video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264 by libx264.
    H264,
    /// HEVC by libx265.
    Hevc,
    /// AV1 by libsvtav1, or libaom where that is missing.
    Av1,
}

/// Settings of the video encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncodeRecipe {
    /// The codec.
    pub codec: VideoCodec,
    /// Constant quality (CRF): 0 to 51 for H.264 and HEVC, 0 to 63 for AV1; absent for the
    /// codec's default (23, 28, 35).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// The encoder's preset; absent for the default (`medium`, `medium`, `8`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The encoder's tune, e.g. `film`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<String>,
    /// Maximum keyframe interval.
    pub keyframe_interval: Span,
    /// Pixel format, e.g. `yuv420p`; absent keeps the source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// Maximum height; a taller video is scaled down, a smaller one is unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u32>,
}

impl Default for EncodeRecipe {
    fn default() -> Self {
        EncodeRecipe {
            codec: VideoCodec::H264,
            crf: None,
            preset: None,
            tune: None,
            keyframe_interval: Span::from_millis(5_000),
            pixel_format: None,
            max_height: None,
        }
    }
}

impl EncodeRecipe {
    fn check(&self) -> Result<(), DomainError> {
        let most = if self.codec == VideoCodec::Av1 { 63 } else { 51 };
        if self.crf.is_some_and(|crf| crf > most) {
            return Err(invalid(format!("encode.crf is above {most}")));
        }
        if self.max_height.is_some_and(|h| !(16..=16384).contains(&h)) {
            return Err(invalid("encode.max_height is not between 16 and 16384"));
        }
        let word = |s: &String| {
            !s.is_empty()
                && s.len() <= 40
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        let texts = [("preset", &self.preset), ("tune", &self.tune), ("pixel_format", &self.pixel_format)];
        for (name, text) in texts {
            if text.as_ref().is_some_and(|t| !word(t)) {
                return Err(invalid(format!("encode.{name} is not a plain word")));
            }
        }
        Ok(())
    }
}

/// Settings of the audio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoundRecipe {
    /// `copy`, `aac` or `opus`.
    pub codec: SoundCodec,
    /// Bit rate of each encoded stream, kbit/s.
    pub kbps: u32,
    /// The map command for audio, run once on the whole of each stream: it reads
    /// the WAV `{input}` (16 bit, from the start of the movie, gaps filled with silence) and
    /// writes a WAV of the same duration to `{output}`. Its output is encoded, as AAC if
    /// `codec` is `copy`. Time limit and attempts are those of `[map]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
}

impl SoundRecipe {
    /// Whether the audio of the result is encoded.
    pub fn is_made(&self) -> bool {
        self.codec != SoundCodec::Copy || self.map.is_some()
    }
}

impl Default for SoundRecipe {
    fn default() -> Self {
        SoundRecipe { codec: SoundCodec::Copy, kbps: 128, map: None }
    }
}

/// Treatment of audio. It is never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoundCodec {
    /// The same packets.
    Copy,
    /// AAC, encoded once for the whole duration.
    Aac,
    /// Opus, encoded once for the whole duration.
    Opus,
}
