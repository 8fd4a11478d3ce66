//! Compares a copied file with its source: the new file is a new header before ranges of the source.
//! The header and every range are read back and compared; a packet is the source's own
//! if the new table points to the new offset of its range.
//!
//! A large file was compared while it was written, both ends of each MiB; if neither
//! file has changed since, its ranges are not read again.

use std::path::Path;

use crate::carry::{Carried, FileState};
use crate::certificate::Compared;
use crate::error::{MediaError, Result};
use crate::hash::PIECE;
use crate::mp4::{self, ByteSource, CountedFile, Places, Rewrite, Sample};
use crate::probe;

/// Maximum number of damaged byte positions that are listed.
const MOST_DAMAGE: usize = 4096;

/// Mapping from offsets in a source to offsets in the copied file.
pub(super) struct Moved {
    places: Places,
    /// Offsets at which the result's bytes differ from the source's, in order.
    damaged: Vec<u64>,
    /// How the comparison was made.
    pub compared: Compared,
}

impl Moved {
    /// Reads both files as far as necessary. Blocking.
    ///
    /// # Errors
    /// A result whose header or length differs from the plan, or files that cannot be read.
    pub fn read_back(source: &Path, result: &Path, carried: &Carried) -> Result<Moved> {
        let open = |path: &Path| {
            CountedFile::new(probe::open(path)?).map_err(|e| MediaError::io(path.display(), &e))
        };
        let (from, to) = (open(source)?, open(result)?);
        let rewrite = mp4::plan_rewrite(&from).map_err(|e| {
            MediaError::internal(format!("{} can no longer be copied unchanged: {e}", source.display()))
        })?;
        if !begins_with(&to, &rewrite.head) || to.len() != rewrite.len || carried.bytes != rewrite.len {
            return Err(MediaError::environment(format!(
                "{} does not read back as it was written; check the disk",
                result.display()
            )));
        }
        let places = rewrite.places();
        let state = |path: &Path| FileState::of(path).map_err(|e| MediaError::io(path.display(), &e));
        if rewrite.is_large() && state(source)? == carried.source && state(result)? == carried.result {
            return Ok(Moved { places, damaged: Vec::new(), compared: Compared::Writes });
        }
        let damaged = damaged(&rewrite, &from, &to)
            .map_err(|e| MediaError::io(format!("comparing {} with its source", result.display()), &e))?;
        Ok(Moved { places, damaged, compared: Compared::Whole })
    }

    /// The first packet whose bytes in the result are not the source's.
    pub fn first_difference(&self, source: &[Sample], result: &[Sample]) -> Option<usize> {
        let pairs = || source.iter().zip(result);
        let differs = |(s, r): (&Sample, &Sample)| {
            let elsewhere = s.size > 0 && self.places.of(s.offset, s.size.into()) != Some(r.offset);
            s.size != r.size || elsewhere || self.is_damaged(r)
        };
        let shorter = source.len().min(result.len());
        pairs().position(differs).or((source.len() != result.len()).then_some(shorter))
    }

    fn is_damaged(&self, sample: &Sample) -> bool {
        let next = self.damaged.partition_point(|at| *at < sample.offset);
        self.damaged.get(next).is_some_and(|at| *at < sample.offset + u64::from(sample.size))
    }
}

fn begins_with(file: &CountedFile, head: &[u8]) -> bool {
    let mut piece = vec![0; PIECE.min(head.len())];
    head.chunks(PIECE).enumerate().all(|(i, expected)| {
        let read = file.read_at((i * PIECE) as u64, &mut piece[..expected.len()]);
        read.is_ok() && piece[..expected.len()] == *expected
    })
}

/// Offsets in the new file whose bytes differ from the old one.
fn damaged(rewrite: &Rewrite, from: &CountedFile, to: &CountedFile) -> std::io::Result<Vec<u64>> {
    let (mut was, mut is) = (vec![0; PIECE], vec![0; PIECE]);
    let mut damaged = Vec::new();
    let mut at = rewrite.head.len() as u64;
    for run in &rewrite.runs {
        let mut done = 0;
        while done < run.len {
            let n = (run.len - done).min(PIECE as u64) as usize;
            from.read_at(run.from + done, &mut was[..n])?;
            to.read_at(at, &mut is[..n])?;
            if was[..n] != is[..n] {
                let differing = (0..n).filter(|i| was[*i] != is[*i]).map(|i| at + i as u64);
                damaged.extend(differing.take(MOST_DAMAGE.saturating_sub(damaged.len())));
            }
            done += n as u64;
            at += n as u64;
        }
    }
    Ok(damaged)
}
