//! Hallucinated words.
//!
//! Whisper fills silence with phrases frequent in its training data, and sometimes repeats a
//! sentence. A list of phrases would depend on the language; times do not: words outside speech,
//! and words that follow each other faster than speech can, are removed.

use super::words::RawWord;
use crate::sound::{SAMPLE_RATE, SampleRange, ms_to_samples};

/// Tolerance around voice activity.
const TOLERANCE_MS: i64 = 240;
/// Fastest plausible speech, letters per second.
const MAX_LETTERS_PER_SECOND: i64 = 45;
/// Words rated together, since the times of single words are inexact.
const GROUP: usize = 4;

/// Removes hallucinated words; times are the engine's, in samples of the window like `speech`.
pub(crate) fn drop_hallucinated(words: &mut Vec<RawWord>, speech: &[SampleRange]) {
    let Some(begin) = speech.first().map(|s| s.start) else { return words.clear() };
    let tolerance = ms_to_samples(TOLERANCE_MS);
    let audible: Vec<SampleRange> =
        speech.iter().map(|s| SampleRange::new(s.start - tolerance, s.end + tolerance)).collect();
    let start_of = |index: usize| if index == 0 { begin } else { words[index - 1].end };
    let mut dropped: Vec<bool> = (0..words.len())
        .map(|index| {
            let range = SampleRange::new(start_of(index), words[index].end.max(start_of(index) + 1));
            audible.iter().all(|s| s.intersect(range).is_empty())
        })
        .collect();
    for first in 0..(words.len() + 1).saturating_sub(GROUP) {
        let last = first + GROUP - 1;
        let range = SampleRange::new(start_of(first), words[last].end);
        let time: i64 = audible.iter().map(|s| s.intersect(range).len()).sum();
        let letters: i64 = words[first..=last]
            .iter()
            .map(|word| word.text.chars().filter(|c| c.is_alphanumeric()).count() as i64)
            .sum();
        if letters * SAMPLE_RATE > MAX_LETTERS_PER_SECOND * time.max(1) {
            dropped[first..=last].fill(true);
        }
    }
    let mut keep = dropped.iter().map(|dropped| !dropped);
    words.retain(|_| keep.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(start: i64, end: i64) -> SampleRange {
        SampleRange::new(ms_to_samples(start), ms_to_samples(end))
    }

    fn kept(ends: &[(&str, i64)], speech: &[SampleRange]) -> Vec<String> {
        let word = |(text, end): &(&str, i64)| RawWord {
            text: (*text).into(),
            start: 0,
            end: ms_to_samples(*end),
            probability: 1.0,
            starts_segment: false,
        };
        let mut words: Vec<RawWord> = ends.iter().map(word).collect();
        drop_hallucinated(&mut words, speech);
        words.into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn words_after_the_last_speech_are_dropped() {
        let decoded = [("So", 400), ("long.", 1000), ("Thanks", 2400), ("for", 2600), ("watching!", 3000)];
        assert_eq!(kept(&decoded, &[ms(0, 1000)]), ["So", "long.", "Thanks"]);
        assert_eq!(kept(&decoded, &[]), [""; 0]);
        assert_eq!(kept(&decoded, &[ms(0, 3000)]).len(), 5);
    }

    #[test]
    fn words_faster_than_speech_are_dropped() {
        let decoded = [
            ("Down", 300),
            ("the", 500),
            ("middle.", 1000),
            ("A", 1420),
            ("stripe", 1430),
            ("down", 1440),
            ("the", 1440),
            ("middle.", 1460),
            ("Yes.", 2500),
        ];
        assert_eq!(kept(&decoded, &[ms(0, 1000), ms(1420, 2600)]), ["Down", "the", "middle.", "A", "Yes."]);
    }
}
