//! Transcription of real speech with real models.
//!
//! Needs `ggml-base.en.bin` and `ggml-silero-v6.2.0.bin` in the folder `SEGUE_MODEL_DIR`, and
//! Debian's package pocketsphinx-testdata (elsewhere: `SEGUE_TEST_SPEECH` names its folder
//! `librivox`). Without them these tests fail.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use segue_domain::transcript::Transcript;
use segue_speech::{
    DecodeOptions, KnownModel, MemorySound, Progress, SAMPLE_RATE, SampleRange, Search, SileroVad,
    SoundSource, SpeechEngine, SpeechErrorKind, Transcriber, VoiceActivity, WhisperConfig, WhisperCpp,
    WindowRules, stitch,
};
use tokio_util::sync::CancellationToken;

const CLIPS: [(&str, &str); 4] = [
    ("sense_and_sensibility_01_austen_64kb-0880.wav", "he was not an ill disposed young man"),
    (
        "sense_and_sensibility_01_austen_64kb-0890.wav",
        "unless to be rather cold hearted and rather selfish is to be ill disposed",
    ),
    (
        "sense_and_sensibility_01_austen_64kb-0920.wav",
        "had he married a more amiable woman he might have been made still more respectable than he was",
    ),
    (
        "sense_and_sensibility_01_austen_64kb-0870.wav",
        "and mr john dashwood had then leisure to consider how much there might be prudently in his power to do for them",
    ),
];

fn model(file: &str) -> PathBuf {
    let folder = std::env::var_os("SEGUE_MODEL_DIR")
        .expect("SEGUE_MODEL_DIR must name the folder of the models; fetch them with `segue models fetch`");
    let path = Path::new(&folder).join(file);
    assert!(path.is_file(), "{}: not found; fetch it with `segue models fetch`", path.display());
    path
}

fn clip(file: &str) -> Vec<i16> {
    let folder = std::env::var("SEGUE_TEST_SPEECH")
        .unwrap_or_else(|_| "/usr/share/pocketsphinx/test/data/librivox".into());
    let path = Path::new(&folder).join(file);
    let mut reader = hound::WavReader::open(&path).unwrap_or_else(|e| {
        panic!("{}: {e}; install Debian's pocketsphinx-testdata or set SEGUE_TEST_SPEECH", path.display())
    });
    reader.samples::<i16>().map(|s| s.expect("a sample")).collect()
}

fn config() -> WhisperConfig {
    WhisperConfig {
        weights: model("ggml-base.en.bin"),
        model: "base.en".into(),
        workers: 2,
        threads_per_worker: 1,
        use_gpu: false,
    }
}

fn engine() -> Arc<WhisperCpp> {
    static ENGINE: OnceLock<Arc<WhisperCpp>> = OnceLock::new();
    Arc::clone(ENGINE.get_or_init(|| Arc::new(WhisperCpp::load(&config()).expect("the weights load"))))
}

fn transcriber() -> Transcriber {
    let vad = SileroVad::load(&model("ggml-silero-v6.2.0.bin")).expect("Silero loads");
    // Blocks of 20 s, so that a short talk has several windows and block boundaries.
    let rules = WindowRules { anchor_spacing: 20 * SAMPLE_RATE, ..WindowRules::default() };
    Transcriber::new(engine(), Arc::new(vad), rules, DecodeOptions::default()).expect("options fit")
}

