//! Packing a block of sound into windows: few, full, and cut where it hurts least.
//!
//! Every pass of the engine costs the same however short the window, so few windows are
//! good; a cut in a long pause costs nothing, in a short one something, in a word a lot. The
//! cheapest set of cuts is found exactly, by dynamic programming over all candidates.

use crate::listen::Frame;
use crate::sound::SAMPLE_RATE;
use crate::vad::FRAME;
use crate::window::{LONGEST_WINDOW, Spoken, WindowRules};

/// Frames in a second.
const FRAMES_A_SECOND: f32 = SAMPLE_RATE as f32 / FRAME as f32;
/// A pause from which a cut is free, frames (0.6 s).
const LONG_PAUSE: f32 = 0.6 * FRAMES_A_SECOND;
/// Cost of one pass of the engine, the unit of all costs.
const PASS: f32 = 1.0;
/// Cost of a full window's length on top of the pass.
const FULL_LENGTH: f32 = 0.5;
/// Cost of a cut in the shortest pause.
const SHORT_PAUSE_CUT: f32 = 1.0;
/// Cost of a cut that leaves next to nothing between it and another pause.
const FRAGMENT_CUT: f32 = 1.0;
/// Less speech than this between two pauses is a fragment, frames (2 s).
const SENTENCE: usize = 62;
/// A shorter pause than this divides no phrases, frames (0.3 s).
const DIVIDES: usize = 9;
/// Cost of a cut where there is no pause: more than any number of passes it could save.
const WORD_CUT: f32 = 20.0;
/// Silence left beside speech when a long pause is cut near its edges, frames (1 s).
const MARGIN: usize = 32;
/// Cost of a window in which nobody speaks.
const SILENT: f32 = 0.02;

/// A place where a block may be cut: before `frame`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    /// First frame after the cut.
    pub frame: usize,
    /// How much it hurts.
    pub cost: f32,
}

/// All places where `frames` may be cut, in order. `spoken` are its stretches of speech.
pub(crate) fn cuts(frames: &[Frame], spoken: &[Spoken], rules: &WindowRules) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut silence_from = 0;
    for (index, run) in spoken.iter().enumerate() {
        let torn = FRAGMENT_CUT * fragment(spoken, index);
        pause_cuts(frames, silence_from..run.start, torn, rules, &mut cuts);
        word_cuts(frames, run.clone(), &mut cuts);
        silence_from = run.end;
    }
    pause_cuts(frames, silence_from..frames.len(), 0.0, rules, &mut cuts);
    cuts.retain(|cut| cut.frame > 0 && cut.frame < frames.len());
    cuts.dedup_by_key(|cut| cut.frame);
    cuts
}

/// How much of a fragment a cut in the pause before `spoken[index]` leaves on its shorter side: 0
/// for the length of a sentence, towards 1 for a syllable.
///
/// How long a pause is says little by itself: who speaks slowly rests longer within a sentence than
/// others between two. But a few words between two pauses belong to what comes before or after, and
/// are misheard when they, or what they belong to, end a window.
fn fragment(spoken: &[Spoken], index: usize) -> f32 {
    let (before, after) = spoken.split_at(index);
    let flows = |pair: &&[Spoken]| pair[1].start - pair[0].end < DIVIDES;
    let first = before.windows(2).rev().take_while(flows).last().map(|pair| &pair[0]).or(before.last());
    let last = after.windows(2).take_while(flows).last().map(|pair| &pair[1]).or(after.first());
    let (Some(first), Some(last)) = (first, last) else { return 0.0 };
    let (said, next) = (before[before.len() - 1].end - first.start, last.end - after[0].start);
    1.0 - said.min(next).min(SENTENCE) as f32 / SENTENCE as f32
}

/// A pause is cut at its quietest frame around the middle, for `torn` more than its length costs; a
/// long one also near its edges and every ten seconds, so that no window has to carry silence.
fn pause_cuts(frames: &[Frame], pause: Spoken, torn: f32, rules: &WindowRules, cuts: &mut Vec<Cut>) {
    if pause.len() < rules.shortest_pause {
        return;
    }
    let length = pause.len() as f32;
    let cost = SHORT_PAUSE_CUT * (1.0 - (length / LONG_PAUSE).min(1.0)) + torn;
    if pause.len() < 3 * MARGIN {
        let quarter = pause.len() / 4;
        let frame = quietest(frames, pause.start + quarter..pause.end - quarter);
        cuts.push(Cut { frame, cost });
        return;
    }
    let step = (10.0 * FRAMES_A_SECOND) as usize;
    let (first, last) = (pause.start + MARGIN, pause.end - MARGIN);
    let mut between: Vec<usize> = (first..last).step_by(step).collect();
    between.push((pause.start + pause.end) / 2);
    between.push(last);
    between.sort_unstable();
    cuts.extend(between.into_iter().map(|frame| Cut { frame, cost: 0.0 }));
}

