//! Probes a file: its facts, or a one-line source error.
//!
//! A user's file is hostile: it may be a playlist that references other files. ffmpeg gets a whitelist of
//! demuxers and protocols, and known playlist formats are rejected by name before it runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use segue_domain::Timebase;
use serde_json::Value;

use crate::bounds::{self, Demuxers};
use crate::error::{MediaError, MediaErrorKind, Result};
use crate::facts::{Container, SourceFacts, StreamFacts, StreamKind};
use crate::matroska;
use crate::mp4::{self, CountedFile, TrackChoice};
use crate::process::{self, Limits};
use crate::tools::Tools;
use crate::view::{self, View};

/// The demuxers a source may need: each reads one file only.
pub const SOURCE_FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,m4v,avi,flv,\
live_flv,asf,ogg,wav,w64,aiff,caf,au,mp3,aac,flac,ac3,eac3,dts,truehd,amr,amrnb,amrwb,ape,wv,tta,mxf,nut,\
h264,hevc,vvc,ivf,obu,av1,gif,rm,dv,gxf,mpc,mpc8,tak,voc,sox,y4m,yuv4mpegpipe";

/// The protocols a source may need.
pub const SOURCE_PROTOCOLS: &str = "file";

const PROBE_LIMIT: Duration = Duration::from_secs(120);
const MAX_ANSWER: usize = 64 << 20;
/// Number of packets, of all streams together, whose times are read.
const FIRST_PACKETS: usize = 64;
/// Packets of a track that ffprobe may see: more than it reads to identify a stream.
pub(crate) const SLIM_PACKETS: usize = 2048;

/// A path as an ffmpeg URL: never parsed as an option, a protocol or a pattern.
pub fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// The options before every input that a user provided.
pub fn source_input(path: &Path) -> Vec<OsString> {
    bounds::input(SOURCE_PROTOCOLS, Demuxers::AnyOf(SOURCE_FORMATS), file_url(path))
}

/// Probes a file.
pub async fn probe(tools: &Tools, path: &Path) -> Result<SourceFacts> {
    let size_bytes = look(path)?;
    let answer = match view::of_first_packets(path, SLIM_PACKETS, None)? {
        // the whole file may have the facts that a truncated index lacks
        Some(view) => match ask(tools, path, Some(&view), true).await {
            Err(e) if e.kind() == MediaErrorKind::Source => ask_whole(tools, path).await,
            answered => answered,
        },
        None => ask_whole(tools, path).await,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(e) if e.kind() == MediaErrorKind::Source => return Err(diagnose(path, e)),
        Err(e) => return Err(e),
    };
    let value: Value = serde_json::from_slice(&answer)
        .map_err(|e| MediaError::internal(format!("ffprobe's answer is not JSON: {e}")))?;
    let mut facts = facts(&value, size_bytes);
    if facts.streams.iter().all(|s| s.codec.is_none()) {
        return Err(MediaError::source(format!(
            "{}: there is no stream in it that can be decoded; use a file with video or audio",
            path.display()
        )));
    }
    bounds::check_sizes(path, &facts)?;
    if let Ok(file) = CountedFile::new(open(path)?) {
        let short = match facts.container {
            Container::Mov => mp4::short_by(&file).unwrap_or(0),
            Container::Matroska => matroska::short_by(&file),
            Container::Other => 0,
        };
        facts.short_by_bytes = (short > 0).then_some(short);
    }
    Ok(facts)
}

async fn ask_whole(tools: &Tools, path: &Path) -> Result<Vec<u8>> {
    // the first packets are read in the same run: a second start costs more than reading them
    match ask(tools, path, None, true).await {
        Err(e) if e.kind() == MediaErrorKind::Source => ask(tools, path, None, false).await,
        answered => answered,
    }
}

