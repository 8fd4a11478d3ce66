//! Speech windows: where the sound may be cut, found by listening, the same by everyone.
//!
//! Anchors lie on the sound's clock every [`WindowRules::anchor_every`]. At each anchor the
//! best pause nearby is the boundary of a *block*; a block is packed into windows of at most
//! 30 s (see [`crate::pack`]). Both depend on the sound around them alone, never on how the
//! picture was split, so that a window is the same window for any number of segments, and
//! belongs to the segment in which it starts.

use serde::{Deserialize, Serialize};

use crate::error::{Result, SpeechError};
use crate::listen::{Frame, Listener};
use crate::pack;
use crate::sound::{SAMPLE_RATE, SampleRange};
use crate::vad::FRAME;

/// What a whisper window can hold: 30 s.
pub const LONGEST_WINDOW: i64 = 30 * SAMPLE_RATE;

/// A piece of the sound that one pass of the engine hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// What it owns: windows partition the sound.
    pub owns: SampleRange,
    /// Where somebody speaks inside, in order; empty when nobody does.
    pub speech: Vec<SampleRange>,
}

impl Window {
    /// From the first to the last spoken sample with a little room; `None` without speech.
    pub fn heard(&self, room: i64) -> Option<SampleRange> {
        let (first, last) = (self.speech.first()?, self.speech.last()?);
        Some(SampleRange::new(first.start - room, last.end + room).intersect(self.owns))
    }
}

/// The numbers behind the cuts. Part of the plan: every worker must use the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowRules {
    /// Distance of anchors, samples.
    pub anchor_every: i64,
    /// How far from its anchor a block boundary may lie, samples.
    pub anchor_reach: i64,
    /// Longest stretch given to the engine, samples; at most [`LONGEST_WINDOW`].
    pub longest_heard: i64,
    /// Probability from which a frame counts as speech.
    pub speech_from: f32,
    /// Probability below which speech ends.
    pub speech_until: f32,
    /// Shorter bursts than this many frames are no speech.
    pub shortest_speech: usize,
    /// Shorter gaps than this many frames are no pause.
    pub shortest_pause: usize,
}

impl Default for WindowRules {
    fn default() -> Self {
        WindowRules {
            anchor_every: 108 * SAMPLE_RATE,
            anchor_reach: 4 * SAMPLE_RATE,
            // fuller windows cost words: of three talks of 10 minutes 3.3% were wrong with 25 s, 3.4%
            // with 29 s (base.en, greedy; 3.1% with 25 s, the search that is the default now, and no
            // sentence torn)
            longest_heard: 25 * SAMPLE_RATE,
            speech_from: 0.5,
            speech_until: 0.35,
            shortest_speech: 3,
            shortest_pause: 3,
        }
    }
}

impl WindowRules {
    /// Refuses rules by which blocks could cross or windows outgrow the engine.
    pub fn check(&self) -> Result<()> {
        let ok = self.anchor_reach > 0
            && self.anchor_every >= 4 * self.anchor_reach
            && self.longest_heard >= 4 * SAMPLE_RATE
            && self.longest_heard <= LONGEST_WINDOW
            && self.speech_until <= self.speech_from
            && self.shortest_pause > 0;
        match ok {
            true => Ok(()),
            false => Err(SpeechError::usage(format!(
                "window rules contradict each other, use the defaults: {self:?}"
            ))),
        }
    }
}

/// The windows that start in `range`, in order.
///
/// For any partition of the sound into ranges, the windows of all ranges together are those
/// of the whole sound.
pub fn windows_starting_in(
    listener: &Listener,
    rules: &WindowRules,
    range: SampleRange,
) -> Result<Vec<Window>> {
    let mut blocks = Blocks::new(listener, rules, range)?;
    let mut windows = Vec::new();
    while let Some(block) = blocks.next_block()? {
        windows.extend(block);
    }
    Ok(windows)
}

/// The same windows block by block, so that hearing can begin before all is listened to.
pub(crate) struct Blocks<'a> {
    listener: &'a Listener,
    rules: &'a WindowRules,
    range: SampleRange,
    /// Where the next block begins, and whose anchor's it is.
    next: Option<(i64, i64)>,
}

