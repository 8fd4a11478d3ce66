//! Verifies the video of a result through its own index.

use std::path::Path;
use std::sync::Arc;

use crate::certificate::{Certificate, Coverage, Evidence, SegmentProof, TimesProof};
use crate::container::FinalContainer;
use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts};
use crate::lossless::owned_times;
use crate::mp4::{Sample, TrackChoice};
use crate::part::{self, PartLedger};
use crate::plan::{OpenIndex, PicturePlan, TrackPlace, open_at};
use crate::process::Limits;
use crate::tools::Tools;
use crate::track;

use super::moved::Moved;
use super::read_back::{ReadBack, in_order, read_back};
use super::{CertifyRequest, blocking, identity};

/// The video of the result.
pub(super) struct Found {
    /// Its index.
    pub open: OpenIndex,
    /// Offset from the index's times to times in the result.
    pub anchor: i64,
    /// Whether the indexed packets are in the result itself.
    pub inside: bool,
    /// Whether the index equals the source's except for the packet offsets.
    pub moved: bool,
}

/// Findings at the position of each part, and the digest of the whole file if it was
/// read completely.
pub(super) struct Compared {
    /// For each part: whether the packets are the part's, and the method of comparison.
    pub parts: Vec<(bool, Evidence)>,
    /// Size and SHA-256.
    pub whole: Option<(u64, String)>,
}

impl Found {
    /// The packets at the expected position of each part.
    pub fn places(&self, ledgers: &[PartLedger]) -> Vec<&[Sample]> {
        let samples = self.open.index.track.samples.as_slice();
        let mut at = 0usize;
        ledgers
            .iter()
            .map(|ledger| {
                let from = at;
                at = at.saturating_add(ledger.packets as usize).min(samples.len());
                &samples[from..at]
            })
            .collect()
    }

    /// Reads the result once, for its digest and for the digests of all parts.
    pub fn read_back(&self, result: &Path, ledgers: &[PartLedger]) -> Result<ReadBack> {
        let places = self.places(ledgers);
        if self.inside && in_order(&self.open.index.track.samples) {
            return read_back(result, &places);
        }
        let groups = places
            .iter()
            .map(|place| part::digest(&self.open.file, place).map(|(digest, _)| digest))
            .collect::<Result<_>>()?;
        Ok(ReadBack { groups, ..read_back(result, &[])? })
    }
}

/// Compares the packets of every part with those at its position in the result.
pub(super) async fn compare(
    request: &CertifyRequest<'_>,
    plan: &PicturePlan,
    open: &OpenIndex,
    found: &Arc<Found>,
    moved: Option<&Moved>,
) -> Result<Compared> {
    if let Some(moved) = moved.filter(|_| found.moved) {
        let mut parts = Vec::new();
        for (segment, place) in plan.segments.iter().zip(found.places(request.ledgers)) {
            let difference = moved.first_difference(part::samples_of(open, segment)?, place);
            parts.push((difference.is_none(), Evidence::Place { compared: moved.compared }));
        }
        return Ok(Compared { parts, whole: None });
    }
    let (path, ledgers, from) = (request.joined.path.clone(), request.ledgers.to_vec(), Arc::clone(found));
    let read = blocking(move || from.read_back(&path, &ledgers)).await?;
    let mut parts = Vec::new();
    for ((segment, ledger), result) in plan.segments.iter().zip(request.ledgers).zip(read.groups) {
        // a part that was not read because the join planned to copy it unchanged, and then could not
        let part = match &ledger.payload_xxh3 {
            Some(digest) => digest.clone(),
            None => part::digest(&open.file, part::samples_of(open, segment)?)?.0,
        };
        parts.push((part == result, Evidence::Digest { part, result }));
    }
    Ok(Compared { parts, whole: Some((read.bytes, read.sha256)) })
}

/// The result's video by its index; Matroska has none that this crate reads, so a track file is made.
pub(super) async fn picture_of(
    tools: &Tools,
    request: &CertifyRequest<'_>,
    facts: &SourceFacts,
    stream: u32,
    limits: &Limits,
) -> Result<Found> {
    let result = &request.joined.path;
    let found = facts
        .streams
        .iter()
        .find(|s| s.index == stream)
        .ok_or_else(|| MediaError::internal("the joined picture is not in the result"))?;
    if let Some(carried) = carried(request)? {
        return Ok(carried);
    }
    if request.joined.container != FinalContainer::Mkv
        && facts.container == Container::Mov
        && let Some(id) = found.track_id
    {
        let mut open = open_at(result, TrackChoice::Id(id))?;
        let movie = open.index.movie_timescale;
        open.index.track.mark_hidden(movie);
        let seen = track::seen(tools, result, facts, stream, &open.index.track).await?;
        if let Some(anchor) = track::anchor(&seen, &open.index.track) {
            return Ok(Found { open, anchor, inside: true, moved: false });
        }
    }
    let scratch = request.work.join("certify");
    std::fs::create_dir_all(&scratch).map_err(|e| MediaError::io(scratch.display(), &e))?;
    let made = track::write(tools, result, &scratch, facts, found, limits).await?;
    Ok(Found { open: made.open, anchor: made.anchor, inside: false, moved: false })
}

