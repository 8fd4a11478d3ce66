//! Confidence: whether a result is reliable, and repetition loops.
//!
//! whisper.cpp's own fallback samples at higher temperatures, from a random generator that
//! continues from window to window: the result would depend on earlier windows. Here an
//! unreliable window is decoded once more with a wider beam search instead, in a new decoding
//! state, so that the result is a function of the sound alone.

use super::coverage::too_slow;
use super::words::RawWord;
use crate::engines::DecodedWindow;
use crate::sound::{SampleRange, ms_to_samples};

/// Mean log probability below which a result is unreliable; whisper's own limit.
const LOWEST_CONFIDENCE: f32 = -1.0;
/// Shortest speech that counts as a sentence.
const SENTENCE_MS: i64 = 2000;
/// Fewest words that count as a loop.
const LOOP_WORDS: usize = 12;
/// Length of the compared sequences, in words.
const SEQUENCE: usize = 3;
/// Consecutive copies that are kept of a loop.
const COPIES: usize = 2;
/// Longest phrase searched for in a loop, in words.
const LONGEST_PHRASE: usize = 8;

/// Mean log probability of the tokens; 0 without any.
pub(crate) fn confidence(decoded: &DecodedWindow) -> f32 {
    let sum: f32 = decoded.tokens.iter().map(|token| token.probability.max(1e-6).ln()).sum();
    sum / decoded.tokens.len().max(1) as f32
}

/// Whether the confidence is low or the text repeats itself.
pub(crate) fn is_unreliable(decoded: &DecodedWindow, words: &[RawWord]) -> bool {
    confidence(decoded) < LOWEST_CONFIDENCE || is_loop(words)
}

/// Whether to drop the result: the confidence is low, and the speech is too short for a sentence or
/// the words are too few for it. Voice activity was then a false positive.
pub(crate) fn is_guess(decoded: &DecodedWindow, words: &[RawWord], speech: &[SampleRange]) -> bool {
    let speech: i64 = speech.iter().map(|s| s.len()).sum();
    let short = speech < ms_to_samples(SENTENCE_MS);
    confidence(decoded) < LOWEST_CONFIDENCE && (short || too_slow(words, speech))
}

/// Whether most of the text is repetition.
pub(crate) fn is_loop(words: &[RawWord]) -> bool {
    if words.len() < LOOP_WORDS {
        return false;
    }
    let mut sequences: Vec<Vec<String>> =
        words.windows(SEQUENCE).map(|sequence| sequence.iter().map(normalized).collect()).collect();
    let all = sequences.len();
    sequences.sort_unstable();
    sequences.dedup();
    2 * sequences.len() < all
}

/// Keeps two copies of a repeated phrase.
pub(crate) fn truncate_loop(words: &mut Vec<RawWord>) {
    let texts: Vec<String> = words.iter().map(normalized).collect();
    let mut keep = vec![true; words.len()];
    for length in 1..=LONGEST_PHRASE {
        for at in (COPIES * length)..words.len() {
            let copies = (1..=COPIES).all(|back| texts[at] == texts[at - back * length]);
            let whole = at + 1 >= (COPIES + 1) * length;
            if copies && whole && repeats(&texts, at, length) {
                keep[at + 1 - length..=at].fill(false);
            }
        }
    }
    let mut keep = keep.into_iter();
    words.retain(|_| keep.next().unwrap_or(true));
}

/// Whether the phrase that ends at `at` equals the phrases before it.
fn repeats(texts: &[String], at: usize, length: usize) -> bool {
    let phrase = &texts[at + 1 - length..=at];
    (1..=COPIES).all(|back| {
        let end = at + 1 - back * length;
        texts[end - length..end] == *phrase
    })
}

fn normalized(word: &RawWord) -> String {
    word.text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<RawWord> {
        text.split(' ')
            .map(|word| RawWord {
                text: format!(" {word}"),
                start: 0,
                end: 0,
                probability: 1.0,
                starts_segment: false,
            })
            .collect()
    }

    fn text(words: &[RawWord]) -> String {
        words.iter().map(|w| w.text.as_str()).collect::<String>().trim().to_owned()
    }

    #[test]
    fn a_loop_is_detected_and_truncated_but_a_refrain_is_not() {
        let refrain = "row row row your boat gently down the stream merrily merrily merrily merrily life is but a dream";
        assert!(!is_loop(&words(refrain)));
        let mut looped = words(
            "so we went home. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you.",
        );
        assert!(is_loop(&looped));
        truncate_loop(&mut looped);
        assert_eq!(text(&looped), "so we went home. Thank you. Thank you.");
        let mut once = words("one two three four five six seven eight nine ten eleven twelve");
        truncate_loop(&mut once);
        assert_eq!(once.len(), 12);
    }
}