async fn ask(tools: &Tools, path: &Path, view: Option<&View>, with_packets: bool) -> Result<Vec<u8>> {
    let mut args: Vec<OsString> =
        ["-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters"]
            .map(OsString::from)
            .to_vec();
    if with_packets {
        args.extend(["-show_entries", "packet=stream_index,pts", "-read_intervals"].map(OsString::from));
        args.push(format!("%+#{FIRST_PACKETS}").into());
    }
    args.extend(view.map_or_else(|| source_input(path), View::input));
    let call = tools.ffprobe(format!("reading {}", path.display()), args).reading(path);
    let call = view.map_or_else(|| call.clone(), |view| view.attach(call.clone()));
    let limits = Limits { time: PROBE_LIMIT, ..Limits::default() };
    process::output(&call, &limits, MAX_ANSWER).await.map_err(|e| bounds::probe_error(path, e))
}

/// Opens a file for reading; errors name the common causes.
pub(crate) fn open(path: &Path) -> Result<fs::File> {
    fs::File::open(path).map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, e: &std::io::Error) -> MediaError {
    let shown = path.display();
    match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            MediaError::source(format!("{shown}: no such file; check the path"))
        }
        ErrorKind::PermissionDenied => {
            MediaError::source(format!("{shown}: permission denied; make the file readable for this user"))
        }
        _ => MediaError::io(shown, e),
    }
}

/// Checks without ffprobe; returns the size of the file.
fn look(path: &Path) -> Result<u64> {
    let shown = path.display();
    let meta = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if meta.is_dir() {
        return Err(MediaError::source(format!("{shown}: is a directory; name a media file in it")));
    }
    if !meta.is_file() {
        return Err(MediaError::source(format!("{shown}: is not a regular file")));
    }
    let mut head = Vec::new();
    open(path)?.take(4096).read_to_end(&mut head).map_err(|e| unreadable(path, &e))?;
    if head.is_empty() {
        return Err(MediaError::source(format!("{shown}: is empty (0 bytes); copy it again")));
    }
    if let Some(kind) = playlist(&head) {
        return Err(refused(path, kind));
    }
    Ok(meta.len())
}

fn refused(path: &Path, kind: &str) -> MediaError {
    MediaError::source(format!(
        "{}: is {kind}, which names other files; refused: use the media file itself",
        path.display()
    ))
}

/// Signatures of formats that reference other files.
fn playlist(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_ascii_lowercase();
    let starts = [
        ("#extm3u", "an HLS or M3U playlist"),
        ("ffconcat version", "a concat script"),
        ("file '", "a concat script"),
        ("file ", "a concat script"),
        ("[playlist]", "a PLS playlist"),
        ("v=0", "a session description"),
        ("<smil", "a SMIL playlist"),
        ("<asx", "an ASX playlist"),
        ("rtsptext", "a QuickTime reference"),
    ];
    if let Some((_, kind)) = starts.iter().find(|(start, _)| lower.starts_with(start)) {
        return Some(kind);
    }
    if lower.starts_with('<') {
        let inside = [
            ("<mpd", "a DASH manifest"),
            ("<smoothstreamingmedia", "a Smooth Streaming manifest"),
            ("<playlist", "an XSPF playlist"),
            ("<imf", "an IMF playlist"),
            ("compositionplaylist", "an IMF playlist"),
        ];
        return inside.iter().find(|(mark, _)| lower.contains(mark)).map(|(_, kind)| *kind);
    }
    None
}

