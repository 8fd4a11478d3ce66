//! The composition root: settings, environment table, engines, telemetry, shutdown, models, and a
//! whole job in one process.
//!
//! *Architecture invariant:* this is the only crate that names engines, and it names adapters only
//! through `segue-backends`. Programs are thin shells over it: they use its functions, the
//! domain's types and the reporter's events, and nothing of ffmpeg, whisper or a database.

pub mod backend;
pub mod children;
pub mod doctor;
pub mod environment;
pub mod failure;
pub mod fetch;
pub mod fleet;
pub mod jobs;
pub mod memory;
pub mod preview;
mod private;
pub mod programs;
pub mod recipe;
pub mod run;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod wiring;

pub use run::{Finished, Outcome, RunRequest, run_embedded};
pub use segue_engines::{Engines, models};
pub use segue_media::{Verdict, VerifyReport};
pub use settings::{AllowMap, ProgressMode, Settings, Sources};
