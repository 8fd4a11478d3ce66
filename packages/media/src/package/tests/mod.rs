//! Streams of real parts, encoded by ffmpeg from small generated sources and read back by ffmpeg.

mod made;

use std::collections::BTreeMap;
use std::process::Command;

use segue_domain::TickRange;

use self::made::{Made, decoded_times, open, ran};
use super::*;
use crate::encode::NominalRate;
use crate::mp4;

const NTSC: NominalRate = NominalRate { num: 30_000, den: 1001 };

/// The parts concatenate to the source's frames at the source's times.
fn assert_continuous(made: &Made) {
    for id in ["v180", "v90"] {
        let whole = made.concatenated(id);
        assert_eq!(decoded_times(&whole), made.times, "{id}");
        let places = mp4::read_places(&open(&whole)).unwrap();
        let starts: Vec<i64> = places.iter().map(|p| p.decode_time).collect();
        assert_eq!(starts, made.starts, "{id}");
    }
}

/// ffmpeg on the path and a newer one.
fn ffmpegs() -> [String; 2] {
    let newer = std::env::var("SEGUE_TEST_FFMPEG9").ok().filter(|path| !path.is_empty());
    [
        "ffmpeg".to_owned(),
        newer.expect("SEGUE_TEST_FFMPEG9 names a second, newer ffmpeg; scripts/test sets it"),
    ]
}

#[test]
fn a_stream_in_three_parts_is_read_as_one_without_a_seam() {
    for ffmpeg in ffmpegs() {
        let mut made = Made::new(&ffmpeg, "testsrc2=s=640x360:r=30000/1001:d=12", NTSC);
        assert_eq!((made.times.len(), made.starts.len()), (360, 6), "{ffmpeg}");
        assert_eq!(made.recorded["v180"].len(), 3);
        assert_continuous(&made);
        made.add_sound();
        made.add_subtitles();
        made.publish();
        for reader in ffmpegs() {
            let master = made.dir.path().join("master.m3u8");
            let args = "-v warning -i MASTER -map 0:v -map 0:a -f framemd5 -";
            let mut args: Vec<&str> = args.split(' ').collect();
            args[3] = master.to_str().unwrap();
            let (frames, warnings) = ran(&reader, &args);
            // ffmpeg 5 does not read WebVTT in HLS
            let warnings: Vec<&str> =
                warnings.lines().filter(|l| !l.contains("Can't support the subtitle")).collect();
            assert!(warnings.is_empty(), "{ffmpeg} read by {reader}: {warnings:?}");
            let of = |stream: &str| frames.lines().filter(|l| l.starts_with(stream)).count();
            assert_eq!((of("0,"), of("1,")), (360, 360), "{ffmpeg} read by {reader}");
        }
        let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
        let master = made.dir.path().join("master.m3u8");
        let (duration, _) = ran("ffprobe", &[&args[..], &[master.to_str().unwrap()]].concat());
        let duration: f64 = duration.trim().parse().unwrap();
        assert!((duration - 12.012).abs() < 0.0335, "{duration}");
    }
}

#[test]
fn times_of_other_rates_stay_exact() {
    let fast =
        Made::new("ffmpeg", "testsrc2=s=320x180:r=60000/1001:d=12", NominalRate { num: 60_000, den: 1001 });
    assert!(fast.times.windows(2).any(|w| w[1] - w[0] == 500) && fast.times.len() > 700);
    assert_continuous(&fast);
    // 12 s of 30 frames a second, then of 10: a third of the frames is missing, in an order that does not repeat
    let filters = "testsrc2=s=320x180:r=30:d=12,select='lt(t,4)+gt(mod(n*7,11),7)',settb=1/30000";
    let variable = Made::new("ffmpeg", filters, NominalRate { num: 20, den: 1 });
    let steps: std::collections::BTreeSet<i64> = variable.times.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(steps.len() > 2, "{steps:?}");
    assert_continuous(&variable);
}

