//! Runs the user's map command on an audio stream: once, on the whole of it. Cuts in audio are
//! audible, and a filter that restarts at each part even more.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts};
use crate::map_command::{MapCommand, MapTask};
use crate::mux::{AudioInput, seconds};
use crate::probe::{self, source_input};
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::sound::{AudioSettings, encode_audio};
use crate::tools::Tools;

/// Tolerance for the duration of the command's output: it must stay in sync with the video.
const LENGTH_TOLERANCE_US: i64 = 50_000;

/// A map command for audio.
#[derive(Debug, Clone, Copy)]
pub struct SoundMap<'a> {
    /// The command line with `{input}` and `{output}`.
    pub command: &'a str,
    /// The job.
    pub job: &'a str,
    /// Time limit.
    pub time: Duration,
}

impl SoundMap<'_> {
    /// Decodes a stream into a WAV that starts with the movie, runs the command on it, and encodes
    /// its output into `out`. `work` is a folder for the WAVs; it is removed afterwards.
    ///
    /// # Errors
    /// A command that fails, or whose output has another duration.
    #[expect(clippy::too_many_arguments, reason = "the whole context of one stream, each of its own type")]
    pub async fn encode(
        &self,
        tools: &Tools,
        source: &Path,
        facts: &SourceFacts,
        stream: &StreamFacts,
        settings: &AudioSettings,
        work: &Path,
        out: &Path,
        limits: &Limits,
    ) -> Result<AudioInput> {
        fs::create_dir_all(work).map_err(|e| MediaError::io(work.display(), &e))?;
        let (input, output) = (work.join("input.wav"), work.join("output.wav"));
        let call =
            tools.ffmpeg(format!("decoding {}", stream.label()), wav_args(source, facts, stream, &input));
        let call = call.reading(source).writing(&input);
        let mut progress = Progress::default();
        process::run(&call, limits, |piece| progress.push(piece)).await?;
        let before = probe::probe(tools, &input).await?;
        let what = format!("sound stream {}", stream.index);
        let task = MapTask {
            what: &what,
            input: &input,
            output: &output,
            index: stream.index,
            total: facts.streams.len() as u32,
            start_us: facts.start_time_us,
            end_us: facts.start_time_us + before.duration_us.unwrap_or(0),
            job: self.job,
        };
        let own = Limits { time: self.time, ..limits.clone() };
        MapCommand::parse(self.command)?.run(&task, &own).await.map_err(|e| e.retry(true))?;
        let after = probe::probe(tools, &output).await?;
        let sound = after.primary_audio().ok_or_else(|| {
            MediaError::source(format!("map command on {what}: its output holds no sound")).retry(true)
        })?;
        let lengths = before.duration_us.zip(after.duration_us);
        if lengths.is_none_or(|(a, b)| (a - b).abs() > LENGTH_TOLERANCE_US) {
            let shown = |us: Option<i64>| us.map_or_else(|| "no".into(), seconds);
            return Err(MediaError::source(format!(
                "map command on {what}: gave back {} s of sound for {} s; it must keep the length",
                shown(after.duration_us),
                shown(before.duration_us)
            ))
            .retry(true));
        }
        let made = encode_audio(tools, &output, &after, sound, settings, out, limits).await?;
        fs::remove_dir_all(work).map_err(|e| MediaError::io(work.display(), &e))?;
        Ok(AudioInput { offset_us: facts.start_time_us, stands_for: stream.index, ..made })
    }
}

/// Silence fills gaps before and inside the stream, so that a sample's index is
/// its time in the movie.
fn wav_args(source: &Path, facts: &SourceFacts, stream: &StreamFacts, out: &Path) -> Vec<OsString> {
    let words = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts"]);
    args.extend(words(&["-itsoffset", &seconds(-facts.start_time_us)]));
    args.extend(source_input(source));
    let map = format!("0:{}", stream.index);
    args.extend(words(&["-map", &map, "-map_metadata", "-1"]));
    args.extend(words(&["-af", "aresample=async=1:min_hard_comp=0.1:first_pts=0"]));
    args.extend(words(&["-c:a", "pcm_s16le", "-rf64", "auto", "-f", "wav"]));
    args.push(out.into());
    args
}
