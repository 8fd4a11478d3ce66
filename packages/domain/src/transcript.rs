//! Transcripts: segments and words with timestamps on the source's clock.

use serde::{Deserialize, Serialize};

/// Version of the `transcript.json` document that this code writes.
pub const TRANSCRIPT_VERSION: u32 = 1;

/// A word with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// The word as spoken, with its punctuation, without surrounding space.
    pub text: String,
    /// Start on the source's presentation clock, milliseconds from the source's start.
    pub start_ms: i64,
    /// End, likewise; not before `start_ms`.
    pub end_ms: i64,
    /// Mean token probability, 0 to 1.
    pub probability: f32,
}

/// A segment of speech: a sentence or a part of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Utterance {
    /// Start, milliseconds from the source's start.
    pub start_ms: i64,
    /// End, milliseconds from the source's start.
    pub end_ms: i64,
    /// The text, without surrounding space.
    pub text: String,
    /// Its words in order.
    pub words: Vec<Word>,
    /// Probability that this segment holds no speech, 0 to 1.
    pub no_speech: f32,
}

/// The published transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    /// Document version, [`TRANSCRIPT_VERSION`].
    pub version: u32,
    /// BCP 47 language of the text; `und` if there was no speech to detect it from.
    pub language: String,
    /// Name of the model, e.g. `base.en`.
    pub model: String,
    /// Name of the engine, e.g. `whisper.cpp`.
    pub engine: String,
    /// In order of `start_ms`.
    pub segments: Vec<Utterance>,
}
