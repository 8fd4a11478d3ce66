//! Transcription task: decodes the windows that start in a range, concurrently.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use segue_domain::transcript::{Utterance, Word};
use tokio_util::sync::CancellationToken;

use super::decode_window::{WindowText, decode_window};
use super::part::{PART_VERSION, SpeechPart};
use crate::engines::{DecodeOptions, SpeechEngine, VoiceActivity};
use crate::error::{Result, SpeechError};
use crate::sound::{SampleRange, SoundSource};
use crate::windows::{Blocks, FrameCache, Window, WindowRules};

/// Progress of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Samples of the range whose windows are decoded.
    pub done: i64,
    /// Samples of the range.
    pub total: i64,
}

/// Engine, voice activity detector and options of a transcription.
#[derive(Clone)]
pub struct Transcriber {
    engine: Arc<dyn SpeechEngine>,
    vad: Arc<dyn VoiceActivity>,
    rules: WindowRules,
    options: DecodeOptions,
}

impl Transcriber {
    /// Returns a `Usage` error for rules or options that are invalid or that the engine does not support.
    pub fn new(
        engine: Arc<dyn SpeechEngine>,
        vad: Arc<dyn VoiceActivity>,
        rules: WindowRules,
        options: DecodeOptions,
    ) -> Result<Transcriber> {
        rules.check()?;
        engine.check(&options)?;
        Ok(Transcriber { engine, vad, rules, options })
    }

    /// The frames of `source`; reuse them for several ranges of one sound.
    pub fn frames(&self, source: Arc<dyn SoundSource>) -> FrameCache {
        FrameCache::new(source, Arc::clone(&self.vad))
    }

    /// Transcribes the windows that start in `range`, `workers` of them at a time.
    ///
    /// `offset_ms` is the source's time of the sound's first sample. The result depends on
    /// the sound, the range and the options only.
    pub fn transcribe(
        &self,
        frames: &FrameCache,
        range: SampleRange,
        workers: usize,
        offset_ms: i64,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &CancellationToken,
    ) -> Result<SpeechPart> {
        let queue = Mutex::new(WindowQueue {
            blocks: Blocks::new(frames, &self.rules, range)?,
            ready: VecDeque::new(),
            next_index: 0,
        });
        let texts: Mutex<BTreeMap<usize, WindowText>> = Mutex::default();
        let done = Mutex::new(0);
        let decode_next = || -> Result<bool> {
            let next = lock(&queue).next()?;
            let Some((index, window)) = next else { return Ok(false) };
            let text = decode_window(self.engine.as_ref(), &self.options, frames, &window, cancel)?;
            lock(&texts).insert(index, text);
            let mut done = lock(&done);
            *done += window.range.intersect(range).len();
            progress(Progress { done: *done, total: range.len() });
            Ok(true)
        };
        let failed = AtomicBool::new(false);
        let work = || -> Result<()> {
            while !failed.load(Ordering::Relaxed) {
                if cancel.is_cancelled() {
                    return Err(SpeechError::cancelled());
                }
                if !decode_next().inspect_err(|_| failed.store(true, Ordering::Relaxed))? {
                    break;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Result<()> {
            // if a thread cannot be started, the others decode its windows
            let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..workers.max(1)).filter_map(start).collect();
            others.into_iter().fold(work(), |result, other| {
                let other = other.join();
                result.and(
                    other.unwrap_or_else(|_| Err(SpeechError::internal("a transcription thread panicked"))),
                )
            })
        })?;
        let texts = texts.into_inner().unwrap_or_else(|e| e.into_inner());
        Ok(assemble(range, offset_ms, texts.into_values()))
    }
}

/// Hands out windows in order; computes the next block when none is ready.
struct WindowQueue<'a> {
    blocks: Blocks<'a>,
    ready: VecDeque<Window>,
    next_index: usize,
}

impl WindowQueue<'_> {
    fn next(&mut self) -> Result<Option<(usize, Window)>> {
        while self.ready.is_empty() {
            let Some(block) = self.blocks.next_block()? else { return Ok(None) };
            self.ready.extend(block);
        }
        self.next_index += 1;
        Ok(self.ready.pop_front().map(|window| (self.next_index, window)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn assemble(range: SampleRange, offset_ms: i64, texts: impl Iterator<Item = WindowText>) -> SpeechPart {
    let mut part = SpeechPart { version: PART_VERSION, range, language: None, utterances: Vec::new() };
    for text in texts {
        if !text.utterances.is_empty() && part.language.is_none() {
            part.language = text.language;
        }
        part.utterances.extend(text.utterances.into_iter().map(|u| shifted(u, offset_ms)));
    }
    part
}

fn shifted(mut utterance: Utterance, by_ms: i64) -> Utterance {
    let words = std::mem::take(&mut utterance.words);
    let shift = |w: Word| Word { start_ms: w.start_ms + by_ms, end_ms: w.end_ms + by_ms, ..w };
    Utterance {
        start_ms: utterance.start_ms + by_ms,
        end_ms: utterance.end_ms + by_ms,
        words: words.into_iter().map(shift).collect(),
        ..utterance
    }
}
