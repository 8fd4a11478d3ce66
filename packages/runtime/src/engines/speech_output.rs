//! The reduce step of the voice: one transcript out of all segments, in every format.

use std::path::{Path, PathBuf};

use segue_domain::recipe::{TranscriptFormat, TranscriptRecipe};
use segue_domain::transcript::Transcript;
use segue_domain::{OutputKind, TaskKind};
use segue_ports::{EngineError, Part, ReducedFile};
use segue_speech::{CueRules, SpeechPart, cues, stitch, to_srt, to_txt, to_vtt};

use super::errors;
use super::files::finished;
use super::notes::internal;

/// Name of the file that holds what a task heard.
pub const SPEECH_FILE: &str = "speech.json";

/// A stitched transcript with the files made of it.
pub struct SpeechOutput {
    /// The transcript.
    pub transcript: Transcript,
    /// Sample ranges that the parts heard, in order: `[start, end)` at 16 kHz.
    pub heard: Vec<(i64, i64)>,
    /// The files to publish.
    pub files: Vec<ReducedFile>,
    /// The subtitles as a file to mux, where there is anything to read.
    pub subtitles: Option<PathBuf>,
}

/// Stitches what the tasks heard; `None` where nothing was to be transcribed. Blocks.
pub fn reduce(
    recipe: &TranscriptRecipe,
    parts: &[Part],
    folder: &Path,
) -> Result<Option<SpeechOutput>, EngineError> {
    let mut heard = Vec::new();
    let mut engine = String::new();
    for part in parts.iter().filter(|part| part.task.kind == TaskKind::Transcribe) {
        let path = part
            .files
            .get(SPEECH_FILE)
            .ok_or_else(|| internal(format!("{} left no speech", part.task.id)))?;
        let bytes = std::fs::read(path).map_err(|e| errors::io(path.display(), &e))?;
        let speech: SpeechPart = serde_json::from_slice(&bytes)
            .map_err(|e| internal(format!("what {} heard cannot be read: {e}", part.task.id)))?;
        engine = part.facts["engine"].as_str().unwrap_or_default().to_owned();
        heard.push(speech);
    }
    if heard.is_empty() {
        return Ok(None);
    }
    let mut ranges: Vec<_> = heard.iter().map(|part| (part.range.start, part.range.end)).collect();
    ranges.sort_unstable();
    let transcript = stitch(heard, &engine, &model_name(&recipe.model)).map_err(errors::speech)?;
    let (files, subtitles) = write(recipe, &transcript, folder)?;
    Ok(Some(SpeechOutput { transcript, heard: ranges, files, subtitles }))
}

/// A model's name, or the file name where a path was given.
fn model_name(model: &str) -> String {
    let path = Path::new(model);
    let stem = path
        .file_stem()
        .filter(|_| path.components().count() > 1 || path.extension().is_some_and(|e| e == "bin"));
    stem.map_or_else(
        || model.to_owned(),
        |stem| stem.to_string_lossy().trim_start_matches("ggml-").to_owned(),
    )
}

fn write(
    recipe: &TranscriptRecipe,
    transcript: &Transcript,
    folder: &Path,
) -> Result<(Vec<ReducedFile>, Option<PathBuf>), EngineError> {
    let cues = cues(transcript, &CueRules::default());
    let json = serde_json::to_string_pretty(transcript).map_err(|e| internal(e.to_string()))? + "\n";
    let srt = to_srt(&cues);
    let mut files = vec![put(folder, "transcript.json", "application/json", OutputKind::Transcript, &json)?];
    for format in &recipe.formats {
        let file = match format {
            TranscriptFormat::Json => continue,
            TranscriptFormat::Srt => {
                put(folder, "transcript.srt", "application/x-subrip", OutputKind::Subtitles, &srt)?
            }
            TranscriptFormat::Vtt => {
                put(folder, "transcript.vtt", "text/vtt", OutputKind::Subtitles, &to_vtt(&cues))?
            }
            TranscriptFormat::Txt => {
                put(folder, "transcript.txt", "text/plain", OutputKind::Subtitles, &to_txt(transcript))?
            }
        };
        files.push(file);
    }
    if cues.is_empty() {
        return Ok((files, None));
    }
    let mux = folder.join("track.srt");
    std::fs::write(&mux, srt).map_err(|e| errors::io(mux.display(), &e))?;
    Ok((files, Some(mux)))
}

fn put(
    folder: &Path,
    name: &str,
    media_type: &str,
    kind: OutputKind,
    text: &str,
) -> Result<ReducedFile, EngineError> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
    finished(name, path, kind, media_type, "stitched from the speech windows of all segments")
}

#[cfg(test)]
mod tests {
    use super::model_name;

    #[test]
    fn a_model_given_as_a_file_is_named_by_it() {
        for (given, name) in [
            ("base.en", "base.en"),
            ("/m/ggml-base.en.bin", "base.en"),
            ("own.bin", "own"),
            ("large-v3", "large-v3"),
        ] {
            assert_eq!(model_name(given), name, "{given}");
        }
    }
}
