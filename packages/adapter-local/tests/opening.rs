//! State folders that are not as they should be: a clear word, and nothing is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use segue_adapter_local::{FolderStore, LocalBackend, SCHEMA_VERSION};
use segue_domain::JobId;
use segue_ports::{JobLedger, NewJob, PortError, PortErrorKind, Lane, Resource, WorkQueue};

fn refused(state: &Path) -> PortError {
    let error = LocalBackend::open(state).expect_err("a folder that cannot be trusted");
    assert!(!error.message.contains('\n'), "{error}");
    error
}

#[test]
fn a_damaged_database_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("segue.db");
    fs::write(&db, "this is no database, and long enough to be sure of it").unwrap();
    let error = refused(folder.path());
    assert_eq!(error.kind, PortErrorKind::Corrupt);
    assert!(error.message.contains("move segue.db* out of the state folder"), "{error}");

    // damage that nothing would read for a long time
    fs::remove_file(&db).unwrap();
    drop(LocalBackend::open(folder.path()).unwrap());
    let page: u32 = rusqlite::Connection::open(&db)
        .and_then(|db| {
            let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'completions'";
            db.query_row(root, [], |row| row.get(0))
        })
        .unwrap();
    let mut bytes = fs::read(&db).unwrap();
    let page = page as usize;
    bytes[(page - 1) * 4096..page * 4096].fill(0x5a);
    fs::write(&db, &bytes).unwrap();
    let error = refused(folder.path());
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{error}");
    assert!(error.message.contains("segue.db: damaged"), "{error}");

    fs::remove_file(&db).unwrap();
    drop(LocalBackend::open(folder.path()).unwrap());
    let mut bytes = fs::read(&db).unwrap();
    for byte in bytes.iter_mut().skip(4096) {
        *byte ^= 0x5a;
    }
    fs::write(&db, bytes).unwrap();
    let error = refused(folder.path());
    assert_eq!(error.kind, PortErrorKind::Corrupt, "{error}");
    assert!(error.message.contains("move segue.db*"), "{error}");
}

#[test]
fn a_newer_or_foreign_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(LocalBackend::open(folder.path()).unwrap());
    let path = folder.path().join("segue.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let error = refused(folder.path());
    assert_eq!(error.kind, PortErrorKind::Corrupt);
    assert!(error.message.contains("newer segue"), "{error}");

    db.pragma_update(None, "user_version", 0).unwrap();
    db.pragma_update(None, "application_id", 7).unwrap();
    assert!(refused(folder.path()).message.contains("another program"));
}

/// A state folder of the first schema: its jobs are there, and are not the next of their names.
#[tokio::test]
async fn a_database_of_the_first_schema_is_taken_on() {
    let folder = tempfile::tempdir().unwrap();
    let new = || NewJob { id: job(), source_key: "input/j/source.mp4".into(), recipe: "{}".into() };
    let backend = LocalBackend::open(folder.path()).unwrap();
    backend.ledger.create_job(new()).await.unwrap();
    drop(backend);
    let db = rusqlite::Connection::open(folder.path().join("segue.db")).unwrap();
    db.execute_batch("ALTER TABLE jobs DROP COLUMN epoch").unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);

    let backend = LocalBackend::open(folder.path()).unwrap();
    let first = backend.ledger.job(&job()).await.unwrap().expect("the job");
    assert!(backend.ledger.delete_job(&first).await.unwrap());
    let next = backend.ledger.create_job(new()).await.unwrap().job;
    assert_ne!(next.epoch, first.epoch);
    assert!(!backend.ledger.delete_job(&first).await.unwrap());
    drop(backend);
    LocalBackend::open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&file);
    refused(&file.join("state"));
}

#[tokio::test]
async fn what_was_sent_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(folder.path()).unwrap();
    backend.queue.send(Lane::Plan, &["a".into(), "b".into()], Duration::ZERO).await.unwrap();
    let hidden = Duration::from_secs(3600);
    let first = backend.queue.receive(Lane::Plan, 1, hidden, Duration::ZERO).await.unwrap();
    backend.queue.dead_letter(Lane::Plan, &first[0].receipt, "not ours").await.unwrap();
    let second = backend.queue.receive(Lane::Plan, 1, hidden, Duration::ZERO).await.unwrap();
    assert_eq!(second.len(), 1);
    let held = backend.queue.clone();
    drop(backend);
    assert!(held.ack(Lane::Task(Resource::Cpu), &second[0].receipt).await.is_ok_and(|acked| !acked));
    drop(held);

    let backend = LocalBackend::open(folder.path()).unwrap();
    let early = backend.queue.ack(Lane::Plan, &second[0].receipt).await.unwrap();
    assert!(!early, "a receipt of one that is gone, before the next delivery");
    let again = backend.queue.receive(Lane::Plan, 9, hidden, Duration::ZERO).await.unwrap();
    assert_eq!(again.len(), 1, "a clean end frees as a kill does");
    assert!(!backend.queue.ack(Lane::Plan, &second[0].receipt).await.unwrap());
    let dead = backend.queue.dead_letters(Lane::Plan, 0, 10).await.unwrap();
    assert_eq!((dead.len(), dead[0].body.as_str(), dead[0].reason.as_str()), (1, "a", "not ours"));
}

fn job() -> JobId {
    "j".parse().unwrap()
}

#[test]
fn a_lock_that_is_a_link_is_refused_and_what_it_leads_to_stays() {
    let root = tempfile::tempdir().unwrap();
    let (state, victim) = (root.path().join("state"), root.path().join("victim"));
    fs::create_dir(&state).unwrap();
    symlink(&victim, state.join("open.lock")).unwrap();
    refused(&state);
    assert!(!victim.exists(), "a file was made at the end of the link");
    let (media, locks) = (root.path().join("media"), root.path().join("media/.locks"));
    fs::create_dir_all(&locks).unwrap();
    symlink(&victim, locks.join("open")).unwrap();
    FolderStore::open(&media).unwrap_err();
    assert!(!victim.exists(), "a file was made at the end of the link");
}

#[test]
fn a_new_state_folder_is_for_its_owner_alone_and_one_that_is_there_keeps_its_mode() {
    let root = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let (whole, media) = (root.path().join("a/whole"), root.path().join("media"));
    drop(LocalBackend::open(&whole).unwrap());
    drop(FolderStore::open(&media).unwrap());
    assert_eq!((mode(&whole), mode(&media)), (0o700, 0o700));
    fs::set_permissions(&whole, fs::Permissions::from_mode(0o770)).unwrap();
    drop(LocalBackend::open(&whole).unwrap());
    assert_eq!(mode(&whole), 0o770, "an operator shares it with a group");
}
