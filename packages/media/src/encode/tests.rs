//! Parts made by the real encoders from small generated sources.

use std::path::{Path, PathBuf};

use segue_domain::recipe::{Span, VideoCodec};

use super::*;
use crate::error::MediaErrorKind;
use crate::facts::SourceFacts;
use crate::{open_index, plan_cuts, probe};

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
        let ran = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(args.split_whitespace())
            .arg(&path)
            .status()
            .unwrap();
        assert!(ran.success());
        let tools = Tools::discover().await.unwrap();
        let facts = probe(&tools, &path).await.unwrap();
        Source { dir, path, tools, facts }
    }

    /// Encodes it in segments of that length and returns the parts.
    async fn encode(&self, millis: i64, recipe: &EncodeRecipe) -> Vec<(EncodedPart, PathBuf)> {
        let (plan, open) = self.plan(millis, recipe).await;
        let track = plan.track_path(&self.path, self.dir.path());
        let stream = &self.facts.streams[plan.stream as usize];
        let encoder = choose_encoder(&self.tools, recipe.codec, stream).await.unwrap();
        let mut parts = Vec::new();
        for segment in 0..plan.segments.len() as u32 {
            let out = self.dir.path().join(format!("{millis}-{segment}.mp4"));
            let request = EncodeRequest {
                track: &track,
                plan: &plan,
                stream,
                segment,
                recipe,
                encoder,
                out: &out,
                scratch: self.dir.path(),
                threads: 1,
            };
            let limits = Limits::default();
            let mut heard = 0;
            let part = encode_segment(&self.tools, Arc::clone(&open), &request, &limits, |n| heard = n)
                .await
                .unwrap();
            assert_eq!(heard, part.frames);
            parts.push((part, out));
        }
        parts
    }

    async fn plan(&self, millis: i64, recipe: &EncodeRecipe) -> (PicturePlan, Arc<OpenIndex>) {
        let (dir, limits) = (self.dir.path(), Limits::default());
        let plan = plan_cuts(&self.tools, &self.path, dir, millis * 1000, &self.facts, &limits);
        let plan = plan.await.unwrap().unwrap();
        let open = open_index(&plan, &self.path, dir).unwrap();
        (plan_on_grid(&plan, &open, recipe, millis * 1000).unwrap(), Arc::new(open))
    }
}

fn recipe(codec: VideoCodec) -> EncodeRecipe {
    let preset = if codec == VideoCodec::Av1 { "12" } else { "ultrafast" };
    EncodeRecipe {
        codec,
        preset: Some(preset.into()),
        keyframe_interval: Span::from_millis(500),
        ..EncodeRecipe::default()
    }
}

fn stsd(path: &Path) -> Vec<u8> {
    open_at(path, TrackChoice::FirstVideo).unwrap().index.track.stsd
}

/// Hashes of the decoded frames, in order.
fn frames(args: &[&str]) -> Vec<String> {
    let run = std::process::Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(args)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).unwrap();
    let last = |l: &str| l.rsplit(',').next().map(|s| s.trim().to_owned());
    text.lines().filter(|l| !l.starts_with('#')).filter_map(last).collect()
}

const OPEN_GOP: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=4 -c:v libx264 -preset veryfast -g 20 -bf 3 \
    -x264-params open-gop=1:scenecut=0:b-adapt=0:keyint=20:min-keyint=20";

#[tokio::test]
async fn every_part_holds_the_frames_that_it_owns() {
    let source = Source::make("it's an open|gop.mp4", OPEN_GOP).await;
    let lossless = EncodeRecipe { crf: Some(0), ..recipe(VideoCodec::H264) };
    let parts = source.encode(700, &lossless).await;
    assert!(parts.len() >= 4, "{}", parts.len());
    let mut joined = Vec::new();
    for (_, path) in &parts {
        joined.extend(frames(&["-i", path.to_str().unwrap()]));
    }
    assert_eq!(joined, frames(&["-i", source.path.to_str().unwrap()]));
    let left: Vec<_> =
        std::fs::read_dir(source.dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(left.len(), parts.len() + 1, "{left:?}");
}

#[tokio::test]
async fn all_parts_have_one_decoder_configuration() {
    // variable frame rate, so every part has a mean rate of its own
    let vfr = "-f lavfi -i testsrc2=s=162x121:r=50:d=3 -vf select='not(mod(n,3))+gt(n,90)' \
        -fps_mode vfr -c:v libx264 -preset ultrafast -g 15";
    let source = Source::make("vfr.mp4", vfr).await;
    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
        let parts = source.encode(600, &recipe(codec)).await;
        assert!(parts.len() >= 3, "{}", parts.len());
        let first = stsd(&parts[0].1);
        for (part, path) in &parts {
            assert_eq!(stsd(path), first, "{codec:?} segment {}", part.index);
        }
        let whole = source.encode(60_000, &recipe(codec)).await;
        assert_eq!(stsd(&whole[0].1), first, "{codec:?}");
    }
}

