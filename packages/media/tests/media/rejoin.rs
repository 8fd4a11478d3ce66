//! N parts equal one: real files, cut at every second and joined in three ways, equal their source.

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::common::{ffmpeg, rejoin, talk};
use segue_media::certificate::{Compared, Evidence};
use segue_media::mp4::{CountedFile, TrackChoice, read_index};
use segue_media::{Certificate, Limits, TrackPlace, Verdict, verify};

const X264: &str = "-c:v libx264 -preset ultrafast -g 15 -pix_fmt yuv420p";
const COPY: &str = "cp {input} {output}";
const REMUX: &str = "ffmpeg -nostdin -v error -y -i {input} -c copy {output}";

async fn same_in_three_ways(dir: &Path, source: &Path, extension: &str, segments: usize) {
    for map in [None, Some(COPY), Some(REMUX)] {
        let joined = rejoin(source, dir, map).await.unwrap();
        assert_eq!(
            joined.report.path.extension().unwrap(),
            extension,
            "{:?}",
            joined.report.container_reasons
        );
        if let Some(plan) = &joined.plan {
            assert_eq!(plan.segments.len(), segments);
        }
        let certificate = joined.certificate().await;
        assert!(certificate.passed, "{map:?}: {:#?}", certificate.failures);
        let report = verify(&joined.tools, source, &joined.report.path, &Limits::default()).await.unwrap();
        assert_eq!(report.verdict, Verdict::Same, "{map:?}: {:#?}", report.differences);
    }
}

#[tokio::test]
async fn closed_groups_in_mp4() {
    let dir = tempfile::tempdir().unwrap();
    let source = talk(dir.path(), "a.mp4", X264, "-c:a aac");
    same_in_three_ways(dir.path(), &source, "mp4", 5).await;
}

#[tokio::test]
async fn open_groups_are_cut_without_loss() {
    let dir = tempfile::tempdir().unwrap();
    let open = "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -x264-params open-gop=1:keyint=15:min-keyint=15:scenecut=0";
    let source = talk(dir.path(), "a.mp4", open, "-c:a aac");
    let joined = rejoin(&source, dir.path(), None).await.unwrap();
    assert!(!joined.plan.unwrap().all_closed());
    same_in_three_ways(dir.path(), &source, "mp4", 5).await;
}

#[tokio::test]
async fn a_trimmed_file_hides_what_it_hid() {
    let dir = tempfile::tempdir().unwrap();
    talk(dir.path(), "whole.mp4", "-c:v libx264 -preset ultrafast -bf 2 -g 30 -pix_fmt yuv420p", "-an");
    ffmpeg(dir.path(), "-ss 0.7 -i whole.mp4 -c copy a.mp4");
    let source = dir.path().join("a.mp4");
    let joined = rejoin(&source, dir.path(), None).await.unwrap();
    let plan = joined.plan.unwrap();
    assert!(plan.packets > plan.frames, "the fixture hides nothing");
    assert!(matches!(plan.track, TrackPlace::Source { .. }));
    same_in_three_ways(dir.path(), &source, "mp4", 4).await;
}

#[tokio::test]
async fn matroska_with_opus_that_starts_late() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = "-f lavfi -i testsrc2=s=160x90:r=25 -itsoffset 0.3 -f lavfi -i sine=f=440:r=48000";
    ffmpeg(dir.path(), &format!("{inputs} -t 4 {X264} -c:a libopus -metadata:s:a:0 language=ger a.mkv"));
    let source = dir.path().join("a.mkv");
    same_in_three_ways(dir.path(), &source, "mkv", 4).await;
}

#[tokio::test]
async fn a_transport_stream_that_starts_at_a_hundred_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let source = talk(dir.path(), "a.ts", &format!("{X264} -bf 2"), "-c:a aac -output_ts_offset 100");
    same_in_three_ways(dir.path(), &source, "mp4", 5).await;
}

