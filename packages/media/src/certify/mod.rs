//! Reads a finished result and writes its certificate.
use std::path::Path;
use std::sync::Arc;

use crate::certificate::{AvEnd, Certificate};
use crate::error::{MediaError, Result};
use crate::facts::SourceFacts;
use crate::hash::sha256_file;
use crate::join::JoinReport;
use crate::part::PartLedger;
use crate::plan::{OpenIndex, PicturePlan};
use crate::probe;
use crate::process::Limits;
use crate::tools::Tools;

mod around;
mod identity;
mod moved;
mod picture;
mod read_back;
mod seams;

use around::check_around;
use moved::Moved;
use picture::{check_picture, compare, picture_of};
use seams::seams;

/// Input of a certificate.
#[derive(Clone, Copy)]
pub struct CertifyRequest<'a> {
    /// The source file.
    pub source: &'a Path,
    /// Facts of the source.
    pub facts: &'a SourceFacts,
    /// Plan and index of the video.
    pub picture: Option<(&'a PicturePlan, &'a OpenIndex)>,
    /// Content of each part, in order: as read for a join by reference, as written by a map.
    pub ledgers: &'a [PartLedger],
    /// Report of the join.
    pub joined: &'a JoinReport,
    /// A folder for temporary files.
    pub work: &'a Path,
}

/// Tolerance for the shift of a stream, microseconds.
const STREAM_TOLERANCE_US: i64 = 1000;

/// Checks the result and records the findings; a failed check is not an error.
pub async fn certify(tools: &Tools, request: &CertifyRequest<'_>, limits: &Limits) -> Result<Certificate> {
    let result = &request.joined.path;
    // a copied file has the source's streams, in its order
    let carried = request.joined.carried.as_ref();
    let facts = match carried {
        Some(_) => request.facts.clone(),
        None => probe::probe(tools, result).await?,
    };
    let moved = match carried.cloned() {
        Some(carried) => {
            let (source, result) = (request.source.to_owned(), result.clone());
            Some(blocking(move || Moved::read_back(&source, &result, &carried)).await?)
        }
        None => None,
    };
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
        result_bytes: carried.map_or(0, |carried| carried.bytes),
        result_sha256: carried.map_or_else(String::new, |carried| carried.sha256.clone()),
        ffmpeg_version: tools.ffmpeg_version.clone(),
    };
    let mut picture_shift = None;
    let mut picture_ends = None;
    if let (Some((plan, open)), Some(stream)) = (request.picture, request.joined.picture) {
        let found = Arc::new(picture_of(tools, request, &facts, stream, limits).await?);
        let compared = compare(request, plan, open, &found, moved.as_ref()).await?;
        if let Some(whole) = compared.whole {
            (certificate.result_bytes, certificate.result_sha256) = whole;
        }
        let seen = check_picture(&mut certificate, request, plan, open, &found, compared.parts);
        picture_shift = seen.map(|s| s.shift_us);
        picture_ends = seen.map(|s| s.ends_us);
    } else if let Some((plan, _)) = request.picture.filter(|(p, _)| p.packets > 0) {
        certificate.failures.push(format!("the picture, stream {}, is not in the result", plan.stream));
    }
    if certificate.result_sha256.is_empty() {
        let path = result.clone();
        (certificate.result_bytes, certificate.result_sha256) = blocking(move || sha256_file(&path)).await?;
    }
    let sound =
        check_around(tools, &mut certificate, request, &facts, moved.as_ref(), picture_shift, limits).await?;
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

/// Runs long blocking reads off the async executor's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| MediaError::internal(format!("the task that reads the result failed: {e}")))?
}
