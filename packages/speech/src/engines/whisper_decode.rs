//! Decoding one window with whisper.cpp: its parameters and its tokens.

use std::ffi::{c_int, c_void};

use tokio_util::sync::CancellationToken;
use whisper_rs::{FullParams, SamplingStrategy, WhisperState, WhisperTokenData, get_lang_str};

use super::speech_engine::{DecodeOptions, DecodedToken, DecodedWindow, Search};
use crate::error::{Result, SpeechError};
use crate::sound::SAMPLE_RATE;

/// whisper.cpp counts time in hundredths of a second.
const TICK: i64 = SAMPLE_RATE / 100;

/// Samples per position of the encoder.
const SAMPLES_PER_POSITION: usize = 320;
/// Encoder positions added after the end of the window.
const MARGIN_POSITIONS: usize = 64;

/// What is the same for all windows of a transcription.
pub(crate) struct DecodeContext<'a> {
    pub options: &'a DecodeOptions,
    pub threads: usize,
    pub multilingual: bool,
    pub end_of_text: c_int,
    pub first_timestamp: c_int,
    pub audio_context: c_int,
}

/// Decodes one window.
pub(crate) fn decode_window(
    state: &mut WhisperState,
    samples: &[f32],
    context: &DecodeContext<'_>,
    cancel: &CancellationToken,
) -> Result<DecodedWindow> {
    if cancel.is_cancelled() {
        return Err(SpeechError::cancelled());
    }
    let mut params = params(context);
    params.set_audio_ctx(audio_context(samples.len(), context.audio_context));
    abort_on(&mut params, cancel);
    let done = state.full(params, samples);
    if cancel.is_cancelled() {
        return Err(SpeechError::cancelled());
    }
    done.map_err(|e| {
        SpeechError::internal("whisper.cpp failed on a window; run with RUST_LOG=whisper_rs=debug")
            .caused_by(e)
    })?;
    read_tokens(state, context)
}

fn params<'a>(context: &DecodeContext<'a>) -> FullParams<'a, 'a> {
    let options = context.options;
    let mut params = FullParams::new(match options.search {
        Search::Greedy => SamplingStrategy::Greedy { best_of: 1 },
        Search::Beam { width } => {
            SamplingStrategy::BeamSearch { beam_size: c_int::from(width), patience: -1.0 }
        }
    });
    params.set_n_threads(context.threads as c_int);
    params.set_language(match options.language.as_str() {
        "auto" if context.multilingual => None,
        "auto" => Some("en"),
        code => Some(code),
    });
    params.set_no_context(true);
    params.set_n_max_text_ctx(0);
    // Timestamp tokens cost decoding steps and sometimes a sentence: after a pause the decoder may
    // seek ahead. Without them a window is always one pass, and nothing is skipped.
    params.set_no_timestamps(true);
    params.set_single_segment(true);
    params.set_suppress_nst(true);
    // No sampling at higher temperatures: see `confidence`. No threshold on whisper.cpp's no-speech
    // probability: with a prompt of more than one token, version 1.8.3 reads it from the logits of
    // an earlier call, so that a window would depend on the one before.
    params.set_temperature_inc(0.0);
    params.set_no_speech_thold(f32::INFINITY);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_timestamps(false);
    params
}

/// Positions of the encoder that a window needs: one every 20 ms, and over a second of silence
/// after it. By default whisper.cpp encodes all 30 s, which is a tenth of all work; measured,
/// the shorter context with this margin loses no words.
fn audio_context(samples: usize, full: c_int) -> c_int {
    let positions = samples.div_ceil(SAMPLES_PER_POSITION) + MARGIN_POSITIONS;
    c_int::try_from(positions.next_multiple_of(32)).unwrap_or(full).min(full)
}

/// Makes whisper.cpp stop between two steps of its graph once `cancel` is set.
///
/// `set_abort_callback_safe` of whisper-rs 0.16 calls a boxed closure through a pointer of
/// another type (undefined behaviour), hence the raw callback.
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

fn read_tokens(state: &WhisperState, context: &DecodeContext<'_>) -> Result<DecodedWindow> {
    let mut decoded = DecodedWindow { language: language(state, context), ..DecodedWindow::default() };
    for segment in state.as_iter() {
        let mut starts_segment = true;
        for index in 0..segment.n_tokens() {
            let Some(token) = segment.get_token(index) else { continue };
            let data = token.token_data();
            if data.id >= context.first_timestamp {
                starts_segment = true;
            }
            if data.id >= context.end_of_text {
                continue;
            }
            let bytes = token.to_bytes().map_err(|e| {
                SpeechError::internal("whisper.cpp returned a token without text").caused_by(e)
            })?;
            decoded.tokens.push(decoded_token(bytes, &data, starts_segment));
            starts_segment = false;
        }
    }
    Ok(decoded)
}

fn decoded_token(bytes: &[u8], data: &WhisperTokenData, starts_segment: bool) -> DecodedToken {
    DecodedToken { bytes: bytes.to_vec(), probability: data.p, end: data.t_dtw.max(0) * TICK, starts_segment }
}

fn language(state: &WhisperState, context: &DecodeContext<'_>) -> String {
    match context.multilingual {
        false => "en".into(),
        true => get_lang_str(state.full_lang_id_from_state()).unwrap_or("und").into(),
    }
}
