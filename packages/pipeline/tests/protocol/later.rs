//! Processes that continue after another process took over, or after a later job of the id was created.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::{JobState, Key};
use segue_pipeline::control::{Source, delete};
use segue_pipeline::{Deps, new_job, sweeper};
use segue_ports::{
    Document, DocumentWrite, Expected, JobChange, JobLedger, Lane, MediaStore, PortError, PutOptions,
    Resource, StoreDocuments, WorkQueue,
};
use segue_ports_testkit::memory::{MemoryQueue, MemoryStore, TokioClock};

use crate::engines::Script;
use crate::stale::Slow;
use crate::world::{World, drain};

/// Documents as a process sees them that is stopped before it reads one.
struct HeldDocuments {
    inner: Arc<MemoryStore>,
    held: AtomicBool,
}

#[async_trait]
impl StoreDocuments for HeldDocuments {
    async fn put_document(
        &self,
        key: &Key,
        bytes: Bytes,
        expected: &Expected,
        options: &PutOptions,
    ) -> Result<DocumentWrite, PortError> {
        self.inner.put_document(key, bytes, expected, options).await
    }

    async fn get_document(&self, key: &Key, limit: u64) -> Result<Option<Document>, PortError> {
        while self.held.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.inner.get_document(key, limit).await
    }
}

fn world() -> World {
    World::new(Script { segments: 2, ..Script::default() })
}

#[tokio::test(start_paused = true)]
async fn a_publisher_of_an_earlier_job_does_not_replace_the_manifest() {
    let world = world();
    let documents = Arc::new(HeldDocuments { inner: Arc::clone(&world.store), held: AtomicBool::new(true) });
    let slow = Deps { documents: Arc::clone(&documents) as _, ..world.deps() };
    let mut roles = vec![
        world.start_planner(world.deps(), "p"),
        world.start_worker(world.deps(), "w"),
        world.start_assembler(slow, "slow"),
    ];
    world.submit().await;
    let mut record = world.record().await;
    while record.state() != JobState::Publishing {
        tokio::time::sleep(Duration::from_secs(1)).await;
        record = world.record().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    delete(&world.deps(), &world.job, Source::Delete).await.unwrap();
    world.submit().await;
    roles.push(world.start_assembler(world.deps(), "a"));
    world.ended().await;
    world.check_published(2).await;
    documents.held.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    world.check_published(2).await;
    drain(roles).await;
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_that_read_a_deletion_earlier_does_not_delete_the_next_job() {
    let world = world();
    world.submit().await;
    let marked = world
        .ledger
        .change(&world.job, JobChange::delete(&world.record().await), None)
        .await
        .unwrap()
        .unwrap();
    let page = segue_ports::JobPage { jobs: vec![marked], next: None };
    delete(&world.deps(), &world.job, Source::Delete).await.unwrap();
    let next = world.submit().await;
    let slow = Arc::new(Slow::new(&world.ledger));
    *slow.stale_page.lock().unwrap() = Some(page);
    let stop = tokio_util::sync::CancellationToken::new();
    let deps = world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _);
    let swept = sweeper::run(deps, Arc::new(TokioClock::new()), world.config("s"), stop.clone());
    let swept = tokio::spawn(swept);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(slow.stale_page.lock().unwrap().is_none(), "it has swept");
    let now = world.record().await;
    assert_eq!((now.epoch, now.deleting), (next.epoch, false));
    stop.cancel();
    swept.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_marked_nothing_removes_nothing_of_the_next_job() {
    let world = world();
    let key = Key::source(&world.job, "mp4");
    world
        .store
        .put_document(&key, Bytes::from_static(b"source"), &Expected::Absent, &PutOptions::default())
        .await
        .unwrap();
    let slow = Arc::new(Slow::new(&world.ledger));
    *slow.created_next.lock().unwrap() = Some(new_job(&world.job, key.to_string(), &world.recipe));
    let deps = world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _);
    delete(&deps, &world.job, Source::Delete).await.unwrap();
    assert!(!world.record().await.deleting, "the next job is there");
    let source = world.store.get_document(&key, 100).await.unwrap();
    assert!(source.is_some(), "its source was removed");
}

/// A user's deletion is slow; meanwhile another one finishes and a later job with the id is created.
#[tokio::test(start_paused = true)]
async fn a_deletion_that_begins_late_does_not_delete_the_next_job() {
    let world = world();
    let first = world.submit().await;
    let slow = Arc::new(Slow::new(&world.ledger));
    *slow.replaced_by.lock().unwrap() = Some(new_job(&world.job, first.source_key.clone(), &world.recipe));
    let deps = world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _);
    delete(&deps, &world.job, Source::Delete).await.unwrap();
    assert!(slow.replaced_by.lock().unwrap().is_none(), "it was replaced");
    let now = world.record().await;
    assert!(!now.deleting && now.epoch > first.epoch, "the next job is deleted: {now:?}");
    assert!(world.store.get_document(&Key::source(&world.job, "mp4"), 100).await.unwrap().is_some());
}

/// A request that was sent before the deletion reaches the store after it.
#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_public_after_the_deletion_is_removed() {
    let world = world();
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    delete(&world.deps(), &world.job, Source::Delete).await.unwrap();
    for hours in [1, 5, 14, 8] {
        for name in ["manifest.json", "final.txt"] {
            let key = Key::published(&world.job, name).unwrap();
            let bytes = Bytes::from_static(b"late");
            world.store.put_bytes(&key, bytes, &PutOptions::default()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
    }
    let tombstones = world.ledger.tombstones(None, 10).await.unwrap().tombstones;
    assert_eq!(tombstones.len(), 0, "28 hours later");
    assert!(world.store.list("", None, 10).await.unwrap().objects.is_empty());
    drain(roles).await;
}

/// A planner sealed the plan and died before it sent the tasks. Another one read the job before the seal.
#[tokio::test(start_paused = true)]
async fn a_planner_that_finds_nothing_to_plan_sends_the_tasks() {
    let world = world();
    let slow = Arc::new(Slow { before_acquire: AtomicBool::new(true), ..Slow::new(&world.ledger) });
    let deps = world.deps_with(Arc::clone(&slow) as _, Arc::clone(&world.queue) as _);
    let mut roles = vec![world.start_planner(deps, "second")];
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // what the first one sends is lost with its queue
    let lost = Arc::new(MemoryQueue::new());
    let body = segue_domain::Message::Plan { job: world.job.clone() }.encode();
    lost.send(Lane::Plan, &[body], Duration::ZERO).await.unwrap();
    roles.push(world.start_planner(world.deps_with(Arc::clone(&world.ledger) as _, lost), "first"));
    while world.record().await.state() != JobState::Mapping {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    slow.before_acquire.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let depth = world.queue.depth(Lane::Task(Resource::Cpu)).await.unwrap();
    assert_eq!(depth.waiting, 2, "the tasks are sent");
    drain(roles).await;
}
