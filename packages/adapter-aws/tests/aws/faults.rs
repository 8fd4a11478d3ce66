//! Answers that are lost, and services that are busy: every promise holds all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Fault, over, queue_caps};
use bytes::Bytes;
use segue_domain::{Completion, JobId, JobState, Key, PlanHash, SealedPlan, TaskId, TaskKind, Term};
use segue_ports::conformance::{self, Capabilities, Subject, store};
use segue_ports::{
    Acquired, CompletionLedger, JobChange, JobLedger, LeaseLedger, LeaseName, Ledger, MediaStore, NewJob,
    PutMode, PutResult, Recorded, WorkQueue,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Loses the first answer to each request of that name.
fn lose_first(wanted: &'static str) -> crate::support::Plan {
    let lost = AtomicBool::new(false);
    Box::new(move |_, name| {
        let first = name == wanted && !lost.swap(true, Ordering::Relaxed);
        if first { Fault::LostAnswer } else { Fault::None }
    })
}

fn job(id: &str) -> NewJob {
    let id: JobId = id.parse().unwrap();
    NewJob { source_key: format!("input/{id}/source.mp4"), id, recipe: "{}".into() }
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_ours() {
    let (_, backend, line) = over(lose_first("PutItem")).await;
    let created = backend.ledger.create_job(job("j")).await.unwrap();
    assert_eq!(line.seen()["PutItem"], 2, "the SDK asked again");
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
    let id: JobId = "j".parse().unwrap();
    backend.ledger.create_job(job("j")).await.unwrap();
    let task = TaskId::of(TaskKind::Carry, 0);
    assert_eq!(backend.ledger.count_failure(&id, &task).await.unwrap(), 1);
    assert_eq!(line.seen()["UpdateItem"], 2, "the SDK asked again");
    assert_eq!(direct.connect().await.ledger.count_failure(&id, &task).await.unwrap(), 2);
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_counted_once() {
    let (_, backend, line) = over(lose_first("TransactWriteItems")).await;
    let ledger = &backend.ledger;
    let id: JobId = "j".parse().unwrap();
    ledger.create_job(job("j")).await.unwrap();
    let task = TaskId::of(TaskKind::Carry, 0);
    let name = LeaseName::task(&id, &task);
    let Acquired::Held(lease) = ledger.acquire(&name, &"a".parse().unwrap(), MINUTE).await.unwrap() else {
        panic!("it is free");
    };
    let done = Completion { job: id.clone(), task, term: lease.term, files: vec![], facts: 0.into() };
    assert_eq!(ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
    assert_eq!(line.seen()["TransactWriteItems"], 2, "the SDK asked again");
    assert_eq!(ledger.job(&id).await.unwrap().unwrap().completed_tasks, 1);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_took_effect() {
    let (_, backend, line) = over(lose_first("TransactWriteItems")).await;
    let id: JobId = "j".parse().unwrap();
    backend.ledger.create_job(job("j")).await.unwrap();
    let plan = SealedPlan { hash: PlanHash("h".into()), key: "segments/j/1/plan.json".into(), tasks: 1 };
    let sealed = backend.ledger.change(&id, JobChange::Seal(plan), None).await.unwrap();
    assert_eq!(line.seen()["TransactWriteItems"], 2, "the SDK asked again");
    assert_eq!(sealed.expect("it took effect").state, JobState::Mapping);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_ours() {
    let (_, backend, line) = over(lose_first("PUT")).await;
    let key: Key = "work/j/t/1/a.bin".parse().unwrap();
    let put = backend.store.put_bytes(&key, Bytes::from_static(b"x"), PutMode::CreateOnce).await.unwrap();
    assert_eq!(line.seen()["PUT"], 2, "the SDK asked again");
    assert_eq!(put, PutResult::Written);
    let again = backend.store.put_bytes(&key, Bytes::from_static(b"x"), PutMode::CreateOnce).await.unwrap();
    assert_eq!(again, PutResult::Exists);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let torn = AtomicBool::new(false);
    let plan = move |_, name: &str| {
        let first = name == "GET" && !torn.swap(true, Ordering::Relaxed);
        if first { Fault::Torn } else { Fault::None }
    };
    let (_, backend, line) = over(Box::new(plan)).await;
    let key: Key = "work/j/t/1/a.bin".parse().unwrap();
    let bytes: Bytes = (0..2_000_000_u32).map(|n| (n % 251) as u8).collect();
    backend.store.put_bytes(&key, bytes.clone(), PutMode::Replace).await.unwrap();
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
    let key: Key = "work/j/t/1/a.bin".parse().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let put = async |byte: u8| {
        let file = scratch.path().join("f");
        std::fs::write(&file, vec![byte; 17 << 20]).unwrap();
        direct.put_file(&key, &file, PutMode::Replace).await.unwrap();
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
    let queue = segue_ports::QueueName::Map;
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

/// Every tenth call is refused: nobody notices.
fn busy() -> crate::support::Plan {
    Box::new(|number, _| if number % 10 == 0 { Fault::Throttled } else { Fault::None })
}

/// The same, and every seventh answer is lost, and many a transaction meets another.
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
    let subject = || async {
        let (_, backend, line) = over(bad()).await;
        Subject::guarded(backend.ledger as Arc<dyn Ledger>, Line(line))
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
        let (_, backend, line) = over(busy()).await;
        Subject::guarded(backend.queue as Arc<dyn WorkQueue>, Line(line))
    };
    conformance::queue::run(subject, queue_caps()).await;
}

/// Looks, when a clause is over, whether anything was scanned.
struct Line(crate::support::Line);

impl Drop for Line {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.0.seen().contains_key("Scan"), "a table was scanned");
        }
    }
}
