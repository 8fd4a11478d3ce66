//! Reads of a sparse source must equal reads of the whole file. Missing bytes are garbage
//! here, so that an unrequested read shows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use super::*;
use crate::part::digest_part;
use crate::process::Limits;
use crate::speech_sound::{SpeechFile, SpeechSound};
use crate::tools::Tools;
use crate::{open_track, plan_cuts, thumbnail};

/// Fetches bytes of `from` into `to`, and records the ranges.
#[derive(Debug)]
struct Copying {
    from: File,
    to: File,
    brought: Mutex<Vec<Range<u64>>>,
}

#[async_trait]
impl Bring for Copying {
    async fn bring(&self, ranges: &[Range<u64>]) -> Result<()> {
        let len = self.from.metadata().unwrap().len();
        for range in ranges {
            let range = range.start.min(len)..range.end.min(len);
            let mut bytes = vec![0; (range.end - range.start) as usize];
            self.from.read_exact_at(&mut bytes, range.start).unwrap();
            self.to.write_all_at(&bytes, range.start).unwrap();
            self.brought.lock().unwrap().push(range);
        }
        Ok(())
    }
}

struct Bench {
    dir: tempfile::TempDir,
    whole: PathBuf,
    tools: Tools,
}

impl Bench {
    async fn make(name: &str, args: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join(name);
        let program = std::env::var("SEGUE_FFMPEG").unwrap_or_else(|_| "ffmpeg".into());
        let mut make = std::process::Command::new(program);
        make.args(["-v", "error", "-y"]).args(args.split_whitespace()).arg(&whole);
        assert!(make.status().unwrap().success());
        Bench { dir, whole, tools: Tools::discover().await.unwrap() }
    }

    /// The same file with nothing fetched.
    fn absent(&self, name: &str) -> (Source, Arc<Copying>) {
        let path = self.dir.path().join(name);
        let len = std::fs::metadata(&self.whole).unwrap().len() as usize;
        std::fs::write(&path, vec![0xa5; len]).unwrap();
        let to = File::options().read(true).write(true).open(&path).unwrap();
        let from = File::open(&self.whole).unwrap();
        let copying = Arc::new(Copying { from, to, brought: Mutex::default() });
        (Source::partial(&path, Arc::clone(&copying) as _), copying)
    }
}

impl Copying {
    fn bytes(&self) -> u64 {
        let brought = needs::merged(self.brought.lock().unwrap().clone(), 0);
        brought.iter().map(|range| range.end - range.start).sum()
    }

    fn len(&self) -> u64 {
        self.from.metadata().unwrap().len()
    }
}

/// Noisy, so that packets are large and a wrong one is detected.
const PICTURE: &str = "-f lavfi -i testsrc2=s=320x180:r=25:d=100,noise=alls=60:allf=t";
const SOUND: &str = "-f lavfi -i anoisesrc=d=100:r=48000:a=0.3:seed=7";
const CODECS: &str = "-c:v libx264 -preset ultrafast -g 50 -b:v 4M -c:a aac -b:a 96k -aac_pns 0";

fn talk(more: &str) -> String {
    format!("{PICTURE} {SOUND} {CODECS} {more}")
}

