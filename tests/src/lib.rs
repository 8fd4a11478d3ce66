//! System tests: the real program on real media, used like a user does.
//!
//! This crate depends on no other crate of the workspace. It uses the command line, the files in
//! the output folder, exit codes, and the processes and temporary files that are left. Results are
//! compared with ffmpeg, never only with `segue verify`.
//!
//! `SEGUE_BIN` names the program; without it `cargo build` builds it. Media are generated with
//! ffmpeg when first needed and kept in the target folder. With `SEGUE_SHARED` and
//! `SEGUE_MODEL_DIR` more real files and real speech are tested; without them tests print a note
//! and use generated media.

mod backend;
mod digest;
mod fixture;
mod processes;
mod program;
mod random;
mod sandbox;
mod surroundings;

pub use backend::FolderBackend;
pub use digest::{Digest, assert_same_media, level_db, streams};
pub use fixture::{Fixture, counted_colour, fixture, has_encoder};
pub use processes::{assert_none_left, marked};
pub use program::segue;
pub use random::Random;
pub use sandbox::{Ended, Sandbox, failure_of, sha256, wait_until};
pub use surroundings::{bad_files, is_root, model_dir, shared, speech};
