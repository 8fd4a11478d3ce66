//! Places and times of the fragments of a file, and the description of its one track.

use std::ops::Range;

use super::IndexError;
use super::boxes::{self, BoxAt};
use super::fragments::{Defaults, Fragments, fragment, movie, required};
use super::parse::Sample;
use super::source::ByteSource;

/// Maximum number of boxes at top level.
const MAX_FRAGMENTS: usize = 1 << 15;

/// One fragment: a moof box and the mdat box after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentPlace {
    /// Both boxes.
    pub bytes: Range<u64>,
    /// Its sequence number.
    pub sequence: u32,
    /// Decode time of its first sample in ticks.
    pub decode_time: i64,
    /// Sum of the durations of its samples in ticks.
    pub ticks: i64,
    /// Earliest presentation time of its samples in ticks.
    pub earliest: i64,
    /// Number of samples, at least 1.
    pub samples: u64,
    /// Whether its first sample is a sync sample: decoding may start here.
    pub keyframe: bool,
    /// Bytes of its first sample.
    pub first_sample: Range<u64>,
}

/// The one track of a fragmented file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentedTrack {
    /// Handler, e.g. `vide` or `soun`.
    pub handler: [u8; 4],
    /// The complete sample description box.
    pub stsd: Vec<u8>,
    /// The initialisation segment: all before the first fragment.
    pub init: Range<u64>,
    /// The samples.
    pub fragments: Fragments,
}

/// Reads the description and the samples of a fragmented file with one track.
///
/// # Errors
/// No moov box, not exactly one track, or contradictory numbers.
pub fn read_fragmented_track(src: &impl ByteSource) -> Result<FragmentedTrack, IndexError> {
    let fragments = super::read_fragments(src)?;
    let top = boxes::top(src)?;
    let moov = boxes::find(&top, b"moov").ok_or_else(|| IndexError::Missing("no moov box".into()))?;
    let mdia = required(src, required(src, moov, b"trak")?, b"mdia")?;
    let hdlr = required(src, mdia, b"hdlr")?;
    let mut handler = [0; 4];
    if hdlr.body_len() < 12 {
        return Err(IndexError::broken("box hdlr is too short"));
    }
    src.read_at(hdlr.body + 8, &mut handler)?;
    let stbl = required(src, required(src, mdia, b"minf")?, b"stbl")?;
    let stsd = required(src, stbl, b"stsd")?;
    let body = boxes::body(src, stsd)?;
    let size = u32::try_from(body.len() + 8).map_err(|_| IndexError::broken("box stsd is too long"))?;
    let stsd = [&size.to_be_bytes()[..], b"stsd", &body].concat();
    let first = top.iter().find(|b| matches!(&b.kind, b"moof" | b"styp" | b"sidx" | b"prft" | b"emsg"));
    let init = 0..first.map_or(src.len(), |b| b.start);
    Ok(FragmentedTrack { handler, stsd, init, fragments })
}

/// Reads the places and times of all fragments of a file with one track. A file without a moov box is read if
/// its fragments state all values themselves.
///
/// # Errors
/// A fragment without media or samples, bytes that do not belong to a fragment after the first one, or contradictory
/// numbers.
pub fn read_places(src: &impl ByteSource) -> Result<Vec<FragmentPlace>, IndexError> {
    let top = boxes::top(src)?;
    let defaults = match boxes::find(&top, b"moov") {
        Some(moov) => movie(src, moov)?.1,
        None => Defaults::default(),
    };
    let mut places = Vec::new();
    let (mut boxes, mut next) = (top.iter().peekable(), 0);
    while let Some(moof) = boxes.next() {
        if &moof.kind != b"moof" {
            continue;
        }
        if places.len() >= MAX_FRAGMENTS {
            return Err(IndexError::broken(format!("more than {MAX_FRAGMENTS} fragments")));
        }
        let mdat = boxes.next_if(|b| &b.kind == b"mdat");
        let mdat = mdat.ok_or_else(|| IndexError::broken("a fragment without media"))?;
        places.push(place(src, *moof, *mdat, defaults, &mut next)?);
    }
    Ok(places)
}

fn place(
    src: &impl ByteSource,
    moof: BoxAt,
    mdat: BoxAt,
    defaults: Defaults,
    next: &mut i64,
) -> Result<FragmentPlace, IndexError> {
    let mut all = Fragments { timescale: 1, samples: Vec::new(), last_duration: 0, first_end: 0 };
    fragment(src, moof, defaults, next, &mut all)?;
    let mfhd = boxes::body(src, required(src, moof, b"mfhd")?)?;
    let sequence = mfhd.get(4..8).ok_or_else(|| IndexError::broken("box mfhd is too short"))?;
    let first = all.samples.first().ok_or_else(|| IndexError::broken("a fragment without samples"))?;
    let end = |s: &Sample| s.offset + u64::from(s.size);
    if let Some(out) = all.samples.iter().find(|s| s.offset < mdat.body || end(s) > mdat.end) {
        return Err(IndexError::broken(format!("a sample at byte {} outside of its fragment", out.offset)));
    }
    Ok(FragmentPlace {
        bytes: moof.start..mdat.end,
        sequence: boxes::be32(sequence, 0),
        decode_time: first.dts,
        ticks: next.saturating_sub(first.dts),
        earliest: all.samples.iter().map(Sample::pts).min().unwrap_or(first.dts),
        samples: all.samples.len() as u64,
        keyframe: first.keyframe,
        first_sample: first.offset..end(first),
    })
}
