//! The map task: the windows that start in a range, heard one by one, as utterances.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use segue_domain::transcript::{Utterance, Word};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::engine::{DecodeOptions, SpeechEngine};
use crate::error::{Result, SpeechError};
use crate::hear::{WindowText, hear_window};
use crate::listen::Listener;
use crate::sound::{SampleRange, SoundSource};
use crate::vad::VoiceActivity;
use crate::window::{Blocks, Window, WindowRules};

/// Version of the part document this code writes.
pub const PART_VERSION: u32 = 1;

/// What one map task heard: the document that crosses to the reduce step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechPart {
    /// Document version, [`PART_VERSION`].
    pub version: u32,
    /// The range whose windows these are.
    pub range: SampleRange,
    /// Language of the text; `None` when nobody spoke.
    pub language: Option<String>,
    /// In order, on the clock of the source.
    pub utterances: Vec<Utterance>,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Samples of the range whose windows are done.
    pub done: i64,
    /// Samples of the range.
    pub total: i64,
}

/// Everything a transcription needs besides the sound.
#[derive(Clone)]
pub struct Transcriber {
    engine: Arc<dyn SpeechEngine>,
    vad: Arc<dyn VoiceActivity>,
    rules: WindowRules,
    options: DecodeOptions,
}

impl Transcriber {
    /// Refuses options that the engine cannot serve.
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

    /// A listener to `source`; several ranges of one sound share what it heard.
    pub fn listen(&self, source: Arc<dyn SoundSource>) -> Listener {
        Listener::new(source, Arc::clone(&self.vad))
    }

    /// Transcribes the windows that start in `range`, `side_by_side` at a time.
    ///
    /// `offset_ms` is the source's time of the sound's first sample. The result depends on
    /// the sound, the range and the options only.
    pub fn transcribe(
        &self,
        listener: &Listener,
        range: SampleRange,
        side_by_side: usize,
        offset_ms: i64,
        progress: &(dyn Fn(Progress) + Sync),
        cancel: &CancellationToken,
    ) -> Result<SpeechPart> {
        let feed = Mutex::new(Feed {
            blocks: Blocks::new(listener, &self.rules, range)?,
            ready: VecDeque::new(),
            given: 0,
        });
        let heard: Mutex<BTreeMap<usize, WindowText>> = Mutex::default();
        let done = Mutex::new(0);
        let one = || -> Result<bool> {
            let next = lock(&feed).next()?;
            let Some((index, window)) = next else { return Ok(false) };
            let text = hear_window(self.engine.as_ref(), &self.options, listener, &window, cancel)?;
            lock(&heard).insert(index, text);
            let mut done = lock(&done);
            *done += window.owns.intersect(range).len();
            progress(Progress { done: *done, total: range.len() });
            Ok(true)
        };
        let failed = AtomicBool::new(false);
        let work = || -> Result<()> {
            while !failed.load(Ordering::Relaxed) {
                if cancel.is_cancelled() {
                    return Err(SpeechError::cancelled());
                }
                if !one().inspect_err(|_| failed.store(true, Ordering::Relaxed))? {
                    break;
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| -> Result<()> {
            // with no room for another thread it takes longer, and comes to the same
            let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let others: Vec<_> = (1..side_by_side.max(1)).filter_map(start).collect();
            others.into_iter().fold(work(), |result, other| {
                let other = other.join();
                result.and(
                    other.unwrap_or_else(|_| Err(SpeechError::internal("a transcription thread panicked"))),
                )
            })
        })?;
        let texts = heard.into_inner().unwrap_or_else(|e| e.into_inner());
        Ok(assemble(range, offset_ms, texts.into_values()))
    }
}

/// Hands out windows in order; whoever finds none ready listens to the next block.
struct Feed<'a> {
    blocks: Blocks<'a>,
    ready: VecDeque<Window>,
    given: usize,
}

impl Feed<'_> {
    fn next(&mut self) -> Result<Option<(usize, Window)>> {
        while self.ready.is_empty() {
            let Some(block) = self.blocks.next_block()? else { return Ok(None) };
            self.ready.extend(block);
        }
        self.given += 1;
        Ok(self.ready.pop_front().map(|window| (self.given, window)))
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
