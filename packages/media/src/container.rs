//! Selects the container of the result and the treatment of each stream in it.
//!
//! MP4 is preferred, because every player supports it. Another container is selected only where MP4 cannot
//! hold a stream, and the reason is recorded for the manifest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::{Container, SourceFacts, StreamFacts, StreamKind};

/// Codecs that ffmpeg's Matroska muxer refuses, and that its MOV demuxer does not know.
const REAL_VIDEO: [&str; 5] = ["rv10", "rv20", "rv30", "rv40", "rv60"];

/// Containers of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinalContainer {
    /// MP4.
    Mp4,
    /// QuickTime.
    Mov,
    /// Matroska.
    Mkv,
}

impl FinalContainer {
    /// File name extension.
    pub fn extension(self) -> &'static str {
        match self {
            FinalContainer::Mp4 => "mp4",
            FinalContainer::Mov => "mov",
            FinalContainer::Mkv => "mkv",
        }
    }

    /// Name of ffmpeg's muxer.
    pub fn muxer(self) -> &'static str {
        match self {
            FinalContainer::Mkv => "matroska",
            other => other.extension(),
        }
    }
}

/// Treatment of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Packets are copied.
    Copy,
    /// Converted to another codec with the same content.
    Convert(String),
    /// Stored in another form: chapters that are also a track.
    Elsewhere(String),
    /// Dropped.
    Drop(String),
}

/// A container with the treatment of every stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// The container.
    pub container: FinalContainer,
    /// One treatment per stream of the source, in order.
    pub fates: Vec<Fate>,
}

impl Fit {
    /// The dropped streams, with the reasons.
    pub fn dropped(&self) -> impl Iterator<Item = (usize, &str)> {
        self.fates.iter().enumerate().filter_map(|(i, fate)| match fate {
            Fate::Drop(reason) => Some((i, reason.as_str())),
            _ => None,
        })
    }
}

/// All containers, best first, with the reasons against the better ones.
///
/// `made` are the streams (by index) that were encoded anew, with their new codec.
pub fn candidates(facts: &SourceFacts, made: &BTreeMap<u32, String>) -> (Vec<Fit>, Vec<String>) {
    let order = if facts.container == Container::Mov {
        [FinalContainer::Mp4, FinalContainer::Mov, FinalContainer::Mkv]
    } else {
        [FinalContainer::Mp4, FinalContainer::Mkv, FinalContainer::Mov]
    };
    let mut fits: Vec<Fit> = order
        .into_iter()
        .map(|container| Fit {
            container,
            fates: facts
                .streams
                .iter()
                .map(|s| match made.get(&s.index) {
                    Some(codec) if s.kind == StreamKind::Audio => made_audio(container, codec),
                    Some(codec) => fate(container, facts, s, Some(codec)),
                    None => fate(container, facts, s, s.codec.as_deref()),
                })
                .collect(),
        })
        .collect();
    // stable sort: equal containers keep the order above
    fits.sort_by_key(|fit| cost(fit, facts));
    let best = fits[0].container;
    let reasons = order
        .into_iter()
        .take_while(|c| *c != best)
        .filter_map(|c| {
            let fit = fits.iter().find(|f| f.container == c)?;
            let (i, why) = fit.dropped().next()?;
            Some(format!("not {}: {}: {why}", c.extension(), facts.streams[i].label()))
        })
        .collect();
    (fits, reasons)
}

/// A lost video or audio stream weighs more than a lost data track.
fn cost(fit: &Fit, facts: &SourceFacts) -> usize {
    fit.dropped()
        .map(|(i, _)| match facts.streams[i].kind {
            StreamKind::Video | StreamKind::Audio => 1000,
            StreamKind::Subtitle | StreamKind::Picture | StreamKind::Attachment => 30,
            StreamKind::Data | StreamKind::Unknown => 1,
        })
        .sum()
}