#[tokio::test]
async fn sound_alone_and_one_frame_alone() {
    let dir = tempfile::tempdir().unwrap();
    ffmpeg(dir.path(), "-f lavfi -i sine=f=440 -t 2 -c:a aac sound.m4a");
    same_in_three_ways(dir.path(), &dir.path().join("sound.m4a"), "mp4", 0).await;
    ffmpeg(dir.path(), "-f lavfi -i testsrc2=s=160x90 -frames:v 1 -c:v libx264 one.mp4");
    same_in_three_ways(dir.path(), &dir.path().join("one.mp4"), "mp4", 1).await;
}

#[tokio::test]
async fn a_map_that_loses_a_frame_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let source = talk(dir.path(), "a.mp4", X264, "-an");
    let lossy = "ffmpeg -nostdin -v error -y -i {input} -c copy -frames:v 20 {output}";
    let error = rejoin(&source, dir.path(), Some(lossy)).await.err().unwrap().to_string();
    assert!(
        error.starts_with("FRAME MISMATCH in segment 0: it owns 30 frames and the map wrote 20"),
        "{error}"
    );
}

#[tokio::test]
async fn parts_in_different_codings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = talk(dir.path(), "a.mp4", X264, "-an");
    let odd = "sh -c 'ffmpeg -nostdin -v error -y -i {input} -c:v libx264 -x264-params ref=$((SEGUE_INDEX+1)):cabac=$((SEGUE_INDEX%2)) {output}'";
    let error = rejoin(&source, dir.path(), Some(odd)).await.err().unwrap().to_string();
    assert!(error.contains("part 1 is coded with other settings"), "{error}");
}

#[tokio::test]
async fn a_corrupted_join_fails_its_certificate_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let source = talk(dir.path(), "a.mp4", X264, "-c:a aac");
    let mut joined = rejoin(&source, dir.path(), None).await.unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&joined.report.path).unwrap();
    let index =
        read_index(&CountedFile::new(file.try_clone().unwrap()).unwrap(), TrackChoice::FirstVideo).unwrap();
    let plan = joined.plan.as_ref().unwrap();
    let victim = index.track.samples[plan.segments[2].first_packet as usize + 3];
    file.write_all_at(&[0xa5; 8], victim.offset + 20).unwrap();
    let certificate = joined.certificate().await;
    assert!(!certificate.passed);
    assert_eq!(certificate.failures.len(), 1, "{:?}", certificate.failures);
    assert!(certificate.failures[0].starts_with("segment 2:"), "{:?}", certificate.failures);
    joined.ledgers.pop();
    assert!(joined.certificate().await.failures.iter().any(|f| f.contains("4 parts for 5 segments")));
}

#[tokio::test]
async fn verify_sees_a_shift_and_another_picture() {
    let dir = tempfile::tempdir().unwrap();
    let source = talk(dir.path(), "a.mp4", X264, "-c:a aac");
    ffmpeg(dir.path(), "-i a.mp4 -itsoffset 0.04 -i a.mp4 -map 0:v -map 1:a -c copy late.mp4");
    ffmpeg(dir.path(), "-i a.mp4 -c:a copy -c:v libx264 -crf 40 other.mp4");
    let tools = segue_media::Tools::discover().await.unwrap();
    let compare =
        async |name: &str| verify(&tools, &source, &dir.path().join(name), &Limits::default()).await.unwrap();
    let late = compare("late.mp4").await;
    assert_eq!(late.verdict, Verdict::Differs);
    assert!(late.differences.iter().any(|d| d.contains("shifted by")), "{:?}", late.differences);
    let other = compare("other.mp4").await;
    assert!(other.differences[0].contains("content differs from frame 0"), "{:?}", other.differences);
}

