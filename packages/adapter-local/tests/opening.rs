//! Invalid state folders: the error is clear, and nothing is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use segue_adapter_local::{FolderStore, LocalBackend, SCHEMA_VERSION};
use segue_domain::{JobId, NewOutput};
use segue_ports::{
    JobChange, JobFilter, JobLedger, Lane, NewJob, PortError, PortErrorKind, Resource, WorkQueue,
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

    // damage that no read would detect for a long time
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
        ledger.change(&b, JobChange::Cancel, None).await.unwrap_err(),
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

/// The sweeper reads the index of open jobs, and not every job.
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
