//! Jobs that are deleted, and made again, while somebody still works on the earlier one.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use segue_domain::{JobState, Key, TaskId, Term};
use segue_pipeline::{Deps, delete};
use segue_ports::memory::MemoryStore;
use segue_ports::{
    ByteStream, FileUse, JobLedger, MediaStore, ObjectInfo, ObjectPage, PortError, PutOptions, Version,
};
use tokio::sync::Notify;

use crate::engines::Script;
use crate::stale::Slow;
use crate::world::{Running, World, drain};

/// A store in which something happens in the middle of a deletion.
struct Meddled {
    inner: Arc<MemoryStore>,
    meddle: Meddle,
}

enum Meddle {
    /// A publisher who knows nothing of the deletion goes on promoting.
    Promote { from: Key, to: Key },
    /// The deletion stands still after its listing of that number, until it is told to go on.
    Halt { lists: AtomicU32, halts_at: u32, go_on: Notify },
}

impl Meddled {
    async fn promote_late(&self) {
        if let Meddle::Promote { from, to } = &self.meddle {
            let _ = self.inner.promote(from, to, &PutOptions::default()).await;
        }
    }
}

#[async_trait]
impl MediaStore for Meddled {
    async fn put_bytes(&self, key: &Key, bytes: Bytes, options: &PutOptions) -> Result<(), PortError> {
        self.inner.put_bytes(key, bytes, options).await
    }
    async fn upload(
        &self,
        key: &Key,
        file: &Path,
        file_use: FileUse,
        options: &PutOptions,
    ) -> Result<(), PortError> {
        self.inner.upload(key, file, file_use, options).await
    }
    async fn promote(&self, from: &Key, to: &Key, options: &PutOptions) -> Result<(), PortError> {
        self.inner.promote(from, to, options).await
    }
    async fn get_bytes(&self, key: &Key, limit: u64) -> Result<Bytes, PortError> {
        self.inner.get_bytes(key, limit).await
    }
    async fn get_file(&self, key: &Key, scratch: &Path) -> Result<PathBuf, PortError> {
        self.inner.get_file(key, scratch).await
    }
    async fn get_range(
        &self,
        key: &Key,
        version: &Version,
        range: Range<u64>,
    ) -> Result<ByteStream, PortError> {
        self.inner.get_range(key, version, range).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ObjectInfo>, PortError> {
        self.inner.head(key).await
    }
    async fn list(&self, prefix: &str, from: Option<&str>, max: usize) -> Result<ObjectPage, PortError> {
        self.promote_late().await;
        let page = self.inner.list(prefix, from, max).await;
        if let Meddle::Halt { lists, halts_at, go_on } = &self.meddle
            && lists.fetch_add(1, Ordering::Relaxed) == *halts_at
        {
            go_on.notified().await;
        }
        page
    }
    async fn delete(&self, key: &Key) -> Result<(), PortError> {
        self.inner.delete(key).await?;
        self.promote_late().await;
        Ok(())
    }
    async fn delete_many(&self, keys: &[Key]) -> Result<(), PortError> {
        for key in keys {
            self.delete(key).await?;
        }
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
    world.store.put_bytes(&from, Bytes::from_static(b"late"), &PutOptions::default()).await.unwrap();
    let store = Meddled { inner: Arc::clone(&world.store), meddle: Meddle::Promote { from, to } };
    let deps = Deps { store: Arc::new(store), ..world.deps() };
    assert!(delete(&deps, &world.job).await.unwrap());
    let left = world.store.list("", None, 100).await.unwrap().objects;
    assert!(left.is_empty(), "{left:?}");
    assert!(world.ledger.job(&world.job).await.unwrap().is_none());
    assert!(delete(&deps, &world.job).await.unwrap(), "a repeat finds nothing to do");
}

/// A job that has ended, with all that it left, and nobody at work.
async fn completed() -> (World, Vec<Running>) {
    let world = World::new(Script { segments: 2, ..Script::default() });
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    (world, roles)
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_job_left_public_is_not_the_next_ones() {
    let (world, roles) = completed().await;
    let (manifest, part) = ("manifest.json", "final.txt");
    let old = Key::published(&world.job, manifest).unwrap();
    let old = world.store.get_bytes(&old, 1 << 20).await.unwrap();
    for left in [&[manifest, part][..], &[part]] {
        // whoever deleted it died after its record was gone
        assert!(world.ledger.delete_job(&world.record().await).await.unwrap());
        for name in [manifest, part] {
            let key = Key::published(&world.job, name).unwrap();
            world.store.delete(&key).await.unwrap();
            if left.contains(&name) {
                let bytes =
                    if name == manifest { old.clone() } else { Bytes::from_static(b"an earlier job's") };
                world.store.put_bytes(&key, bytes, &PutOptions::default()).await.unwrap();
            }
        }
        world.submit().await;
        world.ended().await;
        world.check_published(2).await;
        let key = Key::published(&world.job, manifest).unwrap();
        assert_ne!(world.store.get_bytes(&key, 1 << 20).await.unwrap(), old, "the earlier job's manifest");
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(2).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_deletion_leaves_the_next_job_alone() {
    for halts_at in 0..6 {
        let (world, roles) = completed().await;
        let meddle = Meddle::Halt { lists: AtomicU32::new(0), halts_at, go_on: Notify::new() };
        let store = Arc::new(Meddled { inner: Arc::clone(&world.store), meddle });
        let (deps, job) = (Deps { store: Arc::clone(&store) as _, ..world.deps() }, world.job.clone());
        let late = tokio::spawn(async move { delete(&deps, &job).await });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!late.is_finished(), "it stands still at {halts_at}");
        // somebody else deletes it in one go, and it is made again
        assert!(delete(&world.deps(), &world.job).await.unwrap());
        world.submit().await;
        world.ended().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let stands = world.store.list("", None, 100).await.unwrap().objects;
        let Meddle::Halt { go_on, .. } = &store.meddle else { panic!("it halts") };
        go_on.notify_one();
        assert!(late.await.unwrap().unwrap(), "the job that it was to delete is gone");
        world.check_published(2).await;
        let left = world.store.list("", None, 100).await.unwrap().objects;
        assert_eq!(left, stands, "a deletion that stood still at {halts_at} took from the next job");
        drain(roles).await;
    }
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
    let slow = || Arc::new(Slow { before_complete: AtomicBool::new(true), ..Slow::new(&world.ledger) });
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
