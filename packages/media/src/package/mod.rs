//! Parts of a stream: CMAF fragments with absolute times, WebVTT segments, and the arguments of the encoder.
//!
//! A part is encoded by itself, with relative times. Packaging writes it anew: the initialisation segment is split off
//! and depends on the decoder configuration only, each fragment begins with a random access point on the grid
//! that all renditions share, and the times are those of the whole stream. The part files of a rendition
//! concatenate to one continuous track.

mod args;
mod check;
mod codecs;
mod encode;
mod fragment;
mod grid;
mod init;
mod ladder;
mod plan;
mod progressive;
mod sample_entry;
mod sound;
#[cfg(test)]
mod tests;
mod track;
mod webvtt;

pub use args::{EncodedRendition, PartArgs, Quality, part_args};
pub use check::{RenditionProof, check_rendition};
pub use codecs::codec_string;
pub use encode::{MadePart, PartEncoding, encode_part, qualities};
pub use fragment::{PackagedPart, PartRequest, check_part, write_part};
pub use grid::{forced_keyframes, fragment_starts, part_fragments, presentation_lead, target_seconds};
pub use init::write_init;
pub use ladder::{Rung, ladder, rungs_of};
pub use plan::{StreamPlan, displayed_size, hash_of_times};
pub use progressive::{ProgressiveProof, ProgressiveTrack, write_progressive};
pub use sound::{SoundTrack, encode_sound};
pub use track::{PackagedTrack, read_track};
pub use webvtt::{Cue, whole_file, write_segments};
