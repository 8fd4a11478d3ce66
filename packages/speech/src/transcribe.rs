//! The map task: the windows that start in a range, heard one by one, as utterances.

use std::collections::VecDeque;
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
use crate::window::{Window, WindowRules, windows_starting_in};

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
        let windows = windows_starting_in(listener, &self.rules, range)?;
        let total = range.len();
        let todo: Mutex<VecDeque<(usize, &Window)>> = Mutex::new(windows.iter().enumerate().collect());
        let heard: Mutex<Vec<Option<WindowText>>> = Mutex::new(vec![None; windows.len()]);
        let done = Mutex::new(0);
        let work = || -> Result<()> {
            loop {
                if cancel.is_cancelled() {
                    return Err(SpeechError::cancelled());
                }
                let next = lock(&todo).pop_front();
                let Some((index, window)) = next else { return Ok(()) };
                let text = hear_window(self.engine.as_ref(), &self.options, listener, window, cancel)?;
                lock(&heard)[index] = Some(text);
                let mut done = lock(&done);
                *done += window.owns.intersect(range).len();
                progress(Progress { done: *done, total });
            }
        };
        std::thread::scope(|scope| -> Result<()> {
            let others: Vec<_> = (1..side_by_side.max(1)).map(|_| scope.spawn(work)).collect();
            let mut result = work();
            for other in others {
                let joined = other
                    .join()
                    .unwrap_or_else(|_| Err(SpeechError::internal("a transcription thread panicked")));
                result = result.and(joined);
            }
            result
        })?;
        let texts = heard.into_inner().unwrap_or_else(|e| e.into_inner());
        Ok(assemble(range, offset_ms, texts.into_iter().flatten()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn assemble(
    range: SampleRange,
    offset_ms: i64,
    texts: impl Iterator<Item = WindowText>,
) -> SpeechPart {
    let mut part =
        SpeechPart { version: PART_VERSION, range, language: None, utterances: Vec::new() };
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
