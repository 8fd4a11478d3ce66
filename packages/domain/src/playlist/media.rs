//! HLS media playlists: RFC 8216, sections 4.3.2 and 4.3.3.

use std::fmt::Write as _;

use super::PlaylistError;
use super::model::{Fragment, Part, Rendition, durations_us, quotable, seconds};

/// Version of playlists with `EXT-X-MAP` that do not hold keyframes only, RFC 8216 section 7.
const MP4_VERSION: u32 = 6;
/// Version of playlists with decimal durations.
const TEXT_VERSION: u32 = 3;

/// How a playlist changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaylistKind {
    /// `EVENT`: fragments may be appended.
    Event,
    /// `EVENT` with an end: what [`PlaylistKind::Event`] becomes. RFC 8216, section 6.2.1, forbids another type
    /// under the same URI; players treat it as `VOD`.
    Ended,
    /// `VOD`: a playlist that is offered once, when it is whole.
    Vod,
}

/// Writes the media playlist of a rendition with its first `count` fragments.
///
/// # Errors
/// A URI that cannot be written.
pub fn write_media_playlist(
    rendition: &Rendition,
    target_s: u32,
    parts: &[Part],
    count: usize,
    kind: PlaylistKind,
) -> Result<String, PlaylistError> {
    let text = rendition.is_subtitles();
    let mut out = head(target_s, if text { TEXT_VERSION } else { MP4_VERSION }, kind);
    out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    map(&mut out, rendition, parts)?;
    entries(&mut out, rendition, parts, count, |out, uri, fragment| {
        if !text {
            let _ = writeln!(out, "#EXT-X-BYTERANGE:{}@{}", fragment.bytes, fragment.offset);
        }
        let _ = writeln!(out, "{uri}");
    })?;
    end(&mut out, kind);
    Ok(out)
}

/// Writes the playlist of the keyframes of a rendition's first `count` fragments: the byte range of each holds the
/// header of its fragment and the first picture.
///
/// # Errors
/// A URI that cannot be written.
pub fn write_keyframe_playlist(
    rendition: &Rendition,
    target_s: u32,
    parts: &[Part],
    count: usize,
    kind: PlaylistKind,
) -> Result<String, PlaylistError> {
    let mut out = head(target_s, MP4_VERSION, kind);
    out.push_str("#EXT-X-I-FRAMES-ONLY\n");
    map(&mut out, rendition, parts)?;
    entries(&mut out, rendition, parts, count, |out, uri, fragment| {
        let _ = writeln!(out, "#EXT-X-BYTERANGE:{}@{}", fragment.keyframe_bytes, fragment.offset);
        let _ = writeln!(out, "{uri}");
    })?;
    end(&mut out, kind);
    Ok(out)
}

fn head(target_s: u32, version: u32, kind: PlaylistKind) -> String {
    let kind = if kind == PlaylistKind::Vod { "VOD" } else { "EVENT" };
    format!(
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target_s}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:{kind}\n"
    )
}

fn map(out: &mut String, rendition: &Rendition, parts: &[Part]) -> Result<(), PlaylistError> {
    if let Some(part) = parts.first().filter(|_| !rendition.is_subtitles()) {
        let _ = writeln!(out, "#EXT-X-MAP:URI=\"{}\"", quotable(&part.init)?);
    }
    Ok(())
}

fn entries(
    out: &mut String,
    rendition: &Rendition,
    parts: &[Part],
    count: usize,
    write: impl Fn(&mut String, &str, &Fragment),
) -> Result<(), PlaylistError> {
    for part in parts {
        quotable(&part.uri)?;
    }
    let all = parts.iter().flat_map(|part| part.fragments.iter().map(|_| part.uri.as_str()));
    let fragments = parts.iter().flat_map(|part| &part.fragments);
    for (uri, (fragment, us)) in all.zip(durations_us(rendition.timebase(), fragments)).take(count) {
        let _ = writeln!(out, "#EXTINF:{},", seconds(us));
        write(out, uri, fragment);
    }
    Ok(())
}

fn end(out: &mut String, kind: PlaylistKind) {
    if kind != PlaylistKind::Event {
        out.push_str("#EXT-X-ENDLIST\n");
    }
}
