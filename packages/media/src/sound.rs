//! The sound, encoded once for the whole length: it is never cut.

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::facts::{SourceFacts, StreamFacts};
use crate::mux::{AudioInput, seconds};
use crate::probe::source_input;
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::tools::Tools;

/// Codecs to encode sound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// AAC.
    Aac,
    /// Opus.
    Opus,
}

impl AudioCodec {
    /// ffmpeg's name of the codec.
    pub fn name(self) -> &'static str {
        match self {
            AudioCodec::Aac => "aac",
            AudioCodec::Opus => "opus",
        }
    }

    fn encoder(self) -> &'static str {
        match self {
            AudioCodec::Aac => "aac",
            AudioCodec::Opus => "libopus",
        }
    }
}

/// How to encode sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudioSettings {
    /// Codec.
    pub codec: AudioCodec,
    /// Bits a second; the encoder's own choice when absent.
    pub bitrate: Option<u32>,
    /// Channels; the source's when absent.
    pub channels: Option<u32>,
}

impl Default for AudioSettings {
    fn default() -> AudioSettings {
        AudioSettings { codec: AudioCodec::Aac, bitrate: None, channels: None }
    }
}

/// Encodes one sound stream from end to end into `out` (an .m4a), to stand for it in a join.
pub async fn encode_audio(
    tools: &Tools,
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    settings: &AudioSettings,
    out: &Path,
    limits: &Limits,
) -> Result<AudioInput> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts", "-itsoffset"]
            .map(OsString::from)
            .to_vec();
    args.push(seconds(-facts.start_time_us).into());
    args.extend(source_input(source));
    args.extend(["-map".into(), format!("0:{}", stream.index).into()]);
    args.extend(["-c:a", settings.codec.encoder()].map(OsString::from));
    if let Some(rate) = settings.bitrate {
        args.extend(["-b:a".into(), rate.to_string().into()]);
    }
    if let Some(channels) = settings.channels {
        args.extend(["-ac".into(), channels.to_string().into()]);
    }
    let clock = if settings.codec == AudioCodec::Opus { 48_000 } else { stream.sample_rate.max(1000) };
    args.extend(["-movie_timescale".into(), clock.to_string().into()]);
    args.extend(["-map_metadata", "-1", "-map_chapters", "-1", "-f", "mp4"].map(OsString::from));
    args.push(out.into());
    let call = tools.ffmpeg(format!("encoding {}", stream.label()), args);
    let mut heard = Progress::default();
    process::run(&call, limits, |piece| heard.push(piece)).await?;
    Ok(AudioInput {
        path: out.to_owned(),
        offset_us: facts.start_time_us,
        stands_for: stream.index,
        codec: settings.codec.name().into(),
    })
}
