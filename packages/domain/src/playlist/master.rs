//! The HLS master playlist: RFC 8216, section 4.3.4.

use std::fmt::Write as _;

use super::PlaylistError;
use super::bandwidth::{Bandwidth, measure, measure_keyframes};
use super::model::{Fragment, Part, Rendition, RenditionKind, Stream, quotable};

/// Version of the master playlist.
const VERSION: u32 = 6;
const SOUND_GROUP: &str = "audio";
const SUBTITLES_GROUP: &str = "subtitles";

/// Writes the master playlist of a stream; `parts` are those of each rendition. Until the stream is complete, a peak is
/// at least the rendition's [`Rendition::peak_limit`].
///
/// # Errors
/// Names and URIs that a playlist cannot hold, or a number of parts lists that is not that of the renditions.
pub fn write_master(stream: &Stream, parts: &[&[Part]], complete: bool) -> Result<String, PlaylistError> {
    let all = Measured::all(stream, parts, complete)?;
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for one in &all {
        group_member(&mut out, one.rendition)?;
    }
    let sound = Extra::most(&all, Rendition::is_sound, SOUND_GROUP);
    let subtitles = Extra::most(&all, Rendition::is_subtitles, SUBTITLES_GROUP);
    let pictures: Vec<&Measured<'_>> = all.iter().filter(|m| m.rendition.is_picture()).collect();
    for one in &pictures {
        variant(&mut out, one, sound.as_ref(), subtitles.as_ref());
    }
    if pictures.is_empty() {
        let sounds = || all.iter().filter(|m| m.rendition.is_sound());
        let first = sounds().find(|m| m.rendition.default).or_else(|| sounds().next());
        if let (Some(first), Some(sound)) = (first, &sound) {
            sound_only(&mut out, first, sound, subtitles.as_ref());
        }
    }
    for one in &pictures {
        keyframes(&mut out, one);
    }
    Ok(out)
}

/// A rendition with its bit rates.
struct Measured<'a> {
    rendition: &'a Rendition,
    rates: Bandwidth,
    keyframes: Bandwidth,
}

impl<'a> Measured<'a> {
    fn all(
        stream: &'a Stream,
        parts: &[&[Part]],
        complete: bool,
    ) -> Result<Vec<Measured<'a>>, PlaylistError> {
        if parts.len() != stream.renditions.len() {
            return Err(PlaylistError::Renditions("the parts are those of other renditions".into()));
        }
        let measured = stream.renditions.iter().zip(parts).map(|(rendition, parts)| {
            let fragments: Vec<Fragment> = parts.iter().flat_map(|p| p.fragments.iter().copied()).collect();
            let mut rates = measure(rendition, stream.target_s, &fragments);
            let mut keyframes = measure_keyframes(rendition, stream.target_s, &fragments);
            if let Some(limit) = rendition.peak_limit.filter(|_| !complete) {
                rates.peak = rates.peak.max(limit);
                keyframes.peak = keyframes.peak.max(limit);
            }
            Measured { rendition, rates, keyframes }
        });
        Ok(measured.collect())
    }
}

/// What a group adds to a variant.
struct Extra {
    group: &'static str,
    rates: Bandwidth,
    codecs: Vec<String>,
}

impl Extra {
    fn most(
        all: &[Measured<'_>],
        is_member: impl Fn(&Rendition) -> bool,
        group: &'static str,
    ) -> Option<Extra> {
        let members: Vec<&Measured<'_>> = all.iter().filter(|m| is_member(m.rendition)).collect();
        let mut codecs: Vec<String> = Vec::new();
        for member in &members {
            let codec = &member.rendition.codec;
            if !codec.is_empty() && !codecs.contains(codec) {
                codecs.push(codec.clone());
            }
        }
        Some(Extra {
            group,
            rates: Bandwidth {
                peak: members.iter().map(|m| m.rates.peak).max()?,
                average: members.iter().map(|m| m.rates.average).max()?,
            },
            codecs,
        })
    }
}

fn group_member(out: &mut String, rendition: &Rendition) -> Result<(), PlaylistError> {
    let (kind, group) = match rendition.kind {
        RenditionKind::Picture { .. } => return Ok(()),
        RenditionKind::Sound { .. } => ("AUDIO", SOUND_GROUP),
        RenditionKind::Subtitles { .. } => ("SUBTITLES", SUBTITLES_GROUP),
    };
    let _ = write!(out, "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\"");
    if let Some(language) = &rendition.language {
        let _ = write!(out, ",LANGUAGE=\"{}\"", quotable(language)?);
    }
    let default = if rendition.default { "YES" } else { "NO" };
    let _ = write!(out, ",NAME=\"{}\",DEFAULT={default},AUTOSELECT=YES", quotable(&rendition.name)?);
    if let RenditionKind::Sound { channels, .. } = rendition.kind {
        let _ = write!(out, ",CHANNELS=\"{channels}\"");
    }
    let _ = writeln!(out, ",URI=\"{}\"", rendition.playlist());
    Ok(())
}

fn variant(out: &mut String, one: &Measured<'_>, sound: Option<&Extra>, subtitles: Option<&Extra>) {
    let RenditionKind::Picture { width, height, frame_rate } = one.rendition.kind else { return };
    stream_inf(out, one, [sound, subtitles]);
    let _ = writeln!(
        out,
        ",RESOLUTION={width}x{height},FRAME-RATE={}{}{},CLOSED-CAPTIONS=NONE\n{}",
        frame_rate.decimal(),
        attribute("AUDIO", sound),
        attribute("SUBTITLES", subtitles),
        one.rendition.playlist()
    );
}

fn sound_only(out: &mut String, one: &Measured<'_>, sound: &Extra, subtitles: Option<&Extra>) {
    let rates = Measured { rendition: one.rendition, rates: sound.rates, keyframes: Bandwidth::default() };
    stream_inf(out, &rates, [subtitles, None]);
    let groups = attribute("AUDIO", Some(sound)) + &attribute("SUBTITLES", subtitles);
    let _ = writeln!(out, "{groups},CLOSED-CAPTIONS=NONE\n{}", one.rendition.playlist());
}

fn stream_inf(out: &mut String, one: &Measured<'_>, extras: [Option<&Extra>; 2]) {
    let extras = || extras.iter().flatten();
    let peak: u64 = extras().map(|e| e.rates.peak).fold(one.rates.peak, u64::saturating_add);
    let average: u64 = extras().map(|e| e.rates.average).fold(one.rates.average, u64::saturating_add);
    let mut codecs = vec![one.rendition.codec.as_str()];
    codecs.extend(extras().flat_map(|e| &e.codecs).map(String::as_str));
    let codecs = codecs.join(",");
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{codecs}\"");
}

fn attribute(name: &str, extra: Option<&Extra>) -> String {
    extra.map(|extra| format!(",{name}=\"{}\"", extra.group)).unwrap_or_default()
}

fn keyframes(out: &mut String, one: &Measured<'_>) {
    let RenditionKind::Picture { width, height, .. } = one.rendition.kind else { return };
    let (rates, codec) = (one.keyframes, &one.rendition.codec);
    let _ = writeln!(
        out,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{codec}\",RESOLUTION={width}x{height},\
         URI=\"{}\"",
        rates.peak,
        rates.average,
        one.rendition.keyframe_playlist()
    );
}
