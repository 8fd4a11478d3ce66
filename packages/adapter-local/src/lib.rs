//! The embedded adapter: SQLite for queue and ledger, beside the folder store for media.
//!
//! ```text
//! STATE/segue.db        jobs, assets, completions, leases, outbox, messages
//! STATE/media/          the media store, see segue-adapter-folder
//! STATE/alive/ID        locked as long as process ID lives
//! STATE/open.lock       one process opens at a time
//! ```
//! Several processes may work on one state folder. The folder must be on a local disk:
//! neither the write-ahead log nor the locks are reliable on network file systems.
//!
//! Architecture invariant: this crate depends on no adapter but the folder store and on no engine.

mod alive;
mod backend;
mod catalogue;
mod db;
mod error;
mod ledger;
mod queue;
mod schema;

pub use backend::LocalBackend;
pub use catalogue::LocalCatalogue;
pub use ledger::LocalLedger;
pub use queue::{DeadLetter, LocalQueue};
pub use schema::SCHEMA_VERSION;
pub use segue_adapter_folder::FolderStore;
