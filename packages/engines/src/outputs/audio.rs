//! The output `audio`: one track as audio files, with measured loudness.

use segue_domain::recipe::{AudioFormat, AudioRecipe};
use segue_domain::{FaultKind, FileKind, TaskKind, Timebase};
use segue_media::audio_files::{self, AudioFile, AudioFiles, AudioProof, Loudness};
use segue_ports::{AssembleRequest, AssembledFile, EngineError};

use super::{OutputRequest, Tasks, public_name, task};
use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, files, work};

/// Plans one task for the whole track; a source without audio gets none.
///
/// # Errors
/// A track number that the source does not have.
pub fn plan(request: &OutputRequest<'_>, recipe: &AudioRecipe) -> Result<Tasks, EngineError> {
    let facts = request.facts;
    if audio_files::track(facts, recipe).map_err(errors::media)?.is_none() {
        return Ok(Tasks::none(request, "no audio: the source has no sound"));
    }
    let mut media = MediaPlan::new(facts.clone(), None, None);
    media.warnings = request.warnings.to_vec();
    let whole_ms = (facts.duration_us.unwrap_or(0) / 1000).max(0) as u64;
    Ok(Tasks {
        media,
        timebase: Timebase::MICROS,
        segments: Vec::new(),
        tasks: vec![task(TaskKind::Audio, None, work::audio_ms(whole_ms, recipe.formats.len()))],
        files: Vec::new(),
        reason: None,
    })
}

/// The files to publish, with their certificate.
pub struct AudioOutput {
    /// The files.
    pub files: Vec<AssembledFile>,
    /// The certificate; all its checks passed.
    pub proof: AudioProof,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Decodes and measures the files of the task.
///
/// # Errors
/// A file that does not decode, or is not as long as the source's track.
pub async fn assemble(
    context: &EngineContext,
    request: &AssembleRequest,
) -> Result<AudioOutput, EngineError> {
    let part = request.parts.iter().find(|part| part.task.kind == TaskKind::Audio);
    let part = part.ok_or_else(|| internal("the audio's task left no part"))?;
    let made: AudioFiles = serde_json::from_value(part.facts.clone())
        .map_err(|e| internal(format!("the record of the audio cannot be read: {e}")))?;
    let folder = request.run.scratch.join("audio");
    std::fs::create_dir_all(&folder).map_err(|e| errors::io(folder.display(), &e))?;
    for file in &made.files {
        let path = part.files.get(&file.name);
        let path = path.ok_or_else(|| internal(format!("{} left no {}", part.task.id, file.name)))?;
        files::borrow(path, folder.join(&file.name))?;
    }
    let limits = context.limits(&request.run.cancel);
    let proof = audio_files::certify(&context.tools, &folder, &made, &limits).await.map_err(errors::media)?;
    if !proof.passed {
        let why = proof.failures.join("; ");
        let cause = format!("the audio failed its certificate and is not published: {why}");
        return Err(EngineError::new(FaultKind::Internal, cause));
    }
    let mut published = Vec::new();
    for file in &made.files {
        let name = public_name(&request.plan, &file.name);
        let (path, media_type) = (folder.join(&file.name), media_type(file.format));
        published.push(files::finished(&name, path, FileKind::Media, media_type, description(file))?);
    }
    let mut notes = made.notes.clone();
    notes.push(measured("the source's sound", &proof.source_loudness));
    let normalised = proof.files.iter().filter(|file| file.target_lufs.is_some());
    notes.extend(normalised.map(|file| measured(&file.name, &file.loudness)));
    Ok(AudioOutput { files: published, proof, notes })
}

fn media_type(format: AudioFormat) -> &'static str {
    match format {
        AudioFormat::M4a => "audio/mp4",
        AudioFormat::Mp3 => "audio/mpeg",
        AudioFormat::Opus => "audio/ogg",
        AudioFormat::Flac | AudioFormat::Flac16k => "audio/flac",
        AudioFormat::Wav16k => "audio/wav",
    }
}

fn description(file: &AudioFile) -> String {
    if file.copied {
        return "the source's own sound packets in a new container".to_owned();
    }
    let rate = file.kbps.map_or(String::new(), |kbps| format!(" at {kbps} kbit/s"));
    let shape = format!("{} Hz, {} channels", file.shape.rate, file.shape.channels);
    let level = file.target_lufs.map_or(String::new(), |lufs| format!(", normalised to {lufs} LUFS"));
    format!("encoded once for the whole length{rate}, {shape}{level}")
}

/// A line on loudness.
fn measured(what: &str, loudness: &Loudness) -> String {
    let Some(integrated) = loudness.integrated_lufs else {
        return format!("loudness of {what}: none, it is silent or too short");
    };
    let value = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |v| format!("{v:.1}"));
    format!(
        "loudness of {what}: {integrated:.1} LUFS, range {} LU, true peak {} dBTP",
        value(loudness.range_lu),
        value(loudness.true_peak_dbtp)
    )
}
