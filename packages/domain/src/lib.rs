//! Domain types and rules of Segue: pure and synchronous.
//!
//! Architecture invariant: nothing here depends on a file system, a clock, a network, a process
//! or an async runtime. Every document in a queue, a table or a bucket is a versioned
//! type of this crate.

pub mod asset;
pub mod completion;
pub mod error;
pub mod id;
pub mod job;
pub mod keys;
pub mod manifest;
pub mod outbox;
pub mod output;
pub mod plan;
pub mod playlist; // HLS and DASH documents of a stream
pub mod recipe;
pub mod time;
pub mod tombstone;
pub mod transcript;
pub mod wire;

pub use asset::{Asset, AssetKind};
pub use completion::{Completion, PartFile};
pub use error::DomainError;
pub use id::{AssetId, Epoch, HolderId, JobId, OutputId, OutputRef, TaskId, Term};
pub use job::{JobRecord, JobState};
pub use keys::Key;
pub use manifest::{FileKind, Manifest, ManifestOutput, OutputIndex, PublishedFile};
pub use outbox::OutboxEntry;
pub use output::{
    CommittedIndex, Failure, FaultKind, Gate, Need, NewOutput, OutputRecord, OutputState, SealedPlan,
};
pub use plan::{Plan, PlanHash, Segment, Task, TaskKind};
pub use recipe::{OutputMake, OutputSpec, Recipe};
pub use time::{TickRange, Timebase};
pub use tombstone::Tombstone;
pub use wire::Message;
