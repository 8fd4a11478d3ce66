//! The arguments of the final mux.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bounds::{self, Demuxers};
use crate::container::{Fate, FinalContainer, Fit};
use crate::facts::{Container, SourceFacts, StreamKind};
use crate::probe::{file_url, source_input};

/// A subtitle file to add as a selectable track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedSubtitle {
    /// The .srt or .vtt file.
    pub path: PathBuf,
    /// Language, three letters, where known.
    pub language: Option<String>,
    /// Title of the track.
    pub title: Option<String>,
}

/// The joined video as an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureInput {
    /// List of the header and the bodies, for ffmpeg's `concatf:`.
    pub list: PathBuf,
    /// The files that the list names.
    pub files: Vec<PathBuf>,
    /// Offset from its times to the source's.
    pub offset_us: i64,
    /// Index of the source stream that it replaces.
    pub stands_for: u32,
    /// Options that name its codec, if its header does not.
    pub decoder: Vec<OsString>,
}

/// Encoded audio, as an input that replaces a stream of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioInput {
    /// The file; its first stream is used.
    pub path: PathBuf,
    /// Offset from its times to the source's.
    pub offset_us: i64,
    /// Index of the source stream that it replaces.
    pub stands_for: u32,
    /// ffmpeg's name of its codec.
    pub codec: String,
    /// Priming samples at its start, to be hidden in the result.
    pub priming: u32,
}

/// All inputs of one mux.
#[derive(Debug, Clone)]
pub struct Mux<'a> {
    /// The source.
    pub source: &'a Path,
    /// Its facts.
    pub facts: &'a SourceFacts,
    /// The joined video, if there is one.
    pub picture: Option<&'a PictureInput>,
    /// Audio that replaces the source's.
    pub audio: &'a [AudioInput],
    /// Subtitles to add.
    pub subtitles: &'a [AddedSubtitle],
    /// Streams of the source whose times ffmpeg's muxer would shift, and the correction
    /// in microseconds.
    pub corrections: &'a BTreeMap<u32, i64>,
    /// Inputs that are read through a generated header.
    pub views: &'a BTreeMap<PathBuf, Vec<OsString>>,
    /// Container and treatment of the streams.
    pub fit: &'a Fit,
    /// Path of the result.
    pub out: &'a Path,
}

impl Mux<'_> {
    /// The files that the muxer reads, except those of views.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Path> {
        let picture =
            self.picture.into_iter().flat_map(|picture| picture.files.iter().chain([&picture.list]));
        let sounds = self.audio.iter().map(|sound| &sound.path);
        let subtitles = self.subtitles.iter().map(|subtitle| &subtitle.path);
        picture.chain(sounds).chain(subtitles).map(PathBuf::as_path).chain([self.source])
    }

    fn input(&self, path: &Path) -> Vec<OsString> {
        self.views.get(path).cloned().unwrap_or_else(|| source_input(path))
    }
}

/// A time in seconds in ffmpeg's syntax, without rounding.
pub fn seconds(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    let abs = us.unsigned_abs();
    format!("{sign}{}.{:06}", abs / 1_000_000, abs % 1_000_000)
}

/// The source's time that becomes zero. From Matroska to Matroska every time is kept.
pub fn origin_us(facts: &SourceFacts, container: FinalContainer) -> i64 {
    let stays = container == FinalContainer::Mkv && facts.container == Container::Matroska;
    if stays { 0 } else { facts.start_time_us }
}

/// The arguments of a trial mux: the first packets of one stream, delayed by 10 s, into Matroska.
pub fn trial_args(source: &Path, stream: u32, out: &Path) -> Vec<OsString> {
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-copyts", "-itsoffset"]);
    args.push(seconds(TRIAL_US).into());
    args.extend(source_input(source));
    args.extend(["-map".into(), format!("0:{stream}").into()]);
    args.extend(words(&["-c", "copy", "-frames:a", "3", "-f", "matroska"]));
    args.push(out.into());
    args
}

/// Delay of a trial mux.
pub const TRIAL_US: i64 = 10_000_000;

