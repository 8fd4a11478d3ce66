//! Baseline: one whisper.cpp pass over the whole file with the same model.
//!
//! usage: one_pass WAV OUT.txt [--threads 2] [--beam 5] [--best-of 1] [--model base.en] [--carry 0] [--flash 0] [--nst 1]
//! The defaults decode as `transcribe` does; with --carry 1 --nst 0 as whisper.cpp's own program does.
//! --beam 0 is greedy; --best-of is then the number of candidates in the temperature fallback.

#[path = "support/mod.rs"]
mod support;

use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let samples = support::read_wav(args[0].as_ref());
    let threads = support::flag(&args, "--threads").unwrap_or(2);
    let beam: i32 = support::flag(&args, "--beam").unwrap_or(5);
    let best_of = support::flag(&args, "--best-of").unwrap_or(1);
    let carry: u8 = support::flag(&args, "--carry").unwrap_or(0);
    let flash: u8 = support::flag(&args, "--flash").unwrap_or(0);
    let nst: u8 = support::flag(&args, "--nst").unwrap_or(1);
    let model: String = support::flag(&args, "--model").unwrap_or_else(|| "base.en".into());
    whisper_rs::install_logging_hooks();
    let mut with = WhisperContextParameters::default();
    with.flash_attn(flash == 1);
    let weights = support::model_dir().join(format!("ggml-{model}.bin"));
    let context = WhisperContext::new_with_params(&weights, with).expect("the weights load");
    let mut state = context.create_state().expect("a state");
    let strategy = match beam {
        0 => SamplingStrategy::Greedy { best_of },
        beam_size => SamplingStrategy::BeamSearch { beam_size, patience: -1.0 },
    };
    let mut params = FullParams::new(strategy);
    params.set_n_threads(threads);
    params.set_language(Some("en"));
    params.set_no_context(carry == 0);
    if carry == 0 {
        params.set_n_max_text_ctx(0);
    }
    params.set_suppress_nst(nst == 1);
    params.set_print_progress(false);
    params.set_print_timestamps(false);
    let mut float = vec![0f32; samples.len()];
    whisper_rs::convert_integer_to_float_audio(&samples, &mut float).expect("same length");
    let started = std::time::Instant::now();
    state.full(params, &float).expect("the pass succeeds");
    let wall = started.elapsed().as_secs_f64();
    let text: Vec<String> =
        state.as_iter().map(|s| s.to_str_lossy().expect("text").trim().to_owned()).collect();
    std::fs::write(&args[1], text.join("\n")).expect("the text is written");
    println!("one pass {wall:.2} s rtf {:.4}", wall / (samples.len() as f64 / 16_000.0));
}
