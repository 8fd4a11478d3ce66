//! From recorded parts to playlists that only grow.

use std::collections::BTreeMap;

use super::dash::write_mpd;
use super::master::write_master;
use super::media::{PlaylistKind, write_keyframe_playlist, write_media_playlist};
use super::model::{Part, Rendition, Stream};
use super::{DASH_MEDIA_TYPE, HLS_MEDIA_TYPE, PlaylistError};

/// Fragments that a playlist has when it is offered first, unless the stream is shorter. Safari gives up on an
/// `EVENT` playlist that begins with one.
pub const FIRST_OFFER: usize = 3;

/// The recorded parts by the id of their rendition and their index. Gaps are allowed.
pub type Recorded = BTreeMap<String, BTreeMap<u32, Part>>;

/// What all renditions have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// Number of fragments that every unfinished rendition has from the start.
    pub fragments: usize,
    /// Whether every part of every rendition is recorded.
    pub complete: bool,
}

impl Prefix {
    /// Whether playlists may be offered.
    pub fn is_playable(&self) -> bool {
        self.complete || self.fragments >= FIRST_OFFER
    }
}

/// A document of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaylistFile {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its media type.
    pub media_type: &'static str,
}

/// The documents of a stream, media playlists first and those that refer to them last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playlists {
    /// The documents.
    pub files: Vec<PlaylistFile>,
    /// What they list.
    pub prefix: Prefix,
}

/// A rendition with its parts from the start without a gap.
pub(super) struct Available<'a> {
    pub rendition: &'a Rendition,
    pub parts: Vec<Part>,
    pub complete: bool,
}

impl Available<'_> {
    fn fragments(&self) -> usize {
        self.parts.iter().map(|p| p.fragments.len()).sum()
    }
}

/// The longest prefix of fragments that all renditions have. All renditions are cut at the same fragments; one that
/// ends earlier than the others stops counting once all of its parts are recorded.
///
/// # Errors
/// Parts that do not continue one another.
pub fn available(stream: &Stream, recorded: &Recorded) -> Result<Prefix, PlaylistError> {
    Ok(prefix(&contiguous(stream, recorded, PlaylistKind::Event)?))
}

/// Writes the playlists of what is recorded: `None` until they may be offered. The master playlist and the media
/// playlists are those of [`PlaylistKind::Event`] until the stream is complete and of
/// [`PlaylistKind::Ended`] then, with a DASH manifest.
///
/// # Errors
/// Parts that do not continue one another, or text that a playlist cannot hold.
pub fn playlists(stream: &Stream, recorded: &Recorded) -> Result<Option<Playlists>, PlaylistError> {
    write(stream, recorded, PlaylistKind::Ended)
}

/// Writes the playlists of a complete stream that was not offered before: [`PlaylistKind::Vod`].
///
/// # Errors
/// As [`playlists`].
pub fn vod_playlists(stream: &Stream, recorded: &Recorded) -> Result<Option<Playlists>, PlaylistError> {
    let written = write(stream, recorded, PlaylistKind::Vod)?;
    Ok(written.filter(|playlists| playlists.prefix.complete))
}

fn write(
    stream: &Stream,
    recorded: &Recorded,
    finished: PlaylistKind,
) -> Result<Option<Playlists>, PlaylistError> {
    let available = contiguous(stream, recorded, finished)?;
    let prefix = prefix(&available);
    if !prefix.is_playable() {
        return Ok(None);
    }
    let kind = if prefix.complete { finished } else { PlaylistKind::Event };
    let count = if prefix.complete { usize::MAX } else { prefix.fragments };
    let hls = |name, text| PlaylistFile { name, text, media_type: HLS_MEDIA_TYPE };
    let mut files = Vec::new();
    for Available { rendition, parts, .. } in &available {
        let target_s = target_of(stream, rendition, parts, kind);
        let text = write_media_playlist(rendition, target_s, parts, count, kind)?;
        files.push(hls(rendition.playlist(), text));
        if rendition.is_picture() {
            let text = write_keyframe_playlist(rendition, stream.target_s, parts, count, kind)?;
            files.push(hls(rendition.keyframe_playlist(), text));
        }
    }
    let parts: Vec<&[Part]> = available.iter().map(|a| a.parts.as_slice()).collect();
    files.push(hls("master.m3u8".into(), write_master(stream, &parts, prefix.complete)?));
    if prefix.complete {
        let text = write_mpd(stream, &parts)?;
        files.push(PlaylistFile { name: "manifest.mpd".into(), text, media_type: DASH_MEDIA_TYPE });
    }
    Ok(Some(Playlists { files, prefix }))
}

