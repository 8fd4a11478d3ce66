//! Parts of a stream: CMAF fragments with absolute times, WebVTT segments, and the arguments of the encoder.
//!
//! A part is encoded by itself, with relative times. Packaging writes it anew: the initialisation segment is split off
//! and depends on the decoder configuration only, each fragment begins with a random access point on the grid
//! that all renditions share, and the times are those of the whole stream. The part files of a rendition
//! concatenate to one continuous track.

mod args;
mod codecs;
mod fragment;
mod grid;
mod init;
mod ladder;
mod sample_entry;
#[cfg(test)]
mod tests;
mod track;
mod webvtt;

pub use args::{EncodedRendition, PartArgs, Quality, part_args};
pub use codecs::codec_string;
pub use fragment::{PackagedPart, PartRequest, check_part, write_part};
pub use grid::{forced_keyframes, fragment_starts, part_fragments, presentation_lead, target_seconds};
pub use init::write_init;
pub use ladder::{Rung, ladder};
pub use track::{PackagedTrack, read_track};
pub use webvtt::{Cue, whole_file, write_segments};
