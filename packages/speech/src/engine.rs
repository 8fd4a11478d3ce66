//! The port behind which a speech engine lives.

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::Result;

/// How to search for the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// The likeliest token each time.
    Greedy,
    /// Several hypotheses kept side by side.
    Beam {
        /// How many, 1 to 8.
        width: u8,
    },
}

/// What a caller may choose about decoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeOptions {
    /// `auto`, or a code such as `en`.
    pub language: String,
    /// How to search.
    pub search: Search,
    /// Whether to search wider where a greedy answer is doubtful.
    pub fallback: bool,
}

impl Default for DecodeOptions {
    /// The search is that of whisper.cpp's own program.
    fn default() -> Self {
        DecodeOptions { language: "auto".into(), search: Search::Beam { width: 5 }, fallback: true }
    }
}

/// A token of the answer: a word, a part of one, or punctuation.
#[derive(Debug, Clone, PartialEq)]
pub struct SpokenToken {
    /// Its bytes; a character may be spread over several tokens.
    pub bytes: Vec<u8>,
    /// Probability, 0 to 1.
    pub probability: f32,
    /// Where it ends, as well as the engine knows; samples from the window's first.
    pub end: i64,
    /// Whether the engine says that a new stretch of speech begins with it.
    pub begins_stretch: bool,
}

/// What an engine heard in one window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hearing {
    /// The text, token by token.
    pub tokens: Vec<SpokenToken>,
    /// The language, as a code; the one asked for, or the one detected.
    pub language: String,
}

/// Turns sound into words. One call hears one window; calls may run side by side up to the
/// number of workers the engine was made for, more of them wait.
///
/// The answer depends on the samples and the options only, not on earlier calls.
pub trait SpeechEngine: Send + Sync {
    /// Name for the transcript, e.g. `whisper.cpp`.
    fn name(&self) -> &str;

    /// Name of the weights, e.g. `base.en`.
    fn model(&self) -> &str;

    /// Refuses options that these weights cannot serve, before any work.
    fn check(&self, options: &DecodeOptions) -> Result<()>;

    /// Hears `samples`, 16 kHz mono, at most 30 s. Ends early, with kind `Cancelled`, soon
    /// after `cancel` is set.
    fn transcribe(
        &self,
        samples: &[f32],
        options: &DecodeOptions,
        cancel: &CancellationToken,
    ) -> Result<Hearing>;
}
