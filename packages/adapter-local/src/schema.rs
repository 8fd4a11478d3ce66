//! The tables, and how the database is opened.
//!
//! `synchronous = FULL`: a killed process loses nothing at NORMAL either, for the system
//! has the log; a power cut does. Then the ledger would go back behind what the media
//! folder shows: a manifest forgotten whose files have their public names already, a term
//! given twice. One flush per commit is a small price beside any piece of media work.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};
use segue_ports::{PortError, PortErrorKind};

use crate::db::writing;
use crate::error::{self, REMEDY, say};

/// Version of the tables that this build reads and writes.
pub const SCHEMA_VERSION: i64 = 2;

/// `SEGU`: a database of ours, and not some other file of that name.
const APPLICATION_ID: i64 = 0x5345_4755;

/// How long another process may hold the write lock before a call gives up.
const BUSY: Duration = Duration::from_secs(10);

/// Terms must grow after a job was deleted: its leases stay, without a holder. The owner
/// is the process behind the holder, by its file in `alive/`.
const TABLES: &str = "
CREATE TABLE jobs (
    id TEXT PRIMARY KEY NOT NULL,
    epoch TEXT NOT NULL,
    state TEXT NOT NULL,
    source_key TEXT NOT NULL,
    recipe TEXT NOT NULL,
    plan TEXT,
    completed_tasks INTEGER NOT NULL DEFAULT 0,
    manifest_key TEXT,
    failure TEXT,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE completions (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (job, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE failures (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    task TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (job, task)
) STRICT, WITHOUT ROWID;
CREATE TABLE leases (
    name TEXT PRIMARY KEY NOT NULL,
    term INTEGER NOT NULL,
    holder TEXT,
    owner TEXT,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_owner ON leases (owner) WHERE owner IS NOT NULL;
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    visible_at_ms INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    owner TEXT
) STRICT;
CREATE INDEX messages_by_time ON messages (queue, visible_at_ms, id);
CREATE INDEX messages_by_owner ON messages (owner) WHERE owner IS NOT NULL;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY NOT NULL,
    queue TEXT NOT NULL,
    body TEXT NOT NULL,
    deliveries INTEGER NOT NULL,
    reason TEXT NOT NULL,
    died_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_queue ON dead_letters (queue, id);
";

/// From version 1. A job that is there had no epoch; one that is made later has another.
const EPOCHS: &str = "ALTER TABLE jobs ADD COLUMN epoch TEXT NOT NULL DEFAULT 'first'";

/// Opens the database, makes the tables where there are none, and looks for damage.
pub fn open(path: &Path) -> Result<Connection, PortError> {
    let named = |e: PortError| PortError { message: format!("{}: {}", path.display(), e.message), ..e };
    open_at(path).map_err(named)
}

fn open_at(path: &Path) -> Result<Connection, PortError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags).map_err(error::sql)?;
    connection.busy_timeout(BUSY).map_err(error::sql)?;
    refuse_foreign(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(error::sql)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(error::sql)?;
    connection.pragma_update(None, "foreign_keys", "ON").map_err(error::sql)?;
    writing(&mut connection, migrate)?;
    let verdict: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(error::sql)?;
    if verdict != "ok" {
        let verdict = verdict.replace('\n', " ");
        return Err(say(PortErrorKind::Corrupt, format_args!("damaged ({verdict}); {REMEDY}")));
    }
    Ok(connection)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, PortError> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).map_err(error::sql)
}

/// Nothing is changed in a database that is not ours or that is newer.
fn refuse_foreign(connection: &Connection) -> Result<(), PortError> {
    let found = pragma(connection, "user_version")?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(error::sql)?;
    if tables > 0 && pragma(connection, "application_id")? != APPLICATION_ID {
        return Err(say(
            PortErrorKind::Corrupt,
            "a database of another program; choose another state folder",
        ));
    }
    if found > SCHEMA_VERSION {
        return Err(say(
            PortErrorKind::Corrupt,
            format_args!(
                "written by a newer segue (schema {found}, this build knows {SCHEMA_VERSION}); use that one \
                 or another state folder"
            ),
        ));
    }
    Ok(())
}

fn migrate(transaction: &Transaction<'_>) -> Result<(), PortError> {
    // another process may have been faster
    let steps = match pragma(transaction, "user_version")? {
        SCHEMA_VERSION => return Ok(()),
        1 => EPOCHS,
        _ => TABLES,
    };
    transaction.execute_batch(steps).map_err(error::sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(error::sql)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(error::sql)
}