/// Translates ffprobe's error into one line.
fn diagnose(path: &Path, error: MediaError) -> MediaError {
    let shown = path.display();
    let stderr = error.stderr_tail().join("\n");
    let tail = error.stderr_tail().to_vec();
    if stderr.contains(bounds::NO_MEMORY) {
        return error;
    }
    if stderr.contains("not on whitelist") {
        return MediaError::source(format!(
            "{shown}: is of a kind that may name other files or addresses, or is not a media file; refused: use an MP4, MOV, MKV, TS or another plain media file"
        ))
        .with_tail(tail);
    }
    let index =
        open(path).and_then(|f| CountedFile::new(f).map_err(|e| MediaError::io(shown.to_string(), &e)));
    if let Ok(file) = index
        && mp4::looks_like_mov(&file)
        && let Err(mp4::IndexError::Missing(why)) = mp4::read_index(&file, TrackChoice::FirstVideo)
    {
        return MediaError::source(format!(
            "{shown}: no index: {why}; copy the file again, or repair it with the program that recorded it"
        ))
        .with_tail(tail);
    }
    MediaError::source(format!(
        "{shown}: is not a media file that ffmpeg can read ({}); check that it is complete and of the type that its name suggests",
        last_words(&tail, path)
    ))
    .with_tail(tail)
}

fn last_words(tail: &[String], path: &Path) -> String {
    let url = file_url(path).to_string_lossy().into_owned();
    let last = tail.last().map_or("no reason given", String::as_str);
    last.replace(&format!("{url}: "), "").replace(&url, "the file")
}

fn facts(value: &Value, size_bytes: u64) -> SourceFacts {
    let format = text(&value["format"]["format_name"]).unwrap_or_default();
    let container = match format.split(',').next() {
        Some("mov") => Container::Mov,
        Some("matroska") => Container::Matroska,
        _ => Container::Other,
    };
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    SourceFacts {
        size_bytes,
        container,
        start_time_us: micros(&value["format"]["start_time"]).unwrap_or(0),
        duration_us: micros(&value["format"]["duration"]),
        streams: list(&value["streams"]).iter().map(stream).collect(),
        chapters: list(&value["chapters"]).len(),
        tags: tags(&value["format"]["tags"]),
        short_by_bytes: None,
        first_packets: first_packets(&value["packets"]),
        format,
    }
}

fn first_packets(packets: &Value) -> BTreeMap<u32, Vec<Option<i64>>> {
    let mut found = BTreeMap::<u32, Vec<Option<i64>>>::new();
    for packet in packets.as_array().into_iter().flatten() {
        let stream = packet["stream_index"].as_u64().and_then(|n| u32::try_from(n).ok());
        found.entry(stream.unwrap_or(u32::MAX)).or_default().push(packet["pts"].as_i64());
    }
    found
}

fn stream(v: &Value) -> StreamFacts {
    let dispositions: Vec<String> = v["disposition"]
        .as_object()
        .map(|d| d.iter().filter(|(_, set)| set.as_i64() == Some(1)).map(|(k, _)| k.clone()).collect())
        .unwrap_or_default();
    let is = |name: &str| dispositions.iter().any(|d| d == name);
    let codec = text(&v["codec_name"]).filter(|c| c != "unknown" && c != "none");
    let kind = match v["codec_type"].as_str() {
        Some("video") if is("attached_pic") || is("still_image") || is("timed_thumbnails") => {
            StreamKind::Picture
        }
        Some("video") => StreamKind::Video,
        Some("audio") => StreamKind::Audio,
        Some("subtitle") => StreamKind::Subtitle,
        Some("data") => StreamKind::Data,
        Some("attachment") => StreamKind::Attachment,
        _ => StreamKind::Unknown,
    };
    let number = |key: &str| v[key].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    let timebase = v["time_base"].as_str().and_then(fraction).and_then(|(n, d)| Timebase::new(n, d));
    StreamFacts {
        index: number("index"),
        track_id: v["id"].as_str().and_then(|s| u32::from_str_radix(s.trim_start_matches("0x"), 16).ok()),
        kind,
        codec,
        profile: text(&v["profile"]),
        tag: text(&v["codec_tag_string"]).unwrap_or_default(),
        timebase: timebase.unwrap_or(Timebase::MICROS),
        start: v["start_pts"].as_i64(),
        duration_us: micros(&v["duration"]),
        frames: v["nb_frames"].as_str().and_then(|s| s.parse().ok()),
        language: text(&v["tags"]["language"]),
        rotation: rotation(v),
        pixel_format: text(&v["pix_fmt"]),
        field_order: text(&v["field_order"]).filter(|order| FIELD_ORDERS.contains(&order.as_str())),
        transfer: text(&v["color_transfer"]).filter(|transfer| transfer != "unknown"),
        pixel_aspect: v["sample_aspect_ratio"].as_str().and_then(aspect),
        width: number("width"),
        height: number("height"),
        frame_rate: v["avg_frame_rate"].as_str().and_then(fraction).filter(|(n, d)| *n > 0 && *d > 0),
        sample_rate: v["sample_rate"].as_str().and_then(|s| s.parse().ok()).unwrap_or(0),
        channels: number("channels"),
        tags: tags(&v["tags"]),
        dispositions,
    }
}

