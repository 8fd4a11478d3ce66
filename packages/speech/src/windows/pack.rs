//! Packing a block of sound into windows: as few as possible, cut at the cheapest places.
//!
//! A pass of the engine has a fixed cost, so few windows are better; a cut in a long pause is
//! free, in a short pause it has a cost, within a word a high cost. Dynamic programming over all
//! candidate cuts finds the optimum.

use std::ops::Range;

use super::frames::Frame;
use super::rules::{LONGEST_WINDOW, WindowRules};
use super::speech_runs::SpeechRun;
use crate::engines::FRAME;
use crate::sound::SAMPLE_RATE;

/// Frames per second.
const FRAMES_PER_SECOND: f32 = SAMPLE_RATE as f32 / FRAME as f32;
/// Shortest pause in which a cut is free, frames (0.6 s).
const LONG_PAUSE: f32 = 0.6 * FRAMES_PER_SECOND;
/// Cost of one pass of the engine, the unit of all costs.
const PASS_COST: f32 = 1.0;
/// Cost of a full window's length in addition to the pass.
const FULL_LENGTH_COST: f32 = 0.5;
/// Cost of a cut in the shortest pause.
const SHORT_PAUSE_COST: f32 = 1.0;
/// Cost of a cut that leaves almost no speech between it and another pause.
const FRAGMENT_COST: f32 = 1.0;
/// Less speech than this between two pauses is a fragment, frames (2 s).
const SENTENCE_FRAMES: usize = 62;
/// Shortest pause that separates phrases, frames (0.3 s).
const PHRASE_PAUSE: usize = 9;
/// Cost of a cut without a pause: more than the passes that it could save.
const WORD_COST: f32 = 20.0;
/// Silence left beside speech when a long pause is cut near its edges, frames (1 s).
const MARGIN: usize = 32;
/// Cost of a window without speech.
const SILENT_COST: f32 = 0.02;

/// A candidate cut, before `frame`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    /// First frame after the cut.
    pub frame: usize,
    /// Its cost, in passes of the engine.
    pub cost: f32,
}

/// All candidate cuts of `frames`, in order; `speech` are its runs of speech.
pub(crate) fn cuts(frames: &[Frame], speech: &[SpeechRun], rules: &WindowRules) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut silence_from = 0;
    for (index, run) in speech.iter().enumerate() {
        let fragment_cost = FRAGMENT_COST * fragment(speech, index);
        pause_cuts(frames, silence_from..run.start, fragment_cost, rules, &mut cuts);
        word_cuts(frames, run.clone(), &mut cuts);
        silence_from = run.end;
    }
    pause_cuts(frames, silence_from..frames.len(), 0.0, rules, &mut cuts);
    cuts.retain(|cut| cut.frame > 0 && cut.frame < frames.len());
    cuts.dedup_by_key(|cut| cut.frame);
    cuts
}

/// How short the speech is that a cut in the pause before `speech[index]` leaves on its shorter
/// side: 0 for the length of a sentence, towards 1 for a syllable.
///
/// The length of a pause alone is a weak criterion: slow speakers pause longer within a sentence
/// than others between two. But a few words between two pauses belong to the speech before or after
/// them, and are recognised badly when a window ends between the two.
fn fragment(speech: &[SpeechRun], index: usize) -> f32 {
    let (before, after) = speech.split_at(index);
    let same_phrase = |pair: &&[SpeechRun]| pair[1].start - pair[0].end < PHRASE_PAUSE;
    let first = before.windows(2).rev().take_while(same_phrase).last().map(|pair| &pair[0]).or(before.last());
    let last = after.windows(2).take_while(same_phrase).last().map(|pair| &pair[1]).or(after.first());
    let (Some(first), Some(last)) = (first, last) else { return 0.0 };
    let (left, right) = (before[before.len() - 1].end - first.start, last.end - after[0].start);
    1.0 - left.min(right).min(SENTENCE_FRAMES) as f32 / SENTENCE_FRAMES as f32
}

/// Candidate cuts in a pause: its quietest frame around the middle, at the cost of its length plus
/// `fragment_cost`; in a long pause, for free, also near its edges and every ten seconds, so that
/// no window has to include long silence.
fn pause_cuts(
    frames: &[Frame],
    pause: Range<usize>,
    fragment_cost: f32,
    rules: &WindowRules,
    cuts: &mut Vec<Cut>,
) {
    if pause.len() < rules.shortest_pause {
        return;
    }
    let length = pause.len() as f32;
    let cost = SHORT_PAUSE_COST * (1.0 - (length / LONG_PAUSE).min(1.0)) + fragment_cost;
    if pause.len() < 3 * MARGIN {
        let quarter = pause.len() / 4;
        let frame = quietest(frames, pause.start + quarter..pause.end - quarter);
        cuts.push(Cut { frame, cost });
        return;
    }
    let step = (10.0 * FRAMES_PER_SECOND) as usize;
    let (first, last) = (pause.start + MARGIN, pause.end - MARGIN);
    let mut between: Vec<usize> = (first..last).step_by(step).collect();
    between.push((pause.start + pause.end) / 2);
    between.push(last);
    between.sort_unstable();
    cuts.extend(between.into_iter().map(|frame| Cut { frame, cost: 0.0 }));
}

