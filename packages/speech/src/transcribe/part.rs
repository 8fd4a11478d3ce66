//! Speech part: the document that a transcription task writes.

use segue_domain::transcript::Utterance;
use serde::{Deserialize, Serialize};

use crate::sound::SampleRange;

/// Version of the part document this code writes.
pub const PART_VERSION: u32 = 1;

/// The result of one transcription task, from which [`crate::stitch()`] makes the transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechPart {
    /// Document version, [`PART_VERSION`].
    pub version: u32,
    /// The range in which the transcribed windows start.
    pub range: SampleRange,
    /// Language of the text; `None` without speech.
    pub language: Option<String>,
    /// In order, on the clock of the source.
    pub utterances: Vec<Utterance>,
}
