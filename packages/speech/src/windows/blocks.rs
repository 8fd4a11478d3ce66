//! Blocks and windows: where the sound is cut, the same in every process.
//!
//! Anchors lie on the sound's clock every [`WindowRules::anchor_spacing`]. At each anchor the
//! best pause nearby is the boundary of a *block*; a block is packed into windows of at most
//! 30 s (see [`super::pack`]). Both depend only on the sound around them, not on the segments of
//! the picture. So the windows are the same for any number of segments, and each belongs to the
//! segment in which it starts.

use serde::{Deserialize, Serialize};

use super::frames::FrameCache;
use super::pack;
use super::rules::WindowRules;
use super::speech_runs::speech_runs;
use crate::engines::FRAME;
use crate::error::Result;
use crate::sound::SampleRange;

/// A range of the sound that one pass of the engine decodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Its range; windows partition the sound.
    pub range: SampleRange,
    /// The runs of speech inside, in order; may be empty.
    pub speech: Vec<SampleRange>,
}

impl Window {
    /// The range from the first to the last speech, with `margin` samples around it; `None` without
    /// speech.
    pub fn speech_span(&self, margin: i64) -> Option<SampleRange> {
        let (first, last) = (self.speech.first()?, self.speech.last()?);
        Some(SampleRange::new(first.start - margin, last.end + margin).intersect(self.range))
    }
}

/// The windows that start in `range`, in order.
///
/// For any partition of the sound into ranges, the windows of all ranges together are those
/// of the whole sound.
pub fn windows_starting_in(
    frames: &FrameCache,
    rules: &WindowRules,
    range: SampleRange,
) -> Result<Vec<Window>> {
    let mut blocks = Blocks::new(frames, rules, range)?;
    let mut windows = Vec::new();
    while let Some(block) = blocks.next_block()? {
        windows.extend(block);
    }
    Ok(windows)
}

/// The same windows block by block, so that decoding can begin before the whole range is analysed.
pub(crate) struct Blocks<'a> {
    frames: &'a FrameCache,
    rules: &'a WindowRules,
    range: SampleRange,
    /// Start of the next block, and the index of its anchor.
    next: Option<(i64, i64)>,
}

impl<'a> Blocks<'a> {
    /// The blocks that contain windows starting in `range`.
    pub fn new(frames: &'a FrameCache, rules: &'a WindowRules, range: SampleRange) -> Result<Blocks<'a>> {
        rules.check()?;
        let range = range.intersect(SampleRange::new(0, frames.source().len()));
        let first = ((range.start - rules.anchor_reach) / rules.anchor_spacing).max(0);
        let next = match range.is_empty() {
            true => None,
            false => Some((boundary(frames, rules, first)?, first)),
        };
        Ok(Blocks { frames, rules, range, next })
    }

    /// The windows of the next block that start in the range, possibly none; `None` after the last block.
    pub fn next_block(&mut self) -> Result<Option<Vec<Window>>> {
        let Some((start, anchor)) = self.next.filter(|(start, _)| *start < self.range.end) else {
            return Ok(None);
        };
        let end = boundary(self.frames, self.rules, anchor + 1)?;
        self.next = (end < self.frames.source().len()).then_some((end, anchor + 1));
        if end <= self.range.start {
            return Ok(Some(Vec::new()));
        }
        let mut block = windows_of_block(self.frames, self.rules, SampleRange::new(start, end))?;
        block.retain(|window| self.range.contains(window.range.start));
        Ok(Some(block))
    }
}

/// Where the block of anchor `index` begins: the best pause near the anchor.
///
/// A pure function of the sound around the anchor. The first boundary is the start of the sound;
/// an anchor less than `anchor_reach` from the end gives the end of the sound.
fn boundary(cache: &FrameCache, rules: &WindowRules, index: i64) -> Result<i64> {
    let length = cache.source().len();
    let anchor = index * rules.anchor_spacing;
    if index == 0 {
        return Ok(0);
    }
    if anchor + rules.anchor_reach >= length {
        return Ok(length);
    }
    let from = (anchor - rules.anchor_reach) / FRAME;
    let to = (anchor + rules.anchor_reach) / FRAME;
    let frames = cache.frames(from, to)?;
    let speech = speech_runs(&frames, rules);
    let middle = ((to - from) / 2) as usize;
    let best = pack::cuts(&frames, &speech, rules)
        .into_iter()
        .min_by(|a, b| cost_at(a, middle).total_cmp(&cost_at(b, middle)))
        .map_or(middle, |cut| cut.frame);
    Ok((from + best as i64) * FRAME)
}

/// The cost of a cut, plus up to 0.2 for its distance from the anchor.
fn cost_at(cut: &pack::Cut, middle: usize) -> f32 {
    cut.cost + 0.2 * cut.frame.abs_diff(middle) as f32 / middle.max(1) as f32
}

fn windows_of_block(cache: &FrameCache, rules: &WindowRules, block: SampleRange) -> Result<Vec<Window>> {
    let first = block.start / FRAME;
    let frames = cache.frames(first, (block.end + FRAME - 1) / FRAME)?;
    let runs = speech_runs(&frames, rules);
    let bounds = pack::pack(&frames, &runs, rules);
    let sample = |frame: usize| ((first + frame as i64) * FRAME).min(block.end);
    let windows = bounds.windows(2).map(|pair| {
        let range = SampleRange::new(sample(pair[0]), sample(pair[1]));
        let speech = runs
            .iter()
            .map(|run| SampleRange::new(sample(run.start), sample(run.end)).intersect(range))
            .filter(|s| !s.is_empty())
            .collect();
        Window { range, speech }
    });
    Ok(windows.collect())
}
