//! What the roles need from the world.
//!
//! Each port is a small object-safe trait; its documentation is the contract. The
//! in-memory adapters in [`memory`] are for protocol tests; they pass the same suites in
//! [`conformance`] as the adapters that keep real data.
//!
//! Architecture invariant: nothing here knows a cloud, a database, a file format, or how
//! a process is started.

mod change;
pub mod clock;
pub mod conformance;
pub mod dead;
pub mod engine;
pub mod error;
pub mod ledger;
pub mod memory;
pub mod mutants;
pub mod notice;
pub mod queue;
pub mod report;
pub mod source;
pub mod store;

pub use clock::{Clock, SystemClock};
pub use dead::{DeadLetters, DeadMessage};
pub use engine::{
    AssembleRequest, Assembled, AssembledFile, Assembler, EngineError, Inputs, MapEngine, NeededOutput, Part,
    PlanRequest, Planned, PlannedOutput, Planner, ProducedFile, TaskRequest, TaskResult, WorkContext,
};
pub use error::{PortError, PortErrorKind};
pub use ledger::{
    Acquired, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, LeaseLedger,
    LeaseName, Ledger, NewJob, OutboxLedger, OutputChange, Recorded,
};
pub use notice::{ArrivalNotice, ReadArrivals};
pub use queue::{Delivery, Lane, QueueDepth, Receipt, Resource, WorkQueue};
pub use report::{Event, NoReport, Reporter, Stage};
pub use source::{FetchRanges, Source};
pub use store::{MediaStore, Object, ObjectPage, PutMode, PutResult};
