//! Reader and writer of MOV and MP4 indexes.
//!
//! ffmpeg can copy packets, but it does not report their offsets. This module reads the index of a file
//! (and no media), and writes a new header whose chunk
//! offsets point into bytes that already exist: a cut and a join are operations on the sample list.

mod boxes;
mod edits;
mod fill;
mod fragments;
mod layout; // fragments and their places
mod parse;
mod priming;
mod read;
mod rewrite;
mod slim;
mod source;
mod stamp;
mod tables;
#[cfg(test)]
mod tests;
mod write;

pub use edits::Edit;
pub use fill::{Filled, FilledRun, Filling, fill};
pub use fragments::{Fragments, read_fragments};
pub use layout::{FragmentPlace, FragmentedTrack, read_fragmented_track, read_places};
pub use parse::{Brand, Index, Lost, Sample, Track};
pub use priming::hide_priming;
pub use read::{
    Movie, TrackChoice, brand, has_index_before, looks_like_mov, read_index, read_movie, short_by,
};
pub use rewrite::{Places, Rewrite, Run, plan_rewrite};
pub use slim::slim_header;
pub use source::{Ahead, ByteSource, CountedFile};
pub use stamp::stamp_matrix;
pub use write::{HeaderTrack, MovHeader, TrackKind, write_header};

/// Why an index could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The file has no index: truncated before it, or never finished.
    #[error("no index: {0}")]
    Missing(String),
    /// The index contradicts itself.
    #[error("broken index: {0}")]
    Broken(String),
    /// Boxes nested more deeply than in any real file.
    #[error("broken index: more than {} boxes inside one another at byte {at}", boxes::MAX_DEPTH)]
    TooDeep {
        /// Offset of the innermost box that was read.
        at: u64,
    },
    /// A kind of index that this module leaves to ffmpeg.
    #[error("index not read here: {0}")]
    Unsupported(String),
    /// The bytes could not be read.
    #[error("cannot read: {0}")]
    Io(String),
}

impl IndexError {
    pub(crate) fn broken(message: impl Into<String>) -> IndexError {
        IndexError::Broken(message.into())
    }
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> IndexError {
        IndexError::Io(error.to_string())
    }
}
