//! The reduce step of the video: joins the parts with all other streams into one file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use segue_domain::Timebase;
use serde::{Deserialize, Serialize};

use crate::assemble::{self, Assembled};
use crate::carry::{self, Carried};
use crate::container::{self, Fate, FinalContainer, Fit};
use crate::error::{MediaError, MediaErrorKind, Result};
use crate::facts::{SourceFacts, StreamFacts, StreamKind};
use crate::filled;
use crate::mp4;
use crate::mux::{self, AddedSubtitle, AudioInput, Mux, PictureInput, mux_args};
use crate::plan::{OpenIndex, PicturePlan};
use crate::process::{self, Finished, Heard, Limits};
use crate::progress::Progress;
use crate::tools::Tools;
use crate::track;
use crate::view::View;

/// The parts that the video is joined from.
#[derive(Debug, Clone, Copy)]
pub enum JoinParts<'a> {
    /// The packets in the source or track file; no map was run.
    ByReference,
    /// The files that the map wrote, one per segment, in order.
    Files(&'a [PathBuf]),
}

/// Request of a join.
#[derive(Clone, Copy)]
pub struct JoinRequest<'a> {
    /// The source file.
    pub source: &'a Path,
    /// Facts of the source.
    pub facts: &'a SourceFacts,
    /// Plan and index of the video; `None` for sources without video.
    pub picture: Option<(&'a PicturePlan, &'a OpenIndex)>,
    /// The file that holds the indexed packets.
    pub track: &'a Path,
    /// The parts.
    pub parts: JoinParts<'a>,
    /// ffmpeg's name of the video codec after the map.
    pub mapped_codec: Option<&'a str>,
    /// Audio that replaces the source's.
    pub audio: &'a [AudioInput],
    /// Subtitles to add.
    pub subtitles: &'a [AddedSubtitle],
    /// A required container.
    pub container: Option<FinalContainer>,
    /// An empty folder for temporary files.
    pub work: &'a Path,
    /// Folder of the result.
    pub out_dir: &'a Path,
    /// Name of the result without its extension.
    pub stem: &'a str,
    /// Progress callback: position in the result, in microseconds.
    pub progress: &'a (dyn Fn(i64) + Send + Sync),
}

/// A stream that is not in the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedStream {
    /// Index in the source.
    pub index: u32,
    /// Kind and codec as text.
    pub what: String,
    /// The reason.
    pub reason: String,
}

/// Mapping of a source stream to a stream of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStream {
    /// Index in the source.
    pub source: u32,
    /// Index in the result.
    pub result: u32,
    /// The codec it was converted to, if it was not copied.
    pub converted_to: Option<String>,
    /// Whether its content was encoded anew.
    pub replaced: bool,
}

/// Report of a join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReport {
    /// Path of the result.
    pub path: PathBuf,
    /// Its container.
    pub container: FinalContainer,
    /// Why preferred containers were not used.
    pub container_reasons: Vec<String>,
    /// Streams that were kept.
    pub kept: Vec<KeptStream>,
    /// Streams that were dropped.
    pub dropped: Vec<DroppedStream>,
    /// Index of the video in the result.
    pub picture: Option<u32>,
    /// Whether the video codec is still the source's.
    pub picture_copied: bool,
    /// The file as it was written, if the source's own tables were copied without a
    /// muxer.
    #[serde(default)]
    pub carried: Option<Carried>,
    /// Wall time of the mux in milliseconds.
    pub wall_ms: u64,
    /// Warnings of ffmpeg that did not end it.
    pub warnings: Vec<String>,
}

/// Joins.
///
/// Parts that were only read are copied into a file of the source's own dialect if
/// possible; all others go through the muxer, into the first container that accepts them.
pub async fn join(tools: &Tools, request: &JoinRequest<'_>, limits: &Limits) -> Result<JoinReport> {
    let (fits, reasons) = fits(request);
    if let Some(container) = carry::target(request, &fits)
        && let Some((path, written, ran)) = carry::carry(request, container, limits).await?
    {
        return Ok(carried(request, container, path, written, ran));
    }
    let assembled = assemble(request)?;
    if let (Some(assembled), Some(fit)) = (&assembled, fits.first())
        && let Some((path, ran)) = fill(tools, request, assembled, fit, limits).await?
    {
        return Ok(report(request, fit, reasons, path, ran));
    }
    let picture = match (&assembled, request.picture) {
        (Some(assembled), Some((plan, _))) => {
            let movie = assemble::write_virtual(assembled, request.work)?;
            let ticks = movie.origin + plan.anchor;
            let offset_us = plan.timebase.to_micros(ticks);
            let (list, files, decoder) = (movie.list, movie.files, decoder(request.parts, plan));
            Some(PictureInput { list, files, offset_us, stands_for: plan.stream, decoder })
        }
        _ => None,
    };
    let mut reasons = reasons;
    let mut failed = None;
    for fit in &fits {
        match mux_into(tools, request, picture.as_ref(), fit, limits).await {
            Ok((path, ran)) => return Ok(report(request, fit, reasons, path, ran)),
            Err(e) if e.kind() == MediaErrorKind::Source => {
                reasons.push(format!("not {}: {e}", fit.container.extension()));
                failed.get_or_insert(e);
            }
            Err(e) => return Err(e),
        }
    }
    Err(failed.unwrap_or_else(|| MediaError::internal("no container was tried")))
}

