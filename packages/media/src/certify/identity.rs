//! Streams of a carried file: their tables are the source's, so their packets and times are
//! compared by our own index, and nothing needs to be guessed from a player's point of view.

use std::path::Path;

use crate::certificate::StreamProof;
use crate::error::Result;
use crate::facts::StreamFacts;
use crate::mp4::{Index, TrackChoice};
use crate::part;
use crate::plan::{OpenIndex, open_at};

/// Whether two indexes show the same packets at the same times, whatever a player makes of them.
pub(super) fn same_clock(a: &Index, b: &Index) -> bool {
    let (x, y) = (&a.track, &b.track);
    x.edits == y.edits
        && a.movie_timescale == b.movie_timescale
        && x.timescale == y.timescale
        && x.last_duration == y.last_duration
        && x.samples.len() == y.samples.len()
        && x.samples.iter().zip(&y.samples).all(|(s, r)| (s.dts, s.composition) == (r.dts, r.composition))
}

/// The proof for one stream; `None` where it has no table of this kind, or the clocks differ.
pub(super) fn proof(source: &Path, result: &Path, stream: &StreamFacts) -> Result<Option<StreamProof>> {
    let Some(id) = stream.track_id else { return Ok(None) };
    let opened = |path: &Path| open_at(path, TrackChoice::Id(id)).ok();
    let (Some(a), Some(b)) = (opened(source), opened(result)) else { return Ok(None) };
    if !same_clock(&a.index, &b.index) {
        return Ok(None);
    }
    let first_difference = first_difference(&a, &b)?;
    Ok(Some(StreamProof {
        source: stream.index,
        result: stream.index,
        what: stream.label(),
        packets: [a.index.track.samples.len() as u64, b.index.track.samples.len() as u64],
        same: first_difference.is_none(),
        first_difference,
        max_error_us: 0,
        converted: false,
    }))
}

fn first_difference(a: &OpenIndex, b: &OpenIndex) -> Result<Option<u64>> {
    let (x, y) = (&a.index.track.samples, &b.index.track.samples);
    let sizes = x.iter().zip(y).position(|(s, r)| s.size != r.size);
    if sizes.is_some() {
        return Ok(sizes.map(|i| i as u64));
    }
    if part::digest(&a.file, x)? == part::digest(&b.file, y)? {
        return Ok(None);
    }
    for (i, (s, r)) in x.iter().zip(y).enumerate() {
        if part::digest(&a.file, &[*s])? != part::digest(&b.file, &[*r])? {
            return Ok(Some(i as u64));
        }
    }
    Ok(None)
}
