//! Any range must equal the same range of one pass over the whole stream.

use std::path::PathBuf;

use super::*;
use crate::probe;

/// Speech-like in level, noisy enough that a misplaced sample is detected.
const NOISE: &str =
    "-f lavfi -i aevalsrc=0.3*sin(440*2*PI*t)*sin(3*t)|0.2*sin(700*2*PI*t+5*sin(t)):s=44100:d=17.3";
const PICTURE: &str = "-f lavfi -i testsrc2=s=64x64:r=10:d=17 -g 70 -c:v mpeg4";

struct Source {
    dir: tempfile::TempDir,
    path: PathBuf,
    tools: Tools,
    facts: SourceFacts,
}

impl Source {
    async fn make(name: &str, args: &str) -> Source {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        ffmpeg(&format!("-y {args}"), &[path.to_str().unwrap()]);
        let tools = Tools::discover().await.unwrap();
        let facts = probe(&tools, &path).await.unwrap();
        Source { dir, path, tools, facts }
    }

    async fn open(&self, seconds: i64) -> Arc<SpeechSound> {
        let stream = self.facts.primary_audio().unwrap().index;
        let limits = Limits::default();
        let opened =
            SpeechSound::open(&self.tools, &self.path, &self.facts, stream, self.dir.path(), &limits);
        let mut sound = opened.await.unwrap();
        if let Place::Blocks(blocks) = &mut sound.place {
            blocks.seconds = seconds;
        }
        Arc::new(sound)
    }

