//! Word times: the engine's guess, put right by what can be heard.

use crate::sound::SampleRange;
use crate::words::RawWord;

/// Puts the times of `words` in order and within the window.
pub(crate) fn snap(words: &mut [RawWord], samples: &[f32], spoken: &[SampleRange]) {
    let length = samples.len() as i64;
    let mut last = spoken.first().map_or(0, |s| s.start);
    for word in words {
        word.start = last.min(length);
        word.end = word.end.clamp(word.start, length);
        last = word.end;
    }
}
