//! Every contract holds when responses are lost and services are busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::support::{
    Fault, acquire_task, completion, job, over, over_lanes, queue_caps, seal, sealed, task, video,
};
use bytes::Bytes;
use futures::TryStreamExt;
use segue_domain::{JobState, Key, Term};
use segue_ports::{
    Acquired, CompletionLedger, DocumentWrite, Expected, FileUse, JobChange, JobLedger, Lane, LeaseLedger,
    LeaseName, Ledger, MediaStore, OutboxLedger, OutputChange, PutOptions, Recorded, Resource,
    StoreDocuments, WorkQueue, notices,
};
use segue_ports_testkit::conformance::{self, Capabilities, Subject, store};

const MINUTE: Duration = Duration::from_secs(60);

/// Loses the first response to each request with that operation.
fn lose_first(wanted: &'static str) -> crate::support::Plan {
    let lost = AtomicBool::new(false);
    Box::new(move |_, name| {
        let first = name == wanted && !lost.swap(true, Ordering::Relaxed);
        if first { Fault::LostAnswer } else { Fault::None }
    })
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_ours() {
    let (_, backend, line) = over(lose_first("TransactWriteItems")).await;
    let created = backend.ledger.create_job(job("j")).await.unwrap();
    assert_eq!(line.seen()["TransactWriteItems"], 2, "the SDK asked again");
    assert!(created.created);
    assert!(!backend.ledger.create_job(job("j")).await.unwrap().created);
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_held_once() {
    let (_, backend, line) = over(lose_first("UpdateItem")).await;
    let name = LeaseName::sweep();
    let held = backend.ledger.acquire(&name, &"a".parse().unwrap(), MINUTE).await.unwrap();
    assert_eq!(line.seen()["UpdateItem"], 2, "the SDK asked again");
    let Acquired::Held(lease) = held else { panic!("{held:?}") };
    assert_eq!(lease.term, Term(1));
    assert!(backend.ledger.renew(&lease, MINUTE).await.unwrap());
}

#[tokio::test]
async fn a_failure_whose_answer_was_lost_is_counted_once() {
    let (direct, backend, line) = over(lose_first("UpdateItem")).await;
    let output = backend.ledger.create_job(job("j")).await.unwrap().job.output_ref(&video());
    assert_eq!(backend.ledger.count_failure(&output, &task(0)).await.unwrap(), 1);
    assert_eq!(line.seen()["UpdateItem"], 2, "the SDK asked again");
    assert_eq!(direct.connect().await.ledger.count_failure(&output, &task(0)).await.unwrap(), 2);
}

/// Loses the response to the transaction with that number, from 1.
fn lose_transaction(wanted: u32) -> crate::support::Plan {
    let seen = AtomicU32::new(0);
    Box::new(move |_, name| {
        let lost = name == "TransactWriteItems" && seen.fetch_add(1, Ordering::Relaxed) + 1 == wanted;
        if lost { Fault::LostAnswer } else { Fault::None }
    })
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_counted_once() {
    let (_, backend, line) = over(lose_transaction(2)).await;
    let ledger = &*backend.ledger;
    let output = ledger.create_job(job("j")).await.unwrap().job.output_ref(&video());
    let lease = acquire_task(ledger, &output, 0).await;
    let done = completion(&output, 0, &lease, "");
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    assert_eq!(line.seen()["TransactWriteItems"], 3, "the SDK asked again");
    assert_eq!(ledger.completed(&output).await.unwrap(), 1);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_took_effect() {
    let (_, backend, line) = over(lose_transaction(2)).await;
    let id = backend.ledger.create_job(job("j")).await.unwrap().job.id;
    let sealed = backend.ledger.change(&id, seal(1), None).await.unwrap();
    assert_eq!(line.seen()["TransactWriteItems"], 3, "the SDK asked again");
    assert_eq!(sealed.expect("it took effect").state(), JobState::Mapping);
}

#[tokio::test]
async fn the_notices_of_a_change_whose_answer_was_lost_are_there_once() {
    let (_, backend, _) = over(lose_transaction(3)).await;
    let ledger = &backend.ledger.recording_notices();
    let before = sealed(ledger, "j", 0).await;
    let cancel = JobChange::output(&video(), OutputChange::Cancel);
    let after = ledger.change(&before.id, cancel.clone(), None).await.unwrap().expect("it took effect");
    let mut wanted = notices(&before, &after);
    wanted.sort();
    assert_eq!(ledger.outbox(10).await.unwrap(), wanted);
    assert_eq!(ledger.outbox(1).await.unwrap(), wanted[..1]);
    ledger.remove_from_outbox(&wanted[0].id).await.unwrap();
    ledger.remove_from_outbox(&wanted[0].id).await.unwrap();
    assert_eq!(ledger.change(&before.id, cancel, None).await.unwrap(), None, "a repeat is refused");
    assert_eq!(ledger.outbox(10).await.unwrap(), wanted[1..]);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_ours() {
    let (_, backend, line) = over(lose_first("PUT")).await;
    let key: Key = "work/j/video/t/1/a.bin".parse().unwrap();
    let (bytes, options) = (Bytes::from_static(b"x"), PutOptions::default());
    let put = backend.store.put_document(&key, bytes.clone(), &Expected::Absent, &options).await.unwrap();
    assert_eq!(line.seen()["PUT"], 2, "the SDK asked again");
    let stored = backend.store.get_document(&key, 1).await.unwrap().expect("a document");
    assert_eq!(put, DocumentWrite::Written(stored.version));
    let again = backend.store.put_document(&key, bytes, &Expected::Absent, &options).await.unwrap();
    assert_eq!(again, DocumentWrite::Conflict);
}

/// A stream resumes after an interruption: no byte is missing or repeated.
#[tokio::test]
async fn a_stream_that_breaks_off_goes_on() {
    let torn = AtomicBool::new(false);
    let plan = move |_, name: &str| {
        let first = name == "GET" && !torn.swap(true, Ordering::Relaxed);
        if first { Fault::Torn } else { Fault::None }
    };
    let (_, backend, line) = over(Box::new(plan)).await;
    let key: Key = "work/j/video/t/1/a.bin".parse().unwrap();
    let bytes: Bytes = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    backend.store.put_bytes(&key, bytes.clone(), &PutOptions::default()).await.unwrap();
    let version = backend.store.head(&key).await.unwrap().unwrap().version;
    let stream = backend.store.get_range(&key, &version, 5..1_900_000).await.unwrap();
    let read: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert!(read.concat() == bytes[5..1_900_000], "other bytes came");
    assert_eq!(line.seen()["GET"], 2);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let torn = AtomicBool::new(false);
    let plan = move |_, name: &str| {
        let first = name == "GET" && !torn.swap(true, Ordering::Relaxed);
        if first { Fault::Torn } else { Fault::None }
    };
    let (_, backend, line) = over(Box::new(plan)).await;
    let key: Key = "work/j/video/t/1/a.bin".parse().unwrap();
    let bytes: Bytes = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    backend.store.put_bytes(&key, bytes.clone(), &PutOptions::default()).await.unwrap();
    assert!(backend.store.get_bytes(&key, 10_000_000).await.unwrap() == bytes);
    assert_eq!(line.seen()["GET"], 2);
}

/// An object that is replaced while its ranges are read: the file is one version of it.
#[tokio::test]
async fn a_file_is_read_in_one_version() {
    let late = AtomicBool::new(false);
    let plan = move |_, name: &str| {
        let first = name == "GET" && !late.swap(true, Ordering::Relaxed);
        if first { Fault::Late } else { Fault::None }
    };
    let (direct, backend, line) = over(Box::new(plan)).await;
    let direct = direct.connect().await.store;
    let key: Key = "work/j/video/t/1/a.bin".parse().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let put = async |byte: u8| {
        let file = scratch.path().join("f");
        std::fs::write(&file, vec![byte; 17 << 20]).unwrap();
        direct.upload(&key, &file, FileUse::Consume, &PutOptions::default()).await.unwrap();
    };
    put(1).await;
    let replace = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        put(2).await;
    };
    let read = backend.store.get_file(&key, scratch.path());
    let (read, ()) = futures::future::join(read, replace).await;
    let bytes = std::fs::read(read.unwrap()).unwrap();
    assert!(bytes.len() == 17 << 20 && bytes.iter().all(|byte| *byte == 2), "two versions are mixed");
    assert_eq!(line.seen()["HEAD"], 2, "it was read anew");
}

#[tokio::test]
async fn a_send_whose_answer_was_lost_arrives() {
    let (_, backend, _) = over(lose_first("SendMessageBatch")).await;
    let queue = Lane::Task(Resource::Cpu);
    backend.queue.send(queue, &["a".to_owned()], Duration::ZERO).await.unwrap();
    let got = backend.queue.receive(queue, 10, MINUTE, Duration::ZERO).await.unwrap();
    assert!(!got.is_empty() && got.iter().all(|d| d.body == "a"), "twice is allowed, never is not");
}

fn caps() -> Capabilities {
    Capabilities {
        short: Duration::from_secs(2),
        settle: Duration::from_millis(500),
        clauses_at_once: crate::support::CLAUSES_AT_ONCE,
        ..Capabilities::default()
    }
}

/// Every tenth call is refused.
fn busy() -> crate::support::Plan {
    Box::new(|number, _| if number % 10 == 0 { Fault::Throttled } else { Fault::None })
}

/// The same, and every seventh response is lost, and many transactions conflict.
fn bad() -> crate::support::Plan {
    Box::new(|number, name| match number {
        n if n % 10 == 0 => Fault::Throttled,
        n if n % 7 == 0 => Fault::LostAnswer,
        n if n % 3 == 1 && name == "TransactWriteItems" => Fault::Conflict,
        _ => Fault::None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_ledger_conforms_on_a_bad_line() {
    // boxed: the suite holds one such future for each clause, which together outgrow a thread's stack
    let subject = || {
        Box::pin(async {
            let (_, backend, line) = over(bad()).await;
            Subject::guarded(Arc::new(backend.ledger.recording_notices()) as Arc<dyn Ledger>, Line(line))
        })
    };
    conformance::ledger::run(subject, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_conforms_on_a_busy_line() {
    let subject = || async {
        let (_, backend, line) = over(busy()).await;
        let scratch = tempfile::tempdir().expect("a folder");
        let port = store::Port { store: backend.store, scratch: scratch.path().to_owned() };
        Subject::guarded(Arc::new(port), (scratch, Line(line)))
    };
    conformance::store::run(subject, caps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_queue_conforms_on_a_busy_line() {
    let subject = || async {
        let (_, backend, line) = over_lanes(busy(), &Lane::ALL).await;
        Subject::guarded(backend.queue as Arc<dyn WorkQueue>, Line(line))
    };
    conformance::queue::run(subject, queue_caps()).await;
}

/// Checks at the end of a clause that no table was scanned.
struct Line(crate::support::Line);

impl Drop for Line {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.0.seen().contains_key("Scan"), "a table was scanned");
        }
    }
}
