//! The words and rules of Segue: pure and synchronous.
//!
//! Architecture invariant: nothing here knows a file system, a clock, a network, a process
//! or an async runtime. Everything that crosses a queue, a table or a bucket is a versioned
//! document of this crate.

pub mod completion;
pub mod error;
pub mod id;
pub mod job;
pub mod keys;
pub mod manifest;
pub mod plan;
pub mod recipe;
pub mod time;
pub mod transcript;
pub mod wire;

pub use completion::{Completion, PartFile};
pub use error::DomainError;
pub use id::{Epoch, HolderId, JobId, TaskId, Term};
pub use job::{Failure, FaultKind, JobRecord, JobState, SealedPlan};
pub use keys::Key;
pub use manifest::{Manifest, Output, OutputKind};
pub use plan::{Plan, PlanHash, Segment, Task, TaskKind};
pub use recipe::Recipe;
pub use time::{TickRange, Timebase};
pub use wire::Message;