#[test]
fn every_keyframe_range_decodes_to_one_picture() {
    let made =
        Made::new("ffmpeg", "testsrc2=s=320x180:r=25:d=8,settb=1/30000", NominalRate { num: 25, den: 1 });
    for part in made.recorded["v180"].values() {
        let bytes = std::fs::read(made.dir.path().join(&part.uri)).unwrap();
        for fragment in &part.fragments {
            let (from, to) = (fragment.offset as usize, (fragment.offset + fragment.keyframe_bytes) as usize);
            let mut one = std::fs::read(made.dir.path().join(&part.init)).unwrap();
            one.extend(&bytes[from..to]);
            let path = made.dir.path().join("one.mp4");
            std::fs::write(&path, one).unwrap();
            let args = ["-v", "error", "-i", path.to_str().unwrap(), "-f", "framemd5", "-"];
            let out = Command::new("ffmpeg").args(args).output().unwrap();
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            assert_eq!(text.lines().filter(|l| l.starts_with("0,")).count(), 1, "{text}");
        }
    }
}

#[test]
fn initialisation_segments_do_not_depend_on_the_part_or_on_the_ffmpeg_that_muxed_it() {
    let mut inits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for filters in ["testsrc2=s=320x180:r=25:d=8,settb=1/30000", "color=s=320x180:r=25:d=8,settb=1/30000"] {
        let made = Made::new("ffmpeg", filters, NominalRate { num: 25, den: 1 });
        for (id, parts) in &made.recorded {
            inits.entry(id.clone()).or_default().extend(parts.values().map(|p| p.init_hash.clone()));
        }
    }
    for (id, hashes) in inits {
        assert!(hashes.len() == 4 && hashes.iter().all(|h| *h == hashes[0]), "{id}: {hashes:?}");
    }
}

#[test]
fn what_is_not_on_the_grid_is_refused() {
    let made =
        Made::new("ffmpeg", "testsrc2=s=320x180:r=25:d=4,settb=1/30000", NominalRate { num: 25, den: 1 });
    let raw = made.dir.path().join("raw-0.mp4");
    let track = read_track(&open(&raw), presentation_lead(&made.times)).unwrap();
    let range = TickRange { start: 0, end: 120_000 };
    let attempt = |range: TickRange, starts: &[i64]| {
        let request = PartRequest { range, starts, sequence: 1 };
        write_part(&open(&raw), &track, &request, std::io::sink()).map_err(|e| e.to_string())
    };
    assert_eq!(attempt(range, &[0, 60_000]).unwrap().fragments.len(), 2);
    let off = attempt(range, &[0, 48_000]).unwrap_err();
    assert!(off.contains("no keyframe at tick 48000"), "{off}");
    let short = attempt(TickRange { start: 0, end: 100_000 }, &[0, 60_000]).unwrap_err();
    assert!(short.contains("is not presented before"), "{short}");
    let late = attempt(range, &[60_000]).unwrap_err();
    assert!(late.contains("does not begin with a fragment"), "{late}");
}

#[test]
fn a_part_that_differs_from_its_list_is_found() {
    let made =
        Made::new("ffmpeg", "testsrc2=s=320x180:r=25:d=4,settb=1/30000", NominalRate { num: 25, den: 1 });
    let raw = made.dir.path().join("raw-0.mp4");
    let track = read_track(&open(&raw), presentation_lead(&made.times)).unwrap();
    let request =
        PartRequest { range: TickRange { start: 0, end: 120_000 }, starts: &[0, 60_000], sequence: 1 };
    let mut bytes = Vec::new();
    let part = write_part(&open(&raw), &track, &request, &mut bytes).unwrap();
    let check = |bytes: &[u8], request: &PartRequest<'_>, part: &PackagedPart| {
        check_part(&bytes, &track, request, part)
    };
    check(&bytes, &request, &part).unwrap();
    check(&bytes, &PartRequest { sequence: 2, ..request }, &part).unwrap_err();
    let later = TickRange { start: 1, end: 120_001 };
    check(&bytes, &PartRequest { range: later, ..request }, &part).unwrap_err();
    check(&bytes[..bytes.len() - 1], &request, &part).unwrap_err();
    check(&[&bytes[..], b"\0\0\0\x08free"].concat(), &request, &part).unwrap_err();
    // the composition offset of the first picture
    let mut moved = bytes.clone();
    moved[103] ^= 1;
    check(&moved, &request, &part).unwrap_err();
    let mut other = part.clone();
    other.fragments[1].keyframe_bytes += 1;
    check(&bytes, &request, &other).unwrap_err();
}

