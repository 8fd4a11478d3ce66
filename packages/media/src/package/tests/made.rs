//! Streams that the tests make.

use std::path::{Path, PathBuf};
use std::process::Command;

use segue_domain::TickRange;
use segue_domain::playlist::{
    FrameRate, Part, PlaylistFile, Recorded, Rendition, RenditionKind, Stream, playlists,
};

use super::super::*;
use crate::encode::NominalRate;
use crate::hash::sha256_file;
use crate::mp4::{self, CountedFile, Sample, TrackChoice};

pub fn ran(program: &str, args: &[&str]) -> (String, String) {
    let out = Command::new(program).args(args).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{program} {args:?}: {stderr}");
    (stdout.into_owned(), stderr.into_owned())
}

pub fn open(path: &Path) -> CountedFile {
    CountedFile::new(std::fs::File::open(path).unwrap()).unwrap()
}

/// Presentation times of the decoded pictures, in ticks of the file.
pub fn decoded_times(path: &Path) -> Vec<i64> {
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
pub struct Made {
    pub dir: tempfile::TempDir,
    pub times: Vec<i64>,
    pub end: i64,
    pub starts: Vec<i64>,
    pub stream: Stream,
    pub recorded: Recorded,
}

/// The rungs of the tests: small, so that they are fast.
pub fn rungs() -> [Rung; 2] {
    let rung = |width, height, max_rate| Rung { lines: height, width, height, max_rate };
    [rung(320, 180, 600_000), rung(160, 90, 200_000)]
}

impl Made {
    /// Encodes the video of `filters` with this ffmpeg, in fragments of 2 s and parts of at most 2 fragments.
    pub fn new(ffmpeg: &str, filters: &str, rate: NominalRate) -> Made {
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
                transfer: None,
                rate,
                timescale: 30_000,
                range,
                keyframes: &forced_keyframes(&self.times, starts),
                // with pictures that are decoded in another order than they are presented
                preset: Some("veryfast"),
                encoder: crate::encode::PictureEncoder::X264,
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
    pub fn add_sound(&mut self) {
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
    pub fn add_subtitles(&mut self) {
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
    pub fn publish(&self) -> Vec<PlaylistFile> {
        let written = playlists(&self.stream, &self.recorded).unwrap().unwrap();
        assert!(written.prefix.complete);
        for file in &written.files {
            std::fs::write(self.dir.path().join(&file.name), &file.text).unwrap();
        }
        written.files
    }

    /// All parts of a rendition after its initialisation segment, as one file.
    pub fn concatenated(&self, id: &str) -> PathBuf {
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