/// The video of a copied file, if its index equals the source's.
fn carried(request: &CertifyRequest<'_>) -> Result<Option<Found>> {
    let Some((plan, source)) = request.picture.filter(|_| request.joined.carried.is_some()) else {
        return Ok(None);
    };
    let TrackPlace::Source { track_id } = plan.track else { return Ok(None) };
    let mut open = open_at(&request.joined.path, TrackChoice::Id(track_id))?;
    open.index.settle_edits();
    let same = identity::same_clock(&source.index, &open.index);
    Ok(same.then_some(Found { open, anchor: plan.anchor, inside: true, moved: true }))
}

/// Position of the video in the result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Time in the result minus time in the source.
    pub shift_us: i64,
    /// End in the source and in the result.
    pub ends_us: (i64, i64),
}

pub(super) fn check_picture(
    certificate: &mut Certificate,
    request: &CertifyRequest<'_>,
    plan: &PicturePlan,
    open: &OpenIndex,
    found: &Found,
    compared: Vec<(bool, Evidence)>,
) -> Option<Seen> {
    let failures = &mut certificate.failures;
    if plan.hidden > 0 && request.joined.carried.is_none() {
        failures.push(format!(
            "the source's edit list hides {} packets of the picture, and a copy would show them; encode this source instead",
            plan.hidden
        ));
    }
    let owned: u64 = plan.segments.iter().map(|s| s.frames).sum();
    let ranges_partition = plan
        .segments
        .windows(2)
        .all(|w| w[0].range.end == w[1].range.start && w[0].end_packet == w[1].first_packet);
    let coverage = Coverage {
        source_frames: plan.frames,
        owned_frames: owned,
        result_frames: found.open.index.track.frames(),
        ranges_partition,
    };
    if owned != plan.frames || !ranges_partition {
        failures.push(format!("the segments own {owned} frames of {}", plan.frames));
    }
    if coverage.result_frames != plan.frames {
        failures.push(format!(
            "the result's picture has {} frames and the source's {}",
            coverage.result_frames, plan.frames
        ));
    }
    if request.ledgers.len() != plan.segments.len() {
        failures.push(format!("{} parts for {} segments", request.ledgers.len(), plan.segments.len()));
    }
    certificate.coverage = Some(coverage);
    let places = found.places(request.ledgers);
    for (((segment, ledger), place), (same, evidence)) in
        plan.segments.iter().zip(request.ledgers).zip(places).zip(compared)
    {
        if !same || ledger.index != segment.index || ledger.frames != segment.frames {
            failures.push(format!(
                "segment {}: its packets in the result are not the part's ({} frames owned, {} in the part, {} packets found)",
                segment.index,
                segment.frames,
                ledger.frames,
                place.len()
            ));
        }
        certificate.segments.push(SegmentProof {
            index: segment.index,
            frames: segment.frames,
            packets: [ledger.packets, place.len() as u64],
            same,
            evidence,
        });
    }
    check_times(certificate, request, plan, open, &found.open, found.anchor)
}

fn check_times(
    certificate: &mut Certificate,
    request: &CertifyRequest<'_>,
    plan: &PicturePlan,
    open: &OpenIndex,
    found: &OpenIndex,
    found_anchor: i64,
) -> Option<Seen> {
    let clock = segue_domain::Timebase { num: 1, den: found.index.track.timescale };
    let theirs: Vec<i64> = {
        let shown = found.index.track.samples.iter().filter(|s| !s.hidden);
        let mut all: Vec<i64> = shown.map(Sample::pts).collect();
        all.sort_unstable();
        all
    };
    let ours: Vec<i64> =
        plan.segments.iter().flat_map(|s| owned_times(&open.index.track.samples, s, plan.anchor)).collect();
    let source_us = |t: i64| plan.timebase.to_micros(t + plan.anchor);
    let result_us = |t: i64| clock.to_micros(t + found_anchor);
    let shift_us = result_us(*theirs.first()?) - source_us(*ours.first()?);
    let max_error_us = ours
        .iter()
        .zip(&theirs)
        .map(|(a, b)| (result_us(*b) - source_us(*a) - shift_us).abs())
        .max()
        .unwrap_or(0);
    let allowed_us = if request.joined.container == FinalContainer::Mkv { 1000 } else { 100 };
    let decode_monotonic = found.index.track.samples.windows(2).all(|w| w[0].dts <= w[1].dts);
    certificate.times = Some(TimesProof { decode_monotonic, max_error_us, allowed_us });
    if !decode_monotonic {
        certificate.failures.push("decode times of the picture go back".into());
    }
    if max_error_us > allowed_us {
        certificate
            .failures
            .push(format!("a frame is moved by {max_error_us} us; {allowed_us} us are allowed"));
    }
    let last = |t: Option<&i64>| t.copied().unwrap_or(0);
    Some(Seen { shift_us, ends_us: (source_us(last(ours.last())), result_us(last(theirs.last()))) })
}
