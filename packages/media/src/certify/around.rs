//! Compares the streams that were not segmented, packet by packet.

use crate::certificate::{Certificate, StreamProof};
use crate::error::Result;
use crate::facts::{SourceFacts, StreamFacts, StreamKind};
use crate::mux;
use crate::process::Limits;
use crate::rows::{self, Depth, Rows};
use crate::tools::Tools;

use super::moved::Moved;
use super::{CertifyRequest, STREAM_TOLERANCE_US, identity};

/// Compares the packets of every stream that was not segmented; computes the ends of the first audio stream.
pub(super) async fn check_around(
    tools: &Tools,
    certificate: &mut Certificate,
    request: &CertifyRequest<'_>,
    result_facts: &SourceFacts,
    moved: Option<&Moved>,
    picture_shift: Option<i64>,
    limits: &Limits,
) -> Result<Option<(i64, i64)>> {
    if let Some(moved) = moved
        && let Some(proofs) = carried(request, moved)?
    {
        for (proof, kind) in &proofs {
            judge(proof, *kind, &mut certificate.failures);
        }
        certificate.around.extend(proofs.into_iter().map(|(proof, _)| proof));
        // the tables are the source's, and so are the ends
        return Ok(sound_end_us(request.facts).map(|end| (end, end)));
    }
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
        failures.push(format!("{what}: is moved by {} us relative to the picture", proof.max_error_us));
    }
}

/// The stream entries of a copied file, from its own tables; `None` if one of them must be read by ffmpeg.
fn carried(request: &CertifyRequest<'_>, moved: &Moved) -> Result<Option<Vec<(StreamProof, StreamKind)>>> {
    let mut proofs = Vec::new();
    for stream in request.facts.streams.iter().filter(|s| Some(s.index) != request.joined.picture) {
        // a cover is in the movie box, which was copied whole
        if stream.kind == StreamKind::Picture {
            continue;
        }
        match identity::proof(request.source, &request.joined.path, stream, moved)? {
            Some(proof) => proofs.push((proof, stream.kind)),
            // a track of unknown format has no packets to compare
            None if stream.codec.is_none() => {}
            None => return Ok(None),
        }
    }
    Ok(Some(proofs))
}

fn sound_end_us(facts: &SourceFacts) -> Option<i64> {
    let sound = facts.primary_audio()?;
    Some(sound.timebase.to_micros(sound.start?) + sound.duration_us?)
}
