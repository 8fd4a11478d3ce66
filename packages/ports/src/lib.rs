//! Ports: the interfaces of the roles to ledgers, queues, stores, engines and reporters.
//!
//! Each port is a small object-safe trait; its documentation is the contract. In-memory
//! adapters and conformance suites are in the package `segue-ports-testkit`.
//!
//! Architecture invariant: nothing here depends on a cloud, a database, a file format, or how
//! a process is started.

pub mod catalogue;
mod change;
pub mod clock;
pub mod dead;
pub mod document;
pub mod engine;
pub mod error;
pub mod ledger;
pub mod links;
mod media_type;
pub mod notice;
mod outbox;
pub mod queue;
pub mod report;
pub mod source;
pub mod store;

pub use catalogue::{AssetCatalogue, AssetPage, AssetUpdate, CreatedAsset, NewAsset};
pub use clock::{Clock, SystemClock};
pub use dead::{DeadLetters, DeadMessage};
pub use document::{Document, DocumentWrite, Expected, StoreDocuments};
pub use engine::{
    AssembleRequest, Assembled, AssembledFile, Assembler, EngineError, Inputs, MapEngine, NeededOutput, Part,
    PlanRequest, Planned, PlannedOutput, Planner, ProducedFile, TaskRequest, TaskResult, WorkContext,
};
pub use error::{PortError, PortErrorKind};
pub use ledger::{
    Acquired, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease, LeaseLedger,
    LeaseName, Ledger, NewJob, OutboxLedger, OutputChange, Recorded, TOMBSTONE_KEEP, TombstonePage,
    is_tombstone_old,
};
pub use links::{ReadOptions, SignedPut, StoreLinks, UploadId, UploadedPart};
pub use media_type::media_type_of;
pub use notice::{ArrivalNotice, ReadArrivals};
pub use outbox::notices;
pub use queue::{Delivery, Lane, QueueDepth, Receipt, Resource, WorkQueue};
pub use report::{Event, NoReport, Reporter, Stage};
pub use source::{Prefetch, Source};
pub use store::{
    ByteStream, FileUse, MediaStore, Object, ObjectInfo, ObjectPage, PutOptions, Version, check_range,
};
