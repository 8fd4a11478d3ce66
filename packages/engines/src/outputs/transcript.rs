//! The output `transcript`: one transcript from all segments, in every format.

use std::path::Path;

use segue_domain::recipe::{TranscriptFormat, TranscriptRecipe, WithoutSound};
use segue_domain::transcript::Transcript;
use segue_domain::{FaultKind, FileKind, Plan, TaskKind, Timebase};
use segue_media::SpeechFile;
use segue_ports::{AssembleRequest, AssembledFile, EngineError, ProducedFile};
use segue_speech::{CueRules, SpeechPart, cues, stitch, to_srt, to_txt, to_vtt};

use super::{OutputRequest, Tasks, public_name, segments_in_time, source_error, task};
use crate::assembler::SpeechProof;
use crate::context::EngineContext;
use crate::files::finished;
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, work};

/// Name of the file with the words of one segment.
pub const SPEECH_FILE: &str = "speech.json";

/// Name of the transcript's document.
pub const TRANSCRIPT_FILE: &str = "transcript.json";

/// Plans one task for each segment. A source without audio gets none, unless the recipe or the
/// absence of any other output makes that a failure.
///
/// # Errors
/// A missing model; a source without audio; an audio stream that cannot be decoded.
pub async fn plan(
    context: &EngineContext,
    source: &segue_media::Source,
    request: &OutputRequest<'_>,
    recipe: &TranscriptRecipe,
) -> Result<Tasks, EngineError> {
    context.models.check_transcript(recipe).map_err(errors::failure)?;
    let facts = request.facts;
    let Some(stream) = facts.primary_audio().map(|stream| stream.index) else {
        if !request.has_others || recipe.without_sound == WithoutSound::Fail {
            let why =
                "the source has no sound to transcribe; use a recipe without a transcript, such as rejoin";
            return Err(source_error(why));
        }
        return Ok(Tasks::none(request, "no transcript: the source has no sound"));
    };
    let segments = segments_in_time(facts, request.segment_us)?;
    let mut media = MediaPlan::new(facts.clone(), None, Some(stream));
    media.warnings = request.warnings.to_vec();
    // a folder for each output: transcripts that are planned together have files of one name
    let scratch = request.run.scratch.join(request.output.as_str());
    std::fs::create_dir_all(&scratch).map_err(|e| errors::io(scratch.display(), &e))?;
    let limits = context.limits(&request.run.cancel);
    if segments.len() > 1 {
        let decoded = SpeechFile::decode(&context.tools, source, facts, stream, &scratch, &limits).await;
        media.speech_file = decoded.map_err(errors::media)?;
    }
    let timebase = Timebase::MICROS;
    let tasks = segments.iter().map(|segment| {
        task(TaskKind::Transcribe, Some(segment.index), work::transcribe_ms(timebase, segment))
    });
    let file = |speech: &SpeechFile| {
        let name = speech.file_name.clone();
        ProducedFile { path: scratch.join(&name), name }
    };
    Ok(Tasks {
        tasks: tasks.collect(),
        files: media.speech_file.iter().map(file).collect(),
        media,
        timebase,
        segments,
        reason: None,
    })
}

/// Stitches the words of the segments; returns the files to publish and the certificate. Blocking.
///
/// # Errors
/// Parts that cannot be parsed, or whose ranges do not cover the audio.
pub fn assemble(
    recipe: &TranscriptRecipe,
    request: &AssembleRequest,
) -> Result<(Vec<AssembledFile>, SpeechProof), EngineError> {
    let mut parts = Vec::new();
    let mut engine = String::new();
    for part in &request.parts {
        let path = part
            .files
            .get(SPEECH_FILE)
            .ok_or_else(|| internal(format!("{} left no speech", part.task.id)))?;
        let bytes = std::fs::read(path).map_err(|e| errors::io(path.display(), &e))?;
        let speech: SpeechPart = serde_json::from_slice(&bytes)
            .map_err(|e| internal(format!("the words of {} cannot be read: {e}", part.task.id)))?;
        engine = part.facts["engine"].as_str().unwrap_or_default().to_owned();
        parts.push(speech);
    }
    let mut ranges: Vec<_> = parts.iter().map(|part| (part.range.start, part.range.end)).collect();
    ranges.sort_unstable();
    let transcript = stitch(parts, &engine, &model_name(&recipe.model)).map_err(errors::speech)?;
    let proof = prove(&transcript, ranges)?;
    let files = write(&request.plan, recipe, &transcript, &request.run.scratch)?;
    Ok((files, proof))
}

/// Checks that every sample was transcribed by one task, and the words are in order.
fn prove(transcript: &Transcript, heard: Vec<(i64, i64)>) -> Result<SpeechProof, EngineError> {
    let touching = heard.windows(2).all(|pair| pair[0].1 == pair[1].0);
    let from_zero = heard.first().is_none_or(|first| first.0 == 0);
    let words = transcript.segments.iter().map(|s| s.words.len() as u64).sum();
    let proof = SpeechProof { heard, words, times_monotonic: times_monotonic(transcript) };
    if touching && from_zero && proof.times_monotonic {
        return Ok(proof);
    }
    let why = "the transcript failed its certificate and is not published: a range of the audio was \
               transcribed twice or not at all";
    Err(EngineError::new(FaultKind::Internal, why))
}

fn times_monotonic(transcript: &Transcript) -> bool {
    let words: Vec<_> = transcript.segments.iter().flat_map(|s| &s.words).collect();
    words.windows(2).all(|pair| pair[0].start_ms <= pair[1].start_ms)
        && words.iter().all(|w| w.start_ms <= w.end_ms)
}

/// The subtitles of a transcript as SRT; `None` if it has no words.
pub fn srt_of(transcript: &Transcript) -> Option<String> {
    let cues = cues(transcript, &CueRules::default());
    (!cues.is_empty()).then(|| to_srt(&cues))
}

/// A model's name, or the file name if a path was given.
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
    plan: &Plan,
    recipe: &TranscriptRecipe,
    transcript: &Transcript,
    folder: &Path,
) -> Result<Vec<AssembledFile>, EngineError> {
    let cues = cues(transcript, &CueRules::default());
    let json = serde_json::to_string_pretty(transcript).map_err(|e| internal(e.to_string()))? + "\n";
    let put = |name: &str, media_type: &str, kind: FileKind, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
        let made = "stitched from the speech windows of all segments";
        finished(&public_name(plan, name), path, kind, media_type, made)
    };
    let mut files = vec![put(TRANSCRIPT_FILE, "application/json", FileKind::Transcript, &json)?];
    for format in &recipe.formats {
        let subtitles = FileKind::Subtitles;
        let file = match format {
            TranscriptFormat::Json => continue,
            TranscriptFormat::Srt => {
                put("transcript.srt", "application/x-subrip", subtitles, &to_srt(&cues))?
            }
            TranscriptFormat::Vtt => put("transcript.vtt", "text/vtt", subtitles, &to_vtt(&cues))?,
            TranscriptFormat::Txt => put("transcript.txt", "text/plain", subtitles, &to_txt(transcript))?,
        };
        files.push(file);
    }
    Ok(files)
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
