//! State folders that are not as they should be: a clear word, and nothing is changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use segue_adapter_local::{LocalBackend, SCHEMA_VERSION};
use segue_domain::{JobId, Key, NewOutput, Term};
use segue_ports::{
    JobChange, JobFilter, JobLedger, Lane, MediaStore, NewJob, PortError, PortErrorKind, PutMode, PutResult,
    Resource, WorkQueue,
};

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

/// Nothing was released with an older schema, so nothing is converted.
#[test]
fn a_database_of_an_older_schema_is_refused_and_left_alone() {
    for older in [0, 1, SCHEMA_VERSION - 1] {
        let folder = tempfile::tempdir().unwrap();
        drop(LocalBackend::open(folder.path()).unwrap());
        let path = folder.path().join("segue.db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.pragma_update(None, "user_version", older).unwrap();
        drop(db);
        let error = refused(folder.path());
        assert_eq!(error.kind, PortErrorKind::Corrupt);
        assert!(error.message.contains(&format!("older segue (schema {older},")), "{error}");
        assert!(error.message.contains("move segue.db* out of the state folder"), "{error}");
        let db = rusqlite::Connection::open(&path).unwrap();
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(version, older, "a refused database was changed");
    }
}

fn output(id: &str) -> NewOutput {
    NewOutput {
        id: id.parse().unwrap(),
        kind: "video".into(),
        needs: vec![],
        required: true,
        priority: 0,
        spec: "s".into(),
    }
}

fn new_job(id: &str) -> NewJob {
    NewJob {
        id: id.parse().unwrap(),
        asset: "a".parse().unwrap(),
        source_key: "input/a/source.mp4".into(),
        recipe: "{}".into(),
        outputs: vec![output("video")],
        awaiting: None,
    }
}

/// A document of a newer build is left to that build, and does not hide the documents around it.
#[tokio::test]
async fn a_newer_document_is_reported_and_left_out_of_listings() {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(folder.path()).unwrap();
    let ledger = &backend.ledger;
    for id in ["a", "b", "c"] {
        ledger.create_job(new_job(id)).await.unwrap();
    }
    let db = rusqlite::Connection::open(folder.path().join("segue.db")).unwrap();
    let newer = "{\"version\":99,\"whatever\":[1]}";
    db.execute("UPDATE jobs SET document = ?1 WHERE id = 'b'", [newer]).unwrap();

    let b: JobId = "b".parse().unwrap();
    let error = ledger.job(&b).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::Newer, "{error}");
    assert!(error.message.contains("newer segue") && !error.message.contains('\n'), "{error}");
    for error in [
        ledger.change(&b, JobChange::Delete, None).await.unwrap_err(),
        ledger.create_job(new_job("b")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, PortErrorKind::Newer, "{error}");
    }
    for max in [1, 2, 10] {
        let (mut all, mut open) = (Vec::new(), Vec::new());
        let mut from = None;
        loop {
            let page = ledger.jobs(JobFilter::default(), from.as_deref(), max).await.unwrap();
            all.extend(page.jobs.into_iter().map(|job| job.id.to_string()));
            let page_of_open = ledger.open_jobs(i64::MAX, from.as_deref(), max).await.unwrap();
            open.extend(page_of_open.jobs.into_iter().map(|job| job.id.to_string()));
            assert_eq!(page.next, page_of_open.next);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!((all, open), (vec!["a".into(), "c".into()], vec!["a".to_owned(), "c".into()]));
    }
    let stored: String =
        db.query_row("SELECT document FROM jobs WHERE id = 'b'", [], |row| row.get(0)).unwrap();
    assert_eq!(stored, newer, "a newer document was changed");
}

/// The sweeper reads the index of open jobs, and not every job that ever was.
#[test]
fn open_jobs_are_read_from_their_index() {
    let folder = tempfile::tempdir().unwrap();
    drop(LocalBackend::open(folder.path()).unwrap());
    let db = rusqlite::Connection::open(folder.path().join("segue.db")).unwrap();
    let sql = "EXPLAIN QUERY PLAN SELECT id, document FROM jobs WHERE open = 1 AND id > ?1
               AND updated_at_ms < ?2 ORDER BY id LIMIT ?3";
    let plan: String = db.query_row(sql, ("", i64::MAX, 10), |row| row.get(3)).unwrap();
    assert!(plan.contains("USING INDEX open_jobs"), "{plan}");
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

fn segment(name: &str) -> Key {
    Key::segment(&job(), &"video".parse().unwrap(), Term(1), name).unwrap()
}

#[tokio::test]
async fn an_adopted_source_stays_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(&folder.path().join("state")).unwrap();
    let store = &backend.store;
    let (talk, other) = (folder.path().join("talk.mp4"), folder.path().join("other.mp4"));
    fs::write(&talk, "talk").unwrap();
    fs::write(&other, "other").unwrap();
    let key = Key::source(&job(), "mp4");
    assert_eq!(store.adopt(&key, &talk).await.unwrap(), PutResult::Written);
    assert_eq!(store.adopt(&key, &talk).await.unwrap(), PutResult::Exists);
    assert_eq!(store.adopt(&key, &other).await.unwrap_err().kind, PortErrorKind::Misuse);
    assert_eq!(store.head(&key).await.unwrap().unwrap().bytes, 4);
    let path = store.get_file(&key, folder.path()).await.unwrap();
    assert_eq!(path, store.root().join("input/j/source.mp4"));
    assert_eq!(fs::read(path).unwrap(), b"talk");
    assert_eq!(store.list("input/", None, 10).await.unwrap().objects.len(), 1);

    fs::rename(&talk, folder.path().join("moved")).unwrap();
    assert_eq!(store.head(&key).await.unwrap(), None);
    let error = store.get_file(&key, folder.path()).await.unwrap_err();
    assert_eq!(error.kind, PortErrorKind::NotFound);
    assert!(error.message.contains("talk.mp4 is gone, put it back"), "{error}");
    fs::rename(folder.path().join("moved"), &talk).unwrap();
    store.delete(&key).await.unwrap();
    assert_eq!(fs::read(&talk).unwrap(), b"talk", "the user's file was deleted");
    assert!(!store.root().join("input/j").exists(), "an empty folder is left");

    let elsewhere = Key::published(&job(), "x").unwrap();
    assert_eq!(store.adopt(&elsewhere, &talk).await.unwrap_err().kind, PortErrorKind::Misuse);
    assert_eq!(store.adopt(&key, folder.path()).await.unwrap_err().kind, PortErrorKind::Misuse);
    let absent = folder.path().join("absent");
    assert_eq!(store.adopt(&key, &absent).await.unwrap_err().kind, PortErrorKind::NotFound);
}

#[tokio::test]
async fn nothing_is_written_or_deleted_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(&folder.path().join("state")).unwrap();
    let store = &backend.store;
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x"), "precious").unwrap();
    fs::create_dir(store.root().join("jobs")).unwrap();
    symlink(&outside, store.root().join("jobs/j")).unwrap();
    let key = Key::published(&job(), "x").unwrap();
    for mode in [PutMode::CreateOnce, PutMode::Replace] {
        let error = store.put_bytes(&key, "new".into(), mode).await.unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Denied, "{error}");
    }
    assert_eq!(store.delete(&key).await.unwrap_err().kind, PortErrorKind::Denied);
    assert_eq!(fs::read(outside.join("x")).unwrap(), b"precious");

    // a link in an object's place is replaced, not followed
    let key = segment("y");
    fs::create_dir_all(store.root().join("segments/j")).unwrap();
    symlink(outside.join("x"), store.root().join("segments/j/y")).unwrap();
    store.put_bytes(&key, "new".into(), PutMode::Replace).await.unwrap();
    assert_eq!(fs::read(outside.join("x")).unwrap(), b"precious");
    assert_eq!(store.get_bytes(&key, 10).await.unwrap(), "new");
}

#[tokio::test]
async fn a_file_with_two_names_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::open(&folder.path().join("state")).unwrap();
    let (source, output) = (folder.path().join("source"), folder.path().join("output"));
    fs::write(&source, "before").unwrap();
    // what a user's map step may do in place of a copy
    fs::hard_link(&source, &output).unwrap();
    let key = segment("y");
    backend.store.put_file(&key, &output, PutMode::CreateOnce).await.unwrap();
    fs::write(&source, "after!").unwrap();
    assert_eq!(backend.store.get_bytes(&key, 10).await.unwrap(), "before");
    assert!(!output.exists());
}