/// ffprobe's names of the field orders of interlaced pictures.
const FIELD_ORDERS: [&str; 4] = ["tt", "bb", "tb", "bt"];

/// `4:3` of pixels that are not square.
fn aspect(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(':')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    (width > 0 && height > 0 && width != height).then_some((width, height))
}

fn rotation(v: &Value) -> Option<i32> {
    let side = v["side_data_list"].as_array()?;
    side.iter().find_map(|d| d["rotation"].as_f64()).map(|r| r.round() as i32)
}

fn text(v: &Value) -> Option<String> {
    v.as_str().map(str::to_owned)
}

fn tags(v: &Value) -> BTreeMap<String, String> {
    v.as_object()
        .map(|t| t.iter().filter_map(|(k, v)| Some((k.clone(), text(v)?))).collect())
        .unwrap_or_default()
}

fn fraction(s: &str) -> Option<(u32, u32)> {
    let (n, d) = s.split_once('/')?;
    Some((n.parse().ok()?, d.parse().ok()?))
}

/// Seconds in a decimal string, as exact microseconds.
fn micros(v: &Value) -> Option<i64> {
    let s = v.as_str()?;
    let (negative, digits) = s.strip_prefix('-').map_or((false, s), |d| (true, d));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut part: String = part.chars().take(6).collect();
    while part.len() < 6 {
        part.push('0');
    }
    let us = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(part.parse().ok()?)?;
    Some(if negative { -us } else { us })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first packets give the same facts as all of them.
    #[tokio::test]
    async fn a_slim_header_tells_what_the_whole_file_tells() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("chapters"),
            ";FFMETADATA1\ntitle=t\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=50\n[CHAPTER]\nTIMEBASE=1/1\nSTART=50\nEND=100\n",
        )
        .unwrap();
        let inputs = "-f lavfi -i testsrc2=s=64x36:r=30000/1001 -itsoffset 0.3 -f lavfi -i sine=f=440:r=48000 -i chapters";
        let rest = "-t 90 -map 0 -map 1 -metadata:s:1 language=deu -g 60";
        let tools = Tools::discover().await.unwrap();
        for (name, codecs) in [
            ("a.mp4", "-c:v libx264 -preset ultrafast -bf 2 -c:a aac"),
            ("b.mov", "-c:v mpeg4 -c:a pcm_s16le -movflags +faststart"),
        ] {
            let run = std::process::Command::new("ffmpeg")
                .current_dir(dir.path())
                .args(["-nostdin", "-v", "error"])
                .args(format!("{inputs} {rest} {codecs} {name}").split_whitespace())
                .status();
            assert!(run.unwrap().success());
            let path = dir.path().join(name);
            let view =
                view::of_first_packets(&path, SLIM_PACKETS, None).unwrap().expect("a file with long tables");
            let told = |answer: Vec<u8>| facts(&serde_json::from_slice(&answer).unwrap(), 0);
            let slim = told(ask(&tools, &path, Some(&view), true).await.unwrap());
            let whole = told(ask_whole(&tools, &path).await.unwrap());
            assert!(slim.streams.len() >= 2 && slim.duration_us.is_some() && slim.chapters == 2);
            assert_eq!(slim, whole, "{name}");
        }
    }
}
