//! Opening a state folder, and the state shared by the parts of an open backend.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use segue_adapter_folder::{FolderStore, make_private, open_lock};
use segue_domain::HolderId;
use segue_ports::{Clock, PortError, SystemClock};
use tokio::sync::Notify;

use crate::alive::{Alive, Roll};
use crate::catalogue::LocalCatalogue;
use crate::db::Db;
use crate::ledger::{LocalLedger, reclaim};
use crate::queue::LocalQueue;
use crate::{error, schema};

/// State shared by ledger and queue; dropped with the last of them, in this order: queued writes are
/// executed before the holder's file is unlocked.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) db: Db,
    pub(crate) roll: Roll,
    pub(crate) holder: HolderId,
    /// Notified when a message may have become visible earlier than expected.
    pub(crate) bell: Arc<Notify>,
    _alive: Alive,
}

/// An open state folder.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    /// Jobs, completions and leases.
    pub ledger: Arc<LocalLedger>,
    /// The assets.
    pub catalogue: Arc<LocalCatalogue>,
    /// The queues.
    pub queue: Arc<LocalQueue>,
    /// The media store.
    pub store: Arc<FolderStore>,
    holder: HolderId,
}

impl LocalBackend {
    /// Opens the folder, creates it if missing, and cleans up after processes that died:
    /// their leases and messages are released, their temporary files removed. Blocking, for a
    /// moment; the backend lives until all its parts are dropped.
    ///
    /// # Errors
    /// `Corrupt` for a database that is damaged, foreign or newer, `Denied` and
    /// `Environment` for a folder that cannot be written.
    pub fn open(state: &Path) -> Result<LocalBackend, PortError> {
        make_private(state).map_err(|e| PortError::file("cannot make", state, e))?;
        let state = fs::canonicalize(state).map_err(|e| PortError::file("cannot open", state, e))?;
        let path = state.join("open.lock");
        let gate = open_lock(&path).map_err(|e| PortError::file("cannot make", &path, e))?;
        gate.lock().map_err(|e| PortError::file("cannot lock", &path, e))?;

        let mut connection = schema::open(&state.join("segue.db"))?;
        let roll = Roll::open(&state.join("alive"))?;
        roll.clean()?;
        let id = uuid::Uuid::now_v7().to_string();
        let holder: HolderId = id.parse().map_err(|e| error::odd("a holder", e))?;
        let alive = roll.sign_in(&holder)?;
        reclaim(&mut connection, &roll, &holder)?;
        let store = FolderStore::open_as(&state.join("media"), holder.as_str())?;
        drop(gate);

        let (db, bell) = (Db::start(connection)?, Arc::new(Notify::new()));
        let shared = Instance { db, roll, holder: holder.clone(), bell, _alive: alive };
        let shared = Arc::new(shared);
        Ok(LocalBackend {
            ledger: Arc::new(LocalLedger::of(Arc::clone(&shared))),
            catalogue: Arc::new(LocalCatalogue::of(Arc::clone(&shared))),
            queue: Arc::new(LocalQueue::of(shared)),
            store: Arc::new(store),
            holder,
        })
    }

    /// The id of this open backend, as a holder of leases; never reused.
    pub fn holder(&self) -> &HolderId {
        &self.holder
    }
}

/// The ledger's clock: this machine's, the same for every process with the folder open.
pub(crate) fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// A duration in the database's unit; one that is too long is clamped.
pub(crate) fn ms(duration: std::time::Duration) -> i64 {
    // half of the range, so that a time plus a duration never overflows
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 2)
}