/// The options that name the codec of the joined video: the file of a map names its own.
pub(crate) fn decoder(parts: JoinParts<'_>, plan: &PicturePlan) -> Vec<OsString> {
    match parts {
        JoinParts::ByReference => plan.decoder(),
        JoinParts::Files(_) => Vec::new(),
    }
}

/// The containers to try, best first, and the reasons against the better ones.
fn fits(request: &JoinRequest<'_>) -> (Vec<Fit>, Vec<String>) {
    let mut made: BTreeMap<u32, String> =
        request.audio.iter().map(|a| (a.stands_for, a.codec.clone())).collect();
    if let (Some((plan, _)), Some(codec)) = (request.picture, request.mapped_codec) {
        made.insert(plan.stream, codec.to_owned());
    }
    let (mut fits, mut reasons) = container::candidates(request.facts, &made);
    if let Some(wanted) = request.container {
        fits.retain(|f| f.container == wanted);
        reasons.clear();
    }
    (fits, reasons)
}

/// All streams of the source are in a copied file, in their order.
fn carried(
    request: &JoinRequest<'_>,
    container: FinalContainer,
    path: PathBuf,
    written: Carried,
    ran: Finished,
) -> JoinReport {
    let kept = |s: &StreamFacts| KeptStream {
        source: s.index,
        result: s.index,
        converted_to: None,
        replaced: false,
    };
    JoinReport {
        path,
        container,
        container_reasons: Vec::new(),
        kept: request.facts.streams.iter().map(kept).collect(),
        dropped: Vec::new(),
        picture: request.picture.map(|(plan, _)| plan.stream),
        picture_copied: request.picture.is_some(),
        carried: Some(written),
        wall_ms: ran.wall_ms,
        warnings: Vec::new(),
    }
}

fn assemble(request: &JoinRequest<'_>) -> Result<Option<Assembled>> {
    let Some((plan, open)) = request.picture.filter(|(plan, _)| plan.packets > 0) else {
        return Ok(None);
    };
    Ok(Some(match request.parts {
        JoinParts::ByReference => assemble::by_reference(open, plan, request.track)?,
        JoinParts::Files(parts) => assemble::from_parts(open, plan, parts, request.work)?,
    }))
}

/// Joins with bounded memory, if possible.
async fn fill(
    tools: &Tools,
    request: &JoinRequest<'_>,
    assembled: &Assembled,
    fit: &Fit,
    limits: &Limits,
) -> Result<Option<(PathBuf, Finished)>> {
    let (path, partial) = paths(request, fit);
    match filled::mux(tools, request, assembled, fit, &partial, limits).await {
        Ok(Some(finished)) => named(&path, &partial).map(|()| Some((path, finished))),
        Ok(None) => Ok(None),
        Err(e) => {
            // a missing file counts as removed
            let _ = fs::remove_file(&partial);
            Err(e)
        }
    }
}

/// Final path of the result, and its temporary path until it is complete.
fn paths(request: &JoinRequest<'_>, fit: &Fit) -> (PathBuf, PathBuf) {
    let name = format!("{}.{}", request.stem, fit.container.extension());
    (request.out_dir.join(&name), request.out_dir.join(format!(".{name}.partial")))
}

fn named(path: &Path, partial: &Path) -> Result<()> {
    fs::rename(partial, path).map_err(|e| MediaError::io(format!("writing {}", path.display()), &e))
}

async fn mux_into(
    tools: &Tools,
    request: &JoinRequest<'_>,
    picture: Option<&PictureInput>,
    fit: &Fit,
    limits: &Limits,
) -> Result<(PathBuf, Finished)> {
    let (path, partial) = paths(request, fit);
    match run_mux(tools, request, picture, fit, &[], &partial, limits).await {
        Ok(finished) => named(&path, &partial).map(|()| (path, finished)),
        Err(e) => {
            // a missing file counts as removed
            let _ = fs::remove_file(&partial);
            Err(e)
        }
    }
}

