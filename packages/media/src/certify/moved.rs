//! A carried file against its source, by places: the new file is ranges of the old one behind
//! a head of ours, so a packet is the source's own if the new table points to where its range
//! was put. The head, and the packets at the edges of what is asked, are read back.

use std::path::Path;

use crate::carry::Carried;
use crate::error::{MediaError, Result};
use crate::mp4::{self, ByteSource, CountedFile, Places, Sample};
use crate::probe;

/// A source, what was carried out of it, and how places of the one are places of the other.
pub(super) struct Moved {
    places: Places,
    source: CountedFile,
    result: CountedFile,
}

impl Moved {
    /// Opens both, and checks that the head of the result is the one that was planned.
    ///
    /// # Errors
    /// A result that does not read back as it was written.
    pub fn open(source: &Path, result: &Path, carried: &Carried) -> Result<Moved> {
        let open = |path: &Path| {
            CountedFile::new(probe::open(path)?).map_err(|e| MediaError::io(path.display(), &e))
        };
        let (from, to) = (open(source)?, open(result)?);
        let rewrite = mp4::plan_rewrite(&from).map_err(|e| {
            MediaError::internal(format!("{} can no longer be carried: {e}", source.display()))
        })?;
        let mut head = vec![0; rewrite.head.len()];
        let read = to.read_at(0, &mut head);
        if read.is_err() || head != rewrite.head || to.len() != rewrite.len || carried.bytes != rewrite.len {
            return Err(MediaError::environment(format!(
                "{} does not read back as it was written; check the disk",
                result.display()
            )));
        }
        Ok(Moved { places: rewrite.places(), source: from, result: to })
    }

    /// The first packet whose bytes in the result are not the source's.
    pub fn first_difference(&self, source: &[Sample], result: &[Sample]) -> Result<Option<usize>> {
        let pairs = || source.iter().zip(result);
        let elsewhere = pairs().position(|(s, r)| {
            s.size != r.size || (s.size > 0 && self.places.of(s.offset, s.size.into()) != Some(r.offset))
        });
        if elsewhere.is_some() {
            return Ok(elsewhere);
        }
        if source.len() != result.len() {
            return Ok(Some(source.len().min(result.len())));
        }
        for i in [0, source.len().saturating_sub(1)] {
            if let (Some(s), Some(r)) = (source.get(i), result.get(i))
                && read(&self.source, s)? != read(&self.result, r)?
            {
                return Ok(Some(i));
            }
        }
        Ok(None)
    }
}

fn read(file: &CountedFile, sample: &Sample) -> Result<Vec<u8>> {
    let mut bytes = vec![0; sample.size as usize];
    file.read_at(sample.offset, &mut bytes)
        .map_err(|e| MediaError::source(format!("a packet at byte {} cannot be read: {e}", sample.offset)))?;
    Ok(bytes)
}
