//! One window through whisper.cpp: the parameters, and the tokens that come back.

use std::ffi::{c_int, c_void};

use tokio_util::sync::CancellationToken;
use whisper_rs::{FullParams, SamplingStrategy, WhisperState, WhisperTokenData, get_lang_str};

use crate::engine::{DecodeOptions, Hearing, Search, SpokenToken};
use crate::error::{Result, SpeechError};
use crate::sound::SAMPLE_RATE;

/// whisper counts time in hundredths of a second.
const TICK: i64 = SAMPLE_RATE / 100;

/// Samples to a position of the encoder.
const POSITION: usize = 320;
/// Positions after the window's end.
const MARGIN: usize = 64;

/// What stays the same for a whole transcription.
pub(crate) struct Setting<'a> {
    pub options: &'a DecodeOptions,
    pub threads: usize,
    pub multilingual: bool,
    pub end_of_text: c_int,
    pub first_timestamp: c_int,
    pub audio_context: c_int,
}

/// Hears one window.
pub(crate) fn hear(
    state: &mut WhisperState,
    samples: &[f32],
    setting: &Setting<'_>,
    cancel: &CancellationToken,
) -> Result<Hearing> {
    if cancel.is_cancelled() {
        return Err(SpeechError::cancelled());
    }
    let mut params = params(setting);
    params.set_audio_ctx(audio_context(samples.len(), setting.audio_context));
    abort_on(&mut params, cancel);
    let done = state.full(params, samples);
    if cancel.is_cancelled() {
        return Err(SpeechError::cancelled());
    }
    done.map_err(|e| {
        SpeechError::internal("whisper.cpp failed on a window; run with RUST_LOG=whisper_rs=debug")
            .caused_by(e)
    })?;
    read_back(state, setting)
}

fn params<'a>(setting: &Setting<'a>) -> FullParams<'a, 'a> {
    let options = setting.options;
    let mut params = FullParams::new(match options.search {
        Search::Greedy => SamplingStrategy::Greedy { best_of: 1 },
        Search::Beam { width } => {
            SamplingStrategy::BeamSearch { beam_size: c_int::from(width), patience: -1.0 }
        }
    });
    params.set_n_threads(setting.threads as c_int);
    params.set_language(match options.language.as_str() {
        "auto" if setting.multilingual => None,
        "auto" => Some("en"),
        code => Some(code),
    });
    params.set_no_context(true);
    params.set_n_max_text_ctx(0);
    // The decoder's own timestamps cost tokens and, once in a while, a sentence: after a pause
    // it may jump ahead. Without them a window is always one pass, and nothing is skipped.
    params.set_no_timestamps(true);
    params.set_single_segment(true);
    params.set_suppress_nst(true);
    // No dice: see `doubt`. And no rule by whisper.cpp's probability of no speech: with a prompt
    // of more than one token version 1.8.3 reads it from the logits of an earlier call, which
    // makes a window depend on the one before.
    params.set_temperature_inc(0.0);
    params.set_no_speech_thold(f32::INFINITY);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params
}

/// Positions of the encoder that a window needs: one every 20 ms, and over a second of silence
/// after it. The whole 30 s would be encoded otherwise, which is a tenth of all work; measured,
/// the shorter context with this margin costs no words.
fn audio_context(samples: usize, whole: c_int) -> c_int {
    let positions = samples.div_ceil(POSITION) + MARGIN;
    c_int::try_from(positions.next_multiple_of(32)).unwrap_or(whole).min(whole)
}

/// Makes whisper.cpp stop between two steps of its graph once `cancel` is set.
///
/// `set_abort_callback_safe` of whisper-rs 0.16 calls a boxed closure through a pointer of
/// another type, so the raw callback is the sound way.
#[expect(unsafe_code, reason = "the only way to stop a pass of whisper.cpp")]
fn abort_on(params: &mut FullParams<'_, '_>, cancel: &CancellationToken) {
    unsafe extern "C" fn cancelled(token: *mut c_void) -> bool {
        // SAFETY: `token` is the CancellationToken below, which outlives the pass.
        unsafe { &*token.cast::<CancellationToken>() }.is_cancelled()
    }
    // SAFETY: the token is borrowed for longer than the pass that `params` is used for.
    unsafe {
        params.set_abort_callback(Some(cancelled));
        params.set_abort_callback_user_data(std::ptr::from_ref(cancel).cast_mut().cast());
    }
}

fn read_back(state: &WhisperState, setting: &Setting<'_>) -> Result<Hearing> {
    let mut hearing = Hearing { language: language(state, setting), ..Hearing::default() };
    for segment in state.as_iter() {
        let mut begins_stretch = true;
        for index in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(index) else { continue };
            let data = token.token_data();
            if data.id >= setting.first_timestamp {
                begins_stretch = true;
            }
            if data.id >= setting.end_of_text {
                continue;
            }
            let bytes = token
                .to_bytes()
                .map_err(|e| SpeechError::internal("whisper.cpp lost a token's text").caused_by(e))?;
            hearing.tokens.push(spoken(bytes, &data, begins_stretch));
            begins_stretch = false;
        }
    }
    Ok(hearing)
}

fn spoken(bytes: &[u8], data: &WhisperTokenData, begins_stretch: bool) -> SpokenToken {
    SpokenToken { bytes: bytes.to_vec(), probability: data.p, end: data.t_dtw.max(0) * TICK, begins_stretch }
}

fn language(state: &WhisperState, setting: &Setting<'_>) -> String {
    match setting.multilingual {
        false => "en".into(),
        true => get_lang_str(state.full_lang_id_from_state()).unwrap_or("und").into(),
    }
}
