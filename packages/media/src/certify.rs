//! Reads a finished result back and writes its certificate.

use std::path::Path;

use crate::certificate::{AvEnd, Certificate, Coverage, SeamLoudness, SegmentProof, StreamProof, TimesProof};
use crate::container::FinalContainer;
use crate::error::{MediaError, Result};
use crate::facts::{Container, SourceFacts, StreamFacts, StreamKind};
use crate::join::JoinReport;
use crate::lossless::owned_times;
use crate::loudness;
use crate::mp4::{Sample, TrackChoice};
use crate::mux;
use crate::part::{self, PartLedger};
use crate::plan::{OpenIndex, PicturePlan, open_at};
use crate::probe;
use crate::process::Limits;
use crate::rows::{self, Depth, Rows};
use crate::tools::Tools;
use crate::track;

/// What a certificate is written about.
#[derive(Clone, Copy)]
pub struct CertifyRequest<'a> {
    /// The source.
    pub source: &'a Path,
    /// Its facts.
    pub facts: &'a SourceFacts,
    /// The picture's plan and index.
    pub picture: Option<(&'a PicturePlan, &'a OpenIndex)>,
    /// What each part held, in order: as read for a join by reference, as it came back from a map.
    pub ledgers: &'a [PartLedger],
    /// What the join says it made.
    pub joined: &'a JoinReport,
    /// A folder for temporary files.
    pub work: &'a Path,
}

/// A stream may stand this far from where it stood.
const STREAM_TOLERANCE_US: i64 = 1000;

/// Checks the result and writes down what was found; a failed check is no error.
pub async fn certify(tools: &Tools, request: &CertifyRequest<'_>, limits: &Limits) -> Result<Certificate> {
    let result = &request.joined.path;
    let facts = probe::probe(tools, result).await?;
    let mut certificate = Certificate {
        passed: false,
        failures: Vec::new(),
        segments: Vec::new(),
        coverage: None,
        times: None,
        around: Vec::new(),
        av_end: None,
        loudness: Vec::new(),
        dropped: request.joined.dropped.clone(),
        lost: request.picture.and_then(|(plan, _)| plan.lost),
        ffmpeg_version: tools.ffmpeg_version.clone(),
    };
    let mut picture_shift = None;
    let mut picture_ends = None;
    if let (Some((plan, open)), Some(stream)) = (request.picture, request.joined.picture) {
        let found = picture_of(tools, request, &facts, stream, limits).await?;
        let seen = check_picture(&mut certificate, request, plan, open, &found)?;
        picture_shift = seen.map(|s| s.shift_us);
        picture_ends = seen.map(|s| s.ends_us);
    } else if let Some((plan, _)) = request.picture.filter(|(p, _)| p.packets > 0) {
        certificate.failures.push(format!("the picture, stream {}, is not in the result", plan.stream));
    }
    let sound = check_around(tools, &mut certificate, request, &facts, picture_shift, limits).await?;
    if let (Some((s, r)), Some((ps, pr))) = (sound, picture_ends) {
        let end = AvEnd { source_us: s - ps, result_us: r - pr };
        if (end.source_us - end.result_us).abs() > 2 * STREAM_TOLERANCE_US {
            certificate.failures.push(format!(
                "sound ends {} us after the picture, and {} us in the source",
                end.result_us, end.source_us
            ));
        }
        certificate.av_end = Some(end);
    }
    certificate.loudness = seams(tools, request, &facts, &certificate, limits).await?;
    for s in certificate.loudness.iter().filter(|s| (s.source_db - s.result_db).abs() > 1.0) {
        certificate.failures.push(format!(
            "loudness steps by {:.1} dB at the start of segment {}, and by {:.1} dB in the source",
            s.result_db, s.segment, s.source_db
        ));
    }
    certificate.passed = certificate.failures.is_empty();
    Ok(certificate)
}

