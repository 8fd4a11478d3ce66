//! Parameters of the window search.

use serde::{Deserialize, Serialize};

use crate::error::{Result, SpeechError};
use crate::sound::SAMPLE_RATE;

/// Longest window that whisper accepts: 30 s.
pub const LONGEST_WINDOW: i64 = 30 * SAMPLE_RATE;

/// Parameters of the window search. All workers of a job must use the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRules {
    /// Distance between anchors, samples.
    pub anchor_spacing: i64,
    /// Greatest distance of a block boundary from its anchor, samples.
    pub anchor_reach: i64,
    /// Longest range given to the engine, samples; at most [`LONGEST_WINDOW`].
    pub longest_decoded: i64,
    /// Probability from which speech begins.
    pub speech_from: f32,
    /// Probability below which speech ends.
    pub speech_until: f32,
    /// Shortest run of speech, frames; shorter ones count as silence.
    pub shortest_speech: usize,
    /// Shortest pause, frames; shorter ones count as speech.
    pub shortest_pause: usize,
}

impl Default for WindowRules {
    fn default() -> Self {
        WindowRules {
            anchor_spacing: 108 * SAMPLE_RATE,
            anchor_reach: 4 * SAMPLE_RATE,
            // longer windows raise the word error rate: on three talks of 10 minutes 3.3% with 25 s and
            // 3.4% with 29 s (base.en, greedy); 3.1% with 25 s, the default search of today, and no cut
            // within a sentence
            longest_decoded: 25 * SAMPLE_RATE,
            speech_from: 0.5,
            speech_until: 0.35,
            shortest_speech: 3,
            shortest_pause: 3,
        }
    }
}

impl WindowRules {
    /// Returns a `Usage` error if blocks could overlap or windows exceed the engine's limit.
    pub fn check(&self) -> Result<()> {
        let ok = self.anchor_reach > 0
            && self.anchor_spacing >= 4 * self.anchor_reach
            && self.longest_decoded >= 4 * SAMPLE_RATE
            && self.longest_decoded <= LONGEST_WINDOW
            && self.speech_until <= self.speech_from
            && self.shortest_pause > 0;
        match ok {
            true => Ok(()),
            false => Err(SpeechError::usage(format!(
                "window rules contradict each other, use the defaults: {self:?}"
            ))),
        }
    }
}