#[tokio::test]
async fn parts_that_were_only_read_are_carried_with_all_that_stands_beside_them() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("chapters.txt"),
        ";FFMETADATA1\ntitle=A talk\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=one\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=2000\nEND=5000\ntitle=two\n",
    )
    .unwrap();
    talk(dir.path(), "plain.mp4", X264, "-c:a aac");
    ffmpeg(dir.path(), "-i plain.mp4 -i chapters.txt -map 0 -map_metadata 1 -c copy a.mp4");
    let source = dir.path().join("a.mp4");
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let joined = rejoin(&source, &out, None).await.unwrap();
    assert!(joined.report.carried.is_some());
    let certificate = joined.certificate().await;
    assert!(certificate.passed, "{:?}", certificate.failures);
    let (bytes, sha256) = segue_media::sha256_file(&joined.report.path).unwrap();
    assert_eq!((certificate.result_bytes, certificate.result_sha256), (bytes, sha256));
    let facts = segue_media::probe(&joined.tools, &joined.report.path).await.unwrap();
    assert_eq!((facts.chapters, facts.tags["title"].as_str()), (2, "A talk"));
    // the movie box comes first, so that playback can start before the download ends
    let head = std::fs::read(&joined.report.path).unwrap();
    let at = |kind: &[u8]| head.windows(4).position(|w| w == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
}

/// A large file is compared as it is written, and read back whole only if it changed since.
#[tokio::test]
async fn a_large_carried_file_that_was_changed_on_disk_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    ffmpeg(dir.path(), "-f lavfi -i testsrc2=s=1280x720,noise=alls=90:allf=t -t 4 -c:v mjpeg -q:v 1 a.mov");
    let source = dir.path().join("a.mov");
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let joined = rejoin(&source, &out, None).await.unwrap();
    let result = &joined.report.path;
    assert!(joined.report.carried.is_some() && result.metadata().unwrap().len() > 80 << 20);
    let certificate = joined.certificate().await;
    assert!(certificate.passed, "{:?}", certificate.failures);
    let compared = |certificate: &Certificate| match certificate.segments[0].evidence {
        Evidence::Place { compared } => compared,
        Evidence::Digest { .. } => panic!("a carried file has no digests"),
    };
    assert_eq!(compared(&certificate), Compared::Writes);
    let (bytes, sha256) = segue_media::sha256_file(result).unwrap();
    assert_eq!((certificate.result_bytes, certificate.result_sha256), (bytes, sha256));

    let file = std::fs::OpenOptions::new().read(true).write(true).open(result).unwrap();
    let middle = bytes / 2;
    let mut was = [0];
    file.read_exact_at(&mut was, middle).unwrap();
    file.write_all_at(&[was[0] ^ 1], middle).unwrap();
    let certificate = joined.certificate().await;
    assert!(
        !certificate.passed && certificate.failures[0].contains("segment 2"),
        "{:?}",
        certificate.failures
    );
    file.write_all_at(&was, middle).unwrap();
    let certificate = joined.certificate().await;
    assert!(certificate.passed, "{:?}", certificate.failures);
    assert_eq!(compared(&certificate), Compared::Whole);
}

#[tokio::test]
async fn a_carried_file_that_was_changed_on_disk_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    talk(dir.path(), "a.mp4", X264, "-c:a aac");
    let source = dir.path().join("a.mp4");
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let joined = rejoin(&source, &out, None).await.unwrap();
    let good = std::fs::read(&joined.report.path).unwrap();
    let mdat = good.windows(4).position(|w| w == b"mdat").unwrap();
    let stco = good.windows(4).position(|w| w == b"stco").unwrap();
    let change = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&joined.report.path, bad).unwrap();
    };
    // the first packet of all: after the name and the long length of the media box
    change(mdat + 12 + 5);
    let certificate = joined.certificate().await;
    assert!(!certificate.passed);
    assert!(
        certificate.failures.iter().any(|f| f.contains("segment 0") || f.contains("packet 0")),
        "{:?}",
        certificate.failures
    );
    // the chunk offset
    change(stco + 15);
    let error = joined.try_certificate().await.unwrap_err();
    assert!(error.to_string().contains("does not read back"), "{error}");
    std::fs::write(&joined.report.path, &good).unwrap();
    assert!(joined.certificate().await.passed);
}
