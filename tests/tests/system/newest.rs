//! The newest supported ffmpeg, besides the system's own: users have versions 5 to 9.

use segue_tests::{Fixture, Sandbox, assert_same_media, fixture};

use crate::audio::check_loudness;
use crate::pictures::{Case, check_storyboards, steady, with_gaps};

/// The ffmpeg that `scripts/setup --test` installs.
fn newest() -> String {
    std::env::var("SEGUE_TEST_FFMPEG9").ok().filter(|path| !path.is_empty()).expect(
        "SEGUE_TEST_FFMPEG9 names a second, newer ffmpeg; scripts/test sets it: \
         PyPI's imageio-ffmpeg 0.8.1 has one",
    )
}

fn check_copies(fixtures: &[Fixture]) {
    for &which in fixtures {
        for map in [&[][..], &["--map", "cp {input} {output}"]] {
            let (sandbox, source) = (Sandbox::new(), fixture(which));
            let args = [&["--recipe", "rejoin", "--segment-duration", "1s"], map].concat();
            let ended = sandbox.end(sandbox.run(&source, &args).env("SEGUE_FFMPEG", newest()));
            assert_eq!(ended.code, Some(0), "{which:?} {map:?}: {ended:#?}");
            assert_same_media(&source, &sandbox.joined());
        }
    }
}

#[test]
fn a_copy_is_a_copy() {
    check_copies(&[Fixture::H264Open]);
}

#[test]
fn sound_is_normalised_and_pictures_are_those_of_their_times() {
    let formats = "normalize = true\nformats = [\"mp3\", \"m4a\", \"opus\", \"flac\", \"flac16k\"]";
    check_loudness(&newest(), &[(Fixture::QuietStereo, formats, -23.0)]);
    let with_preview = "interval = \"4s\"\nfiles = true\npreview = \"webp\"";
    let cases: [Case; 2] =
        [(Fixture::Counting, with_preview, 3, steady), (Fixture::CountingGaps, "", 19, with_gaps)];
    check_storyboards(&newest(), &cases);
}

/// More codecs and containers, and an encode: `scripts/test --long`.
mod long {
    use segue_tests::{Digest, Fixture, Sandbox, fixture};

    use super::{check_copies, newest};

    #[test]
    fn copies_of_other_codecs_and_containers_are_copies() {
        check_copies(&[Fixture::HevcOpen, Fixture::OffsetTs, Fixture::Vp9Opus, Fixture::Vfr]);
    }

    #[test]
    fn an_encode_keeps_frames_and_times() {
        for which in [Fixture::H264Open, Fixture::LateSound] {
            let (sandbox, source) = (Sandbox::new(), fixture(which));
            let args = ["--recipe", "mp4", "--segment-duration", "1s"];
            let ended = sandbox.end(sandbox.run(&source, &args).env("SEGUE_FFMPEG", newest()));
            assert_eq!(ended.code, Some(0), "{which:?}: {ended:#?}");
            let (before, after) = (Digest::decode(&source), Digest::decode(&sandbox.joined()));
            let (a, b) = (&before.video[0].times, &after.video[0].times);
            assert_eq!(a.len(), b.len(), "{which:?}");
            let off = a.iter().zip(b).map(|(x, y)| ((y - b[0]) - (x - a[0])).abs()).fold(0.0, f64::max);
            assert!(off <= 1.0, "{which:?}: a frame is {off:.3} ms off");
            let version = sandbox.certificate("video")["tools"]["ffmpeg"].as_str().unwrap().to_owned();
            assert!(
                version.trim_start_matches('n').starts_with('9'),
                "the certificate names another ffmpeg: {version}"
            );
        }
    }
}
