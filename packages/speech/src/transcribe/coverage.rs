//! Coverage check: speech without words.
//!
//! The decoder sometimes omits a sentence in the middle of a window, or stops before its end.
//! The alignment then stretches one word over all the omitted speech, which is detected because
//! the word is spoken implausibly slowly.

use super::words::RawWord;
use crate::sound::{SAMPLE_RATE, SampleRange, ms_to_samples};

/// Slowest plausible speech, letters per second.
const MIN_LETTERS_PER_SECOND: i64 = 4;
/// Shortest speech from which a rate is computed.
const SHORTEST_RATED_MS: i64 = 1500;
/// Words rated together: omitted speech may be spread over a few.
const GROUP: usize = 3;
/// Longest speech after the last word; more means that words are missing.
const LONGEST_TAIL_MS: i64 = 1000;
/// Shortest pause in which a window may be split.
const SHORTEST_PAUSE_MS: i64 = 96;

/// Where to split the window so that it is decoded again in two pieces; `None` when no words are
/// missing. `words` have the engine's times, in samples of the window like `speech`.
pub(crate) fn split_at_missing(words: &[RawWord], speech: &[SampleRange]) -> Option<i64> {
    let pauses: Vec<SampleRange> = speech
        .windows(2)
        .map(|pair| SampleRange::new(pair[0].end, pair[1].start))
        .filter(|pause| pause.len() >= ms_to_samples(SHORTEST_PAUSE_MS))
        .collect();
    let begin = speech.first()?.start;
    let start_of = |index: usize| if index == 0 { begin } else { words[index - 1].end };
    for first in 0..words.len() {
        for last in first..words.len().min(first + GROUP) {
            let range = SampleRange::new(start_of(first), words[last].end);
            if too_slow(&words[first..=last], speech_in(speech, range))
                && let Some(cut) = longest_pause(&pauses, range)
            {
                return Some(cut);
            }
        }
    }
    let at = words.last().map_or(begin, |word| word.end);
    let tail = SampleRange::new(at, speech.last()?.end);
    if speech_in(speech, tail) > ms_to_samples(LONGEST_TAIL_MS) {
        return longest_pause(&pauses, tail);
    }
    None
}

/// Whether `words` are too few for `speech` samples of speech.
pub(crate) fn too_slow(words: &[RawWord], speech: i64) -> bool {
    let letters: i64 = words.iter().flat_map(|word| word.text.chars()).map(weight).sum();
    speech > ms_to_samples(SHORTEST_RATED_MS) && letters * SAMPLE_RATE < MIN_LETTERS_PER_SECOND * speech
}

/// The letters that a character counts for: a digit is spoken as a word, an ideograph as a syllable.
fn weight(c: char) -> i64 {
    match c {
        _ if c.is_numeric() => 4,
        _ if !c.is_alphabetic() => 0,
        _ if u32::from(c) >= 0x2E80 => 3,
        _ => 1,
    }
}

fn speech_in(speech: &[SampleRange], range: SampleRange) -> i64 {
    speech.iter().map(|s| s.intersect(range).len()).sum()
}

/// The middle of the longest pause that overlaps `within`. Word ends are inexact, so that a pause
/// may lie only partly in the range.
fn longest_pause(pauses: &[SampleRange], within: SampleRange) -> Option<i64> {
    pauses
        .iter()
        .filter(|pause| !pause.intersect(within).is_empty())
        .max_by_key(|pause| pause.len())
        .map(|pause| (pause.start + pause.end) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(start: i64, end: i64) -> SampleRange {
        SampleRange::new(ms_to_samples(start), ms_to_samples(end))
    }

    fn words(ends: &[(&str, i64)]) -> Vec<RawWord> {
        let word = |(text, end): &(&str, i64)| RawWord {
            text: format!(" {text}"),
            start: 0,
            end: ms_to_samples(*end),
            probability: 1.0,
            starts_segment: false,
        };
        ends.iter().map(word).collect()
    }

    #[test]
    fn an_omitted_sentence_is_detected_by_a_word_too_long() {
        let speech = [ms(0, 1000), ms(1500, 4000), ms(4400, 5000)];
        let partial = words(&[("figures.", 4100), ("Go", 4500), ("on", 5000)]);
        assert_eq!(split_at_missing(&partial, &speech), Some(ms_to_samples(1250)));
        let complete =
            words(&[("figures.", 1200), ("Everything", 2600), ("is written.", 4100), ("Go on", 5000)]);
        assert_eq!(split_at_missing(&complete, &speech), None);
    }

    #[test]
    fn an_omitted_end_is_detected_by_speech_after_the_last_word() {
        let speech = [ms(0, 1000), ms(1500, 2000), ms(2300, 3000)];
        assert_eq!(split_at_missing(&words(&[("one two three", 1000)]), &speech), Some(ms_to_samples(1250)));
        assert_eq!(split_at_missing(&[], &speech), Some(ms_to_samples(1250)));
        // the end of the word lies anywhere in the pause after it
        let speech = [ms(0, 1000), ms(1500, 3000)];
        assert_eq!(split_at_missing(&words(&[("one two three", 1200)]), &speech), Some(ms_to_samples(1250)));
    }

    #[test]
    fn a_digit_counts_as_a_word() {
        let speech = [ms(0, 500), ms(700, 2000)];
        assert_eq!(split_at_missing(&words(&[("2,345", 2000)]), &speech), None);
        assert_eq!(split_at_missing(&words(&[("two", 2000)]), &speech), Some(ms_to_samples(600)));
    }
}
