//! The embedded adapter: SQLite for queue and ledger, a folder for media.