async fn check_plan_and_parts(bench: &Bench) -> (u64, u64) {
    let (source, copying) = bench.absent("plan");
    source.bring_head().await.unwrap();
    let facts = probe::probe(&bench.tools, source.path()).await.unwrap();
    let whole = probe::probe(&bench.tools, &bench.whole).await.unwrap();
    assert_eq!(facts.streams, whole.streams);
    assert_eq!(facts.first_packets, whole.first_packets);
    let (limits, scratch) = (Limits::default(), bench.dir.path());
    let plan = plan_cuts(&bench.tools, &source, scratch, 10_000_000, &facts, &limits).await.unwrap().unwrap();
    let of_whole = plan_cuts(&bench.tools, &bench.whole, scratch, 10_000_000, &whole, &limits);
    let of_whole = of_whole.await.unwrap().unwrap();
    assert_eq!(plan.segments, of_whole.segments);
    assert_eq!((plan.anchor, &plan.track), (of_whole.anchor, &of_whole.track));
    let to_plan = copying.bytes();
    // a part on another machine
    let (source, copying) = bench.absent("part");
    let (ours, theirs) = (open_track(&plan, &source).unwrap(), open_track(&plan, &bench.whole).unwrap());
    let segment = &plan.segments[5];
    assert_eq!(digest_part(&ours, segment).unwrap(), digest_part(&theirs, segment).unwrap());
    assert!(copying.bytes() < copying.len() / 5, "{} of {}", copying.bytes(), copying.len());
    (to_plan, copying.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_needs_the_index_and_the_first_packets() {
    for flags in ["-movflags +faststart", "-movflags 0"] {
        let bench = Bench::make("talk.mp4", &talk(flags)).await;
        let (read, of) = check_plan_and_parts(&bench).await;
        assert!(read < 12_000_000 && read < of / 4, "{read} of {of} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_such_an_index_is_brought_whole() {
    for (name, more) in [("talk.mkv", ""), ("talk.mp4", "-movflags frag_keyframe+empty_moov")] {
        let bench = Bench::make(name, &talk(&format!("-t 20 {more}"))).await;
        let (source, copying) = bench.absent("absent");
        source.bring_head().await.unwrap();
        assert_eq!(copying.bytes(), copying.len(), "{name} {more}");
        assert!(std::fs::read(source.path()).unwrap() == std::fs::read(&bench.whole).unwrap());
    }
}

async fn heard(source: impl Into<Source>, bench: &Bench, from: i64, to: i64) -> Vec<i16> {
    let facts = probe::probe(&bench.tools, &bench.whole).await.unwrap();
    let stream = facts.primary_audio().unwrap().index;
    let sound =
        SpeechSound::open(&bench.tools, source, &facts, stream, bench.dir.path(), &Limits::default()).await;
    let sound = sound.unwrap();
    assert!(sound.is_on_demand());
    tokio::task::spawn_blocking(move || sound.read(from, to).unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_heard_as_in_the_whole() {
    let late = format!("{PICTURE} -itsoffset 3 {SOUND} {CODECS} -map 1 -map 0");
    for made in [talk(""), late, talk("-g 5000")] {
        let bench = Bench::make("talk.mp4", &made).await;
        for (from, to) in [(0, 16_000), (70 * 16_000, 80 * 16_000), (95 * 16_000, 100 * 16_000)] {
            let (source, copying) = bench.absent("heard");
            let ours = heard(&source, &bench, from, to).await;
            assert!(!ours.is_empty() && ours == heard(&bench.whole, &bench, from, to).await, "{made} {from}");
            assert!(copying.bytes() < copying.len(), "{made} {from}: all of it was brought");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_still_is_that_of_the_whole() {
    let bench = Bench::make("talk.mp4", &talk("-movflags +faststart")).await;
    let facts = probe::probe(&bench.tools, &bench.whole).await.unwrap();
    let still = async |source: Source, name: &str| {
        let out = bench.dir.path().join(name);
        let limits = Limits::default();
        let made = thumbnail(&bench.tools, source, &facts, Some(30_000_000), 200, &out, &limits);
        assert!(made.await.unwrap());
        std::fs::read(out).unwrap()
    };
    let (source, copying) = bench.absent("still");
    assert!(still(source, "ours.jpg").await == still(Source::whole(&bench.whole), "theirs.jpg").await);
    assert!(copying.bytes() < copying.len(), "all of it was brought");
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_that_one_decoded_for_all_is_read_in_ranges() {
    let bench = Bench::make("sound.mkv", &format!("{SOUND} -c:a libopus -t 20")).await;
    let facts = probe::probe(&bench.tools, &bench.whole).await.unwrap();
    let stream = facts.primary_audio().unwrap().index;
    let (limits, folder) = (Limits::default(), bench.dir.path());
    let source = Source::whole(&bench.whole);
    let made = SpeechFile::decode(&bench.tools, &source, &facts, stream, folder, &limits).await.unwrap();
    let made = made.expect("the stream cannot be decoded in parts");
    let own = tempfile::tempdir().unwrap();
    let open = SpeechSound::open(&bench.tools, &source, &facts, stream, own.path(), &limits);
    let alone = open.await.unwrap();
    assert_eq!((made.samples, made.start_offset_ms), (alone.len_samples(), alone.start_offset_ms()));

    let samples = Bench { whole: folder.join(&made.file_name), ..bench };
    let (absent, copying) = samples.absent("samples");
    let stored = SpeechSound::stored(&absent, &made).unwrap();
    assert_eq!(
        (stored.len_samples(), stored.start_offset_ms()),
        (alone.len_samples(), alone.start_offset_ms())
    );
    let (a, b) = tokio::task::spawn_blocking(move || {
        let end = alone.len_samples();
        [(100_000, 130_000), (end - 10, end + 10)]
            .map(|(from, to)| (stored.read(from, to).unwrap(), alone.read(from, to).unwrap()))
            .into_iter()
            .unzip::<_, _, Vec<_>, Vec<_>>()
    })
    .await
    .unwrap();
    assert_eq!((a[0].len(), a[1].len()), (30_000, 10));
    assert!(a == b, "other samples than those that each would decode");
    assert_eq!(copying.bytes(), 60_020, "more was brought than was read");

    std::fs::write(&samples.whole, [0; 7]).unwrap();
    let error = SpeechSound::stored(&Source::whole(&samples.whole), &made).unwrap_err();
    assert!(error.to_string().contains("7 bytes are not"), "{error}");

    let indexed = Bench::make("sound.m4a", &format!("{SOUND} -c:a aac -t 4")).await;
    let facts = probe::probe(&indexed.tools, &indexed.whole).await.unwrap();
    let (source, folder) = (Source::whole(&indexed.whole), indexed.dir.path());
    let none = SpeechFile::decode(&indexed.tools, &source, &facts, 0, folder, &limits).await.unwrap();
    assert_eq!(none, None);
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing is left");
}

#[derive(Debug)]
struct Gone;

#[async_trait]
impl Bring for Gone {
    async fn bring(&self, _: &[Range<u64>]) -> Result<()> {
        Err(MediaError::environment("connection timed out"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_fetched_is_not_the_sources_fault() {
    let bench = Bench::make("talk.mp4", &talk("-t 4")).await;
    let source = Source::partial(&bench.whole, Arc::new(Gone));
    let facts = probe::probe(&bench.tools, &bench.whole).await.unwrap();
    let limits = Limits::default();
    let plan = plan_cuts(&bench.tools, &bench.whole, bench.dir.path(), 1_000_000, &facts, &limits);
    let plan = plan.await.unwrap().unwrap();
    for error in [source.bring_head().await.unwrap_err(), open_track(&plan, &source).unwrap_err()] {
        assert_eq!(error.kind(), crate::MediaErrorKind::Environment, "{error}");
        assert!(error.is_retryable() && error.to_string().ends_with("connection timed out"), "{error}");
    }
    let mut open = open_track(&plan, &bench.whole).unwrap();
    open.file = source.open().unwrap();
    let error = digest_part(&open, &plan.segments[0]).unwrap_err();
    assert_eq!(error.kind(), crate::MediaErrorKind::Environment, "{error}");
}

#[test]
fn near_ranges_are_one() {
    let merged = |ranges: &[Range<u64>], gap| needs::merged(ranges.to_vec(), gap);
    assert_eq!(merged(&[5..9, 0..2, 2..4, 7..8], 0), [0..4, 5..9]);
    assert_eq!(merged(&[0..2, 12..14, 25..30], 10), [0..14, 25..30]);
    assert_eq!(merged(&[3..3, 5..5], 0), []);
}
