//! The sound: encoded once for the whole length, or heard in ranges for speech.

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamFacts};
use crate::mux::{AudioInput, seconds};
use crate::probe::source_input;
use crate::process::{self, Heard, Limits};
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

/// Rate of the sound that speech engines hear.
pub const SPEECH_RATE: u32 = 16_000;
/// Decoding begins this much before a range, so that the decoder has settled.
const PREROLL_US: i64 = 1_000_000;

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

/// The arguments that decode `[from, until)` µs of a stream to 16 kHz mono.
pub fn speech_args(
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    from_us: i64,
    until_us: i64,
) -> Vec<OsString> {
    // a seek is exact only where packets carry times of their own
    let timed = facts.container != Container::Other || facts.format == "mpegts" || facts.format == "wav";
    let begin = if timed { (from_us - PREROLL_US).max(0) / 1_000_000 * 1_000_000 } else { 0 };
    let samples = |us: i64| us * i64::from(SPEECH_RATE) / 1_000_000;
    let (first, end) = (samples(from_us - begin), samples(until_us - begin));
    let mut args: Vec<OsString> = ["-v", "error", "-nostdin"].map(OsString::from).to_vec();
    if begin > 0 {
        args.extend(["-ss".into(), seconds(begin).into()]);
    }
    args.extend(["-t".into(), seconds(until_us - begin + PREROLL_US).into()]);
    args.extend(source_input(source));
    args.extend(["-map".into(), format!("0:{}", stream.index).into(), "-af".into()]);
    args.push(
        format!(
            "aresample={SPEECH_RATE}:async=1:first_pts=0,apad=whole_len={end},atrim=start_sample={first}:end_sample={end}"
        )
        .into(),
    );
    args.extend(["-ac", "1", "-f", "s16le", "pipe:1"].map(OsString::from));
    args
}

/// Decodes `[from, until)` of a stream, in µs from the file's start, to 16 kHz mono samples.
///
/// The same range of the same file gives the same samples on every machine; where there is no
/// sound, there is silence.
pub async fn speech_samples(
    tools: &Tools,
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    from_us: i64,
    until_us: i64,
    limits: &Limits,
) -> Result<Vec<i16>> {
    if from_us < 0 || until_us <= from_us {
        return Err(MediaError::usage(format!("no sound between {from_us} and {until_us} us")));
    }
    let args = speech_args(source, facts, stream, from_us, until_us);
    let call = tools.ffmpeg(format!("listening to {}", source.display()), args);
    let mut bytes = Vec::new();
    process::run(&call, limits, |piece| {
        bytes.extend_from_slice(piece);
        Heard::Progress
    })
    .await?;
    Ok(bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect())
}