/// Runs the muxer; `views` are inputs that are read through a generated header.
pub(crate) async fn run_mux(
    tools: &Tools,
    request: &JoinRequest<'_>,
    picture: Option<&PictureInput>,
    fit: &Fit,
    views: &[(PathBuf, View)],
    out: &Path,
    limits: &Limits,
) -> Result<Finished> {
    let corrections = corrections(tools, request, fit, limits).await?;
    let inputs = views.iter().map(|(path, view)| (path.clone(), view.input())).collect();
    let mux = Mux {
        source: request.source,
        facts: request.facts,
        picture,
        audio: request.audio,
        subtitles: request.subtitles,
        corrections: &corrections,
        views: &inputs,
        fit,
        out,
    };
    let call = tools.ffmpeg("joining", mux_args(&mux)).with_growing_lists().writing(out);
    let call = mux.reads().fold(call, |call, path| call.reading(path));
    let call = views.iter().fold(call, |call, (_, view)| view.attach(call));
    let mut progress = Progress::default();
    let finished = process::run(&call, limits, |piece| {
        let heard = progress.push(piece);
        (request.progress)(progress.out_time_us());
        heard
    })
    .await?;
    hide_priming(request, fit, out)?;
    Ok(finished)
}

/// Hides the encoder's priming samples of audio that starts late, which the muxer would leave
/// audible.
fn hide_priming(request: &JoinRequest<'_>, fit: &Fit, result: &Path) -> Result<()> {
    if fit.container == FinalContainer::Mkv {
        return Ok(());
    }
    // a cover is not a track, and a dropped stream has none
    let tracks = request.facts.streams.iter().zip(&fit.fates).filter(|(stream, fate)| {
        stream.kind != StreamKind::Picture && matches!(fate, Fate::Copy | Fate::Convert(_))
    });
    for (track, (stream, _)) in tracks.enumerate() {
        if let Some(sound) = request.audio.iter().find(|sound| sound.stands_for == stream.index) {
            mp4::hide_priming(result, track, sound.priming)
                .map_err(|e| MediaError::internal(format!("{}: {e}", result.display())))?;
        }
    }
    Ok(())
}

/// Measures how ffmpeg's Matroska muxer shifts Opus: up to version 5 it writes the codec
/// delay and does not add it to the times.
async fn corrections(
    tools: &Tools,
    request: &JoinRequest<'_>,
    fit: &Fit,
    limits: &Limits,
) -> Result<BTreeMap<u32, i64>> {
    let mut found = BTreeMap::new();
    if fit.container != FinalContainer::Mkv {
        return Ok(found);
    }
    for (stream, fate) in request.facts.streams.iter().zip(&fit.fates) {
        let opus = stream.codec.as_deref() == Some("opus") && *fate == Fate::Copy;
        if !opus || request.audio.iter().any(|a| a.stands_for == stream.index) {
            continue;
        }
        let trial = request.work.join("trial.mkv");
        let args = mux::trial_args(request.source, stream.index, &trial);
        let call = tools.ffmpeg("trying the container", args).reading(request.source).writing(&trial);
        process::run(&call, limits, |_| Heard::Progress).await?;
        let before = track::first_packets(tools, request.source, stream.index).await?;
        let after = track::first_packets(tools, &trial, 0).await?;
        if let (Some(Some(before)), Some(Some(after))) = (before.first(), after.first()) {
            let expected = stream.timebase.to_micros(*before) + mux::TRIAL_US;
            let got = Timebase { num: 1, den: 1000 }.to_micros(*after);
            if (expected - got).abs() >= 1000 {
                found.insert(stream.index, expected - got);
            }
        }
    }
    Ok(found)
}

fn report(
    request: &JoinRequest<'_>,
    fit: &Fit,
    container_reasons: Vec<String>,
    path: PathBuf,
    ran: Finished,
) -> JoinReport {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (stream, fate) in request.facts.streams.iter().zip(&fit.fates) {
        let converted_to = match fate {
            Fate::Copy => None,
            Fate::Convert(codec) => Some(codec.clone()),
            Fate::Elsewhere(_) => continue,
            Fate::Drop(reason) => {
                let (index, reason) = (stream.index, reason.clone());
                dropped.push(DroppedStream { index, what: stream.label(), reason });
                continue;
            }
        };
        let replaced = request.audio.iter().any(|a| a.stands_for == stream.index);
        let result = kept.len() as u32;
        kept.push(KeptStream { source: stream.index, result, converted_to, replaced });
    }
    let stream = request.picture.map(|(plan, _)| plan.stream);
    let picture = kept.iter().find(|k| Some(k.source) == stream).map(|k| k.result);
    let picture_copied =
        request.picture.is_some_and(|(plan, _)| request.mapped_codec.is_none_or(|codec| codec == plan.codec));
    JoinReport {
        path,
        container: fit.container,
        container_reasons,
        kept,
        dropped,
        picture,
        picture_copied,
        carried: None,
        wall_ms: ran.wall_ms,
        warnings: ran.stderr_tail,
    }
}
