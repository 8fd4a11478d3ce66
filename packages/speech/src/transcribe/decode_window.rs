//! Decoding one window: recognition, checks, a second pass where it helps, word times, utterances.

use segue_domain::transcript::Utterance;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::align::align_words;
use super::confidence;
use super::coverage::split_at_missing;
use super::hallucination::drop_hallucinated;
use super::words::{RawWord, words};
use crate::engines::{DecodeOptions, DecodedWindow, FRAME, Search, SpeechEngine};
use crate::error::Result;
use crate::sound::{SampleRange, ms_to_samples, read_padded, samples_to_ms};
use crate::windows::{FrameCache, Window};

/// Margin around speech given to the engine.
const DECODE_MARGIN: i64 = ms_to_samples(300);
/// Margin around speech in which word onsets are searched.
const ONSET_MARGIN: i64 = ms_to_samples(800);
/// Shortest pause after which a new utterance begins.
const UTTERANCE_PAUSE: i64 = ms_to_samples(1000);
/// How often a range with missing words is split in two.
const MAX_SPLITS: u8 = 2;
/// Beam width of the second pass after an unreliable result.
const FALLBACK_BEAM: u8 = 5;

/// The text of one window, on the sound's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct WindowText {
    pub utterances: Vec<Utterance>,
    /// `None` without speech.
    pub language: Option<String>,
}

/// Decodes one window.
pub(crate) fn decode_window(
    engine: &dyn SpeechEngine,
    options: &DecodeOptions,
    frames: &FrameCache,
    window: &Window,
    cancel: &CancellationToken,
) -> Result<WindowText> {
    let Some(around) = window.speech_span(ONSET_MARGIN) else { return Ok(WindowText::default()) };
    let samples = read_padded(frames.source(), around)?;
    let speech: Vec<SampleRange> = window
        .speech
        .iter()
        .map(|s| SampleRange::new(s.start - around.start, s.end - around.start))
        .collect();
    let mut decoder =
        WindowDecoder { engine, options, samples: &samples, cancel, words: Vec::new(), language: None };
    decoder.decode(&speech, MAX_SPLITS)?;
    align_words(&mut decoder.words, &samples, &speech);
    let utterances = split_utterances(&decoder.words)
        .into_iter()
        .map(|words| {
            let range =
                SampleRange::new(around.start + words[0].start, around.start + words[words.len() - 1].end);
            Ok(utterance(words, around.start, no_speech_probability(frames, range)?))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(WindowText { utterances, language: decoder.language })
}

/// The engine passes over one window, and their words so far.
struct WindowDecoder<'a> {
    engine: &'a dyn SpeechEngine,
    options: &'a DecodeOptions,
    samples: &'a [f32],
    cancel: &'a CancellationToken,
    words: Vec<RawWord>,
    language: Option<String>,
}

impl WindowDecoder<'_> {
    /// Decodes the runs `speech`; where words are missing, splits them in two and decodes each, up to
    /// `splits` times.
    fn decode(&mut self, speech: &[SampleRange], splits: u8) -> Result<()> {
        let (Some(first), Some(last)) = (speech.first(), speech.last()) else { return Ok(()) };
        let whole = SampleRange::new(0, self.samples.len() as i64);
        let range = SampleRange::new(first.start - DECODE_MARGIN, last.end + DECODE_MARGIN).intersect(whole);
        let (decoded, mut found) = self.decode_with_fallback(range)?;
        let cut = if splits > 0 { split_at_missing(&found, speech) } else { None };
        if let Some(cut) = cut {
            debug!(cut, "speech without words, decoding it again in two pieces");
            let at = speech.partition_point(|s| s.start < cut);
            self.decode(&speech[..at], splits - 1)?;
            return self.decode(&speech[at..], splits - 1);
        }
        if confidence::is_loop(&found) {
            confidence::truncate_loop(&mut found);
        }
        drop_hallucinated(&mut found, speech);
        if confidence::is_guess(&decoded, &found, speech) {
            debug!("dropping an unreliable result");
            found.clear();
        }
        if !found.is_empty() {
            self.language.get_or_insert(decoded.language);
        }
        self.words.extend(found);
        Ok(())
    }

    /// One pass over `range`, and one with a wider beam where the first is unreliable.
    fn decode_with_fallback(&self, range: SampleRange) -> Result<(DecodedWindow, Vec<RawWord>)> {
        let samples = &self.samples[range.start as usize..range.end as usize];
        let once = |options: &DecodeOptions| -> Result<(DecodedWindow, Vec<RawWord>)> {
            let decoded = self.engine.transcribe(samples, options, self.cancel)?;
            let mut found = words(&decoded.tokens);
            for word in &mut found {
                word.start += range.start;
                word.end += range.start;
            }
            Ok((decoded, found))
        };
        let first = once(self.options)?;
        let greedy = self.options.search == Search::Greedy;
        if !greedy || !self.options.fallback || !confidence::is_unreliable(&first.0, &first.1) {
            return Ok(first);
        }
        debug!(
            confidence = confidence::confidence(&first.0),
            "unreliable result, decoding again with a wider beam"
        );
        let wider = DecodeOptions { search: Search::Beam { width: FALLBACK_BEAM }, ..self.options.clone() };
        let second = once(&wider)?;
        let better = confidence::confidence(&second.0) > confidence::confidence(&first.0);
        let no_loop = !confidence::is_loop(&second.1);
        Ok(if no_loop && (better || confidence::is_loop(&first.1)) { second } else { first })
    }
}

/// Groups words into utterances, which end with a sentence or at a long pause.
fn split_utterances(words: &[RawWord]) -> Vec<&[RawWord]> {
    words.chunk_by(|last, next| !is_break(last, next)).collect()
}

/// The mean probability that `range` contains no speech.
fn no_speech_probability(cache: &FrameCache, range: SampleRange) -> Result<f32> {
    let frames = cache.frames(range.start / FRAME, range.end / FRAME + 1)?;
    let speech: f32 = frames.iter().map(|frame| frame.speech).sum();
    Ok((1.0 - speech / frames.len().max(1) as f32).clamp(0.0, 1.0))
}

fn is_break(last: &RawWord, next: &RawWord) -> bool {
    last.ends_sentence() || next.start - last.end >= UTTERANCE_PAUSE
}

fn utterance(words: &[RawWord], at: i64, no_speech: f32) -> Utterance {
    let text: String = words.iter().map(|w| w.text.as_str()).collect();
    let start = words.first().map_or(0, |w| w.start);
    let end = words.last().map_or(start, |w| w.end);
    Utterance {
        start_ms: samples_to_ms(at + start),
        end_ms: samples_to_ms(at + end),
        text: text.trim().to_owned(),
        words: words.iter().map(|w| w.to_word(at)).collect(),
        no_speech,
    }
}
