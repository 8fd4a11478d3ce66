//! The embedded adapter: SQLite for queue and ledger, a folder for media.
//!
//! ```text
//! STATE/segue.db        jobs, completions, leases, notices, messages
//! STATE/media/KEY       the objects, each under its own key
//! STATE/media/.tmp/ID/  what process ID is writing
//! STATE/alive/ID        locked as long as process ID lives
//! STATE/open.lock       one process opens at a time
//! ```
//! Several processes may work on one state folder. The folder must lie on a local disk:
//! neither the write-ahead log nor the locks are to be trusted over a network.
//!
//! Architecture invariant: no other adapter and no engine is known here.

mod alive;
mod backend;
mod db;
mod error;
mod ledger;
mod queue;
mod schema;
mod store;

pub use backend::LocalBackend;
pub use ledger::LocalLedger;
pub use queue::{DeadLetter, LocalQueue};
pub use schema::SCHEMA_VERSION;
pub use store::LocalStore;
