//! The fixtures have the properties that other tests rely on.

use segue_tests::{Digest, Fixture, fixture, has_encoder, streams};

fn keyframes(path: &std::path::Path) -> usize {
    let probed = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "V:0", "-show_entries", "packet=flags", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&probed.stdout).lines().filter(|line| line.contains('K')).count()
}

#[test]
fn each_has_its_property() {
    let first = |which| Digest::decode(&fixture(which));
    assert!(first(Fixture::OffsetTs).video[0].times[0] > 100_000.0);
    let late = first(Fixture::LateSound);
    assert!(late.audio[0].times[0] - late.video[0].times[0] > 2_400.0);
    assert_eq!(first(Fixture::OneFrame).video[0].times.len(), 1);
    assert!(first(Fixture::SoundOnly).video.is_empty() && first(Fixture::PictureOnly).audio.is_empty());
    assert_eq!(first(Fixture::ManySounds).audio.len(), 3);

    let vfr = &first(Fixture::Vfr).video[0].times;
    let steps: std::collections::BTreeSet<_> = vfr.windows(2).map(|w| (w[1] - w[0]).round() as i64).collect();
    assert!(steps.len() > 2, "{steps:?}");

    assert_eq!(keyframes(&fixture(Fixture::Long)), 8);
    assert_eq!(keyframes(&fixture(Fixture::OneFrameTail)), 5);
    assert_eq!(first(Fixture::OneFrameTail).video[0].times.len(), 121);
}

#[test]
fn streams_are_as_wanted() {
    let rotated = streams(&fixture(Fixture::Rotated));
    assert!(rotated[0]["side_data_list"][0]["rotation"].is_i64(), "{:?}", rotated[0]);
    let chapters = streams(&fixture(Fixture::Chapters));
    assert!(chapters.iter().any(|s| s["codec_type"] == "subtitle"), "{chapters:?}");
    let cover = streams(&fixture(Fixture::Cover));
    assert!(cover.iter().any(|s| s["disposition"]["attached_pic"] == 1), "{cover:?}");
    let sounds = streams(&fixture(Fixture::ManySounds));
    assert_eq!(sounds[2]["disposition"]["default"], 1, "{sounds:?}");
}

#[test]
fn open_groups_are_open() {
    let mut open = vec![Fixture::H264Open];
    if has_encoder("libx265") {
        open.push(Fixture::HevcOpen);
    }
    for which in open {
        // a leading picture: presented before its keyframe, stored after it
        let probed = std::process::Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-select_streams",
                "v:0",
                "-show_entries",
                "packet=pts,flags",
                "-of",
                "csv=p=0",
            ])
            .arg(fixture(which))
            .output()
            .unwrap();
        let packets = String::from_utf8_lossy(&probed.stdout).into_owned();
        let (mut key, mut leading) = (None::<i64>, 0);
        for line in packets.lines() {
            let (pts, flags) = line.split_once(',').unwrap();
            let pts: i64 = pts.parse().unwrap();
            match key {
                _ if flags.contains('K') => key = Some(pts),
                Some(key) if pts < key => leading += 1,
                _ => {}
            }
        }
        assert!(leading > 0, "{which:?} has no leading pictures");
    }
}