/// Target duration of a rendition's playlist. Subtitles of a stream that is offered when it is whole have longer
/// segments: RFC 8216, section 6.2.4, allows them another target duration where the type is `VOD`.
fn target_of(stream: &Stream, rendition: &Rendition, parts: &[Part], kind: PlaylistKind) -> u32 {
    if !rendition.is_subtitles() || kind != PlaylistKind::Vod {
        return stream.target_s;
    }
    let longest = parts.iter().flat_map(|part| &part.fragments).map(|fragment| fragment.ticks).max();
    let scale = i64::from(rendition.timescale.max(1));
    let seconds = (2 * longest.unwrap_or(0) + scale) / (2 * scale);
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

fn prefix(available: &[Available<'_>]) -> Prefix {
    let complete = available.iter().all(|a| a.complete);
    let counts = available.iter().map(|a| (a.complete, a.fragments()));
    let fragments = if complete {
        counts.map(|(_, n)| n).max()
    } else {
        counts.filter(|(complete, _)| !complete).map(|(_, n)| n).min()
    };
    Prefix { fragments: fragments.unwrap_or(0), complete }
}

/// Each rendition's parts up to the first that is not recorded, checked.
fn contiguous<'a>(
    stream: &'a Stream,
    recorded: &Recorded,
    finished: PlaylistKind,
) -> Result<Vec<Available<'a>>, PlaylistError> {
    stream.check()?;
    let nothing = BTreeMap::new();
    stream
        .renditions
        .iter()
        .map(|rendition| {
            let found = recorded.get(&rendition.id).unwrap_or(&nothing);
            let parts: Vec<Part> = (0..rendition.parts).map_while(|i| found.get(&i).cloned()).collect();
            for (i, part) in parts.iter().enumerate() {
                check(stream, rendition, part, i.checked_sub(1).map(|before| &parts[before]), finished)
                    .map_err(|message| PlaylistError::Part {
                        rendition: rendition.id.clone(),
                        part: i as u32,
                        message,
                    })?;
            }
            let complete = parts.len() == rendition.parts as usize;
            Ok(Available { rendition, parts, complete })
        })
        .collect()
}

fn check(
    stream: &Stream,
    rendition: &Rendition,
    part: &Part,
    before: Option<&Part>,
    finished: PlaylistKind,
) -> Result<(), String> {
    if let Some(before) = before {
        if part.init_hash != before.init_hash {
            return Err("its initialisation segment differs from that of the part before".into());
        }
        if part.start != before.end() {
            return Err(format!("it starts at {}, the part before ends at {}", part.start, before.end()));
        }
    }
    if part.fragments.is_empty() {
        return Err("it has no fragments".into());
    }
    let mut at = None;
    for (i, fragment) in part.fragments.iter().enumerate() {
        let limit = (2 * i128::from(stream.target_s) + 1) * i128::from(rendition.timescale);
        let may_be_long = rendition.is_subtitles() && finished == PlaylistKind::Vod;
        let is_long = !may_be_long && 2 * i128::from(fragment.ticks) >= limit;
        if fragment.ticks <= 0 || is_long {
            let target = stream.target_s;
            return Err(format!(
                "fragment {i} has {} ticks, the target duration is {target} s",
                fragment.ticks
            ));
        }
        let end = fragment.offset.checked_add(fragment.bytes).filter(|_| fragment.bytes > 0);
        if end.is_none() || at.is_some_and(|at| fragment.offset < at) {
            return Err(format!("fragment {i} is empty or overlaps the one before"));
        }
        let keyframe = 1..=fragment.bytes;
        if rendition.is_picture() && !keyframe.contains(&fragment.keyframe_bytes) {
            return Err(format!("fragment {i} does not contain its keyframe"));
        }
        at = end;
    }
    Ok(())
}
