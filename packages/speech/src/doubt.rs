//! Is an answer worth another pass?
//!
//! whisper.cpp's own way out of a bad answer is to sample at higher temperatures, from dice
//! that each state throws on from window to window: the answer would depend on what was heard
//! before. Here a doubtful window is heard once more with a wider search instead, whose dice are
//! thrown anew for each window, so that the answer is a function of the sound alone.

use crate::coverage::too_slow;
use crate::engine::Hearing;
use crate::sound::{SampleRange, ms_to_samples};
use crate::words::RawWord;

/// Mean log probability below which an answer is doubtful; whisper's own limit.
const LOWEST_CONFIDENCE: f32 = -1.0;
/// Less speech than this is no sentence.
const SENTENCE_MS: i64 = 2000;
/// Fewer words than this cannot be called a loop.
const LOOP_WORDS: usize = 12;
/// Words in the sequences that are compared.
const SEQUENCE: usize = 3;
/// Copies in a row that are kept when a loop remains.
const COPIES: usize = 2;
/// Longest phrase looked for when a loop is cut.
const LONGEST_PHRASE: usize = 8;

/// Mean log probability of the tokens; 0 without any.
pub(crate) fn confidence(hearing: &Hearing) -> f32 {
    let sum: f32 = hearing.tokens.iter().map(|token| token.probability.max(1e-6).ln()).sum();
    sum / hearing.tokens.len().max(1) as f32
}

/// Whether the engine was unsure or went in circles.
pub(crate) fn is_doubtful(hearing: &Hearing, words: &[RawWord]) -> bool {
    confidence(hearing) < LOWEST_CONFIDENCE || is_loop(words)
}

/// Whether an unsure answer is better left out: to a sound too short to be a sentence, or in
/// fewer letters than so much speech would have. What voice activity took for a voice was none.
pub(crate) fn is_guess(hearing: &Hearing, words: &[RawWord], spoken: &[SampleRange]) -> bool {
    let speech: i64 = spoken.iter().map(|s| s.len()).sum();
    let short = speech < ms_to_samples(SENTENCE_MS);
    confidence(hearing) < LOWEST_CONFIDENCE && (short || too_slow(words, speech))
}

/// Whether most of the text repeats itself.
pub(crate) fn is_loop(words: &[RawWord]) -> bool {
    if words.len() < LOOP_WORDS {
        return false;
    }
    let mut sequences: Vec<Vec<String>> =
        words.windows(SEQUENCE).map(|three| three.iter().map(spelled).collect()).collect();
    let all = sequences.len();
    sequences.sort_unstable();
    sequences.dedup();
    2 * sequences.len() < all
}

/// Keeps two copies of a phrase that is repeated on and on.
pub(crate) fn cut_loop(words: &mut Vec<RawWord>) {
    let spelled: Vec<String> = words.iter().map(spelled).collect();
    let mut keep = vec![true; words.len()];
    for length in 1..=LONGEST_PHRASE {
        for at in (COPIES * length)..words.len() {
            let copies = (1..=COPIES).all(|back| spelled[at] == spelled[at - back * length]);
            let whole = at + 1 >= (COPIES + 1) * length;
            if copies && whole && repeats(&spelled, at, length) {
                keep[at + 1 - length..=at].fill(false);
            }
        }
    }
    let mut keep = keep.into_iter();
    words.retain(|_| keep.next().unwrap_or(true));
}

/// Whether the phrase that ends at `at` is the same as the copies before it.
fn repeats(spelled: &[String], at: usize, length: usize) -> bool {
    let phrase = &spelled[at + 1 - length..=at];
    (1..=COPIES).all(|back| {
        let end = at + 1 - back * length;
        spelled[end - length..end] == *phrase
    })
}

fn spelled(word: &RawWord) -> String {
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
                begins_stretch: false,
            })
            .collect()
    }

    fn text(words: &[RawWord]) -> String {
        words.iter().map(|w| w.text.as_str()).collect::<String>().trim().to_owned()
    }

    #[test]
    fn a_loop_is_seen_and_cut_but_a_refrain_is_not() {
        let refrain = "row row row your boat gently down the stream merrily merrily merrily merrily life is but a dream";
        assert!(!is_loop(&words(refrain)));
        let mut looped = words(
            "so we went home. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you. Thank you.",
        );
        assert!(is_loop(&looped));
        cut_loop(&mut looped);
        assert_eq!(text(&looped), "so we went home. Thank you. Thank you.");
        let mut once = words("one two three four five six seven eight nine ten eleven twelve");
        cut_loop(&mut once);
        assert_eq!(once.len(), 12);
    }
}
