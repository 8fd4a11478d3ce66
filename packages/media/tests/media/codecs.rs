//! Codecs that MP4 or ffmpeg's MP4 muxer does not support, cut and joined again.

use std::path::Path;

use crate::common::{ffmpeg, rejoin};
use segue_media::{Limits, TrackPlace, Verdict, verify};

const PICTURE: &str = "-f lavfi -i testsrc2=s=160x90:r=25:d=4";
const SOUND: &str = "-f lavfi -i sine=f=440:r=48000:d=4";

fn clip(dir: &Path, name: &str, codecs: &str) -> std::path::PathBuf {
    ffmpeg(dir, &format!("{PICTURE} {SOUND} {codecs} {name}"));
    dir.join(name)
}

/// The video frames decoded from the result equal those of the source, with the same times.
async fn same_with_and_without_a_map(dir: &Path, source: &Path) {
    for map in [None, Some("cp {input} {output}")] {
        let joined = rejoin(source, dir, map).await.unwrap();
        let shown = source.display();
        let plan = joined.plan.as_ref().unwrap();
        assert!(matches!(plan.track, TrackPlace::TrackFile { .. }), "{shown}");
        assert_eq!(plan.segments.len(), 4, "{shown}");
        let certificate = joined.certificate().await;
        assert!(certificate.passed, "{shown} {map:?}: {:#?}", certificate.failures);
        let report = verify(&joined.tools, source, &joined.report.path, &Limits::default()).await.unwrap();
        assert_eq!(report.verdict, Verdict::Same, "{shown} {map:?}: {:#?}", report.differences);
    }
}

#[tokio::test]
async fn vp8_of_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let source = clip(dir.path(), "a.webm", "-c:v libvpx -b:v 300k -g 25 -c:a libopus");
    same_with_and_without_a_map(dir.path(), &source).await;
    // a browser writes neither a duration nor an index
    let live = "-c:v libvpx -b:v 300k -g 25 -deadline realtime -c:a libopus -f webm -live 1";
    let source = clip(dir.path(), "live.webm", live);
    same_with_and_without_a_map(dir.path(), &source).await;
}

#[tokio::test]
async fn vp8_with_pixels_that_are_not_square_and_another_clock() {
    let dir = tempfile::tempdir().unwrap();
    let source = clip(dir.path(), "a.mkv", "-c:v libvpx -vf setsar=4/3 -g 25 -c:a flac");
    let joined = rejoin(&source, dir.path(), None).await.unwrap();
    let shown = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", "stream=sample_aspect_ratio"])
        .args(["-of", "csv=p=0"])
        .arg(&joined.report.path)
        .output();
    assert_eq!(String::from_utf8(shown.unwrap().stdout).unwrap().trim(), "4:3");
    ffmpeg(dir.path(), &format!("{PICTURE} -c:v libvpx -g 25 a.ivf"));
    same_with_and_without_a_map(dir.path(), &dir.path().join("a.ivf")).await;
}

#[tokio::test]
async fn avi_and_flash() {
    let dir = tempfile::tempdir().unwrap();
    for (name, codecs) in [
        ("asp.avi", "-c:v mpeg4 -vtag XVID -g 25 -c:a pcm_s16le"),
        ("mjpeg.avi", "-c:v mjpeg -c:a pcm_s16le"),
        ("huff.avi", "-c:v huffyuv -c:a pcm_s16le"),
        ("flv1.flv", "-c:v flv -g 25 -c:a pcm_s16le -ar 44100"),
    ] {
        let source = clip(dir.path(), name, codecs);
        same_with_and_without_a_map(dir.path(), &source).await;
    }
}

#[tokio::test]
async fn windows_media() {
    let dir = tempfile::tempdir().unwrap();
    let source = clip(dir.path(), "a.wmv", "-c:v wmv2 -g 25 -c:a wmav2");
    same_with_and_without_a_map(dir.path(), &source).await;
}

#[tokio::test]
async fn theora() {
    let dir = tempfile::tempdir().unwrap();
    let source = clip(dir.path(), "a.ogv", "-c:v libtheora -g 25 -c:a libvorbis");
    same_with_and_without_a_map(dir.path(), &source).await;
}

/// ffmpeg decodes RealVideo and has no muxer for it: it can be mapped and encoded.
#[tokio::test]
async fn real_video_is_mapped_and_not_copied() {
    let dir = tempfile::tempdir().unwrap();
    let source = clip(dir.path(), "a.rm", "-vf scale=160:128 -c:v rv20 -g 25 -c:a ac3");
    let joined = rejoin(&source, dir.path(), Some("cp {input} {output}")).await.unwrap();
    assert!(joined.plan.as_ref().unwrap().unnamed);
    let certificate = joined.certificate().await;
    assert!(certificate.passed, "{:#?}", certificate.failures);
    let copied = rejoin(&source, dir.path(), None).await.unwrap();
    let failures = copied.certificate().await.failures;
    assert!(failures.iter().any(|f| f.contains("is not in the result")), "{failures:?}");
    assert!(copied.report.dropped.iter().any(|d| d.reason.contains("--recipe mp4")));
}
