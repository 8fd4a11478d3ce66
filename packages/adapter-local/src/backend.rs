//! Opening a state folder, and what all parts of an open one share.

use std::path::Path;
use std::sync::Arc;

use segue_domain::HolderId;
use segue_ports::{Clock, PortError, SystemClock};
use tokio::sync::Notify;

use crate::db::Db;
use crate::ledger::{LocalLedger, reclaim};
use crate::media::OpenMedia;
use crate::queue::LocalQueue;
use crate::schema;
use crate::store::LocalStore;

/// What ledger and queue share; dropped with the last of them: what is queued is written, and only
/// then may the holder be gone.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) db: Db,
    pub(crate) media: Arc<OpenMedia>,
    /// Notified when a message may have become visible sooner than was known.
    pub(crate) bell: Arc<Notify>,
}

/// A state folder that this process works on.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    /// Jobs, completions and leases.
    pub ledger: Arc<LocalLedger>,
    /// The queues.
    pub queue: Arc<LocalQueue>,
    /// The media.
    pub store: Arc<LocalStore>,
    holder: HolderId,
}

impl LocalBackend {
    /// Opens the folder, makes it if need be (only this user can enter it then), and clears up
    /// after processes that died in it: their leases and messages are free, their temporary files
    /// gone. Blocks for a moment; the backend lives until all its parts are dropped.
    ///
    /// # Errors
    /// `Corrupt` for a database that is damaged, foreign or newer, `Denied` and
    /// `Environment` for a folder that cannot be written.
    pub fn open(state: &Path) -> Result<LocalBackend, PortError> {
        let database = |state: &Path| schema::open(&state.join("segue.db"));
        let (media, connection) = OpenMedia::open(state, database, |connection, roll, holder| {
            reclaim(connection, roll, holder).map(drop)
        })?;
        let media = Arc::new(media);
        let (db, bell) = (Db::start(connection)?, Arc::new(Notify::new()));
        let shared = Arc::new(Instance { db, media: Arc::clone(&media), bell });
        Ok(LocalBackend {
            ledger: Arc::new(LocalLedger::of(Arc::clone(&shared))),
            queue: Arc::new(LocalQueue::of(shared)),
            holder: media.holder.clone(),
            store: Arc::new(LocalStore::of(media)),
        })
    }

    /// This open backend, as a holder of leases; never used before.
    pub fn holder(&self) -> &HolderId {
        &self.holder
    }
}

/// The ledger's clock: this machine's, the same for every process on the folder.
pub(crate) fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// A duration as the database has it; what is too long is for ever.
pub(crate) fn ms(duration: std::time::Duration) -> i64 {
    // half of the range, so that a time plus a duration never overflows
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 2)
}