/// The result's picture by its index; Matroska has none of ours, so it gets a track file.
async fn picture_of(
    tools: &Tools,
    request: &CertifyRequest<'_>,
    facts: &SourceFacts,
    stream: u32,
    limits: &Limits,
) -> Result<(OpenIndex, i64)> {
    let result = &request.joined.path;
    let found = facts
        .streams
        .iter()
        .find(|s| s.index == stream)
        .ok_or_else(|| MediaError::internal("the joined picture is not in the result"))?;
    if request.joined.container != FinalContainer::Mkv
        && facts.container == Container::Mov
        && let Some(id) = found.track_id
    {
        let mut open = open_at(result, TrackChoice::Id(id))?;
        let movie = open.index.movie_timescale;
        open.index.track.mark_hidden(movie);
        let seen = track::first_packets(tools, result, stream).await?;
        if let Some(anchor) = track::anchor(&seen, &open.index.track) {
            return Ok((open, anchor));
        }
    }
    let scratch = request.work.join("certify");
    std::fs::create_dir_all(&scratch).map_err(|e| MediaError::io(scratch.display(), &e))?;
    let made = track::write(tools, result, &scratch, found, limits).await?;
    Ok((made.open, made.anchor))
}

/// Where the picture stands in the result.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Time in the result less time in the source.
    shift_us: i64,
    /// Where it ends in the source and in the result.
    ends_us: (i64, i64),
}

fn check_picture(
    certificate: &mut Certificate,
    request: &CertifyRequest<'_>,
    plan: &PicturePlan,
    open: &OpenIndex,
    (found, found_anchor): &(OpenIndex, i64),
) -> Result<Option<Seen>> {
    let samples = &found.index.track.samples;
    let failures = &mut certificate.failures;
    if plan.hidden > 0 {
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
        result_frames: found.index.track.frames(),
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
    let mut at = 0usize;
    for (segment, ledger) in plan.segments.iter().zip(request.ledgers) {
        let stop = (at + ledger.packets as usize).min(samples.len());
        let place = &samples[at.min(stop)..stop];
        let (digest, _) = part::digest(&found.file, place)?;
        if digest != ledger.payload_xxh3 || ledger.index != segment.index || ledger.frames != segment.frames {
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
            payload_xxh3: [ledger.payload_xxh3.clone(), digest],
        });
        at = stop;
    }
    Ok(check_times(certificate, request, plan, open, found, *found_anchor))
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
        certificate.failures.push(format!(
            "a frame stands {max_error_us} us from where the source has it; {allowed_us} us are allowed"
        ));
    }
    let last = |t: Option<&i64>| t.copied().unwrap_or(0);
    Some(Seen { shift_us, ends_us: (source_us(last(ours.last())), result_us(last(theirs.last()))) })
}

/// Compares the packets of every stream that went around; the ends of the first sound.
async fn check_around(
    tools: &Tools,
    certificate: &mut Certificate,
    request: &CertifyRequest<'_>,
    result_facts: &SourceFacts,
    picture_shift: Option<i64>,
    limits: &Limits,
) -> Result<Option<(i64, i64)>> {
    let of = |facts: &'_ SourceFacts, index: u32| facts.streams.iter().position(|s| s.index == index);
    let pairs: Vec<(&StreamFacts, &StreamFacts, bool)> = request
        .joined
        .kept
        .iter()
        .filter(|k| Some(k.result) != request.joined.picture && !k.replaced)
        .filter_map(|k| {
            let s = &request.facts.streams[of(request.facts, k.source)?];
            let r = &result_facts.streams[of(result_facts, k.result)?];
            Some((s, r, k.converted_to.is_some()))
        })
        .collect();
    let before: Vec<&StreamFacts> = pairs.iter().map(|p| p.0).collect();
    let after: Vec<&StreamFacts> = pairs.iter().map(|p| p.1).collect();
    let (x, y) = tokio::join!(
        rows::rows(tools, request.source, request.facts, &before, Depth::Packets, limits),
        rows::rows(tools, &request.joined.path, result_facts, &after, Depth::Packets, limits),
    );
    let (x, y) = (x?, y?);
    let origin = mux::origin_us(request.facts, request.joined.container);
    let mut shift = picture_shift;
    let mut ends = None;
    for (((s, r, converted), x), y) in pairs.iter().zip(&x).zip(&y) {
        if s.kind == StreamKind::Audio {
            let own = y.micros(0).zip(x.micros(0)).map(|(y, x)| y - x);
            shift = shift.or(own);
            if ends.is_none() {
                ends = x.end_us().zip(y.end_us());
            }
        }
        let proof = compare(s, r, *converted, x, y, shift.unwrap_or(-origin));
        judge(&proof, s.kind, &mut certificate.failures);
        certificate.around.push(proof);
    }
    Ok(ends)
}