/// All clips twice, each after a silence, and the start of each in milliseconds.
fn talk() -> (Arc<dyn SoundSource>, Vec<(i64, &'static str)>) {
    let mut samples = Vec::new();
    let mut starts = Vec::new();
    for round in 0..2 {
        for (index, (file, text)) in CLIPS.iter().enumerate() {
            samples.resize(samples.len() + 4_000 + 5_600 * (index + round), 0);
            starts.push((samples.len() as i64 / 16, *text));
            samples.extend(clip(file));
        }
    }
    (Arc::new(MemorySound::new(samples)), starts)
}

fn transcribe(source: &Arc<dyn SoundSource>, segments: i64, offset_ms: i64) -> Transcript {
    let transcriber = transcriber();
    let cut = |index: i64| source.len() * index / segments;
    let parts = (0..segments).rev().map(|index| {
        let frames = transcriber.frames(Arc::clone(source));
        let range = SampleRange::new(cut(index), cut(index + 1));
        let cancel = CancellationToken::new();
        transcriber.transcribe(&frames, range, 2, offset_ms, &|_| {}, &cancel).expect("a part")
    });
    stitch(parts.collect(), "whisper.cpp", "base.en").expect("adjacent parts")
}

fn normalized(text: &str) -> Vec<String> {
    let letters = text.to_lowercase().replace('-', " ");
    letters
        .split_whitespace()
        .map(|word| word.chars().filter(|c| c.is_alphanumeric() || *c == '\'').collect())
        .collect()
}

#[test]
fn a_talk_is_transcribed_in_order_and_on_time() {
    let (source, starts) = talk();
    let transcript = transcribe(&source, 1, 0);
    let found: Vec<(String, i64)> = transcript
        .segments
        .iter()
        .flat_map(|u| &u.words)
        .flat_map(|word| normalized(&word.text).into_iter().map(|text| (text, word.start_ms)))
        .collect();
    let expected: Vec<String> = starts.iter().flat_map(|(_, text)| normalized(text)).collect();
    let wrong = distance(&expected, &found.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>());
    assert!(wrong * 100 <= expected.len() * 6, "{wrong} of {} words: {found:?}", expected.len());
    for (start, text) in &starts {
        let nearest = found.iter().map(|(_, at)| (at - start).abs()).min();
        assert!(nearest.is_some_and(|off| off <= 200), "{text} at {start}: {nearest:?}");
    }
    let mut last = 0;
    for word in transcript.segments.iter().flat_map(|u| &u.words) {
        assert!(word.start_ms >= last && word.end_ms >= word.start_ms, "{word:?} after {last}");
        last = word.end_ms;
    }
    assert_eq!((transcript.language.as_str(), transcript.model.as_str()), ("en", "base.en"));
}

#[test]
fn many_segments_equal_one() {
    let (source, _) = talk();
    let one = transcribe(&source, 1, 0);
    for segments in [2, 5, 40] {
        assert_eq!(transcribe(&source, segments, 0), one, "{segments} segments");
    }
}

#[test]
fn times_are_on_the_clock_of_the_source() {
    let source: Arc<dyn SoundSource> = Arc::new(MemorySound::new(clip(CLIPS[0].0)));
    let (at_zero, late) = (transcribe(&source, 1, 0), transcribe(&source, 1, 2_500));
    for (a, b) in at_zero.segments.iter().zip(&late.segments) {
        assert_eq!((a.start_ms + 2_500, a.end_ms + 2_500), (b.start_ms, b.end_ms));
        assert_eq!(a.words[0].start_ms + 2_500, b.words[0].start_ms);
    }
    assert!(!late.segments.is_empty());
}

#[test]
fn sounds_without_speech_give_no_text() {
    for (name, sound) in no_speech() {
        let source: Arc<dyn SoundSource> = Arc::new(MemorySound::new(sound));
        let transcript = transcribe(&source, 1, 0);
        let text: Vec<&str> = transcript.segments.iter().map(|u| u.text.as_str()).collect();
        assert!(text.is_empty(), "{name}: {text:?}");
        assert_eq!(transcript.language, "und");
    }
}

/// Sounds without words, 40 s each.
fn no_speech() -> Vec<(&'static str, Vec<i16>)> {
    let length = 40 * SAMPLE_RATE as usize;
    let second = |i: usize| i as f32 / SAMPLE_RATE as f32;
    let sine = |hertz: f32, i: usize| (second(i) * hertz * std::f32::consts::TAU).sin();
    let mut seed: u32 = 1;
    let mut white = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut low = 0.0;
    let mut all =
        vec![("silence", vec![0.0; length]), ("a tone", (0..length).map(|i| 0.5 * sine(440.0, i)).collect())];
    all.push(("white noise", (0..length).map(|_| 0.2 * white()).collect()));
    all.push((
        "dark noise",
        (0..length)
            .map(|_| {
                low = 0.98 * low + 0.05 * white();
                low
            })
            .collect(),
    ));
    all.push((
        "chords",
        (0..length)
            .map(|i| {
                let root = [220.0, 261.6, 196.0, 246.9][i / SAMPLE_RATE as usize % 4];
                let fade = 1.0 - second(i).fract();
                fade * 0.2 * (sine(root, i) + sine(root * 1.26, i) + sine(root * 1.5, i))
            })
            .collect(),
    ));
    let quantised = |samples: Vec<f32>| samples.into_iter().map(|s: f32| (s * 32_000.0) as i16).collect();
    all.into_iter().map(|(name, samples)| (name, quantised(samples))).collect()
}

#[test]
fn progress_is_reported_and_cancelling_stops() {
    let (source, _) = talk();
    let transcriber = transcriber();
    let frames = transcriber.frames(Arc::clone(&source));
    let range = SampleRange::new(0, source.len());
    let cancel = CancellationToken::new();
    let last = std::sync::Mutex::new(None);
    let cancel_after_one = |progress: Progress| {
        *last.lock().expect("no panic") = Some(progress);
        cancel.cancel();
    };
    let error =
        transcriber.transcribe(&frames, range, 1, 0, &cancel_after_one, &cancel).expect_err("cancelled");
    assert_eq!(error.kind(), SpeechErrorKind::Cancelled);
    let seen = last.lock().expect("no panic").expect("one window was done");
    assert!(seen.done > 0 && seen.done < seen.total, "{seen:?}");
    let error = engine()
        .transcribe(&[0.0; 16_000], &DecodeOptions::default(), &cancel)
        .expect_err("cancelled before it began");
    assert_eq!(error.kind(), SpeechErrorKind::Cancelled);
}

#[test]
fn english_models_reject_other_languages() {
    for (language, message) in [("de", "English only"), ("klingon", "does not know")] {
        let options = DecodeOptions { language: language.into(), ..DecodeOptions::default() };
        let error = engine().check(&options).expect_err("refused");
        assert_eq!(error.kind(), SpeechErrorKind::Usage);
        assert!(error.to_string().contains(message), "{error}");
    }
    for language in ["auto", "en"] {
        let options = DecodeOptions { language: language.into(), ..DecodeOptions::default() };
        engine().check(&options).expect("fits");
    }
}

#[test]
fn broken_and_missing_models_have_different_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("ggml-base.en.bin");
    std::fs::write(&broken, b"not a model").expect("written");
    let missing = folder.path().join("nothing.bin");
    for (path, message) in [(&broken, "verify"), (&missing, "speech model not found")] {
        let error =
            WhisperCpp::load(&WhisperConfig { weights: path.clone(), ..config() }).err().expect("refused");
        assert_eq!(error.kind(), SpeechErrorKind::Environment);
        assert!(error.to_string().contains(message), "{error}");
    }
    let known = KnownModel::find("base.en").expect("known");
    assert!(known.verify(&broken).is_err());
    known.verify(&model("ggml-base.en.bin")).expect("the real model is valid");
    let silero = model("ggml-silero-v6.2.0.bin");
    KnownModel::find("silero-v6.2.0").expect("known").verify(&silero).expect("valid");
    let vad = SileroVad::load(&silero).expect("loads");
    assert_eq!(vad.probabilities(&[0.0; 1600]).expect("probabilities").len(), 3);
}

fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// whisper.cpp samples the candidates of a beam search at random.
#[test]
fn a_beam_search_does_not_depend_on_earlier_windows() {
    let engine = WhisperCpp::load(&WhisperConfig { workers: 1, ..config() }).expect("the weights load");
    let options = DecodeOptions { search: Search::Beam { width: 5 }, ..DecodeOptions::default() };
    let cancel = CancellationToken::new();
    // enough noise that many candidates are about equally likely
    let noisy = |file: &str| -> Vec<f32> {
        let mut seed = 1u32;
        let sound = clip(file);
        sound
            .into_iter()
            .map(|sample| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from(sample) / 32768.0 + 0.15 * ((seed >> 8) as f32 / 8_388_608.0 - 1.0)
            })
            .collect()
    };
    let decode = |sound: &[f32]| engine.transcribe(sound, &options, &cancel).expect("decoded").tokens;
    let sounds: Vec<Vec<f32>> = CLIPS.iter().map(|(file, _)| noisy(file)).collect();
    let first: Vec<_> = sounds.iter().map(|sound| decode(sound)).collect();
    let again: Vec<_> = sounds.iter().rev().map(|sound| decode(sound)).collect();
    for (first, again) in first.iter().zip(again.iter().rev()) {
        assert_eq!(first, again);
    }
}

/// A decoding state takes hundreds of megabytes, which are not needed while a worker waits for sound.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_worker_keeps_no_decoding_state() {
    let resident_kb = || -> i64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("process status");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
        line.trim().trim_end_matches("kB").trim().parse().expect("a number")
    };
    let engine = WhisperCpp::load(&WhisperConfig { workers: 1, ..config() }).expect("the weights load");
    let sound: Vec<f32> =
        CLIPS.iter().flat_map(|(file, _)| clip(file)).map(|s| f32::from(s) / 32768.0).collect();
    let options = DecodeOptions { search: Search::Beam { width: 5 }, ..DecodeOptions::default() };
    let before = resident_kb();
    let decoded = engine.transcribe(&sound, &options, &CancellationToken::new()).expect("decoded");
    assert!(decoded.tokens.len() > 20, "{decoded:?}");
    let held = resident_kb() - before;
    assert!(held < 64 << 10, "{held} kB remain allocated after a window");
}
