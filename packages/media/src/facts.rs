//! Facts of a media file: container, streams and their timescales, as ffprobe reports them.

use std::collections::BTreeMap;

use segue_domain::Timebase;
use serde::{Deserialize, Serialize};

/// A file's facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Size in bytes.
    pub size_bytes: u64,
    /// ffmpeg's name of the format ("mov,mp4,m4a,3gp,3g2,mj2").
    pub format: String,
    /// Family of the container.
    pub container: Container,
    /// Earliest presentation time of any stream.
    pub start_time_us: i64,
    /// Duration, if the file states it.
    pub duration_us: Option<i64>,
    /// All streams, by index.
    pub streams: Vec<StreamFacts>,
    /// Number of chapters.
    pub chapters: usize,
    /// Tags of the whole file.
    pub tags: BTreeMap<String, String>,
    /// What is missing from a truncated file, if its container shows it.
    pub short_by_bytes: Option<u64>,
    /// Times of the first packets of each stream, in its ticks, as ffmpeg reads them; only
    /// from a new probe of the file, never stored in a plan.
    #[serde(skip)]
    pub first_packets: BTreeMap<u32, Vec<Option<i64>>>,
}

/// Families of containers that are treated differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// MP4, MOV, 3GP, M4A.
    Mov,
    /// Matroska, WebM.
    Matroska,
    /// All others.
    Other,
}

/// Kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// Video.
    Video,
    /// An attached still picture: a cover.
    Picture,
    /// Audio.
    Audio,
    /// Subtitles.
    Subtitle,
    /// Timed data.
    Data,
    /// An attached file.
    Attachment,
    /// Unknown to ffmpeg.
    Unknown,
}

/// A stream's facts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// Index in the file.
    pub index: u32,
    /// Track number, where the container has one.
    pub track_id: Option<u32>,
    /// Kind.
    pub kind: StreamKind,
    /// ffmpeg's name of the codec; `None` if unknown to ffmpeg.
    pub codec: Option<String>,
    /// Profile, as text.
    pub profile: Option<String>,
    /// The codec tag (FourCC) in this container.
    pub tag: String,
    /// The timescale.
    pub timebase: Timebase,
    /// First presentation time in ticks.
    pub start: Option<i64>,
    /// Duration in microseconds, if the file states it.
    pub duration_us: Option<i64>,
    /// Number of frames, if the file states it.
    pub frames: Option<u64>,
    /// Dispositions that are set ("default", "forced", …).
    pub dispositions: Vec<String>,
    /// Language, three letters.
    pub language: Option<String>,
    /// Rotation in degrees, if any.
    pub rotation: Option<i32>,
    /// Pixel format.
    pub pixel_format: Option<String>,
    /// Order of the fields of an interlaced picture (`tt`, `bb`, `tb`, `bt`); absent if it is progressive or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_order: Option<String>,
    /// Transfer characteristics of the colours (`bt709`, `smpte2084`, …), if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<String>,
    /// Width and height of a pixel, if they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixel_aspect: Option<(u32, u32)>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Nominal frame rate, as a fraction.
    pub frame_rate: Option<(u32, u32)>,
    /// Sample rate in hertz.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl StreamFacts {
    /// Whether a disposition is set.
    pub fn is(&self, disposition: &str) -> bool {
        self.dispositions.iter().any(|d| d == disposition)
    }

    /// Display name: "stream 1 (audio, aac)".
    pub fn label(&self) -> String {
        let kind = match self.kind {
            StreamKind::Video => "video",
            StreamKind::Picture => "attached picture",
            StreamKind::Audio => "audio",
            StreamKind::Subtitle => "subtitle",
            StreamKind::Data => "data",
            StreamKind::Attachment => "attachment",
            StreamKind::Unknown => "unknown",
        };
        format!("stream {} ({kind}, {})", self.index, self.codec.as_deref().unwrap_or("unknown codec"))
    }
}

impl SourceFacts {
    /// The primary video stream, which is cut: the default one, else the largest, else the first; never a cover.
    pub fn primary_video(&self) -> Option<&StreamFacts> {
        self.streams.iter().filter(|s| s.kind == StreamKind::Video && s.codec.is_some()).max_by_key(|s| {
            let pixels = u64::from(s.width) * u64::from(s.height);
            (s.is("default"), pixels, std::cmp::Reverse(s.index))
        })
    }

    /// The primary audio stream: the default one, else the first.
    pub fn primary_audio(&self) -> Option<&StreamFacts> {
        self.of(StreamKind::Audio)
            .filter(|s| s.codec.is_some())
            .max_by_key(|s| (s.is("default"), std::cmp::Reverse(s.index)))
    }

    /// The streams of one kind.
    pub fn of(&self, kind: StreamKind) -> impl Iterator<Item = &StreamFacts> {
        self.streams.iter().filter(move |s| s.kind == kind)
    }
}
