//! What a transcript is to be.

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::DomainError;

/// How to make the transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TranscriptRecipe {
    /// `auto` or a BCP 47 language such as `en`.
    pub language: String,
    /// Name of a model or path of its weights.
    pub model: String,
    /// How many hypotheses the search for words keeps side by side, 1 to 8; 1 is greedy,
    /// the quickest. Absent for the engine's usual one (5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam_size: Option<u8>,
    /// Which files to write: `json`, `srt`, `vtt`, `txt`. JSON is always written.
    pub formats: Vec<TranscriptFormat>,
    /// What to do with a source that has no sound: `skip` or `fail`.
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

/// What a transcript of a source without sound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutSound {
    /// No transcript; the manifest says why.
    Skip,
    /// A failed job.
    Fail,
}