fn fate(container: FinalContainer, facts: &SourceFacts, s: &StreamFacts, codec: Option<&str>) -> Fate {
    let is_mkv = container == FinalContainer::Mkv;
    let no = |why: &str| Fate::Drop(why.to_owned());
    if s.kind == StreamKind::Attachment {
        return if is_mkv { Fate::Copy } else { no("an attached file has no place outside Matroska") };
    }
    if s.kind == StreamKind::Data {
        if facts.chapters > 0 && matches!(s.tag.as_str(), "text" | "tx3g") {
            return Fate::Elsewhere("kept as chapters".into());
        }
        return match container {
            FinalContainer::Mov if facts.container == Container::Mov => Fate::Copy,
            _ => no("a data track has no place in this container"),
        };
    }
    let Some(codec) = codec else { return no("its codec is not known") };
    match (container, s.kind) {
        (_, StreamKind::Unknown) => no("its kind is not known"),
        (FinalContainer::Mkv, StreamKind::Subtitle) => match codec {
            "mov_text" | "text" => Fate::Convert("subrip".into()),
            "eia_608" | "dvb_teletext" => no("Matroska does not hold this kind of subtitles"),
            _ => Fate::Copy,
        },
        (_, StreamKind::Video) if REAL_VIDEO.contains(&codec) => {
            no("ffmpeg reads this codec and writes it into no container; encode it, as --recipe mp4 does")
        }
        (FinalContainer::Mkv, _) => Fate::Copy,
        (_, StreamKind::Subtitle) => match codec {
            "mov_text" => Fate::Copy,
            "subrip" | "srt" | "webvtt" | "text" => Fate::Convert("mov_text".into()),
            _ => no("this kind of subtitles has no place in MP4 or MOV"),
        },
        (_, StreamKind::Picture) => match codec {
            "mjpeg" | "png" | "bmp" => Fate::Copy,
            _ => no("this kind of picture has no place in MP4 or MOV"),
        },
        (FinalContainer::Mp4, StreamKind::Video) => match codec {
            "h264" | "hevc" | "vvc" | "av1" | "vp9" | "mpeg4" | "mpeg2video" | "mpeg1video" => Fate::Copy,
            _ => no("MP4 does not hold this codec"),
        },
        (FinalContainer::Mov, StreamKind::Video) => match codec {
            "av1" | "vp9" | "vp8" | "vvc" | "theora" => no("MOV does not hold this codec"),
            _ => Fate::Copy,
        },
        (_, _) => audio(container, facts, codec),
    }
}

/// Audio encoded by Segue has its own trims and fits.
fn made_audio(container: FinalContainer, codec: &str) -> Fate {
    match (container, codec) {
        (FinalContainer::Mov, "opus") => Fate::Drop("MOV does not hold this codec".into()),
        _ => Fate::Copy,
    }
}

fn audio(container: FinalContainer, facts: &SourceFacts, codec: &str) -> Fate {
    let no = |why: &str| Fate::Drop(why.to_owned());
    let from_mov = facts.container == Container::Mov;
    match codec {
        "aac" | "ac3" | "eac3" | "alac" => Fate::Copy,
        "mp2" if container == FinalContainer::Mp4 => {
            no("MP4 calls MPEG layer 2 and 3 by one number, and layer 2 is decoded as 3, to other samples")
        }
        "mp2" => Fate::Copy,
        "mp3" if facts.container != Container::Matroska => Fate::Copy,
        "mp3" | "opus" if !from_mov => {
            no("the samples to skip at its start and end are kept exactly only by Matroska")
        }
        "opus" | "flac" if from_mov && container == FinalContainer::Mp4 => Fate::Copy,
        c if c.starts_with("pcm_") || c.starts_with("adpcm_") || c == "qdm2" || c == "mace6" => {
            if container == FinalContainer::Mov && from_mov {
                Fate::Copy
            } else {
                no("MP4 and MOV do not hold this codec exactly as it is")
            }
        }
        "amr_nb" | "amr_wb" | "qcelp" if container == FinalContainer::Mov => Fate::Copy,
        _ => no("MP4 and MOV do not hold this codec exactly as it is"),
    }
}
