//! The composition root: settings, environment table, URL to adapter, telemetry, shutdown,
//! models, and a whole job in one process.
//!
//! *Architecture invariant:* this is the only crate that names adapters and engines. Programs
//! are thin shells over it: they know its functions, the domain's words and the reporter's
//! events, and nothing of ffmpeg, whisper or a database.

pub mod backend;
pub mod doctor;
pub mod engines;
pub mod environment;
pub mod failure;
pub mod fetch;
pub mod fleet;
pub mod jobs;
pub mod memory;
pub mod models;
pub mod preview;
mod private;
pub mod programs;
pub mod recipe;
pub mod run;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod wiring;

pub use backend::BackendUrl;
pub use run::{Engines, Finished, Outcome, RunRequest, run_embedded};
pub use segue_media::{Verdict, VerifyReport};
pub use settings::{ProgressMode, Settings, Sources};
