//! Word times: the engine's estimates, corrected by voice activity and loudness.
//!
//! The decoder's attention locates the end of a word fairly well, but spreads words over the
//! pauses between them. Voice activity locates the pauses. So each pause is assigned to the
//! nearest word boundary: the word before it ends where the pause begins, and the word after
//! it begins where the loudness rises at the end of the pause.

use std::ops::Range;

use super::words::RawWord;
use crate::sound::{SampleRange, level_db, ms_to_samples};

/// Greatest distance between a pause and its word boundary.
const REACH_MS: i64 = 250;
/// Advantage in distance of a boundary after punctuation.
const PUNCTUATION_BONUS_MS: i64 = 400;
/// Greatest time by which a word may begin before voice activity (breath, soft consonants).
const MAX_ONSET_MS: i64 = 700;
/// Level above the noise floor of a pause at which a word begins, decibels.
const ONSET_DB: f32 = 12.0;
/// Lowest level at which a word begins, dBFS.
const SILENCE_DB: f32 = -72.0;
/// Loudness is measured in steps of 10 ms.
const STEP: usize = 160;
/// Consecutive quiet steps that still belong to the pause.
const QUIET_STEPS: usize = 3;

/// Corrects the times of `words`, in samples from the start of `samples`; `speech` are its runs
/// of speech. Words keep their order and do not overlap.
pub(crate) fn align_words(words: &mut [RawWord], samples: &[f32], speech: &[SampleRange]) {
    let (Some(first), Some(last)) = (speech.first(), speech.last()) else { return };
    make_contiguous(words, first.start, last.end);
    let lead_in = SampleRange::new(0, first.start);
    let mut current = (0, onset(samples, lead_in));
    for (index, pause) in boundaries(words, speech) {
        fit_into(&mut words[current.0..index], SampleRange::new(current.1, pause.start));
        current = (index, onset(samples, pause));
    }
    fit_into(&mut words[current.0..], SampleRange::new(current.1, last.end));
}

/// Assigns pauses to the words that begin after them, longest pause first; assignments do not cross.
fn boundaries(words: &[RawWord], speech: &[SampleRange]) -> Vec<(usize, SampleRange)> {
    let mut pauses: Vec<SampleRange> =
        speech.windows(2).map(|pair| SampleRange::new(pair[0].end, pair[1].start)).collect();
    pauses.sort_by_key(|pause| (-pause.len(), pause.start));
    let mut chosen: Vec<(usize, SampleRange)> = Vec::new();
    for pause in pauses {
        let at = chosen.partition_point(|(_, other)| other.start < pause.start);
        let low = if at == 0 { 1 } else { chosen[at - 1].0 + 1 };
        let high = chosen.get(at).map_or(words.len(), |(index, _)| *index);
        if let Some(index) = nearest(words, low..high, pause) {
            chosen.insert(at, (index, pause));
        }
    }
    chosen
}

/// Makes each word begin where the previous one ends, all within `[start, end]`.
fn make_contiguous(words: &mut [RawWord], start: i64, end: i64) {
    let mut at = start;
    for word in words {
        word.start = at;
        word.end = word.end.clamp(at, end.max(at));
        at = word.end;
    }
}

/// The word among `candidates` before which the boundary nearest to `pause` lies.
fn nearest(words: &[RawWord], candidates: Range<usize>, pause: SampleRange) -> Option<usize> {
    let distance = |index: &usize| {
        let before = &words[*index - 1];
        let gap = (pause.start - before.end).max(before.end - pause.end).max(0);
        let punctuated = before.text.ends_with(|c: char| c.is_ascii_punctuation());
        gap - if punctuated { ms_to_samples(PUNCTUATION_BONUS_MS) } else { 0 }
    };
    candidates.min_by_key(distance).filter(|index| distance(index) <= ms_to_samples(REACH_MS))
}

/// Fits words into `range`: the first begins at its start, the last ends at its end, and the
/// times between are kept as far as they lie inside.
fn fit_into(words: &mut [RawWord], range: SampleRange) {
    let Some(count) = words.len().checked_sub(1) else { return };
    let mut at = range.start;
    for (index, word) in words.iter_mut().enumerate() {
        let left = (count - index) as i64;
        let share = (range.end - at) / (left + 1);
        word.start = at;
        let room = (range.end - left * share.min(ms_to_samples(60))).max(at);
        word.end = if left == 0 { range.end.max(at) } else { word.end.clamp(at, room) };
        at = word.end;
    }
}

