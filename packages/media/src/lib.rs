//! ffmpeg and ffprobe under supervision: probe, index, cut, encode, join, verify.
//!
//! A join is an index. This crate reads where the packets of the video are stored, cuts that list at
//! keyframes, and joins by writing a new header over bytes that already exist; ffmpeg muxes the
//! result once, and all other streams are passed through uncut.

mod access;
pub mod assemble;
pub mod audio_files;
pub mod bounds;
mod carry;
pub mod certificate;
pub mod certify;
pub mod container;
mod copy_out;
pub mod cuts;
pub mod describe;
pub mod encode; // the folder encode/; there is no encode.rs
pub mod error;
pub mod facts;
mod filled;
pub mod hash;
pub mod join;
pub mod lossless;
pub mod loudness;
pub mod map_command;
pub mod matroska;
pub mod mp4;
pub mod mux;
pub mod package; // parts of a stream: CMAF, WebVTT, the encoder's arguments
mod packets;
pub mod part;
pub mod pictures;
pub mod pieces;
mod plan;
pub mod probe;
pub mod process;
pub mod progress;
mod ranged; // remote sources, read in ranges
pub mod rows;
pub mod sound; // encodes the audio; speech recognition reads it through speech_sound
pub mod sound_map;
pub mod speech_sound;
pub mod thumbnail;
pub mod times;
pub mod tools;
mod track;
pub mod verify;
mod view;

pub use carry::{Carried, may_be_carried};
pub use certificate::Certificate;
pub use certify::{CertifyRequest, certify};
pub use container::FinalContainer;
pub use error::{MediaError, MediaErrorKind, Result};
pub use facts::{Container, SourceFacts, StreamFacts, StreamKind};
pub use hash::sha256_file;
pub use join::{DroppedStream, JoinParts, JoinReport, JoinRequest, KeptStream, join};
pub use lossless::lossless_part;
pub use mux::{AddedSubtitle, AudioInput};
pub use part::{PartLedger, copy_part, digest_part};
pub use plan::{OpenIndex, PicturePlan, PictureSegment, TrackPlace, open_index, open_track, plan_cuts};
pub use probe::probe;
pub use process::Limits;
pub use ranged::{Bring, Source};
pub use sound::{AudioCodec, AudioSettings, encode_audio};
pub use sound_map::SoundMap;
pub use speech_sound::{SpeechFile, SpeechSound};
pub use thumbnail::thumbnail;
pub use tools::Tools;
pub use verify::{Verdict, VerifyReport, verify};