/// Where nobody pauses, the least bad place of every half second.
fn word_cuts(frames: &[Frame], run: Spoken, cuts: &mut Vec<Cut>) {
    let step = (0.5 * FRAMES_A_SECOND) as usize;
    for start in run.clone().step_by(step) {
        let frame = quietest(frames, start..(start + step).min(run.end));
        let loud = (frames[frame].level_db + 100.0) / 100.0;
        cuts.push(Cut { frame, cost: WORD_CUT + loud + frames[frame].speech });
    }
}

fn quietest(frames: &[Frame], among: Spoken) -> usize {
    let middle = (among.start + among.end) / 2;
    among
        .min_by(|a, b| {
            let (x, y) = (frames[*a].level_db, frames[*b].level_db);
            x.total_cmp(&y).then(a.abs_diff(middle).cmp(&b.abs_diff(middle)))
        })
        .unwrap_or(middle)
}

/// The boundaries of the windows of a block: first 0, last `frames.len()`.
pub(crate) fn pack(frames: &[Frame], spoken: &[Spoken], rules: &WindowRules) -> Vec<usize> {
    let mut nodes = vec![Cut { frame: 0, cost: 0.0 }];
    nodes.extend(cuts(frames, spoken, rules));
    nodes.push(Cut { frame: frames.len(), cost: 0.0 });
    let mut best = vec![(f32::INFINITY, 0usize); nodes.len()];
    best[0] = (0.0, 0);
    for to in 1..nodes.len() {
        for from in (0..to).rev() {
            if (nodes[to].frame - nodes[from].frame) as i64 * FRAME > LONGEST_WINDOW {
                break;
            }
            let window = window_cost(nodes[from].frame..nodes[to].frame, spoken, rules);
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

/// What it costs to hear `window`: next to nothing without speech, more the longer the speech, and
/// more than anything else when it does not fit.
fn window_cost(window: Spoken, spoken: &[Spoken], rules: &WindowRules) -> f32 {
    let from = spoken.partition_point(|run| run.end <= window.start);
    let to = spoken.partition_point(|run| run.start < window.end);
    if from >= to {
        return SILENT;
    }
    let first = spoken[from].start.max(window.start);
    let last = spoken[to - 1].end.min(window.end);
    let heard = (last - first) as i64 * FRAME;
    let full = heard as f32 / rules.longest_heard as f32;
    if full > 1.0 { f32::INFINITY } else { PASS + FULL_LENGTH * full }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of speech and pauses in turn, in hundredths of a second, as frames.
    fn talk(parts: &[(usize, usize)]) -> (Vec<Frame>, Vec<Spoken>) {
        let frames_of = |hundredths: usize| (hundredths as f32 * FRAMES_A_SECOND / 100.0) as usize;
        let (mut frames, mut spoken) = (Vec::new(), Vec::new());
        for (speech, pause) in parts {
            let start = frames.len();
            frames.resize(start + frames_of(*speech), Frame { speech: 1.0, level_db: -20.0 });
            spoken.push(start..frames.len());
            frames.resize(frames.len() + frames_of(*pause), Frame { speech: 0.0, level_db: -80.0 });
        }
        (frames, spoken)
    }

    /// Before which run of speech a talk is cut.
    fn cut_before(parts: &[(usize, usize)]) -> Vec<usize> {
        let (frames, spoken) = talk(parts);
        let bounds = pack(&frames, &spoken, &WindowRules::default());
        let inner = &bounds[1..bounds.len() - 1];
        inner.iter().map(|bound| spoken.partition_point(|run| run.end <= *bound)).collect()
    }

    #[test]
    fn a_slow_sentence_is_not_torn_at_its_rests() {
        // sentences of 6 s half a second apart, but for one with rests of a second in it
        let quick = [(600, 50), (600, 50), (600, 50)];
        let slow = [(200, 100), (100, 100), (230, 60), (240, 50)];
        assert_eq!(cut_before(&[&quick[..], &slow, &quick[..1]].concat()), [3]);
    }

    #[test]
    fn a_word_alone_in_a_long_silence_is_no_fragment() {
        let (frames, spoken) = talk(&[(600, 400), (60, 400), (600, 0)]);
        let cost = |pause: Spoken| {
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
