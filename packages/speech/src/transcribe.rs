//! The map task: the windows that start in a range, heard one by one, as utterances.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use segue_domain::transcript::{Utterance, Word};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::align;
use crate::engine::{DecodeOptions, Hearing, SpeechEngine};
use crate::error::{Result, SpeechError};
use crate::listen::Listener;
use crate::sound::{SampleRange, SoundSource, read_padded, samples_to_ms};
use crate::vad::VoiceActivity;
use crate::window::{Window, WindowRules, windows_starting_in};
use crate::words::{RawWord, words};

/// Room left around speech for the engine, 0.3 s.
const ROOM: i64 = ms_to_samples_const(300);
/// A silence from which a new utterance begins.
const UTTERANCE_PAUSE: i64 = ms_to_samples_const(1000);

const fn ms_to_samples_const(ms: i64) -> i64 {
    ms * (crate::sound::SAMPLE_RATE / 1000)
}

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
                let text = self.hear_window(listener.source(), window, cancel)?;
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

    fn hear_window(
        &self,
        source: &dyn SoundSource,
        window: &Window,
        cancel: &CancellationToken,
    ) -> Result<WindowText> {
        let Some(heard) = window.heard(ROOM) else { return Ok(WindowText::default()) };
        let samples = read_padded(source, heard)?;
        let hearing = self.engine.transcribe(&samples, &self.options, cancel)?;
        let spoken: Vec<SampleRange> = window
            .speech
            .iter()
            .map(|s| SampleRange::new(s.start - heard.start, s.end - heard.start))
            .collect();
        let mut words = words(&hearing.tokens);
        align::snap(&mut words, &samples, &spoken);
        Ok(WindowText { utterances: utterances(&words, heard.start, &hearing), language: Some(hearing.language) })
    }
}

/// What was said in one window, on the sound's clock.
#[derive(Debug, Clone, Default)]
struct WindowText {
    utterances: Vec<Utterance>,
    language: Option<String>,
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

/// Groups words into utterances: a new one after the end of a sentence, after a long pause,
/// and where the engine began a new stretch after a comma or nothing and a short pause.
fn utterances(words: &[RawWord], at: i64, hearing: &Hearing) -> Vec<Utterance> {
    let mut groups: Vec<Vec<&RawWord>> = Vec::new();
    for word in words {
        match groups.last_mut() {
            Some(group) if !group.last().is_some_and(|last| breaks(last, word)) => group.push(word),
            _ => groups.push(vec![word]),
        }
    }
    groups.into_iter().map(|group| utterance(&group, at, hearing.no_speech)).collect()
}

fn breaks(last: &RawWord, next: &RawWord) -> bool {
    last.ends_sentence() || next.start - last.end >= UTTERANCE_PAUSE
}

fn utterance(words: &[&RawWord], at: i64, no_speech: f32) -> Utterance {
    let text: String = words.iter().map(|w| w.text.as_str()).collect();
    let start = words.first().map_or(0, |w| w.start);
    let end = words.last().map_or(start, |w| w.end);
    Utterance {
        start_ms: samples_to_ms(at + start),
        end_ms: samples_to_ms(at + end),
        text: text.trim().to_owned(),
        words: words.iter().map(|w| w.placed(at)).collect(),
        no_speech,
    }
}
