//! One window: heard, checked, heard again where that helps, timed, and put into utterances.

use segue_domain::transcript::Utterance;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::align;
use crate::coverage::cut_at_missing;
use crate::doubt;
use crate::engine::{DecodeOptions, Hearing, Search, SpeechEngine};
use crate::error::Result;
use crate::guard::drop_invented;
use crate::listen::Listener;
use crate::sound::{SampleRange, ms_to_samples, read_padded, samples_to_ms};
use crate::vad::FRAME;
use crate::window::Window;
use crate::words::{RawWord, words};

/// Room left around speech for the engine.
const ROOM: i64 = ms_to_samples(300);
/// Room looked at for where words begin.
const ROOM_TO_LISTEN: i64 = ms_to_samples(800);
/// A silence from which a new utterance begins.
const UTTERANCE_PAUSE: i64 = ms_to_samples(1000);
/// How often a stretch with missing words is cut in two.
const HEAR_AGAIN: u8 = 2;
/// Hypotheses kept when a doubtful answer is searched for again.
const WIDER: u8 = 5;

/// What was said in one window, on the sound's clock.
#[derive(Debug, Clone, Default)]
pub(crate) struct WindowText {
    pub utterances: Vec<Utterance>,
    /// `None` when nobody spoke.
    pub language: Option<String>,
}

/// Hears one window.
pub(crate) fn hear_window(
    engine: &dyn SpeechEngine,
    options: &DecodeOptions,
    listener: &Listener,
    window: &Window,
    cancel: &CancellationToken,
) -> Result<WindowText> {
    let Some(around) = window.heard(ROOM_TO_LISTEN) else { return Ok(WindowText::default()) };
    let samples = read_padded(listener.source(), around)?;
    let spoken: Vec<SampleRange> = window
        .speech
        .iter()
        .map(|s| SampleRange::new(s.start - around.start, s.end - around.start))
        .collect();
    let mut pass = Pass { engine, options, samples: &samples, cancel, words: Vec::new(), language: None };
    pass.hear(&spoken, HEAR_AGAIN)?;
    align::snap(&mut pass.words, &samples, &spoken);
    let utterances = sentences(&pass.words)
        .into_iter()
        .map(|words| {
            let range =
                SampleRange::new(around.start + words[0].start, around.start + words[words.len() - 1].end);
            Ok(utterance(words, around.start, silence(listener, range)?))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(WindowText { utterances, language: pass.language })
}

/// The passes over one window, and what they found so far.
struct Pass<'a> {
    engine: &'a dyn SpeechEngine,
    options: &'a DecodeOptions,
    samples: &'a [f32],
    cancel: &'a CancellationToken,
    words: Vec<RawWord>,
    language: Option<String>,
}

impl Pass<'_> {
    /// Hears the speech of `spoken`; once more in two pieces where words are missing.
    fn hear(&mut self, spoken: &[SampleRange], again: u8) -> Result<()> {
        let (Some(first), Some(last)) = (spoken.first(), spoken.last()) else { return Ok(()) };
        let whole = SampleRange::new(0, self.samples.len() as i64);
        let heard = SampleRange::new(first.start - ROOM, last.end + ROOM).intersect(whole);
        let (hearing, mut found) = self.surely(heard)?;
        let cut = if again > 0 { cut_at_missing(&found, spoken) } else { None };
        if let Some(cut) = cut {
            debug!(cut, "speech without words, hearing it again in two pieces");
            let at = spoken.partition_point(|s| s.start < cut);
            self.hear(&spoken[..at], again - 1)?;
            return self.hear(&spoken[at..], again - 1);
        }
        if doubt::is_loop(&found) {
            doubt::cut_loop(&mut found);
        }
        drop_invented(&mut found, spoken);
        if doubt::is_guess(&hearing, &found, spoken) {
            debug!("an unsure answer to a short sound is dropped");
            found.clear();
        }
        if !found.is_empty() {
            self.language.get_or_insert(hearing.language);
        }
        self.words.extend(found);
        Ok(())
    }

    /// One pass over `heard`, and a wider one where the first is doubtful.
    fn surely(&self, heard: SampleRange) -> Result<(Hearing, Vec<RawWord>)> {
        let samples = &self.samples[heard.start as usize..heard.end as usize];
        let once = |options: &DecodeOptions| -> Result<(Hearing, Vec<RawWord>)> {
            let hearing = self.engine.transcribe(samples, options, self.cancel)?;
            let mut found = words(&hearing.tokens);
            for word in &mut found {
                word.start += heard.start;
                word.end += heard.start;
            }
            Ok((hearing, found))
        };
        let first = once(self.options)?;
        let greedy = self.options.search == Search::Greedy;
        if !greedy || !self.options.fallback || !doubt::is_doubtful(&first.0, &first.1) {
            return Ok(first);
        }
        debug!(confidence = doubt::confidence(&first.0), "doubtful, hearing it again with a wider search");
        let wider = DecodeOptions { search: Search::Beam { width: WIDER }, ..self.options.clone() };
        let second = once(&wider)?;
        let better = doubt::confidence(&second.0) > doubt::confidence(&first.0);
        let straight = !doubt::is_loop(&second.1);
        Ok(if straight && (better || doubt::is_loop(&first.1)) { second } else { first })
    }
}

/// Groups words: a new utterance after the end of a sentence and after a long pause.
fn sentences(words: &[RawWord]) -> Vec<&[RawWord]> {
    words.chunk_by(|last, next| !breaks(last, next)).collect()
}

/// The mean probability that nobody speaks in `range`.
fn silence(listener: &Listener, range: SampleRange) -> Result<f32> {
    let frames = listener.frames(range.start / FRAME, range.end / FRAME + 1)?;
    let speech: f32 = frames.iter().map(|frame| frame.speech).sum();
    Ok((1.0 - speech / frames.len().max(1) as f32).clamp(0.0, 1.0))
}

fn breaks(last: &RawWord, next: &RawWord) -> bool {
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
        words: words.iter().map(|w| w.placed(at)).collect(),
        no_speech,
    }
}
