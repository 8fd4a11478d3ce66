//! Encodes the audio once for the whole duration: it is never cut.

use std::ffi::OsString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts};
use crate::mp4;
use crate::mux::{AudioInput, seconds};
use crate::pieces::{IN_PIECES, in_one_file};
use crate::probe::source_input;
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::tools::Tools;
use crate::view::{self, View};

/// Packets of other streams that an audio decoder may see: enough to determine the start
/// of the file.
pub(crate) const OTHER_PACKETS: usize = 64;

/// Target codecs of audio.
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

    pub(crate) fn encoder(self) -> &'static str {
        match self {
            AudioCodec::Aac => "aac",
            AudioCodec::Opus => "libopus",
        }
    }

    /// Priming samples, in the encoded clock.
    pub fn priming(self) -> u32 {
        match self {
            AudioCodec::Aac => 1024,
            AudioCodec::Opus => 312,
        }
    }
}

/// Audio encode settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudioSettings {
    /// Codec.
    pub codec: AudioCodec,
    /// Bit rate in bits per second; the encoder's default if absent.
    pub bitrate: Option<u32>,
    /// Channels; the source's if absent.
    pub channels: Option<u32>,
}

impl Default for AudioSettings {
    fn default() -> AudioSettings {
        AudioSettings { codec: AudioCodec::Aac, bitrate: None, channels: None }
    }
}

/// Encodes one audio stream as a whole into `out` (an .m4a), to replace it in a join.
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
    // index entries of the other streams' packets are not needed
    let view = match stream.track_id {
        Some(id) => view::of_first_packets(source, OTHER_PACKETS, Some(id))?,
        None => None,
    };
    args.extend(view.as_ref().map_or_else(|| source_input(source), View::input));
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
    args.extend(["-map_metadata", "-1", "-map_chapters", "-1"].map(OsString::from));
    args.extend(IN_PIECES.map(OsString::from));
    let pieces = out.with_extension("pieces");
    args.push(pieces.clone().into());
    let call = tools.ffmpeg(format!("encoding {}", stream.label()), args).with_growing_lists();
    let call = call.reading(source).writing(&pieces);
    let call = match &view {
        Some(view) => view.attach(call),
        None => call,
    };
    let mut heard = Progress::default();
    process::run(&call, limits, |piece| heard.push(piece)).await?;
    in_one_file(tools, &pieces, clock, out, limits).await?;
    mp4::hide_priming(out, 0, settings.codec.priming())
        .map_err(|e| MediaError::internal(format!("{}: {e}", out.display())))?;
    Ok(AudioInput {
        path: out.to_owned(),
        offset_us: facts.start_time_us,
        stands_for: stream.index,
        codec: settings.codec.name().into(),
        priming: settings.codec.priming(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe;

    const SOUND: &str = "-f lavfi -i aevalsrc=0.4*sin(440*2*PI*t+8*sin(5*t)):s=48000:d=3.21";
    const PICTURE: &str = "-f lavfi -i testsrc2=s=64x64:r=25:d=3";

    fn ffmpeg(args: &str) -> Vec<u8> {
        let program = std::env::var("SEGUE_FFMPEG").unwrap_or_else(|_| "ffmpeg".into());
        let run =
            std::process::Command::new(program).args(["-v", "error", "-y"]).args(args.split(' ')).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{args}: {}", String::from_utf8_lossy(&run.stderr));
        run.stdout
    }

    fn samples(path: &Path) -> Vec<f64> {
        let bytes = ffmpeg(&format!("-i {} -map 0:a -f s16le -ac 1 -ar 48000 -", path.display()));
        bytes.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect()
    }

    /// Start of the audio stream relative to the file, in microseconds, as the file states it.
    async fn start(tools: &Tools, path: &Path) -> i64 {
        let facts = probe(tools, path).await.unwrap();
        let stream = facts.primary_audio().unwrap();
        stream.timebase.to_micros(stream.start.unwrap()) - facts.start_time_us
    }

    /// The last packet is complete, and ffmpeg 5 decodes all of it: the result may be longer by
    /// less than a packet.
    ///
    /// Encodes the audio of a source of video and audio, joins it by copying, and compares.
    async fn check(delay: &str, codec: AudioCodec, off_by: usize) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let source = at("source.mov");
        ffmpeg(&format!(
            "{PICTURE} -itsoffset {delay} {SOUND} -c:v mpeg4 -c:a pcm_s16le {}",
            source.display()
        ));
        let tools = Tools::discover().await.unwrap();
        let facts = probe(&tools, &source).await.unwrap();
        let stream = facts.primary_audio().unwrap();
        let settings = AudioSettings { codec, bitrate: Some(128_000), channels: None };
        let out = at("sound.m4a");
        let limits = Limits::default();
        let made = encode_audio(&tools, &source, &facts, stream, &settings, &out, &limits).await.unwrap();
        assert_eq!((made.stands_for, made.offset_us), (stream.index, facts.start_time_us));

        let (was, is) = (samples(&source), samples(&out));
        assert!(was.len().abs_diff(is.len()) <= off_by, "{delay} {codec:?}: {} and {}", was.len(), is.len());
        let n = was.len().min(is.len());
        let noise: f64 = was[..n].iter().zip(&is).map(|(a, b)| (a - b).powi(2)).sum();
        let power: f64 = was[..n].iter().map(|a| a * a).sum();
        // a shift of one sample would leave a twentieth of the power
        assert!(noise < power / 100.0, "{delay} {codec:?}: {noise} of {power}");

        let joined = at("joined.mp4");
        ffmpeg(&format!(
            "-copyts -i {} -i {} -map 0:v -map 1:a -c copy {}",
            source.display(),
            out.display(),
            joined.display()
        ));
        mp4::hide_priming(&joined, 1, codec.priming()).unwrap();
        assert!(
            start(&tools, &joined).await.abs_diff(start(&tools, &source).await) <= 1000,
            "{delay} {codec:?}"
        );
        assert_eq!(samples(&joined).len(), is.len(), "{delay} {codec:?}");
    }

    #[tokio::test]
    async fn encoded_sound_is_as_long_and_begins_when_it_did() {
        check("0", AudioCodec::Aac, 1023).await;
        check("1.5", AudioCodec::Aac, 1023).await;
    }

    #[tokio::test]
    async fn opus_too() {
        check("0", AudioCodec::Opus, 960).await;
        check("1.5", AudioCodec::Opus, 960).await;
    }
}
