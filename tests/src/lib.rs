//! System tests: the real program on real media, seen as a user sees it.
//!
//! This crate names no other crate of ours. What it knows is the command line, the files in
//! the output folder, exit codes, and the processes and temporary files that are left. The
//! judgement of a result is ffmpeg's, never only our own `verify`.
//!
//! `SEGUE_BIN` names the program; without it `cargo build` makes one. Media are made by
//! ffmpeg when they are first needed and kept in the target folder. Where `SEGUE_SHARED`
//! and `SEGUE_MODEL_DIR` are set, more real files and real speech are tested; a test that
//! goes without them says so and uses what it can make.

mod digest;
mod fixture;
mod processes;
mod program;
mod random;
mod sandbox;
mod surroundings;

pub use digest::{Digest, assert_same_media, level_db, streams};
pub use fixture::{Fixture, fixture, has_encoder};
pub use processes::{assert_none_left, marked};
pub use program::segue;
pub use random::Random;
pub use sandbox::{Ended, Sandbox, sha256, wait_until};
pub use surroundings::{bad_files, is_root, model_dir, shared, speech};