/// Candidate cuts in a run of speech: the quietest frame of every half second.
fn word_cuts(frames: &[Frame], run: SpeechRun, cuts: &mut Vec<Cut>) {
    let step = (0.5 * FRAMES_PER_SECOND) as usize;
    for start in run.clone().step_by(step) {
        let frame = quietest(frames, start..(start + step).min(run.end));
        let loudness = (frames[frame].level_db + 100.0) / 100.0;
        cuts.push(Cut { frame, cost: WORD_COST + loudness + frames[frame].speech });
    }
}

fn quietest(frames: &[Frame], among: Range<usize>) -> usize {
    let middle = (among.start + among.end) / 2;
    among
        .min_by(|a, b| {
            let (x, y) = (frames[*a].level_db, frames[*b].level_db);
            x.total_cmp(&y).then(a.abs_diff(middle).cmp(&b.abs_diff(middle)))
        })
        .unwrap_or(middle)
}

/// The boundaries of the windows of a block: first 0, last `frames.len()`.
pub(crate) fn pack(frames: &[Frame], speech: &[SpeechRun], rules: &WindowRules) -> Vec<usize> {
    let mut nodes = vec![Cut { frame: 0, cost: 0.0 }];
    nodes.extend(cuts(frames, speech, rules));
    nodes.push(Cut { frame: frames.len(), cost: 0.0 });
    let mut best = vec![(f32::INFINITY, 0usize); nodes.len()];
    best[0] = (0.0, 0);
    for to in 1..nodes.len() {
        for from in (0..to).rev() {
            if (nodes[to].frame - nodes[from].frame) as i64 * FRAME > LONGEST_WINDOW {
                break;
            }
            let window = window_cost(nodes[from].frame..nodes[to].frame, speech, rules);
            let cost = best[from].0 + window + nodes[to].cost;
            if cost < best[to].0 {
                best[to] = (cost, from);
            }
        }
    }
    let mut bounds = vec![frames.len()];
    let mut at = nodes.len() - 1;
    while at > 0 {
        at = best[at].1;
        bounds.push(nodes[at].frame);
    }
    bounds.reverse();
    bounds.dedup();
    bounds
}

/// The cost of decoding `window`: almost none without speech, more the longer the speech, infinite
/// when it exceeds the limit.
fn window_cost(window: Range<usize>, speech: &[SpeechRun], rules: &WindowRules) -> f32 {
    let from = speech.partition_point(|run| run.end <= window.start);
    let to = speech.partition_point(|run| run.start < window.end);
    if from >= to {
        return SILENT_COST;
    }
    let first = speech[from].start.max(window.start);
    let last = speech[to - 1].end.min(window.end);
    let span = (last - first) as i64 * FRAME;
    let full = span as f32 / rules.longest_decoded as f32;
    if full > 1.0 { f32::INFINITY } else { PASS_COST + FULL_LENGTH_COST * full }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alternating speech and pauses, in hundredths of a second, as frames and runs of speech.
    fn talk(parts: &[(usize, usize)]) -> (Vec<Frame>, Vec<SpeechRun>) {
        let frames_of = |hundredths: usize| (hundredths as f32 * FRAMES_PER_SECOND / 100.0) as usize;
        let (mut frames, mut spoken) = (Vec::new(), Vec::new());
        for (speech, pause) in parts {
            let start = frames.len();
            frames.resize(start + frames_of(*speech), Frame { speech: 1.0, level_db: -20.0 });
            spoken.push(start..frames.len());
            frames.resize(frames.len() + frames_of(*pause), Frame { speech: 0.0, level_db: -80.0 });
        }
        (frames, spoken)
    }

    /// The runs of speech before which a talk is cut.
    fn cut_before(parts: &[(usize, usize)]) -> Vec<usize> {
        let (frames, spoken) = talk(parts);
        let bounds = pack(&frames, &spoken, &WindowRules::default());
        let inner = &bounds[1..bounds.len() - 1];
        inner.iter().map(|bound| spoken.partition_point(|run| run.end <= *bound)).collect()
    }

    #[test]
    fn a_slow_sentence_is_not_cut_at_its_pauses() {
        // sentences of 6 s, half a second apart, and one with pauses of a second inside
        let quick = [(600, 50), (600, 50), (600, 50)];
        let slow = [(200, 100), (100, 100), (230, 60), (240, 50)];
        assert_eq!(cut_before(&[&quick[..], &slow, &quick[..1]].concat()), [3]);
    }

    #[test]
    fn cuts_around_a_word_between_long_pauses_are_free() {
        let (frames, spoken) = talk(&[(600, 400), (60, 400), (600, 0)]);
        let cost = |pause: Range<usize>| {
            let rules = WindowRules::default();
            let within = cuts(&frames, &spoken, &rules).into_iter().filter(|cut| pause.contains(&cut.frame));
            within.map(|cut| cut.cost).fold(0.0, f32::max)
        };
        assert_eq!(cost(spoken[0].end..spoken[1].start), 0.0);
        assert_eq!(cost(spoken[1].end..spoken[2].start), 0.0);
        let (frames, spoken) = talk(&[(600, 100), (60, 100), (600, 0)]);
        let rules = WindowRules::default();
        let near = cuts(&frames, &spoken, &rules).into_iter().find(|cut| cut.frame > spoken[0].end);
        assert!(near.is_some_and(|cut| cut.cost > 0.5), "{near:?}");
    }
}
