//! A static DASH manifest over the same bytes: ISO/IEC 23009-1.
//!
//! A rendition has several files, so its fragments are a `SegmentList` with byte ranges and a `SegmentTimeline`, which
//! dash.js and Shaka Player read. Subtitles are one WebVTT file each.

use std::fmt::Write as _;

use super::PlaylistError;
use super::bandwidth::measure;
use super::model::{Fragment, Part, Rendition, RenditionKind, Stream, escaped, quotable, seconds};

/// Writes the manifest of a complete stream; `parts` are those of each rendition.
///
/// # Errors
/// URIs that cannot be written, or a number of parts lists that is not that of the renditions.
pub fn write_mpd(stream: &Stream, parts: &[&[Part]]) -> Result<String, PlaylistError> {
    if parts.len() != stream.renditions.len() {
        return Err(PlaylistError::Renditions("the parts are those of other renditions".into()));
    }
    let all: Vec<(&Rendition, &[Part])> = stream.renditions.iter().zip(parts.iter().copied()).collect();
    let media = || all.iter().filter(|(r, _)| !r.is_subtitles());
    // presentation starts with the earliest fragment of picture or sound
    let origin = media().filter_map(|(r, p)| p.first().map(|p| r.timebase().to_micros(p.start))).min();
    let origin = origin.unwrap_or(0);
    let ends = media().filter_map(|(r, p)| p.last().map(|p| r.timebase().to_micros(p.end()) - origin));
    let length = seconds(ends.max().unwrap_or(0).max(0));
    let target = stream.target_s;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-main:2011\" \
         type=\"static\" mediaPresentationDuration=\"PT{length}S\" maxSegmentDuration=\"PT{target}S\" \
         minBufferTime=\"PT{target}S\">\n  <Period id=\"0\" start=\"PT0S\" duration=\"PT{length}S\">\n"
    );
    let mut set = 0;
    let pictures: Vec<_> = all.iter().filter(|(r, _)| r.is_picture()).collect();
    if !pictures.is_empty() {
        let head =
            "contentType=\"video\" mimeType=\"video/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\"";
        open(&mut out, &mut set, head, pictures[0].0);
        for (rendition, parts) in pictures {
            representation(&mut out, stream, rendition, parts, origin)?;
        }
        out.push_str("    </AdaptationSet>\n");
    }
    for (rendition, parts) in all.iter().filter(|(r, _)| r.is_sound()) {
        let head =
            "contentType=\"audio\" mimeType=\"audio/mp4\" segmentAlignment=\"true\" startWithSAP=\"1\"";
        open(&mut out, &mut set, head, rendition);
        representation(&mut out, stream, rendition, parts, origin)?;
        out.push_str("    </AdaptationSet>\n");
    }
    for (rendition, parts) in all.iter().filter(|(r, _)| r.is_subtitles()) {
        subtitles(&mut out, &mut set, stream, rendition, parts)?;
    }
    out.push_str("  </Period>\n</MPD>\n");
    Ok(out)
}

fn open(out: &mut String, set: &mut u32, head: &str, rendition: &Rendition) {
    let language = rendition.language.as_deref().map(|l| format!(" lang=\"{}\"", escaped(l)));
    let language = language.unwrap_or_default();
    let _ = writeln!(out, "    <AdaptationSet id=\"{set}\" {head}{language}>");
    *set += 1;
    if rendition.is_picture() {
        return;
    }
    let role = match (rendition.is_subtitles(), rendition.default) {
        (true, _) => "subtitle",
        (false, true) => "main",
        (false, false) => "alternate",
    };
    let _ = writeln!(out, "      <Label>{}</Label>", escaped(&rendition.name));
    let _ = writeln!(out, "      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{role}\"/>");
}

fn representation(
    out: &mut String,
    stream: &Stream,
    rendition: &Rendition,
    parts: &[Part],
    origin: i64,
) -> Result<(), PlaylistError> {
    let fragments: Vec<Fragment> = parts.iter().flat_map(|p| p.fragments.iter().copied()).collect();
    let bandwidth = measure(rendition, stream.target_s, &fragments).peak;
    let (id, codec, scale) = (&rendition.id, escaped(&rendition.codec), rendition.timescale);
    let _ = write!(out, "      <Representation id=\"{id}\" bandwidth=\"{bandwidth}\" codecs=\"{codec}\"");
    match rendition.kind {
        RenditionKind::Picture { width, height, frame_rate } => {
            let (num, den) = (frame_rate.num, frame_rate.den);
            let _ =
                write!(out, " width=\"{width}\" height=\"{height}\" frameRate=\"{num}/{den}\" sar=\"1:1\"");
            out.push_str(">\n");
        }
        RenditionKind::Sound { channels, sample_rate } => {
            let _ = writeln!(out, " audioSamplingRate=\"{sample_rate}\">");
            let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
            let _ = writeln!(
                out,
                "        <AudioChannelConfiguration schemeIdUri=\"{scheme}\" value=\"{channels}\"/>"
            );
        }
        RenditionKind::Subtitles { .. } => out.push_str(">\n"),
    }
    let start = rendition.timebase().from_micros(origin);
    let _ = writeln!(out, "        <SegmentList timescale=\"{scale}\" presentationTimeOffset=\"{start}\">");
    if let Some(first) = parts.first() {
        let init = escaped(quotable(&first.init)?);
        let _ = writeln!(out, "          <Initialization sourceURL=\"{init}\"/>");
    }
    timeline(out, parts);
    for part in parts {
        let uri = escaped(quotable(&part.uri)?);
        for fragment in &part.fragments {
            let (from, to) = (fragment.offset, fragment.offset + fragment.bytes.max(1) - 1);
            let _ = writeln!(out, "          <SegmentURL media=\"{uri}\" mediaRange=\"{from}-{to}\"/>");
        }
    }
    out.push_str("        </SegmentList>\n      </Representation>\n");
    Ok(())
}

/// The durations of the fragments, one entry each: dash.js takes the URL of a fragment by the number of its entry, and so
/// does not support repeats in a list.
fn timeline(out: &mut String, parts: &[Part]) {
    out.push_str("          <SegmentTimeline>\n");
    for (i, part) in parts.iter().enumerate() {
        for (j, fragment) in part.fragments.iter().enumerate() {
            let start = if i + j == 0 { format!(" t=\"{}\"", part.start) } else { String::new() };
            let _ = writeln!(out, "            <S{start} d=\"{}\"/>", fragment.ticks);
        }
    }
    out.push_str("          </SegmentTimeline>\n");
}

fn subtitles(
    out: &mut String,
    set: &mut u32,
    stream: &Stream,
    rendition: &Rendition,
    parts: &[Part],
) -> Result<(), PlaylistError> {
    let RenditionKind::Subtitles { whole } = &rendition.kind else { return Ok(()) };
    let fragments: Vec<Fragment> = parts.iter().flat_map(|p| p.fragments.iter().copied()).collect();
    let bandwidth = measure(rendition, stream.target_s, &fragments).peak.max(1);
    open(out, set, "contentType=\"text\" mimeType=\"text/vtt\"", rendition);
    let (id, whole) = (&rendition.id, escaped(quotable(whole)?));
    let _ = writeln!(out, "      <Representation id=\"{id}\" bandwidth=\"{bandwidth}\">");
    let _ =
        writeln!(out, "        <BaseURL>{whole}</BaseURL>\n      </Representation>\n    </AdaptationSet>");
    Ok(())
}
