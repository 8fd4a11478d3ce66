//! Jobs that are deleted, and made again, while somebody still works on the earlier one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::{JobState, Key, TaskId, Term};
use segue_pipeline::{Deps, delete};
use segue_ports::memory::MemoryStore;
use segue_ports::{JobLedger, MediaStore, Object, ObjectPage, PortError, PutMode, PutResult};

use crate::engines::Script;
use crate::stale::Slow;
use crate::world::{World, drain};

/// A store into which a publisher who knows nothing of the deletion goes on promoting.
struct Promoting {
    inner: Arc<MemoryStore>,
    from: Key,
    to: Key,
}

#[async_trait]
impl MediaStore for Promoting {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, mode: PutMode) -> Result<PutResult, PortError> {
        self.inner.put_bytes(key, bytes, mode).await
    }
    async fn put_file(&self, key: &Key, file: &Path, mode: PutMode) -> Result<PutResult, PortError> {
        self.inner.put_file(key, file, mode).await
    }
    async fn promote(&self, from: &Key, to: &Key, mode: PutMode) -> Result<PutResult, PortError> {
        self.inner.promote(from, to, mode).await
    }
    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        self.inner.get_bytes(key, limit).await
    }
    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        self.inner.get_file(key, scratch).await
    }
    async fn head(&self, key: &Key) -> Result<Option<Object>, PortError> {
        self.inner.head(key).await
    }
    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        let _ = self.inner.promote(&self.from, &self.to, PutMode::CreateOnce).await;
        self.inner.list(prefix, from, max).await
    }
    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.inner.delete(key).await?;
        let _ = self.inner.promote(&self.from, &self.to, PutMode::CreateOnce).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_public_of_a_deleted_job() {
    let world = World::new(Script { segments: 2, ..Script::default() });
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    let joining: TaskId = "reassemble".parse().unwrap();
    let from = Key::work(&world.job, &joining, Term(1), "final.txt").unwrap();
    let to = Key::published(&world.job, "final.txt").unwrap();
    world.store.put_bytes(&from, Bytes::from_static(b"late"), PutMode::Replace).await.unwrap();
    let store = Promoting { inner: Arc::clone(&world.store), from, to };
    let deps = Deps { store: Arc::new(store), ..world.deps() };
    assert!(delete(&deps, &world.job).await.unwrap());
    let left = world.store.list("", None, 100).await.unwrap().objects;
    assert!(left.is_empty(), "{left:?}");
    assert!(world.ledger.job(&world.job).await.unwrap().is_none());
    assert!(delete(&deps, &world.job).await.unwrap(), "a repeat finds nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_living_job_is_not_deleted() {
    let world = World::new(Script { segments: 2, ..Script::default() });
    world.submit().await;
    assert!(!delete(&world.deps(), &world.job).await.unwrap());
    assert_eq!(world.record().await.state, JobState::Created);
}

#[tokio::test(start_paused = true)]
async fn who_published_the_job_before_does_not_complete_the_next() {
    let world = World::new(Script { segments: 2, ..Script::default() });
    let slow = || {
        let inner = Arc::clone(&world.ledger);
        Arc::new(Slow { inner, frozen: AtomicBool::new(false), before_complete: AtomicBool::new(true) })
    };
    let is_publishing = || async {
        for _ in 0..3600 {
            let found = world.ledger.job(&world.job).await.unwrap();
            if found.is_some_and(|job| job.state == JobState::Publishing) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("it was never published");
    };
    let deps = |ledger: &Arc<Slow>| world.deps_with(Arc::clone(ledger) as _, Arc::clone(&world.queue) as _);
    let mut roles = vec![world.start_chunker(world.deps(), "c"), world.start_worker(world.deps(), "w")];
    // the first publisher stops before it says that the job is completed
    let first = slow();
    roles.push(world.start_reassembler(deps(&first), "first"));
    world.submit().await;
    is_publishing().await;
    assert!(world.ledger.delete_job(&world.record().await).await.unwrap());
    for object in world.store.list("", None, 100).await.unwrap().objects {
        world.store.delete(&object.key.parse().unwrap()).await.unwrap();
    }
    // the second stops likewise, in the next job of that name
    let second = slow();
    roles.push(world.start_reassembler(deps(&second), "second"));
    world.submit().await;
    is_publishing().await;
    first.before_complete.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.record().await.state, JobState::Publishing, "that is not the first's to say");
    second.before_complete.store(false, Ordering::Relaxed);
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_made_again_and_again_is_no_killer() {
    let world = World::new(Script { segments: 2, ..Script::default() });
    let roles = world.start_all();
    for round in 0..15 {
        world.submit().await;
        let ended = world.ended().await;
        assert_eq!(ended.state, JobState::Completed, "round {round}: {:?}", ended.failure);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(delete(&world.deps(), &world.job).await.unwrap());
    }
    drain(roles).await;
    assert_eq!(world.script.plans.load(Ordering::Relaxed), 15);
}
