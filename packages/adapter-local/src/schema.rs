//! The tables, and opening of the database.
//!
//! `synchronous = FULL`: with NORMAL a power cut loses the last transactions. The ledger would then be
//! behind the media folder: an index would be lost whose files are public already, or a term
//! assigned twice. One flush per commit costs little compared with media work.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};
use segue_ports::{PortError, PortErrorKind};

use crate::db::writing;
use crate::error::{self, REMEDY, say};

/// Version of the tables that this build reads and writes.
pub const SCHEMA_VERSION: i64 = 5;

/// `SEGU`: application id of a Segue database, to reject other files of that name.
const APPLICATION_ID: i64 = 0x5345_4755;

/// Timeout for another process's write lock.
const BUSY: Duration = Duration::from_secs(10);

/// A job is its document; `state`, `open` and `updated_at_ms` repeat the fields that listings filter by. Terms must
/// increase beyond a job's deletion: its leases stay, without a holder. The owner is the process of the
/// holder, by its file in `alive/`. A queue is the name of a lane. An asset is its document; the columns
/// beside it repeat the fields of listings and purges.
const TABLES: &str = "
CREATE TABLE jobs (
    id TEXT PRIMARY KEY NOT NULL,
    epoch TEXT NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX open_jobs ON jobs (id, updated_at_ms) WHERE open = 1;
CREATE TABLE tombstones (
    job TEXT PRIMARY KEY NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    epoch TEXT NOT NULL,
    output TEXT NOT NULL,
    completed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, epoch, output)
) STRICT, WITHOUT ROWID;
CREATE TABLE completions (
    job TEXT NOT NULL,
    epoch TEXT NOT NULL,
    output TEXT NOT NULL,
    task TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (job, epoch, output, task),
    FOREIGN KEY (job, epoch, output) REFERENCES counters (job, epoch, output) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE failures (
    job TEXT NOT NULL,
    epoch TEXT NOT NULL,
    output TEXT NOT NULL,
    task TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (job, epoch, output, task),
    FOREIGN KEY (job, epoch, output) REFERENCES counters (job, epoch, output) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY NOT NULL,
    id TEXT UNIQUE NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE TABLE assets (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    deleted_at_ms INTEGER,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX assets_by_owner ON assets (owner, created_at_ms, id) WHERE deleted_at_ms IS NULL;
CREATE INDEX deleted_assets ON assets (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;
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

/// Opens the database, creates missing tables, and checks its integrity.
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
    writing(&mut connection, create_tables)?;
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

/// Never changes a database of another program, or of another version of the tables.
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
    if tables > 0 && found < SCHEMA_VERSION {
        return Err(say(
            PortErrorKind::Corrupt,
            format_args!(
                "written by an older segue (schema {found}, this build needs {SCHEMA_VERSION}) and not \
                 converted; {REMEDY}"
            ),
        ));
    }
    Ok(())
}

fn create_tables(transaction: &Transaction<'_>) -> Result<(), PortError> {
    // another process may have been faster
    if pragma(transaction, "user_version")? == SCHEMA_VERSION {
        return Ok(());
    }
    transaction.execute_batch(TABLES).map_err(error::sql)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(error::sql)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(error::sql)
}
