//! Words that nobody said.
//!
//! Whisper fills silence with phrases it has read often, and sometimes says a sentence twice.
//! Phrase lists fail by language; the clock does not: words that lie where nobody speaks, or
//! that follow each other faster than anybody can speak, were not spoken.

use crate::sound::{SAMPLE_RATE, SampleRange, ms_to_samples};
use crate::words::RawWord;

/// Voice activity may end this early; what lies further out was not spoken.
const SLACK_MS: i64 = 240;
/// Faster than this nobody speaks, letters a second.
const FASTEST: i64 = 45;
/// So many words must be too fast together: the times of single words are not exact.
const TOGETHER: usize = 4;

/// Removes from `words` what was not spoken; times are the engine's, in the samples of the
/// window like `spoken`.
pub(crate) fn drop_invented(words: &mut Vec<RawWord>, spoken: &[SampleRange]) {
    let Some(begin) = spoken.first().map(|s| s.start) else { return words.clear() };
    let slack = ms_to_samples(SLACK_MS);
    let heard: Vec<SampleRange> =
        spoken.iter().map(|s| SampleRange::new(s.start - slack, s.end + slack)).collect();
    let start_of = |index: usize| if index == 0 { begin } else { words[index - 1].end };
    let mut invented: Vec<bool> = (0..words.len())
        .map(|index| {
            let range = SampleRange::new(start_of(index), words[index].end.max(start_of(index) + 1));
            heard.iter().all(|s| s.intersect(range).is_empty())
        })
        .collect();
    for first in 0..(words.len() + 1).saturating_sub(TOGETHER) {
        let last = first + TOGETHER - 1;
        let range = SampleRange::new(start_of(first), words[last].end);
        let time: i64 = heard.iter().map(|s| s.intersect(range).len()).sum();
        let letters: i64 = words[first..=last]
            .iter()
            .map(|word| word.text.chars().filter(|c| c.is_alphanumeric()).count() as i64)
            .sum();
        if letters * SAMPLE_RATE > FASTEST * time.max(1) {
            invented[first..=last].fill(true);
        }
    }
    let mut keep = invented.iter().map(|invented| !invented);
    words.retain(|_| keep.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(start: i64, end: i64) -> SampleRange {
        SampleRange::new(ms_to_samples(start), ms_to_samples(end))
    }

    fn kept(ends: &[(&str, i64)], spoken: &[SampleRange]) -> Vec<String> {
        let word = |(text, end): &(&str, i64)| RawWord {
            text: (*text).into(),
            start: 0,
            end: ms_to_samples(*end),
            probability: 1.0,
            begins_stretch: false,
        };
        let mut words: Vec<RawWord> = ends.iter().map(word).collect();
        drop_invented(&mut words, spoken);
        words.into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn words_after_the_last_speech_are_dropped() {
        let heard = [("So", 400), ("long.", 1000), ("Thanks", 2400), ("for", 2600), ("watching!", 3000)];
        assert_eq!(kept(&heard, &[ms(0, 1000)]), ["So", "long.", "Thanks"]);
        assert_eq!(kept(&heard, &[]), [""; 0]);
        assert_eq!(kept(&heard, &[ms(0, 3000)]).len(), 5);
    }

    #[test]
    fn nobody_says_a_sentence_in_a_tenth_of_a_second() {
        let heard = [
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
        assert_eq!(kept(&heard, &[ms(0, 1000), ms(1420, 2600)]), ["Down", "the", "middle.", "A", "Yes."]);
    }
}