/// Where the loudness last rises above the noise floor of `pause`; its end if it does not.
fn onset(samples: &[f32], pause: SampleRange) -> i64 {
    let start = pause.start.max(0) as usize;
    let end = (pause.end.max(0) as usize).min(samples.len());
    if end < start + 2 * STEP {
        return pause.end;
    }
    let steps = (end - start) / STEP;
    let begin = end - steps * STEP;
    let levels: Vec<f32> = samples[begin..end].chunks_exact(STEP).map(level_db).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let floor = sorted[steps / 10];
    let threshold = (floor + ONSET_DB).max(SILENCE_DB);
    let earliest = steps.saturating_sub(ms_to_samples(MAX_ONSET_MS) as usize / STEP);
    let quiet = |at: usize| levels[at..(at + QUIET_STEPS).min(steps)].iter().all(|level| *level < threshold);
    let found = (earliest..steps).rev().find(|at| quiet(*at));
    let found = found.map_or(earliest, |at| (at + QUIET_STEPS).min(steps));
    (begin + found * STEP) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> i64 {
        ms_to_samples(ms)
    }

    fn word(text: &str, end_ms: i64) -> RawWord {
        RawWord {
            text: format!(" {text}"),
            start: 0,
            end: ms(end_ms),
            probability: 1.0,
            starts_segment: false,
        }
    }

    fn range(start_ms: i64, end_ms: i64) -> SampleRange {
        SampleRange::new(ms(start_ms), ms(end_ms))
    }

    /// Loud in the ranges `loud`, quiet noise elsewhere.
    fn samples(length_ms: i64, loud: &[SampleRange]) -> Vec<f32> {
        let level = |at: i64| if loud.iter().any(|r| r.contains(at)) { 0.3 } else { 0.001 };
        (0..ms(length_ms)).map(|at| if at % 2 == 0 { level(at) } else { -level(at) }).collect()
    }

    fn times(words: &[RawWord]) -> Vec<(i64, i64)> {
        words.iter().map(|w| (w.start * 1000 / 16_000, w.end * 1000 / 16_000)).collect()
    }

    #[test]
    fn a_pause_is_assigned_to_the_nearest_boundary_and_the_onset_is_found() {
        // voice activity is 100 ms late; the engine spreads "one." over the pause
        let loud = [range(500, 1000), range(2000, 3000)];
        let speech = [range(600, 1050), range(2100, 3050)];
        let mut words = [word("one.", 1900), word("two", 2500), word("three", 3200)];
        align_words(&mut words, &samples(3500, &loud), &speech);
        assert_eq!(times(&words), [(500, 1050), (2000, 2500), (2500, 3050)]);
    }

    #[test]
    fn a_pause_inside_a_word_changes_no_times() {
        let speech = [range(0, 1000), range(1100, 3000)];
        let mut words = [word("so", 300), word("unbelievable", 1900), word("end", 3000)];
        align_words(&mut words, &samples(3000, &speech), &speech);
        assert_eq!(times(&words), [(0, 300), (300, 1900), (1900, 3000)]);
    }

    #[test]
    fn words_before_a_pause_end_before_it() {
        let speech = [range(0, 1000), range(2000, 3000)];
        let mut words = [word("one", 500), word("two", 1050), word("three.", 1900), word("four", 3000)];
        align_words(&mut words, &samples(3000, &speech), &speech);
        assert_eq!(times(&words), [(0, 500), (500, 940), (940, 1000), (2000, 3000)]);
    }

    #[test]
    fn words_do_not_overlap_for_any_engine_times() {
        let speech = [range(100, 500), range(1500, 1600), range(2500, 2600)];
        let mut words: Vec<RawWord> =
            [5000, 0, 400, 3000, 1550, 2550, 9].iter().map(|end| word("word,", *end)).collect();
        align_words(&mut words, &samples(3000, &speech), &speech);
        let mut last = 0;
        for word in &words {
            assert!(last <= word.start && word.start <= word.end && word.end <= ms(3000), "{words:?}");
            last = word.end;
        }
    }
}