/// A muxer that adds bit rates, and one that writes no fragments.
#[test]
fn another_muxer_gives_the_same_initialisation_segment() {
    let rate = NominalRate { num: 25, den: 1 };
    let made = Made::new("ffmpeg", "testsrc2=s=320x180:r=25:d=2,settb=1/30000", rate);
    let raw = made.dir.path().join("raw-0.mp4");
    let track = read_track(&open(&raw), 7).unwrap();
    for (i, ffmpeg) in ffmpegs().iter().enumerate() {
        let plain = made.dir.path().join(format!("plain-{i}.mp4"));
        let files = ["-v", "error", "-i", raw.to_str().unwrap(), "-c", "copy", plain.to_str().unwrap()];
        ran(ffmpeg, &files);
        let bytes = std::fs::read(&plain).unwrap();
        assert!(bytes.windows(4).any(|w| w == b"btrt"), "{ffmpeg}");
        let other = read_track(&open(&plain), 7).unwrap();
        assert_eq!(write_init(&other), write_init(&track), "{ffmpeg}");
        assert_eq!(other.samples.len(), track.samples.len());
    }
}

#[test]
fn codecs_are_those_of_the_decoder_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let picture = "-f lavfi -i testsrc2=s=320x180:r=25:d=0.2 -pix_fmt yuv420p";
    let sound = "-f lavfi -i sine=r=48000:d=0.2 -ac 2";
    for (source, encoder, codec) in [
        (picture, "-c:v libx264 -profile:v high -level 3.1", "avc1.64001f"),
        (picture, "-c:v libx264 -profile:v baseline -level 2.1", "avc1.42c015"),
        (picture, "-c:v libx265 -x265-params log-level=error:level-idc=3.1 -tag:v hvc1", "hvc1.1.6.L93.90"),
        (picture, "-c:v libaom-av1 -cpu-used 8", "av01.0.00M.08"),
        (sound, "-c:a aac", "mp4a.40.2"),
        (sound, "-c:a libmp3lame", "mp4a.6b"),
        (sound, "-c:a libopus", "opus"),
        (sound, "-c:a flac -strict -2", "fLaC"),
        (sound, "-c:a ac3", "ac-3"),
    ] {
        let out = dir.path().join("one.mp4");
        let mut args = vec!["-v", "error", "-y"];
        args.extend(source.split(' ').chain(encoder.split(' ')).chain([out.to_str().unwrap()]));
        ran("ffmpeg", &args);
        let track = read_track(&open(&out), 0).unwrap();
        assert_eq!((track.codec.as_str(), track.is_picture), (codec, source == picture), "{encoder}");
    }
}

/// No input makes the readers panic.
#[test]
fn damaged_files_are_errors() {
    let made =
        Made::new("ffmpeg", "testsrc2=s=320x180:r=25:d=4,settb=1/30000", NominalRate { num: 25, den: 1 });
    let whole = std::fs::read(made.dir.path().join("raw-0.mp4")).unwrap();
    let headers = 4_000.min(whole.len());
    for at in 0..headers {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = mp4::read_places(&bytes.as_slice());
            let _ = read_track(&bytes.as_slice(), 0);
        }
        let _ = mp4::read_places(&&whole[..at]);
        read_track(&&whole[..at], 0).unwrap_err();
    }
}
