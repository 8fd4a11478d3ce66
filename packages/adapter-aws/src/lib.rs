//! The AWS adapter: S3 for media, SQS for work, DynamoDB for the ledger.
//!
//! ```text
//! input bucket    input/… segments/…        sources, and the planner's files
//! output bucket   work/… jobs/…             files of attempts, and published files
//! queues          one for each lane         each with a dead-letter queue
//! jobs            one row for each job      indexes by state and of open jobs
//! completions     one item for each task    with counters, counts of failures and the outbox
//! assets          one item for each asset   optional; index by owner
//! leases          one item for each lease   never deleted, because terms increase permanently
//! ```
//! [`AwsSettings`] reads the environment contract, [`AwsBackend`] connects the three
//! ports. The layout, and the guarantees behind each call, are described at the top of
//! `ledger/mod.rs`, `queue/mod.rs` and `store/mod.rs`.
//!
//! Architecture invariant: this crate depends on no other adapter and no engine.

mod backend;
mod batch;
mod catalogue;
mod clock;
mod error;
pub mod event;
mod ledger;
mod notices;
mod queue;
mod settings;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use backend::AwsBackend;
pub use catalogue::{DynamoCatalogue, INDEX_BY_OWNER};
pub use ledger::{DynamoLedger, INDEX_BY_OPEN, INDEX_BY_STATE, Tables};
pub use notices::S3Notices;
pub use queue::{DeadLetter, Lanes, SqsQueue};
pub use settings::{AwsSettings, Services, VARIABLES, Variable};
pub use store::{Buckets, S3Store};