    fn one_pass(&self) -> Vec<i16> {
        let map = format!("0:{}", self.facts.primary_audio().unwrap().index);
        let input = self.path.to_str().unwrap();
        let bytes = ffmpeg("", &["-i", input, "-map", &map, "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]);
        samples(&bytes).collect()
    }
}

fn ffmpeg(args: &str, more: &[&str]) -> Vec<u8> {
    let program = std::env::var("SEGUE_FFMPEG").unwrap_or_else(|_| "ffmpeg".into());
    let run = std::process::Command::new(program)
        .args(["-v", "error"])
        .args(args.split_whitespace())
        .args(more)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    run.stdout
}

async fn read(sound: &Arc<SpeechSound>, from: i64, to: i64) -> Vec<i16> {
    let sound = sound.clone();
    tokio::task::spawn_blocking(move || sound.read(from, to)).await.unwrap().unwrap()
}

/// Largest difference, where both have a sample.
fn worst(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap_or(0)
}

async fn check(name: &str, args: &str, on_demand: bool) {
    let source = Source::make(name, args).await;
    let whole = source.one_pass();
    let sound = source.open(4).await;
    assert_eq!(sound.is_on_demand(), on_demand, "{name}");
    // the last samples of a range are read first, so that no block is read after its predecessor
    for (from, to) in [(190_000, 260_000), (60_000, 70_001), (0, 300_000), (127_999, 128_001)] {
        let (from, to) = (from.min(whole.len()), to.min(whole.len()));
        let got = read(&sound, from as i64, to as i64).await;
        assert!(got.len() + 400 > to - from, "{name}: {} of {} samples", got.len(), to - from);
        // -60 dB of full scale is 33; audio decoded from another position rounds differently
        let off = worst(&got, &whole[from..to]);
        assert!(off <= 2, "{name}: {off} in {from}..{to}");
    }
    assert!((sound.len_samples() - whole.len() as i64).abs() < 800, "{name}: {}", sound.len_samples());
    let past = sound.len_samples();
    assert!(read(&sound, past, past + 10).await.is_empty());
}

#[tokio::test]
async fn blocks_are_what_one_pass_gives() {
    check("a.m4a", &format!("{NOISE} -c:a aac -b:a 96k -aac_pns 0"), true).await;
    check("a.wav", &format!("{NOISE} -ar 22050"), true).await;
    check("a.flac", &format!("{NOISE} -c:a flac -ar 48000"), true).await;
    check("av.mp4", &format!("{NOISE} {PICTURE} -c:a aac -b:a 96k -aac_pns 0"), true).await;
    check("opus.mp4", &format!("{NOISE} -c:a libopus -b:a 64k"), true).await;
    check("mp3.mp4", &format!("{NOISE} -c:a libmp3lame -ar 32000"), true).await;
}

#[tokio::test]
async fn where_times_are_not_exact_all_is_decoded_once() {
    check("a.mkv", &format!("{NOISE} -c:a libopus -b:a 64k"), false).await;
    check("a.ogg", &format!("{NOISE} -c:a libvorbis"), false).await;
    check("a.mp3", &format!("{NOISE} -c:a libmp3lame"), false).await;
    check("a.ts", &format!("{NOISE} -c:a aac -b:a 96k"), false).await;
    check("frag.mp4", &format!("{NOISE} -c:a aac -movflags frag_keyframe+empty_moov"), false).await;
}

#[tokio::test]
async fn a_block_does_not_depend_on_who_asks() {
    let source = Source::make("a.m4a", &format!("{NOISE} -c:a aac -b:a 96k")).await;
    let (one, other) = (source.open(4).await, source.open(4).await);
    let forwards = read(&one, 0, 250_000).await;
    for start in [200_000, 130_000, 64_000, 0, 63_990] {
        let got = read(&other, start, start + 20_000).await;
        assert!(got == forwards[start as usize..start as usize + 20_000], "at {start}");
    }
    let Place::Blocks(blocks) = &other.place else { panic!("not on demand") };
    assert_eq!(blocks.kept.lock().unwrap().len(), BLOCKS_KEPT);
}

#[tokio::test]
async fn late_sound_begins_at_zero_and_says_when() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.mp4");
    ffmpeg(&format!("-y {NOISE} -c:a aac -b:a 96k"), &[plain.to_str().unwrap()]);
    let plain = plain.to_str().unwrap();
    let late = format!("-i {plain} -itsoffset 2.5 -i {plain} {PICTURE} -map 2:v -map 1:a -c:a copy");
    let source = Source::make("late.mp4", &late).await;
    let sound = source.open(4).await;
    // the priming is audible in this file, as ffmpeg writes it
    assert!((2470..=2500).contains(&sound.start_offset_ms()), "{}", sound.start_offset_ms());
    let got = read(&sound, 100_000, 140_000).await;
    assert!(worst(&got, &source.one_pass()[100_000..140_000]) <= 2);
}

#[tokio::test]
async fn missing_sound_is_silence_and_loud_sound_is_not_clipped() {
    let gap = "-f lavfi -i sine=f=300:d=3:r=16000 -af volume=5dB,aselect='lt(t,1)+gt(t,2)' -c:a pcm_s16le";
    let source = Source::make("gap.mkv", gap).await;
    let sound = source.open(4).await;
    assert!((sound.len_samples() - 48_000).abs() < 1100, "{}", sound.len_samples());
    let middle = read(&sound, 20_000, 28_000).await;
    assert!(middle.iter().all(|s| *s == 0));

    let loud =
        "-f lavfi -i sine=f=300:d=1:r=48000 -af volume=17.9dB,pan=5.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0";
    let source = Source::make("loud.flac", loud).await;
    let sound = source.open(4).await;
    let samples = read(&sound, 2_000, 14_000).await;
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!((20_000..32_700).contains(&peak), "{peak}");
}

#[tokio::test]
async fn a_stream_that_is_no_sound_is_refused() {
    let source = Source::make("v.mp4", PICTURE).await;
    let limits = Limits::default();
    let opened = SpeechSound::open(&source.tools, &source.path, &source.facts, 0, source.dir.path(), &limits);
    let error = opened.await.unwrap_err();
    assert_eq!(error.kind(), crate::MediaErrorKind::Usage);
    assert!(error.to_string().ends_with("stream 0 is no sound"), "{error}");
}

#[tokio::test]
async fn a_block_is_cut_by_samples_and_read_with_its_surroundings() {
    assert_eq!(BlockRange::of(0, 60), BlockRange { from: 0, warm_up: 0, to: 61 });
    assert_eq!(BlockRange::of(2, 60), BlockRange { from: 119, warm_up: 1, to: 181 });
    let source = Source::make("a.wav", "-f lavfi -i sine=r=48000:d=0.1").await;
    let stream = source.facts.primary_audio().unwrap();
    let args = block_args(source_input(Path::new("s")), 0, stream, 480, Some(10_000), &BlockRange::of(2, 60));
    let line = args.into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ");
    assert!(
        line.starts_with("-v error -nostdin -copyts -noaccurate_seek -ss 118.000000 -max_pixels"),
        "{line}"
    );
    assert!(
        line.contains("atrim=start_pts=5712480:end_pts=8688480,asetpts=PTS-(5712480),aresample"),
        "{line}"
    );
}
