//! Streams of real parts, encoded by ffmpeg from small generated sources and read back by ffmpeg.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use segue_domain::TickRange;
use segue_domain::playlist::{
    FrameRate, Part, PlaylistFile, Recorded, Rendition, RenditionKind, Stream, playlists,
};

use super::*;
use crate::encode::NominalRate;
use crate::hash::sha256_file;
use crate::mp4::{self, CountedFile, Sample, TrackChoice};

fn ran(program: &str, args: &[&str]) -> (String, String) {
    let out = Command::new(program).args(args).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{program} {args:?}: {stderr}");
    (stdout.into_owned(), stderr.into_owned())
}

fn open(path: &Path) -> CountedFile {
    CountedFile::new(std::fs::File::open(path).unwrap()).unwrap()
}

/// Presentation times of the decoded pictures, in ticks of the file.
fn decoded_times(path: &Path) -> Vec<i64> {
    let args = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts", "-of", "csv=p=0"];
    let (text, errors) = ran("ffprobe", &[&args[..], &[path.to_str().unwrap()]].concat());
    assert_eq!(errors, "", "{}", path.display());
    // side data of a picture are an empty line
    text.lines()
        .map(|l| l.trim_end_matches(','))
        .filter(|l| !l.is_empty())
        .map(|l| l.parse().unwrap())
        .collect()
}

/// A source and its stream.
struct Made {
    dir: tempfile::TempDir,
    times: Vec<i64>,
    end: i64,
    starts: Vec<i64>,
    stream: Stream,
    recorded: Recorded,
}

/// The rungs of the tests: small, so that they are fast.
fn rungs() -> [Rung; 2] {
    let rung = |width, height, max_rate| Rung { lines: height, width, height, max_rate };
    [rung(320, 180, 600_000), rung(160, 90, 200_000)]
}

impl Made {
    /// Encodes the video of `filters` with this ffmpeg, in fragments of 2 s and parts of at most 2 fragments.
    fn new(ffmpeg: &str, filters: &str, rate: NominalRate) -> Made {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source.mp4");
        let make = "-v error -y -f lavfi -i SOURCE -fps_mode passthrough -c:v libx264 -preset ultrafast -bf 2 -g 40 \
                    -video_track_timescale 30000";
        let mut args: Vec<&str> = make.split(' ').filter(|a| !a.is_empty()).collect();
        *args.iter_mut().find(|a| **a == "SOURCE").unwrap() = filters;
        args.push(source.to_str().unwrap());
        ran("ffmpeg", &args);
        let track = mp4::read_index(&open(&source), TrackChoice::FirstVideo).unwrap().track;
        assert_eq!(track.timescale, 30_000);
        let mut times: Vec<i64> = track.samples.iter().map(Sample::pts).collect();
        times.sort_unstable();
        let first = times[0];
        times.iter_mut().for_each(|t| *t -= first);
        let end = times.last().unwrap() + i64::from(track.last_duration);
        let starts = fragment_starts(&times, end, 60_000);
        let target_s = target_seconds(&starts, end, 30_000);
        let stream = Stream { target_s, renditions: Vec::new() };
        let mut made = Made { dir, times, end, starts, stream, recorded: Recorded::new() };
        made.encode(ffmpeg, &source, rate);
        made
    }

    fn encode(&mut self, ffmpeg: &str, source: &Path, rate: NominalRate) {
        let folder = self.dir.path().to_owned();
        let parts = part_fragments(self.starts.len(), 2);
        for (index, fragments) in parts.iter().enumerate() {
            let starts = &self.starts[fragments.clone()].to_vec();
            let end = self.starts.get(fragments.end).copied().unwrap_or(self.end);
            let range = TickRange { start: starts[0], end };
            let raw: Vec<PathBuf> = (0..2).map(|i| folder.join(format!("raw-{i}.mp4"))).collect();
            let renditions: Vec<EncodedRendition<'_>> = rungs()
                .into_iter()
                .zip(&raw)
                .map(|(rung, out)| EncodedRendition { rung, quality: Quality::Capped { crf: 23 }, out })
                .collect();
            let args = part_args(&PartArgs {
                input: format!("file:{}", source.display()).into(),
                decoder: Vec::new(),
                renditions: &renditions,
                rotation: 0,
                deinterlace: false,
                rate,
                timescale: 30_000,
                range,
                keyframes: &forced_keyframes(&self.times, starts),
                // with pictures that are decoded in another order than they are presented
                preset: "veryfast",
                threads: 2,
            });
            let out = Command::new(ffmpeg).args(&args).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            let sequence = fragments.start as u32 + 1;
            for (rung, raw) in rungs().iter().zip(&raw) {
                let request = PartRequest { range, starts, sequence };
                let id = format!("v{}", rung.height);
                let track = read_track(&open(raw), presentation_lead(&self.times)).unwrap();
                let part = package(&folder, &id, index, raw, &track, &request);
                self.add(rendition(&id, &track, rate), index as u32, part, parts.len());
            }
        }
    }

