//! ffmpeg and ffprobe under supervision: probe, index, cut, encode, join, verify.
//!
//! A join is an index. We read where the packets of the picture lie, cut that list at
//! keyframes, and join by writing a new header over bytes that already exist; ffmpeg muxes the
//! result once, and everything that is not the picture goes around, uncut.

pub mod encode;
pub mod error;
pub mod facts;
pub mod mp4;
pub mod probe;
pub mod process;
pub mod sound;
pub mod speech_sound;
pub mod still;
pub mod tools;

pub use facts::{Container, SourceFacts, StreamFacts, StreamKind};
pub use probe::probe;
pub use process::Limits;
pub use tools::Tools;
pub use error::{MediaError, MediaErrorKind, Result};