impl<'a> Blocks<'a> {
    /// The blocks that hold windows starting in `range`.
    pub fn new(listener: &'a Listener, rules: &'a WindowRules, range: SampleRange) -> Result<Blocks<'a>> {
        rules.check()?;
        let range = range.intersect(SampleRange::new(0, listener.source().len()));
        let first = ((range.start - rules.anchor_reach) / rules.anchor_every).max(0);
        let next = match range.is_empty() {
            true => None,
            false => Some((boundary(listener, rules, first)?, first)),
        };
        Ok(Blocks { listener, rules, range, next })
    }

    /// The windows of the next block that start in the range; perhaps none. `None` after the last.
    pub fn next_block(&mut self) -> Result<Option<Vec<Window>>> {
        let Some((start, anchor)) = self.next.filter(|(start, _)| *start < self.range.end) else {
            return Ok(None);
        };
        let end = boundary(self.listener, self.rules, anchor + 1)?;
        self.next = (end < self.listener.source().len()).then_some((end, anchor + 1));
        if end <= self.range.start {
            return Ok(Some(Vec::new()));
        }
        let mut block = windows_of_block(self.listener, self.rules, SampleRange::new(start, end))?;
        block.retain(|window| self.range.contains(window.owns.start));
        Ok(Some(block))
    }
}

/// Where the block of anchor `index` begins: the best pause near the anchor.
///
/// A pure function of the sound around the anchor. The first lies at the sound's start, and
/// every anchor that is less than a reach from the end lies at the end.
fn boundary(listener: &Listener, rules: &WindowRules, index: i64) -> Result<i64> {
    let length = listener.source().len();
    let anchor = index * rules.anchor_every;
    if index == 0 {
        return Ok(0);
    }
    if anchor + rules.anchor_reach >= length {
        return Ok(length);
    }
    let from = (anchor - rules.anchor_reach) / FRAME;
    let to = (anchor + rules.anchor_reach) / FRAME;
    let frames = listener.frames(from, to)?;
    let spoken = speech_frames(&frames, rules);
    let middle = ((to - from) / 2) as usize;
    let best = pack::cuts(&frames, &spoken, rules)
        .into_iter()
        .min_by(|a, b| nearby(a, middle).total_cmp(&nearby(b, middle)))
        .map_or(middle, |cut| cut.frame);
    Ok((from + best as i64) * FRAME)
}

/// A cut's cost, a little more the further it lies from the anchor.
fn nearby(cut: &pack::Cut, middle: usize) -> f32 {
    cut.cost + 0.2 * cut.frame.abs_diff(middle) as f32 / middle.max(1) as f32
}

fn windows_of_block(listener: &Listener, rules: &WindowRules, block: SampleRange) -> Result<Vec<Window>> {
    let first = block.start / FRAME;
    let frames = listener.frames(first, (block.end + FRAME - 1) / FRAME)?;
    let spoken = speech_frames(&frames, rules);
    let bounds = pack::pack(&frames, &spoken, rules);
    let sample = |frame: usize| ((first + frame as i64) * FRAME).min(block.end);
    let windows = bounds.windows(2).map(|pair| {
        let owns = SampleRange::new(sample(pair[0]), sample(pair[1]));
        let speech = spoken
            .iter()
            .map(|s| SampleRange::new(sample(s.start), sample(s.end)).intersect(owns))
            .filter(|s| !s.is_empty())
            .collect();
        Window { owns, speech }
    });
    Ok(windows.collect())
}

/// A run of spoken frames, half-open, counted from the first frame looked at.
pub(crate) type Spoken = std::ops::Range<usize>;

/// Where somebody speaks: begins at `speech_from`, ends below `speech_until`; gaps shorter
/// than a pause are filled, then bursts shorter than a syllable are dropped.
pub(crate) fn speech_frames(frames: &[Frame], rules: &WindowRules) -> Vec<Spoken> {
    let mut runs: Vec<Spoken> = Vec::new();
    let mut open = None;
    for (i, frame) in frames.iter().enumerate() {
        match open {
            None if frame.speech >= rules.speech_from => open = Some(i),
            Some(start) if frame.speech < rules.speech_until => {
                join(&mut runs, start..i, rules.shortest_pause);
                open = None;
            }
            _ => {}
        }
    }
    if let Some(start) = open {
        join(&mut runs, start..frames.len(), rules.shortest_pause);
    }
    runs.retain(|run| run.len() >= rules.shortest_speech);
    runs
}

fn join(runs: &mut Vec<Spoken>, run: Spoken, shortest_pause: usize) {
    match runs.last_mut() {
        Some(last) if run.start - last.end < shortest_pause => last.end = run.end,
        _ => runs.push(run),
    }
}