    /// Adds the sound of a sine as one part for the whole length.
    fn add_sound(&mut self) {
        let raw = self.dir.path().join("raw-audio.mp4");
        let length = format!("sine=r=48000:d={}", self.end as f64 / 30_000.0);
        let args = "-v error -y -f lavfi -i SOURCE -c:a aac -b:a 64k -movflags +frag_keyframe+empty_moov+default_base_moof";
        let mut args: Vec<&str> = args.split(' ').collect();
        *args.iter_mut().find(|a| **a == "SOURCE").unwrap() = &length;
        args.push(raw.to_str().unwrap());
        ran("ffmpeg", &args);
        let track = read_track(&open(&raw), 1024).unwrap();
        assert_eq!((track.codec.as_str(), track.is_picture), ("mp4a.40.2", false));
        let ticks = |t: &i64| (t * 48_000).div_euclid(30_000);
        let starts: Vec<i64> = self.starts.iter().map(ticks).collect();
        let range = TickRange { start: 0, end: ticks(&self.end) };
        let request = PartRequest { range, starts: &starts, sequence: 1 };
        let part = package(self.dir.path(), "audio", 0, &raw, &track, &request);
        assert_eq!(part.fragments.len(), self.starts.len());
        self.add(rendition("audio", &track, NominalRate { num: 1, den: 1 }), 0, part, 1);
    }

    /// Adds segmented subtitles with one cue that crosses the first bound.
    fn add_subtitles(&mut self) {
        let bounds: Vec<i64> = self.starts.iter().chain([&self.end]).map(|t| t * 100 / 3).collect();
        let cues = [
            Cue { start_us: 1_500_000, end_us: 2_500_000, text: "across".into() },
            Cue { start_us: 9_000_000, end_us: 10_000_000, text: "late".into() },
        ];
        let segments = write_segments(&cues, &bounds);
        let count = segments.len();
        let whole = whole_file(&cues);
        std::fs::write(self.dir.path().join("text.vtt"), whole).unwrap();
        for (i, text) in segments.into_iter().enumerate() {
            let uri = format!("text-{i}.vtt");
            std::fs::write(self.dir.path().join(&uri), &text).unwrap();
            let ends = self.starts.get(i + 1).copied().unwrap_or(self.end);
            let fragment = segue_domain::playlist::Fragment {
                offset: 0,
                bytes: text.len() as u64,
                ticks: ends - self.starts[i],
                keyframe_bytes: 0,
            };
            let part = Part {
                uri,
                init: String::new(),
                init_hash: String::new(),
                start: self.starts[i],
                fragments: vec![fragment],
            };
            let rendition = Rendition {
                kind: RenditionKind::Subtitles { whole: "text.vtt".into() },
                codec: String::new(),
                name: "English".into(),
                ..rendition_of("text", RenditionKind::Subtitles { whole: String::new() }, 30_000)
            };
            self.add(rendition, i as u32, part, count);
        }
    }

    fn add(&mut self, rendition: Rendition, index: u32, part: Part, parts: usize) {
        let id = rendition.id.clone();
        if !self.stream.renditions.iter().any(|r| r.id == id) {
            self.stream.renditions.push(Rendition { parts: parts as u32, ..rendition });
        }
        self.recorded.entry(id).or_default().insert(index, part);
    }

    /// Writes the playlists and returns them.
    fn publish(&self) -> Vec<PlaylistFile> {
        let written = playlists(&self.stream, &self.recorded).unwrap().unwrap();
        assert!(written.prefix.complete);
        for file in &written.files {
            std::fs::write(self.dir.path().join(&file.name), &file.text).unwrap();
        }
        written.files
    }

    /// All parts of a rendition after its initialisation segment, as one file.
    fn concatenated(&self, id: &str) -> PathBuf {
        let parts = &self.recorded[id];
        let mut all = std::fs::read(self.dir.path().join(&parts[&0].init)).unwrap();
        for part in parts.values() {
            all.extend(std::fs::read(self.dir.path().join(&part.uri)).unwrap());
        }
        let path = self.dir.path().join(format!("{id}-whole.mp4"));
        std::fs::write(&path, all).unwrap();
        path
    }
}

fn rendition_of(id: &str, kind: RenditionKind, timescale: u32) -> Rendition {
    Rendition {
        id: id.into(),
        kind,
        timescale,
        codec: String::new(),
        language: Some("en".into()),
        name: id.into(),
        default: false,
        peak_limit: None,
        parts: 1,
    }
}

fn rendition(id: &str, track: &PackagedTrack, rate: NominalRate) -> Rendition {
    let (width, height) = (track.size.0.into(), track.size.1.into());
    let frame_rate = FrameRate { num: rate.num, den: rate.den };
    let kind = if track.is_picture {
        RenditionKind::Picture { width, height, frame_rate }
    } else {
        RenditionKind::Sound { channels: 1, sample_rate: 48_000 }
    };
    Rendition { codec: track.codec.clone(), default: true, ..rendition_of(id, kind, track.timescale) }
}

/// Packages a part as the file `ID-INDEX.m4s`, with its initialisation segment beside it.
fn package(
    folder: &Path,
    id: &str,
    index: usize,
    raw: &Path,
    track: &PackagedTrack,
    request: &PartRequest<'_>,
) -> Part {
    let (uri, init) = (format!("{id}-{index}.m4s"), format!("{id}-init-{index}.mp4"));
    let path = folder.join(&uri);
    let out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let made = write_part(&open(raw), track, request, out).unwrap();
    check_part(&open(&path), track, request, &made).unwrap();
    let init_path = folder.join(&init);
    std::fs::write(&init_path, write_init(track)).unwrap();
    let init_hash = sha256_file(&init_path).unwrap().1;
    Part { uri, init, init_hash, start: request.range.start, fragments: made.fragments }
}

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
    let mut other = part.clone();
    other.fragments[1].keyframe_bytes += 1;
    check(&bytes, &request, &other).unwrap_err();
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
