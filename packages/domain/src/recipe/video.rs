//! What the joined video is to be: picture and sound.

use serde::{Deserialize, Serialize};

use super::map::{MapRecipe, reads_and_writes};
use super::{Span, invalid};
use crate::error::DomainError;

/// How to make the joined video.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VideoRecipe {
    /// `copy` or `encode`.
    pub mode: VideoMode,
    /// Which container; `auto` is the first of MP4, MOV, Matroska that holds the codecs.
    pub container: Container,
    /// Whether the transcript becomes a selectable track.
    pub subtitles: bool,
    /// The encoder's settings, for `mode = "encode"`.
    pub encode: EncodeRecipe,
    /// The sound.
    pub sound: SoundRecipe,
    /// The user's own program on every segment; absent for none.
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
            return Err(invalid("map takes the place of mode = \"encode\"; let the command encode"));
        }
        Ok(())
    }
}

/// Whether the pictures are kept or made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoMode {
    /// The same packets.
    Copy,
    /// Encoded, segment by segment.
    Encode,
}

/// A container to publish in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// The first that holds the codecs.
    Auto,
    /// ISO MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
}

/// A picture codec to encode with.
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

/// Settings of the picture encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EncodeRecipe {
    /// The codec.
    pub codec: VideoCodec,
    /// Constant quality: 0 to 51 for H.264 and HEVC, 0 to 63 for AV1; absent for the
    /// codec's usual one (23, 28, 35).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crf: Option<u8>,
    /// The encoder's preset; absent for the usual one (`medium`, `medium`, `8`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The encoder's tune, e.g. `film`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<String>,
    /// Longest distance of keyframes.
    pub keyframe_interval: Span,
    /// Pixel format, e.g. `yuv420p`; absent keeps the source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixel_format: Option<String>,
    /// Largest height; a larger picture is scaled down, a smaller one is left alone.
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

/// What to do with the sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoundRecipe {
    /// `copy`, `aac` or `opus`.
    pub codec: SoundCodec,
    /// Bits a second for each stream that is encoded, thousands.
    pub kbps: u32,
    /// The user's own program for the sound, run once on the whole of each stream: it reads
    /// the WAV `{input}` (16 bit, from the start of the film on, gaps filled with silence) and
    /// writes a WAV of the same length to `{output}`. What it gives is encoded, as AAC where
    /// `codec` is `copy`. Time limit and attempts are those of `[map]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
}

impl SoundRecipe {
    /// Whether the sound of the result is made anew.
    pub fn is_made(&self) -> bool {
        self.codec != SoundCodec::Copy || self.map.is_some()
    }
}

impl Default for SoundRecipe {
    fn default() -> Self {
        SoundRecipe { codec: SoundCodec::Copy, kbps: 128, map: None }
    }
}

/// How the sound gets into the result. It is never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SoundCodec {
    /// The same packets.
    Copy,
    /// AAC, encoded once for the whole length.
    Aac,
    /// Opus, encoded once for the whole length.
    Opus,
}
