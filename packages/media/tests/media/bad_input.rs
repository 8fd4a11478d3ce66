//! Inputs that are not media, truncated, or disguised playlists.

use std::path::Path;

use crate::common::{ffmpeg, rejoin, talk};
use segue_media::{MediaErrorKind, Tools, probe};

async fn refusal(path: &Path) -> String {
    let tools = Tools::discover().await.unwrap();
    let error = probe(&tools, path).await.unwrap_err();
    assert_eq!(error.kind(), MediaErrorKind::Source, "{error}");
    assert!(!error.to_string().contains('\n'));
    error.to_string()
}

#[tokio::test]
async fn each_has_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases: [(&str, &[u8], &str); 8] = [
        ("zero.mp4", b"", "is empty"),
        ("text.mp4", b"these are words and not pictures\n", "is not a media file"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "playlist"),
        ("b.ts", b"\n ffconcat version 1.0\nfile '/etc/passwd'\n", "concat script"),
        (
            "c.mkv",
            b"<?xml version='1.0'?>\n<MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>",
            "DASH manifest",
        ),
        ("d.mp4", b"file '/etc/passwd'\n", "concat script"),
        ("e.avi", b"v=0\no=- 0 0 IN IP4 10.0.0.1\nc=IN IP4 10.0.0.1\nm=video 1234 RTP/AVP 96\n", "session"),
        ("f.mp4", b"\0\0\0\x14ftypisom\0\0\0\0isom\0\0\x10\0mdat................", "no index"),
    ];
    for (name, bytes, expected) in cases {
        let cause = refusal(&write(name, bytes)).await;
        assert!(cause.contains(expected), "{name}: {cause}");
    }
    assert!(refusal(dir.path()).await.contains("is a directory"));
    assert!(refusal(&dir.path().join("none.mp4")).await.contains("no such file"));
}

#[tokio::test]
async fn a_source_that_asks_for_too_much_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    ffmpeg(dir.path(), "-f lavfi -i color=s=8194x16:d=0.1 -c:v ffv1 wide.mkv");
    assert!(refusal(&dir.path().join("wide.mkv")).await.contains("8194 x 16 pixels; the limit is 8192"));
    // nested boxes, and more tracks than ffmpeg opens
    let boxes = |kind: &[u8; 4], inside: &[u8]| {
        [&(inside.len() as u32 + 8).to_be_bytes(), kind.as_slice(), inside].concat()
    };
    let deep = (0..4000).rev().flat_map(|n: u32| [(8 * n + 8).to_be_bytes(), *b"moov"].concat());
    let deep = [boxes(b"ftyp", b"isom\0\0\0\0"), deep.collect()].concat();
    std::fs::write(dir.path().join("deep.mp4"), deep).unwrap();
    assert!(refusal(&dir.path().join("deep.mp4")).await.contains("more than 8 boxes inside one another"));
    let one = talk(dir.path(), "one.mp4", "-c:v mpeg4 -frames:v 2", "-an");
    let one = std::fs::read(one).unwrap();
    let place = |kind: &[u8; 4]| one.windows(4).position(|w| w == kind).unwrap() - 4;
    let whole = |at: usize| &one[at..at + u32::from_be_bytes(one[at..at + 4].try_into().unwrap()) as usize];
    let inside = [whole(place(b"mvhd")), &whole(place(b"trak")).repeat(1100)].concat();
    let many = [whole(0), &boxes(b"moov", &inside), &boxes(b"mdat", &[0; 99])].concat();
    std::fs::write(dir.path().join("many.mp4"), many).unwrap();
    let cause = refusal(&dir.path().join("many.mp4")).await;
    assert!(cause.contains("too many streams"), "{cause}");
}

#[tokio::test]
async fn subtitles_and_stills_are_not_sources() {
    let dir = tempfile::tempdir().unwrap();
    let srt = dir.path().join("a.mkv");
    std::fs::write(&srt, "1\n00:00:00,000 --> 00:00:01,000\nhello\n").unwrap();
    refusal(&srt).await;
    ffmpeg(dir.path(), "-f lavfi -i testsrc2=s=64x64 -frames:v 1 a.png");
    refusal(&dir.path().join("a.png")).await;
}

#[tokio::test]
async fn a_truncated_file_is_joined_as_far_as_it_goes_and_the_loss_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let x264 = "-c:v libx264 -preset ultrafast -g 15 -pix_fmt yuv420p";
    let whole = talk(dir.path(), "whole.mp4", x264, "-c:a aac -movflags +faststart");
    talk(dir.path(), "whole.mkv", x264, "-c:a aac");
    for name in ["whole.mp4", "whole.mkv"] {
        let bytes = std::fs::read(whole.with_file_name(name)).unwrap();
        let cut = dir.path().join(name.replace("whole", "cut"));
        std::fs::write(&cut, &bytes[..bytes.len() * 6 / 10]).unwrap();
        let joined = rejoin(&cut, dir.path(), None).await.unwrap();
        let plan = joined.plan.as_ref().unwrap();
        let lost = plan.lost.unwrap();
        assert!(plan.frames > 50 && plan.frames < 120, "{name}: {}", plan.frames);
        assert_eq!(lost.file_bytes, bytes.len() as u64 - bytes.len() as u64 * 6 / 10, "{name}");
        assert!(plan.timebase.seconds(lost.ticks) > 1.0, "{name}: {lost:?}");
    }
}
