//! Transcribes a WAV file in a given number of segments and joins the parts.
//!
//! usage: transcribe WAV OUT.txt [--segments 1] [--workers 2] [--threads 1] [--beam 5] [--model base.en]
//!        [--json OUT.json] [--windows] [--listen-only]

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Instant;

use segue_speech::{
    DecodeOptions, MemorySound, SampleRange, Search, SileroVad, SoundSource, Transcriber, WhisperConfig,
    WhisperCpp, WindowRules, stitch, windows_starting_in,
};
use tokio_util::sync::CancellationToken;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let source: Arc<dyn SoundSource> = Arc::new(MemorySound::new(support::read_wav(args[0].as_ref())));
    let segments: i64 = support::flag(&args, "--segments").unwrap_or(1);
    let workers: usize = support::flag(&args, "--workers").unwrap_or(2);
    let threads: usize = support::flag(&args, "--threads").unwrap_or(1);
    let beam: u8 = support::flag(&args, "--beam").unwrap_or(5);
    let model: String = support::flag(&args, "--model").unwrap_or_else(|| "base.en".into());
    let engine = WhisperCpp::load(&WhisperConfig {
        weights: support::model_dir().join(format!("ggml-{model}.bin")),
        model: model.clone(),
        workers,
        threads_per_worker: threads,
        use_gpu: cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal")),
    })
    .expect("the weights load");
    let vad = SileroVad::load(&support::model_dir().join("ggml-silero-v6.2.0.bin")).expect("Silero loads");
    let options = DecodeOptions {
        search: if beam == 0 { Search::Greedy } else { Search::Beam { width: beam } },
        ..DecodeOptions::default()
    };
    let rules = WindowRules::default();
    let transcriber =
        Transcriber::new(Arc::new(engine), Arc::new(vad), rules.clone(), options).expect("options fit");
    let started = Instant::now();
    let frames = transcriber.frames(Arc::clone(&source));
    let windows = windows_starting_in(&frames, &rules, SampleRange::new(0, source.len())).expect("windows");
    let analysed = started.elapsed().as_secs_f64();
    if args.iter().any(|a| a == "--windows") {
        let seconds = |sample: i64| sample as f64 / 16_000.0;
        for window in &windows {
            let speech: Vec<String> = window
                .speech
                .iter()
                .map(|s| format!("{:.2}-{:.2}", seconds(s.start), seconds(s.end)))
                .collect();
            println!(
                "{:.2} {:.2} {}",
                seconds(window.range.start),
                seconds(window.range.end),
                speech.join(" ")
            );
        }
    }
    if args.iter().any(|a| a == "--listen-only") {
        let full = windows.iter().filter(|w| !w.speech.is_empty()).count();
        println!("{full} windows with speech of {}", windows.len());
        return;
    }
    let started = Instant::now();
    let cancel = CancellationToken::new();
    let mut parts = Vec::new();
    for index in 0..segments {
        let range = SampleRange::new(source.len() * index / segments, source.len() * (index + 1) / segments);
        let frames = transcriber.frames(Arc::clone(&source));
        parts.push(transcriber.transcribe(&frames, range, workers, 0, &|_| {}, &cancel).expect("a part"));
    }
    let transcript = stitch(parts, "whisper.cpp", &model).expect("adjacent parts");
    let wall = started.elapsed().as_secs_f64();
    let text: Vec<&str> = transcript.segments.iter().map(|u| u.text.as_str()).collect();
    std::fs::write(&args[1], text.join("\n")).expect("the text is written");
    if let Some(path) = support::flag::<String>(&args, "--json") {
        std::fs::write(path, serde_json::to_vec_pretty(&transcript).expect("JSON"))
            .expect("the JSON is written");
    }
    let speech: i64 = windows.iter().filter_map(|w| w.speech_span(0)).map(SampleRange::len).sum();
    println!(
        "ours {wall:.2} s rtf {:.4}, window search alone {analysed:.2} s, {} windows ({} with speech, {:.1} s on average)",
        wall / (source.len() as f64 / 16_000.0),
        windows.len(),
        windows.iter().filter(|w| !w.speech.is_empty()).count(),
        speech as f64 / 16_000.0 / windows.iter().filter(|w| !w.speech.is_empty()).count().max(1) as f64,
    );
}
