//! What the planner writes into a plan for the engines, and they read back.

use segue_domain::{FaultKind, Plan};
use segue_media::{PicturePlan, SourceFacts, SpeechFile};
use segue_ports::EngineError;
use serde::{Deserialize, Serialize};

/// Version of these notes.
const NOTES_VERSION: u32 = 1;

/// The engines' part of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    version: u32,
    /// What the source is.
    pub facts: SourceFacts,
    /// The picture's cuts; absent where no picture is wanted or there is none.
    pub picture: Option<PicturePlan>,
    /// Index of the sound stream that is transcribed.
    pub speech_stream: Option<u32>,
    /// Its samples in a file of the plan, where not everybody can decode their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech_file: Option<SpeechFile>,
    /// What the user should know, for the manifest.
    pub warnings: Vec<String>,
}

impl Notes {
    /// Notes of this build.
    pub fn new(facts: SourceFacts, picture: Option<PicturePlan>, speech_stream: Option<u32>) -> Notes {
        Notes {
            version: NOTES_VERSION,
            facts,
            picture,
            speech_stream,
            speech_file: None,
            warnings: Vec::new(),
        }
    }

    /// As they go into a plan.
    pub fn write(&self) -> Result<serde_json::Value, EngineError> {
        serde_json::to_value(self).map_err(|e| internal(format!("notes of the plan: {e}")))
    }

    /// As they stand in a plan.
    pub fn read(plan: &Plan) -> Result<Notes, EngineError> {
        let notes: Notes = serde_json::from_value(plan.engine.clone())
            .map_err(|e| internal(format!("notes of the plan: {e}")))?;
        if notes.version == NOTES_VERSION {
            return Ok(notes);
        }
        Err(internal(format!(
            "notes of the plan have version {}, this build reads {NOTES_VERSION}",
            notes.version
        )))
    }

    /// The picture's cuts, for a task that is about them.
    pub fn picture(&self) -> Result<&PicturePlan, EngineError> {
        self.picture.as_ref().ok_or_else(|| internal("the plan has no picture"))
    }
}

/// An error of our own.
pub fn internal(message: impl Into<String>) -> EngineError {
    EngineError::new(FaultKind::Internal, message)
}
