//! The certificate of a rendition: its files are read back and compared with the plan and the playlists.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::encode::{File, MadePart};
use super::plan::{StreamPlan, hash_of_times};
use super::track::refused;
use crate::error::{MediaError, Result};
use crate::hash::sha256_file;
use crate::mp4::{self, ByteSource, CountedFile, Fragments};

/// What was found in the files of a rendition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenditionProof {
    /// Id of the rendition.
    pub rendition: String,
    /// Number of part files.
    pub parts: u32,
    /// Number of fragments, each at the byte range that the playlists list.
    pub fragments: u64,
    /// Number of pictures or of audio frames.
    pub samples: u64,
    /// Size of all parts in bytes.
    pub bytes: u64,
    /// Hash of the presentation times of the pictures: that of the source's. Absent for sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_hash: Option<String>,
    /// Ticks from the start of the first to the end of the last sample, without a gap.
    pub ticks: i64,
    /// Ticks per second.
    pub timescale: u32,
    /// SHA-256 of the initialisation segment, the same for all parts.
    pub init_hash: String,
}

/// Files one after the other.
struct Concatenated {
    /// Offset of each file.
    files: Vec<(u64, CountedFile)>,
    len: u64,
}

impl Concatenated {
    fn open(paths: impl Iterator<Item = PathBuf>) -> Result<Concatenated> {
        let mut all = Concatenated { files: Vec::new(), len: 0 };
        for path in paths {
            let File(file) = File::open(&path)?;
            let length = file.len();
            all.files.push((all.len, file));
            all.len += length;
        }
        Ok(all)
    }
}

impl ByteSource for Concatenated {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        let (mut pos, mut buf) = (pos, buf);
        while !buf.is_empty() {
            let at = self.files.partition_point(|(start, _)| *start <= pos);
            let Some((start, file)) = at.checked_sub(1).and_then(|at| self.files.get(at)) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let left = (start + file.len()).saturating_sub(pos);
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (here, rest) = buf.split_at_mut(length);
            file.read_at(pos - start, here)?;
            pos += length as u64;
            buf = rest;
        }
        Ok(())
    }
}

/// Reads all parts of a rendition, in order, with their paths. Blocking.
///
/// # Errors
/// The first difference: an initialisation segment that is not that of all parts, bytes that no fragment of the
/// playlists holds, a gap between two samples, or pictures at other times than in the source.
pub fn check_rendition(
    plan: &StreamPlan,
    parts: &[(PathBuf, MadePart)],
    init: &Path,
) -> Result<RenditionProof> {
    let Some((_, first)) = parts.first() else {
        return Err(MediaError::internal("a rendition without parts"));
    };
    let id = first.rendition.id.clone();
    let differs =
        |what: String| Err(MediaError::internal(format!("rendition {id} failed its certificate: {what}")));
    let (_, init_hash) = sha256_file(init)?;
    for (index, (path, made)) in parts.iter().enumerate() {
        if made.index as usize != index {
            return differs(format!("part {index} is missing"));
        }
        if made.part.init_hash != init_hash {
            return differs(format!("part {index} has another decoder configuration"));
        }
        let bytes = path.metadata().map_err(|e| MediaError::io(path.display(), &e))?.len();
        let listed = made
            .part
            .fragments
            .iter()
            .try_fold(0, |at, fragment| (fragment.offset == at).then_some(at + fragment.bytes));
        if listed != Some(bytes) {
            return differs(format!("the fragments of part {index} do not cover its {bytes} bytes"));
        }
    }
    let paths = std::iter::once(init.to_owned()).chain(parts.iter().map(|(path, _)| path.clone()));
    let Fragments { samples, last_duration, timescale, .. } =
        mp4::read_fragments(&Concatenated::open(paths)?).map_err(refused)?;
    let decoded: Vec<i64> = samples.iter().map(|sample| sample.dts).collect();
    let end = decoded.last().map_or(0, |last| last + i64::from(last_duration));
    let times_hash = if first.rendition.is_picture() {
        let mut times: Vec<i64> = samples.iter().map(|sample| sample.pts() - i64::from(plan.lead)).collect();
        times.sort_unstable();
        // decode times are the presentation times in order, so that none overlaps another or leaves a gap
        if times != decoded {
            return differs("pictures are not decoded at the times at which others are shown".into());
        }
        let found = hash_of_times(&times);
        if found != plan.times_hash || times.len() as u64 != plan.pictures || end != plan.end {
            return differs(format!("{} pictures, or their times, are not the source's", times.len()));
        }
        Some(found)
    } else {
        let listed: u64 = parts.iter().map(|(_, made)| made.samples).sum();
        if samples.len() as u64 != listed {
            return differs(format!("{} audio frames, recorded were {listed}", samples.len()));
        }
        let step = decoded.first().zip(decoded.get(1)).map(|(a, b)| b - a);
        if let Some(at) = decoded.windows(2).position(|pair| Some(pair[1] - pair[0]) != step) {
            return differs(format!("there is a gap after audio frame {at}"));
        }
        None
    };
    let fragments = parts.iter().flat_map(|(_, made)| &made.part.fragments);
    Ok(RenditionProof {
        rendition: id.clone(),
        parts: parts.len() as u32,
        fragments: fragments.clone().count() as u64,
        samples: samples.len() as u64,
        bytes: fragments.map(|fragment| fragment.bytes).sum(),
        times_hash,
        ticks: end - decoded.first().copied().unwrap_or(0),
        timescale,
        init_hash,
    })
}
