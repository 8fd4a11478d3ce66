//! Jobs that are deleted, and created again, while work on the earlier one still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{JobState, Key, TaskId, Term};
use segue_pipeline::control::{Source, delete};
use segue_ports::{JobChange, JobLedger, MediaStore, PutOptions};

use crate::engines::Script;
use crate::stale::Slow;
use crate::world::{Running, World, drain};

async fn delete_all(world: &World) {
    delete(&world.deps(), &world.job, Source::Delete).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_public_of_a_deleted_job() {
    let (world, roles) = completed().await;
    drain(roles).await;
    let output = "video".parse().unwrap();
    let late = Key::work(&world.job, &output, &TaskId::assembly(), Term(1), "final.txt").unwrap();
    let bytes = Bytes::from_static(b"late");
    world.store.put_bytes(&late, bytes, &PutOptions::default()).await.unwrap();
    delete_all(&world).await;
    let left = world.store.list("", None, 100).await.unwrap().objects;
    assert!(left.is_empty(), "{left:?}");
    assert!(world.ledger.job(&world.job).await.unwrap().is_none());
    delete_all(&world).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_keeps_the_source_keeps_nothing_else() {
    let (world, roles) = completed().await;
    delete(&world.deps(), &world.job, Source::Keep).await.unwrap();
    drain(roles).await;
    let left = world.store.list("", None, 100).await.unwrap().objects;
    let left: Vec<&str> = left.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(left, ["input/job-1/source.mp4"]);
}

/// Deletion works from any state, and the sweeper finishes one whose caller died.
#[tokio::test(start_paused = true)]
async fn a_job_is_deleted_in_any_state_also_by_the_sweeper() {
    for seconds in [0, 1, 5, 9, 12, 15, 20] {
        let script = Script { segments: 2, task_takes: Duration::from_secs(7), ..Script::default() };
        let world = World::new(Script { join_takes: Duration::from_secs(5), ..script });
        let roles = world.start_all();
        world.submit().await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        world
            .ledger
            .change(&world.job, JobChange::delete(&world.record().await), None)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(world.record().await.state(), JobState::Deleting);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(world.ledger.job(&world.job).await.unwrap().is_none(), "after {seconds} s");
        let left = world.store.list("", None, 100).await.unwrap().objects;
        let left: Vec<&str> = left.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(left, ["input/job-1/source.mp4"], "after {seconds} s");
        drain(roles).await;
    }
}

/// A job that has ended, with its files, and no running role.
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
    let names = ["manifest.json", "outputs/video.json", "final.txt"];
    let read = |name: &'static str| Key::published(&world.job, name).unwrap();
    let mut old = Vec::new();
    for name in names {
        old.push(world.store.get_bytes(&read(name), 1 << 20).await.unwrap());
    }
    for left in [&names[..], &names[1..], &names[2..], &names[..1]] {
        delete_all(&world).await;
        for (name, bytes) in names.iter().zip(&old).filter(|(name, _)| left.contains(name)) {
            world.store.put_bytes(&read(name), bytes.clone(), &PutOptions::default()).await.unwrap();
        }
        world.submit().await;
        world.ended().await;
        world.check_published(2).await;
        for (name, bytes) in names[..2].iter().zip(&old) {
            let now = world.store.get_bytes(&read(name), 1 << 20).await.unwrap();
            assert_ne!(now, *bytes, "{name} is the earlier job's");
        }
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(2).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn who_published_the_job_before_does_not_complete_the_next() {
    let world = World::new(Script { segments: 2, ..Script::default() });
    let slow = || Arc::new(Slow { before_complete: AtomicBool::new(true), ..Slow::new(&world.ledger) });
    let is_publishing = || async {
        for _ in 0..3600 {
            let found = world.ledger.job(&world.job).await.unwrap();
            if found.is_some_and(|job| job.state() == JobState::Publishing) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("it was never published");
    };
    let deps = |ledger: &Arc<Slow>| world.deps_with(Arc::clone(ledger) as _, Arc::clone(&world.queue) as _);
    let mut roles = vec![world.start_planner(world.deps(), "c"), world.start_worker(world.deps(), "w")];
    // the first publisher stops before it completes the output
    let first = slow();
    roles.push(world.start_assembler(deps(&first), "first"));
    world.submit().await;
    is_publishing().await;
    delete_all(&world).await;
    // the second stops likewise, in the next job with that id
    let second = slow();
    roles.push(world.start_assembler(deps(&second), "second"));
    world.submit().await;
    is_publishing().await;
    first.before_complete.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.record().await.state(), JobState::Publishing, "the first published another job");
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
        assert_eq!(ended.state(), JobState::Completed, "round {round}: {:?}", ended.failure());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        delete_all(&world).await;
    }
    drain(roles).await;
    assert_eq!(world.script.plans.load(Ordering::Relaxed), 15);
}
