//! The engines' part of a plan: facts of the source, cuts of its video.

use segue_domain::{FaultKind, Plan};
use segue_media::package::{SoundTrack, StreamPlan};
use segue_media::{PicturePlan, SourceFacts, SpeechFile};
use segue_ports::EngineError;
use serde::{Deserialize, Serialize};

/// Newest version that this build reads, and the one it writes.
const MEDIA_PLAN_VERSION: u32 = 1;

/// The engines' part of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaPlan {
    version: u32,
    /// Streams, sizes and times of the source.
    pub facts: SourceFacts,
    /// The video's cuts; absent if no video output is planned or there is no video.
    pub picture: Option<PicturePlan>,
    /// Index of the audio stream that is transcribed.
    pub speech_stream: Option<u32>,
    /// Its samples in a file of the plan, if workers read samples instead of decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speech_file: Option<SpeechFile>,
    /// How a stream is divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamPlan>,
    /// The audio tracks of a stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sounds: Vec<SoundTrack>,
    /// Path of a stream in one file, relative to its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_file: Option<String>,
    /// Notes for the user, for the manifest.
    pub warnings: Vec<String>,
}

impl MediaPlan {
    /// Facts in the version of this build.
    pub fn new(facts: SourceFacts, picture: Option<PicturePlan>, speech_stream: Option<u32>) -> MediaPlan {
        MediaPlan {
            version: MEDIA_PLAN_VERSION,
            facts,
            picture,
            speech_stream,
            speech_file: None,
            stream: None,
            sounds: Vec::new(),
            one_file: None,
            warnings: Vec::new(),
        }
    }

    /// Encodes the document for a plan.
    pub fn write(&self) -> Result<serde_json::Value, EngineError> {
        serde_json::to_value(self).map_err(|e| internal(format!("facts of the plan: {e}")))
    }

    /// Decodes the document of a plan. The version is read first.
    ///
    /// # Errors
    /// A document of a newer build ([`EngineError::newer`]), or one that cannot be parsed.
    pub fn read(plan: &Plan) -> Result<MediaPlan, EngineError> {
        let version = plan.engine.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
        if version > u64::from(MEDIA_PLAN_VERSION) {
            let why =
                format!("the plan's facts have version {version}, this build reads {MEDIA_PLAN_VERSION}");
            return Err(EngineError::newer(why));
        }
        serde_json::from_value(plan.engine.clone()).map_err(|e| internal(format!("facts of the plan: {e}")))
    }

    /// The division of a stream, for a task that needs it.
    pub fn stream(&self) -> Result<&StreamPlan, EngineError> {
        self.stream.as_ref().ok_or_else(|| internal("the plan has no stream"))
    }

    /// The video's cuts, for a task that needs them.
    pub fn picture(&self) -> Result<&PicturePlan, EngineError> {
        self.picture.as_ref().ok_or_else(|| internal("the plan has no picture"))
    }
}

/// An internal error (a bug in Segue).
pub fn internal(message: impl Into<String>) -> EngineError {
    EngineError::new(FaultKind::Internal, message)
}
