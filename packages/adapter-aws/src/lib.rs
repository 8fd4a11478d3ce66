//! The AWS adapter: S3 for media, SQS for work, DynamoDB for the ledger.
//!
//! ```text
//! input bucket    input/… segments/…        what users bring, what the chunker cuts
//! output bucket   work/… jobs/…             what attempts made, what is published
//! three queues    chunk, map, reassemble    each with a dead-letter queue
//! jobs            one row per job           index by state for the sweeper
//! completions     one row per task          and the counts of failures
//! leases          one row per lease         terms grow for ever: rows stay
//! ```
//! [`AwsSettings`] reads the environment contract, [`AwsBackend`] makes the three ports of
//! it. What is kept where, and which promise each call rests on, stands at the top of
//! `ledger/mod.rs`, `queue/mod.rs` and `store/mod.rs`.
//!
//! Architecture invariant: no other adapter and no engine is known here.

mod backend;
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
pub use ledger::{DynamoLedger, INDEX_BY_STATE, Tables};
pub use notices::S3Notices;
pub use queue::{DeadLetter, Lanes, SqsQueue};
pub use settings::{AwsSettings, GpuLane, Services, VARIABLES, Variable};
pub use store::{Buckets, S3Store};