/// The arguments of the final mux.
pub fn mux_args(mux: &Mux<'_>) -> Vec<OsString> {
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts"]);
    let start = origin_us(mux.facts, mux.fit.container);
    args.extend(["-itsoffset".into(), seconds(-start).into()]);
    args.extend(mux.input(mux.source));
    let mut inputs = 1;
    let (mut instead, mut moved) = (BTreeMap::new(), BTreeMap::new());
    if let Some(p) = mux.picture {
        args.extend(["-itsoffset".into(), seconds(p.offset_us - start).into()]);
        args.extend(p.decoder.iter().cloned());
        let mut url = OsString::from("concatf:");
        url.push(&p.list);
        args.extend(bounds::input("file,concatf", Demuxers::Only("mov"), url));
        instead.insert(p.stands_for, inputs);
        inputs += 1;
    }
    for a in mux.audio {
        args.extend(["-itsoffset".into(), seconds(a.offset_us - start).into()]);
        args.extend(mux.input(&a.path));
        instead.insert(a.stands_for, inputs);
        inputs += 1;
    }
    for (stream, correction) in mux.corrections {
        args.extend(["-itsoffset".into(), seconds(correction - start).into()]);
        args.extend(source_input(mux.source));
        moved.insert(*stream, inputs);
        inputs += 1;
    }
    let first_subtitle = inputs;
    for s in mux.subtitles {
        args.extend(bounds::input("file", Demuxers::AnyOf("srt,webvtt"), file_url(&s.path)));
    }
    args.extend(words(&["-c", "copy", "-copyinkf", "-map_chapters", "0", "-map_metadata", "0"]));
    let kept = streams(mux, &instead, &moved, &mut args);
    subtitles(mux, first_subtitle, kept, &mut args);
    tail(mux, &mut args);
    args
}

fn words(all: &[&str]) -> Vec<OsString> {
    all.iter().map(OsString::from).collect()
}

/// Maps every kept stream in the source's order; returns the number of mapped streams.
fn streams(
    mux: &Mux<'_>,
    instead: &BTreeMap<u32, usize>,
    moved: &BTreeMap<u32, usize>,
    args: &mut Vec<OsString>,
) -> usize {
    let mut out = 0;
    for (stream, fate) in mux.facts.streams.iter().zip(&mux.fit.fates) {
        let codec = match fate {
            Fate::Copy => None,
            Fate::Convert(codec) => Some(codec),
            Fate::Elsewhere(_) | Fate::Drop(_) => continue,
        };
        let i = stream.index;
        let from = match (instead.get(&i), moved.get(&i)) {
            (Some(input), _) => format!("{input}:0"),
            (None, Some(input)) => format!("{input}:{i}"),
            (None, None) => format!("0:{i}"),
        };
        args.extend(["-map".into(), from.into()]);
        args.extend([format!("-map_metadata:s:{out}").into(), format!("0:s:{i}").into()]);
        if let Some(codec) = codec {
            args.extend([format!("-c:{out}").into(), codec.into()]);
        }
        if instead.contains_key(&i) {
            let set = if stream.dispositions.is_empty() { "0".into() } else { stream.dispositions.join("+") };
            args.extend([format!("-disposition:{out}").into(), set.into()]);
        }
        out += 1;
    }
    out
}

fn subtitles(mux: &Mux<'_>, first_input: usize, first_out: usize, args: &mut Vec<OsString>) {
    let codec = if mux.fit.container == FinalContainer::Mkv { "subrip" } else { "mov_text" };
    for (i, s) in mux.subtitles.iter().enumerate() {
        let out = first_out + i;
        args.extend(["-map".into(), format!("{}:0", first_input + i).into()]);
        args.extend([format!("-c:{out}").into(), codec.into()]);
        args.extend([format!("-disposition:{out}").into(), "0".into()]);
        for (key, value) in [("language", &s.language), ("title", &s.title)] {
            if let Some(value) = value {
                args.extend([format!("-metadata:s:{out}").into(), format!("{key}={value}").into()]);
            }
        }
    }
}

fn tail(mux: &Mux<'_>, args: &mut Vec<OsString>) {
    if mux.fit.container != FinalContainer::Mkv {
        let keyed = mux.facts.tags.keys().any(|k| k.starts_with("com."));
        if keyed {
            args.extend(words(&["-movflags", "+use_metadata_tags"]));
        }
        args.extend(["-movie_timescale".into(), movie_timescale(mux.facts).to_string().into()]);
    }
    args.extend(words(&["-strict", "experimental", "-max_muxing_queue_size", "9999", "-f"]));
    args.push(mux.fit.container.muxer().into());
    args.push(mux.out.into());
}

/// A timescale that represents the start of every stream exactly, if there is one.
fn movie_timescale(facts: &SourceFacts) -> u64 {
    const FINEST: u64 = 12_000_000;
    let clocks = facts.streams.iter().filter_map(|s| match s.kind {
        StreamKind::Video => Some(u64::from(s.timebase.den)),
        StreamKind::Audio => Some(u64::from(s.sample_rate)),
        _ => None,
    });
    let common = clocks.filter(|c| *c > 0).try_fold(1000u64, |all, clock| {
        let both = all / gcd(all, clock) * clock;
        (both <= FINEST).then_some(both)
    });
    common.unwrap_or(1_000_000)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        assert_eq!(seconds(0), "0.000000");
        assert_eq!(seconds(-1), "-0.000001");
        assert_eq!(seconds(101_378_667), "101.378667");
        assert_eq!(seconds(-2_500_000), "-2.500000");
    }
}
