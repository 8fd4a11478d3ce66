//! Encodes the sound of a stream: one audio track as a whole, in fragments on the stream's grid.

use std::ffi::OsString;
use std::path::Path;

use segue_domain::TickRange;
use segue_domain::playlist::{Rendition, RenditionKind};
use serde::{Deserialize, Serialize};

use super::encode::{File, MadePart, file_names, package};
use super::fragment::PartRequest;
use super::plan::StreamPlan;
use super::track::read_track;
use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts};
use crate::mux::seconds;
use crate::probe::source_input;
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::sound::{AudioCodec, OTHER_PACKETS};
use crate::tools::Tools;
use crate::view::{self, View};

/// Sound that may be missing at the end of a track: containers round their durations, and some count priming.
const SHORT_US: i64 = 2_000_000;

/// An audio track of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundTrack {
    /// Index of the source's stream.
    pub stream: u32,
    /// Id of its rendition.
    pub id: String,
    /// Its name for the viewer.
    pub name: String,
    /// Language by RFC 5646, if known.
    pub language: Option<String>,
    /// Whether it is played unless another one is chosen.
    pub default: bool,
}

/// Encodes an audio track as AAC. Silence fills what the source leaves out before and between its samples, so that
/// the track begins at the start of the stream and a sample's time is its number.
///
/// # Errors
/// A track that cannot be decoded.
#[expect(clippy::too_many_arguments, reason = "the whole context of one track, each of its own type")]
pub async fn encode_sound(
    tools: &Tools,
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    track: &SoundTrack,
    plan: &StreamPlan,
    kbps: u32,
    folder: &Path,
    limits: &Limits,
) -> Result<MadePart> {
    let raw = folder.join(format!("{}.raw.mp4", track.id));
    let view = match stream.track_id {
        Some(id) => view::of_first_packets(source, OTHER_PACKETS, Some(id))?,
        None => None,
    };
    let input = view.as_ref().map_or_else(|| source_input(source), View::input);
    let call = tools.ffmpeg(
        format!("encoding {}", stream.label()),
        arguments(input, facts.start_time_us, stream, kbps, &raw),
    );
    let call = call.with_growing_lists().reading(source).writing(&raw);
    let call = match &view {
        Some(view) => view.attach(call),
        None => call,
    };
    let mut progress = Progress::default();
    process::run(&call, limits, |piece| progress.push(piece)).await?;
    let file = File::open(&raw)?;
    let packaged = read_track(&file.0, AudioCodec::Aac.priming())?;
    let length = packaged.samples.last().zip(packaged.samples.first()).map_or(0, |(last, first)| {
        last.dts - first.dts + i64::from(packaged.last_duration) - i64::from(packaged.lead)
    });
    if facts.short_by_bytes.is_none() {
        check_length(stream, length, packaged.timescale)?;
    }
    let starts = plan.starts_at(packaged.timescale, length);
    let place =
        PartRequest { range: TickRange { start: 0, end: length.max(1) }, starts: &starts, sequence: 1 };
    let (name, init) = file_names(&track.id, 0);
    let rendition = Rendition {
        id: track.id.clone(),
        kind: RenditionKind::Sound { channels: channels(stream), sample_rate: packaged.timescale },
        timescale: packaged.timescale,
        codec: packaged.codec.clone(),
        language: track.language.clone(),
        name: track.name.clone(),
        default: track.default,
        peak_limit: None,
        parts: 1,
    };
    let made = package(&file.0, &packaged, &place, folder, &name, &init, rendition, 0);
    // a missing file counts as removed
    let _ = std::fs::remove_file(&raw);
    made
}

/// Fails for a track that is shorter than the source states: ffmpeg ends without an error where it cannot decode on.
fn check_length(stream: &StreamFacts, length: i64, timescale: u32) -> Result<()> {
    let Some(stated) = stream.duration_us else { return Ok(()) };
    let made = i128::from(length) * 1_000_000 / i128::from(timescale.max(1));
    let missing = i128::from(stated) - made;
    if missing <= i128::from(SHORT_US) {
        return Ok(());
    }
    let (stated, made) = (stated as f64 / 1e6, made as f64 / 1e6);
    Err(MediaError::source(format!(
        "{} states {stated:.1} s of sound and {made:.1} s could be decoded",
        stream.label()
    )))
}

/// AAC has up to 5.1 channels in a browser.
fn channels(stream: &StreamFacts) -> u32 {
    match stream.channels {
        0 => 2,
        1 | 2 | 6 => stream.channels,
        3..=5 => 2,
        _ => 6,
    }
}

fn arguments(
    input: Vec<OsString>,
    start_us: i64,
    stream: &StreamFacts,
    kbps: u32,
    out: &Path,
) -> Vec<OsString> {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]);
    args.extend(words(&["-copyts", "-itsoffset", &seconds(-start_us)]));
    args.extend(input);
    let channels = channels(stream);
    args.extend(words(&["-map", &format!("0:{}", stream.index), "-ac", &channels.to_string()]));
    // fills and cuts, and never stretches
    args.extend(words(&["-af", "aresample=async=1:first_pts=0"]));
    let rate = kbps * channels.div_ceil(2).max(1) * 1000;
    args.extend(words(&["-c:a", AudioCodec::Aac.encoder(), "-b:a", &rate.to_string()]));
    args.extend(words(&["-map_metadata", "-1", "-map_chapters", "-1"]));
    args.extend(words(&["-fflags", "+bitexact", "-flags:a", "+bitexact"]));
    args.extend(words(&["-movflags", "+empty_moov+default_base_moof+skip_trailer"]));
    args.extend(words(&["-frag_duration", "10000000", "-f", "mp4"]));
    args.push(out.into());
    args
}
