//! Settings of a transcript.

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::DomainError;

/// Settings of a transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TranscriptRecipe {
    /// `auto` or a BCP 47 language such as `en`.
    pub language: String,
    /// Name of a model or path of its weights.
    pub model: String,
    /// Beam size of the decoder, 1 to 8; 1 is greedy search,
    /// the fastest. Absent for the engine's default (5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam_size: Option<u8>,
    /// Formats to write: `json`, `srt`, `vtt`, `txt`. JSON is always written.
    pub formats: Vec<TranscriptFormat>,
    /// Handling of a source without audio: `skip`, or `fail` as always where there is no other output.
    pub without_sound: WithoutSound,
}

impl Default for TranscriptRecipe {
    fn default() -> Self {
        TranscriptRecipe {
            language: "auto".into(),
            model: "base.en".into(),
            beam_size: None,
            formats: vec![
                TranscriptFormat::Json,
                TranscriptFormat::Srt,
                TranscriptFormat::Vtt,
                TranscriptFormat::Txt,
            ],
            without_sound: WithoutSound::Skip,
        }
    }
}

impl TranscriptRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if self.model.is_empty() || self.language.is_empty() {
            return Err(invalid("model and language may not be empty"));
        }
        if self.beam_size.is_some_and(|size| !(1..=8).contains(&size)) {
            return Err(invalid("beam_size is not between 1 and 8"));
        }
        Ok(())
    }
}

/// A file format of the transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TranscriptFormat {
    /// `transcript.json`.
    Json,
    /// `transcript.srt`.
    Srt,
    /// `transcript.vtt`.
    Vtt,
    /// `transcript.txt`.
    Txt,
}

/// Handling of a source without audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutSound {
    /// No transcript, if the job has another output; the manifest states the reason.
    Skip,
    /// The job fails.
    Fail,
}
