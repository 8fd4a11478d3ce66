//! In-memory adapters for protocol tests.
//!
//! They fulfil the contracts of the ports except durability beyond the process, and they take
//! all time from tokio, so that a test with a paused clock runs hours in milliseconds.
//! They pass the suites in [`conformance`](crate::conformance).

mod catalogue;
mod clock;
mod ledger;
mod queue;
mod store;

pub use catalogue::MemoryCatalogue;
pub use clock::TokioClock;
pub use ledger::MemoryLedger;
pub use queue::{DeadLetter, MemoryQueue};
pub use store::MemoryStore;
