//! Loudness at the seams.

use crate::certificate::{Certificate, SeamLoudness};
use crate::error::Result;
use crate::facts::SourceFacts;
use crate::loudness;
use crate::process::Limits;
use crate::tools::Tools;

use super::CertifyRequest;

/// Loudness at every seam; not measured if the audio packets are the source's.
pub(super) async fn seams(
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
