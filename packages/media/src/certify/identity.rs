//! Streams of a copied file: their tables are the source's, so their packets and times are
//! compared by the indexes alone, independent of how a player interprets them.

use std::path::Path;

use crate::certificate::StreamProof;
use crate::error::Result;
use crate::facts::StreamFacts;
use crate::mp4::{Index, TrackChoice};
use crate::plan::open_at;

use super::moved::Moved;

/// Whether two indexes have the same packets at the same times.
pub(super) fn same_clock(a: &Index, b: &Index) -> bool {
    let (x, y) = (&a.track, &b.track);
    x.edits == y.edits
        && a.movie_timescale == b.movie_timescale
        && x.timescale == y.timescale
        && x.last_duration == y.last_duration
        && x.samples.len() == y.samples.len()
        && x.samples.iter().zip(&y.samples).all(|(s, r)| (s.dts, s.composition) == (r.dts, r.composition))
}

/// The entry of one stream; `None` if it has no such table, or the timescales differ.
pub(super) fn proof(
    source: &Path,
    result: &Path,
    stream: &StreamFacts,
    moved: &Moved,
) -> Result<Option<StreamProof>> {
    let Some(id) = stream.track_id else { return Ok(None) };
    let opened = |path: &Path| open_at(path, TrackChoice::Id(id)).ok();
    let (Some(a), Some(b)) = (opened(source), opened(result)) else { return Ok(None) };
    if !same_clock(&a.index, &b.index) {
        return Ok(None);
    }
    let (x, y) = (&a.index.track.samples, &b.index.track.samples);
    let first_difference = moved.first_difference(x, y).map(|i| i as u64);
    Ok(Some(StreamProof {
        source: stream.index,
        result: stream.index,
        what: stream.label(),
        packets: [x.len() as u64, y.len() as u64],
        same: first_difference.is_none(),
        first_difference,
        max_error_us: 0,
        converted: false,
    }))
}
