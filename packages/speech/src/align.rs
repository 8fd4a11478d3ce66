//! Word times: the engine's guess, put right by what can be heard.
//!
//! The decoder's attention says fairly well where a word ends, but spreads words over the
//! pauses between them. Voice activity knows the pauses. So each pause is given to the word
//! boundary nearest to it, the word before ends where the pause begins, and the word after
//! begins where the sound rises out of the pause.

use std::ops::Range;

use crate::listen::level_db;
use crate::sound::{SampleRange, ms_to_samples};
use crate::words::RawWord;

/// A word boundary further than this from a pause is not that pause's.
const REACH_MS: i64 = 250;
/// A boundary after punctuation may lie this much further off and still win.
const PUNCTUATION_MS: i64 = 400;
/// How long before voice activity a word may begin (breath, soft consonants).
const EARLIEST_MS: i64 = 700;
/// What counts as rising out of a pause, decibels above its own floor.
const RISE_DB: f32 = 12.0;
/// Below this nothing is heard, decibels below full scale.
const SILENCE_DB: f32 = -72.0;
/// Loudness is looked at in steps of 10 ms.
const STEP: usize = 160;
/// So many quiet steps together are still the pause.
const QUIET: usize = 3;

/// Settles the times of `words`, all in samples from the first of `samples`; `spoken` are
/// the stretches of speech there. Words keep their order and do not overlap.
pub(crate) fn snap(words: &mut [RawWord], samples: &[f32], spoken: &[SampleRange]) {
    let (Some(first), Some(last)) = (spoken.first(), spoken.last()) else { return };
    chain(words, first.start, last.end);
    let lead = SampleRange::new(0, first.start);
    let mut begun = (0, rise(samples, lead));
    for (index, pause) in boundaries(words, spoken) {
        squeeze(&mut words[begun.0..index], SampleRange::new(begun.1, pause.start));
        begun = (index, rise(samples, pause));
    }
    squeeze(&mut words[begun.0..], SampleRange::new(begun.1, last.end));
}

/// Which word begins after which pause: the longest pause chooses first, none crosses another.
fn boundaries(words: &[RawWord], spoken: &[SampleRange]) -> Vec<(usize, SampleRange)> {
    let mut pauses: Vec<SampleRange> =
        spoken.windows(2).map(|pair| SampleRange::new(pair[0].end, pair[1].start)).collect();
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

/// Each word begins where the one before ends, all within `[start, end]`.
fn chain(words: &mut [RawWord], start: i64, end: i64) {
    let mut at = start;
    for word in words {
        word.start = at;
        word.end = word.end.clamp(at, end.max(at));
        at = word.end;
    }
}

/// The word among `choice` before which the boundary nearest to `pause` lies.
fn nearest(words: &[RawWord], choice: Range<usize>, pause: SampleRange) -> Option<usize> {
    let distance = |index: &usize| {
        let before = &words[*index - 1];
        let off = (pause.start - before.end).max(before.end - pause.end).max(0);
        let punctuated = before.text.ends_with(|c: char| c.is_ascii_punctuation());
        off - if punctuated { ms_to_samples(PUNCTUATION_MS) } else { 0 }
    };
    choice.min_by_key(distance).filter(|index| distance(index) <= ms_to_samples(REACH_MS))
}

/// Fits a run of words into `range`: the first begins there, the last ends there, and those
/// between keep their place as far as they lie inside.
fn squeeze(words: &mut [RawWord], range: SampleRange) {
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

/// Where the sound last rises above the floor of `pause`; its end when it does not.
fn rise(samples: &[f32], pause: SampleRange) -> i64 {
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
    let loud = (floor + RISE_DB).max(SILENCE_DB);
    let earliest = steps.saturating_sub(ms_to_samples(EARLIEST_MS) as usize / STEP);
    let quiet = |at: usize| levels[at..(at + QUIET).min(steps)].iter().all(|l| *l < loud);
    let found = (earliest..steps).rev().find(|at| quiet(*at));
    let found = found.map_or(earliest, |at| (at + QUIET).min(steps));
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
            begins_stretch: false,
        }
    }

    fn range(start_ms: i64, end_ms: i64) -> SampleRange {
        SampleRange::new(ms(start_ms), ms(end_ms))
    }

    /// Loud where somebody speaks, quiet noise elsewhere.
    fn sound(length_ms: i64, loud: &[SampleRange]) -> Vec<f32> {
        let level = |at: i64| if loud.iter().any(|r| r.contains(at)) { 0.3 } else { 0.001 };
        (0..ms(length_ms)).map(|at| if at % 2 == 0 { level(at) } else { -level(at) }).collect()
    }

    fn times(words: &[RawWord]) -> Vec<(i64, i64)> {
        words.iter().map(|w| (w.start * 1000 / 16_000, w.end * 1000 / 16_000)).collect()
    }

    #[test]
    fn a_pause_goes_to_the_nearest_boundary_and_the_onset_is_found() {
        // voice activity comes 100 ms late; the engine spreads "one." over the pause
        let loud = [range(500, 1000), range(2000, 3000)];
        let spoken = [range(600, 1050), range(2100, 3050)];
        let mut words = [word("one.", 1900), word("two", 2500), word("three", 3200)];
        snap(&mut words, &sound(3500, &loud), &spoken);
        assert_eq!(times(&words), [(500, 1050), (2000, 2500), (2500, 3050)]);
    }

    #[test]
    fn a_pause_inside_a_word_moves_nothing() {
        let spoken = [range(0, 1000), range(1100, 3000)];
        let mut words = [word("so", 300), word("unbelievable", 1900), word("end", 3000)];
        snap(&mut words, &sound(3000, &spoken), &spoken);
        assert_eq!(times(&words), [(0, 300), (300, 1900), (1900, 3000)]);
    }

    #[test]
    fn words_before_a_pause_end_before_it() {
        let spoken = [range(0, 1000), range(2000, 3000)];
        let mut words = [word("one", 500), word("two", 1050), word("three.", 1900), word("four", 3000)];
        snap(&mut words, &sound(3000, &spoken), &spoken);
        assert_eq!(times(&words), [(0, 500), (500, 940), (940, 1000), (2000, 3000)]);
    }

    #[test]
    fn words_never_overlap_however_wrong_the_engine_is() {
        let spoken = [range(100, 500), range(1500, 1600), range(2500, 2600)];
        let mut words: Vec<RawWord> =
            [5000, 0, 400, 3000, 1550, 2550, 9].iter().map(|end| word("word,", *end)).collect();
        snap(&mut words, &sound(3000, &spoken), &spoken);
        let mut last = 0;
        for word in &words {
            assert!(last <= word.start && word.start <= word.end && word.end <= ms(3000), "{words:?}");
            last = word.end;
        }
    }
}