fn compare(
    s: &StreamFacts,
    r: &StreamFacts,
    converted: bool,
    x: &Rows,
    y: &Rows,
    shift_us: i64,
) -> StreamProof {
    let common = x.rows.len().min(y.rows.len());
    let differs = |i: &usize| {
        let (a, b) = (x.rows[*i], y.rows[*i]);
        !converted && (a.hash != b.hash || a.size != b.size)
    };
    let first = (0..common).find(differs);
    let first_difference = first.or((x.rows.len() != y.rows.len()).then_some(common)).map(|i| i as u64);
    let timed = matches!(s.kind, StreamKind::Audio | StreamKind::Video);
    let max_error_us = (0..common)
        .filter(|_| timed)
        .filter_map(|i| Some((y.micros(i)? - x.micros(i)? - shift_us).abs()))
        .max()
        .unwrap_or(0);
    StreamProof {
        source: s.index,
        result: r.index,
        what: s.label(),
        packets: [x.rows.len() as u64, y.rows.len() as u64],
        same: !converted && first_difference.is_none(),
        first_difference: if converted { None } else { first_difference },
        max_error_us,
        converted,
    }
}

fn judge(proof: &StreamProof, kind: StreamKind, failures: &mut Vec<String>) {
    let what = &proof.what;
    if let Some(at) = proof.first_difference {
        let [before, after] = proof.packets;
        failures.push(format!(
            "{what}: packet {at} is not the source's ({before} packets in the source, {after} in the result)"
        ));
    }
    if kind == StreamKind::Audio && proof.max_error_us > STREAM_TOLERANCE_US {
        failures.push(format!(
            "{what}: stands {} us from where it stood against the picture",
            proof.max_error_us
        ));
    }
}

/// Loudness at every seam: by identity where the sound's packets are the source's.
async fn seams(
    tools: &Tools,
    request: &CertifyRequest<'_>,
    result_facts: &SourceFacts,
    certificate: &Certificate,
    limits: &Limits,
) -> Result<Vec<SeamLoudness>> {
    let (Some((plan, _)), Some(sound)) = (request.picture, request.facts.primary_audio()) else {
        return Ok(Vec::new());
    };
    let at: Vec<i64> = plan
        .segments
        .iter()
        .skip(1)
        .map(|s| plan.timebase.to_micros(s.range.start) - plan.start_time_us)
        .collect();
    let proof = certificate.around.iter().find(|p| p.source == sound.index);
    let by_identity = proof.is_some_and(|p| p.same);
    let levels = if by_identity {
        vec![(0.0, 0.0); at.len()]
    } else {
        let kept = request.joined.kept.iter().find(|k| k.source == sound.index);
        let Some(theirs) = kept.and_then(|k| result_facts.streams.iter().find(|s| s.index == k.result))
        else {
            return Ok(Vec::new());
        };
        let before = loudness::steps(tools, request.source, request.facts, sound, &at, limits).await?;
        let after = loudness::steps(tools, &request.joined.path, result_facts, theirs, &at, limits).await?;
        before.into_iter().zip(after).collect()
    };
    Ok(plan
        .segments
        .iter()
        .skip(1)
        .zip(&at)
        .zip(levels)
        .map(|((segment, at_us), (source_db, result_db))| SeamLoudness {
            segment: segment.index,
            at_us: *at_us,
            source_db,
            result_db,
            by_identity,
        })
        .collect())
}
