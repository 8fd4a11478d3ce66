//! Was everything that was spoken written down?
//!
//! The decoder sometimes leaves out a sentence in the middle of a window, or stops before its
//! end. The alignment then has to stretch one word over all the speech that was left out,
//! which shows: nobody speaks one word for so long.

use crate::sound::{SAMPLE_RATE, SampleRange, ms_to_samples};
use crate::words::RawWord;

/// Slower than this nobody speaks, letters a second.
const SLOWEST: i64 = 4;
/// Less speech than this says nothing about speed.
const SHORTEST_PROOF_MS: i64 = 1500;
/// Words looked at together: what is missing may be spread over a few.
const TOGETHER: usize = 3;
/// More speech than this after the last word means that words are missing.
const LONGEST_TAIL_MS: i64 = 1000;
/// A pause in which a window may be cut again.
const SHORTEST_PAUSE_MS: i64 = 96;

/// Where to cut the window to hear it again in two pieces; `None` when nothing is missing.
/// `words` carry the engine's times, in samples of the window like `spoken`.
pub(crate) fn cut_at_missing(words: &[RawWord], spoken: &[SampleRange]) -> Option<i64> {
    let pauses: Vec<SampleRange> = spoken
        .windows(2)
        .map(|pair| SampleRange::new(pair[0].end, pair[1].start))
        .filter(|pause| pause.len() >= ms_to_samples(SHORTEST_PAUSE_MS))
        .collect();
    let begin = spoken.first()?.start;
    let start_of = |index: usize| if index == 0 { begin } else { words[index - 1].end };
    for first in 0..words.len() {
        for last in first..words.len().min(first + TOGETHER) {
            let under = SampleRange::new(start_of(first), words[last].end);
            if too_slow(&words[first..=last], speech_in(spoken, under))
                && let Some(cut) = longest_pause(&pauses, under)
            {
                return Some(cut);
            }
        }
    }
    let at = words.last().map_or(begin, |word| word.end);
    let tail = SampleRange::new(at, spoken.last()?.end);
    if speech_in(spoken, tail) > ms_to_samples(LONGEST_TAIL_MS) {
        return longest_pause(&pauses, tail);
    }
    None
}

/// Whether so few words cannot be all that was said in so much speech.
pub(crate) fn too_slow(words: &[RawWord], speech: i64) -> bool {
    let letters: i64 = words.iter().flat_map(|word| word.text.chars()).map(weight).sum();
    speech > ms_to_samples(SHORTEST_PROOF_MS) && letters * SAMPLE_RATE < SLOWEST * speech
}

/// How many letters a character takes to say: a digit is a word, an ideograph a syllable.
fn weight(c: char) -> i64 {
    match c {
        _ if c.is_numeric() => 4,
        _ if !c.is_alphabetic() => 0,
        _ if u32::from(c) >= 0x2E80 => 3,
        _ => 1,
    }
}

fn speech_in(spoken: &[SampleRange], range: SampleRange) -> i64 {
    spoken.iter().map(|s| s.intersect(range).len()).sum()
}

/// The middle of the longest pause that reaches into `within`: where a word ends is not exact,
/// and an end in the middle of a pause leaves the pause on both sides.
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
            begins_stretch: false,
        };
        ends.iter().map(word).collect()
    }

    #[test]
    fn a_sentence_left_out_shows_as_a_word_too_long() {
        let spoken = [ms(0, 1000), ms(1500, 4000), ms(4400, 5000)];
        let heard = words(&[("figures.", 4100), ("Go", 4500), ("on", 5000)]);
        assert_eq!(cut_at_missing(&heard, &spoken), Some(ms_to_samples(1250)));
        let whole =
            words(&[("figures.", 1200), ("Everything", 2600), ("is written.", 4100), ("Go on", 5000)]);
        assert_eq!(cut_at_missing(&whole, &spoken), None);
    }

    #[test]
    fn an_end_left_out_shows_as_speech_after_the_last_word() {
        let spoken = [ms(0, 1000), ms(1500, 2000), ms(2300, 3000)];
        assert_eq!(cut_at_missing(&words(&[("one two three", 1000)]), &spoken), Some(ms_to_samples(1250)));
        assert_eq!(cut_at_missing(&[], &spoken), Some(ms_to_samples(1250)));
        // where the word ends is anywhere in the pause after it
        let spoken = [ms(0, 1000), ms(1500, 3000)];
        assert_eq!(cut_at_missing(&words(&[("one two three", 1200)]), &spoken), Some(ms_to_samples(1250)));
    }

    #[test]
    fn a_number_is_long_to_say() {
        let spoken = [ms(0, 500), ms(700, 2000)];
        assert_eq!(cut_at_missing(&words(&[("2,345", 2000)]), &spoken), None);
        assert_eq!(cut_at_missing(&words(&[("two", 2000)]), &spoken), Some(ms_to_samples(600)));
    }
}
