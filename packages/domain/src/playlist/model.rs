//! Renditions, parts and fragments.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::PlaylistError;
use crate::Timebase;

/// Frames per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRate {
    /// Frames.
    pub num: u32,
    /// Seconds, at least 1.
    pub den: u32,
}

impl FrameRate {
    /// Frames per second with three decimals, to the nearest.
    pub fn decimal(self) -> String {
        let thousandths =
            (u64::from(self.num) * 2000 + u64::from(self.den)) / (2 * u64::from(self.den.max(1)));
        format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
    }
}

/// What a rendition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenditionKind {
    /// Pictures of one size.
    Picture {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Maximum frame rate.
        frame_rate: FrameRate,
    },
    /// Sound of one language.
    Sound {
        /// Number of channels.
        channels: u32,
        /// Samples per second.
        sample_rate: u32,
    },
    /// WebVTT segments, one file each.
    Subtitles {
        /// URI of the same cues in one file, for DASH.
        whole: String,
    },
}

/// One encoding of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Its id, unique in the stream: letters, digits, `-` and `_`. Names its playlists.
    pub id: String,
    /// What it holds.
    pub kind: RenditionKind,
    /// Ticks per second of its times.
    pub timescale: u32,
    /// Codec by RFC 6381, from the decoder configuration; empty for subtitles.
    pub codec: String,
    /// Language by RFC 5646, if known.
    pub language: Option<String>,
    /// Name for the viewer, unique among the renditions of its kind.
    pub name: String,
    /// Whether a player selects it without being asked to; at most one of each kind.
    pub default: bool,
    /// Upper limit of its peak bit rate, bits per second, stated until all of its parts are recorded.
    pub peak_limit: Option<u64>,
    /// Number of parts that the plan has for it.
    pub parts: u32,
}

impl Rendition {
    /// Timebase of its times.
    pub fn timebase(&self) -> Timebase {
        Timebase { num: 1, den: self.timescale.max(1) }
    }

    /// Name of its media playlist.
    pub fn playlist(&self) -> String {
        format!("{}.m3u8", self.id)
    }

    /// Name of its playlist of keyframes.
    pub fn keyframe_playlist(&self) -> String {
        format!("{}-iframes.m3u8", self.id)
    }

    /// Whether it holds pictures.
    pub fn is_picture(&self) -> bool {
        matches!(self.kind, RenditionKind::Picture { .. })
    }

    /// Whether it holds sound.
    pub fn is_sound(&self) -> bool {
        matches!(self.kind, RenditionKind::Sound { .. })
    }

    /// Whether it holds subtitles.
    pub fn is_subtitles(&self) -> bool {
        matches!(self.kind, RenditionKind::Subtitles { .. })
    }
}

/// A stream as it is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Target duration in seconds: at least the duration of every fragment of every rendition, rounded to the nearest
    /// second. It is part of the plan, because a playlist that was offered must not change it.
    pub target_s: u32,
    /// The renditions; pictures from the highest to the lowest.
    pub renditions: Vec<Rendition>,
}

impl Stream {
    /// Checks ids, names and defaults.
    ///
    /// # Errors
    /// Renditions that a master playlist cannot list.
    pub fn check(&self) -> Result<(), PlaylistError> {
        let refused = |message: String| Err(PlaylistError::Renditions(message));
        if self.target_s == 0 {
            return refused("a target duration of 0 s".into());
        }
        if !self.renditions.iter().any(|r| r.is_picture() || r.is_sound()) {
            return refused("neither picture nor sound".into());
        }
        for (i, one) in self.renditions.iter().enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if one.id.is_empty() || !one.id.chars().all(plain) {
                return Err(PlaylistError::Text(one.id.clone()));
            }
            if one.timescale == 0 {
                return refused(format!("{} has a timescale of 0", one.id));
            }
            if one.parts == 0 {
                return refused(format!("{} has no parts", one.id));
            }
            let same_kind =
                |other: &&Rendition| std::mem::discriminant(&other.kind) == std::mem::discriminant(&one.kind);
            let before = &self.renditions[..i];
            if before.iter().any(|other| other.id == one.id) {
                return refused(format!("two of them are named {}", one.id));
            }
            let mut rivals = before.iter().filter(same_kind);
            if !one.is_picture() && rivals.any(|o| o.name == one.name || (o.default && one.default)) {
                return refused(format!("{} has the name or the default of another", one.id));
            }
        }
        Ok(())
    }
}

/// A fragment: a movie fragment with its media, that begins with a random access point, or a WebVTT file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// Offset in the file of its part.
    pub offset: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Duration in ticks of the rendition.
    pub ticks: i64,
    /// Bytes from its start to the end of its first sample; 0 if it is no picture.
    pub keyframe_bytes: u64,
}

/// A part of a rendition: one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// URI of the file, relative to the playlists.
    pub uri: String,
    /// URI of its initialisation segment; empty for subtitles.
    pub init: String,
    /// Hash of the initialisation segment, equal for all parts of a rendition.
    pub init_hash: String,
    /// Start in ticks of the rendition.
    pub start: i64,
    /// Its fragments, contiguous in time.
    pub fragments: Vec<Fragment>,
}

impl Part {
    /// First tick after the part.
    pub fn end(&self) -> i64 {
        self.fragments.iter().fold(self.start, |at, f| at.saturating_add(f.ticks))
    }
}

/// Durations in microseconds of consecutive fragments. Their sums are the exact times to the nearest microsecond, so
/// that errors do not add up, and a fragment's value does not depend on those after it.
pub(super) fn durations_us<'a>(
    timebase: Timebase,
    fragments: impl IntoIterator<Item = &'a Fragment>,
) -> impl Iterator<Item = (&'a Fragment, i64)> {
    let mut ticks = 0i64;
    fragments.into_iter().map(move |fragment| {
        let from = timebase.to_micros(ticks);
        ticks = ticks.saturating_add(fragment.ticks);
        (fragment, timebase.to_micros(ticks) - from)
    })
}

/// Seconds with six decimals.
pub(super) fn seconds(us: i64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Text for a quoted attribute or a URI line.
///
/// # Errors
/// A quotation mark or a control character, which neither can hold.
pub(super) fn quotable(text: &str) -> Result<&str, PlaylistError> {
    if text.is_empty() || text.starts_with('#') || text.chars().any(|c| c == '"' || c.is_control()) {
        return Err(PlaylistError::Text(text.to_owned()));
    }
    Ok(text)
}

/// Text for XML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