#[tokio::test]
async fn the_same_part_twice_is_the_same_bytes() {
    let source = Source::make("twice.mp4", OPEN_GOP).await;
    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
        let mut made = Vec::new();
        for _ in 0..2 {
            let parts = source.encode(1600, &recipe(codec)).await;
            let bytes: Vec<_> = parts.iter().map(|(_, p)| std::fs::read(p).unwrap()).collect();
            made.push(bytes);
        }
        assert!(made[0] == made[1], "{codec:?}");
    }
}

#[tokio::test]
async fn keyframes_lie_where_the_whole_has_them() {
    let source = Source::make("grid.mp4", OPEN_GOP).await;
    // the source has a keyframe every 800 ms, so 2 s result in 1600 ms
    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
        let recipe = EncodeRecipe { keyframe_interval: Span::from_millis(2_000), ..recipe(codec) };
        let mut at = [Vec::new(), Vec::new()];
        for (keys, millis) in at.iter_mut().zip([60_000, 1_000]) {
            let mut from = 0;
            for (part, path) in source.encode(millis, &recipe).await {
                let track = open_at(&path, TrackChoice::FirstVideo).unwrap().index.track;
                let ranks = crate::times::ranks(&track.samples);
                let inside = track.samples.iter().zip(ranks).filter(|(s, _)| s.keyframe);
                keys.extend(inside.map(|(_, rank)| from + rank));
                from += part.frames as usize;
            }
        }
        assert_eq!(at[0], [0, 40, 80], "{codec:?}");
        assert_eq!(at[0], at[1], "{codec:?}");
    }
}

#[tokio::test]
async fn one_frame_is_a_picture() {
    let source = Source::make("one.mp4", "-f lavfi -i color=s=96x64:r=25:d=0.04 -c:v mpeg4").await;
    for codec in [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1] {
        let parts = source.encode(1000, &recipe(codec)).await;
        assert_eq!((parts.len(), parts[0].0.frames, parts[0].0.keyframes), (1, 1, 1), "{codec:?}");
    }
}

#[tokio::test]
async fn frames_that_are_missing_are_an_error_and_leave_no_file() {
    let source = Source::make("short.mp4", OPEN_GOP).await;
    let recipe = recipe(VideoCodec::H264);
    let (mut plan, open) = source.plan(1000, &recipe).await;
    plan.segments[1].frames += 1;
    let out = source.dir.path().join("part.mp4");
    let request = EncodeRequest {
        track: &source.path,
        plan: &plan,
        stream: &source.facts.streams[0],
        segment: 1,
        recipe: &recipe,
        encoder: PictureEncoder::X264,
        out: &out,
        scratch: source.dir.path(),
        threads: 1,
    };
    let error = encode_segment(&source.tools, open, &request, &Limits::default(), |_| ()).await.unwrap_err();
    assert_eq!(error.kind(), MediaErrorKind::Source);
    assert!(error.to_string().starts_with("frame mismatch: segment 1 owns 21 frames and 20"), "{error}");
    assert_eq!(std::fs::read_dir(source.dir.path()).unwrap().count(), 1);
}

/// Codecs that MP4 does not hold: each frame once, in order, as the source's own decoder outputs it.
#[tokio::test]
async fn codecs_that_mp4_does_not_hold_are_encoded_frame_by_frame() {
    let lossless = EncodeRecipe { crf: Some(0), ..recipe(VideoCodec::H264) };
    for (name, codec) in [
        ("a.webm", "libvpx -b:v 300k -g 25"),
        ("a.ogv", "libtheora -g 25"),
        ("a.wmv", "wmv2 -g 25"),
        ("a.flv", "flv -g 25"),
        ("a.avi", "mpeg4 -vtag XVID -g 25"),
        ("huff.avi", "huffyuv -pix_fmt yuv422p"),
        ("mjpeg.avi", "mjpeg"),
        ("a.rm", "rv20 -g 25"),
    ] {
        let args = format!("-f lavfi -i testsrc2=s=160x128:r=25:d=3 -pix_fmt yuv420p -c:v {codec}");
        let source = Source::make(name, &args).await;
        let parts = source.encode(1000, &lossless).await;
        assert_eq!(parts.len(), 3, "{name}");
        let made: Vec<String> =
            parts.iter().flat_map(|(_, out)| frames(&["-i", out.to_str().unwrap()])).collect();
        let pixels = ["-i", source.path.to_str().unwrap(), "-pix_fmt", "yuv420p"];
        let theirs = frames(&pixels);
        assert_eq!(made.len(), theirs.len(), "{name}");
        // another subsampling or colour range is converted
        if !matches!(name, "huff.avi" | "mjpeg.avi") {
            assert!(made == theirs, "{name}: other frames");
        }
    }
}
