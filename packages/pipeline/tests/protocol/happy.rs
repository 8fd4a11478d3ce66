//! Jobs that succeed, and jobs that fail for a reason.

use std::sync::atomic::Ordering;
use std::time::Duration;

use segue_domain::{FaultKind, JobState};
use segue_pipeline::control;
use segue_pipeline::control::Source;
use segue_ports::{JobLedger, Lane, Resource, WorkQueue};

use crate::engines::Script;
use crate::world::{World, drain};

fn script(segments: u32) -> Script {
    Script {
        segments,
        task_takes: Duration::from_secs(90),
        join_takes: Duration::from_secs(90),
        ..Script::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_published_and_leaves_nothing_behind() {
    for segments in [1, 2, 40] {
        let world = World::new(script(segments));
        let roles = world.start_all();
        world.submit().await;
        world.ended().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drain(roles).await;
        world.check_published(segments).await;
        world.check_nothing_left().await;
        let finished = world.script.finished.lock().unwrap().clone();
        assert!(finished.values().all(|times| *times == 1), "{finished:?}");
        assert_eq!(world.script.joins.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn submitting_again_is_the_same_job() {
    let world = World::new(script(3));
    let roles = world.start_all();
    for _ in 0..5 {
        world.submit().await;
    }
    world.ended().await;
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    drain(roles).await;
    world.check_published(3).await;
    world.check_nothing_left().await;
    assert_eq!(world.script.plans.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_source_fails_the_job_at_once_with_its_cause() {
    let world = World::new(script(3));
    *world.script.broken.lock().unwrap() = Some("digest-00001".into());
    let roles = world.start_all();
    world.submit().await;
    let record = world.ended().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    drain(roles).await;
    assert_eq!(record.state(), JobState::Failed);
    let failure = record.failure().unwrap().clone();
    assert_eq!((failure.kind, failure.cause.as_str()), (FaultKind::Source, "the picture is broken"));
    assert_eq!(failure.task.unwrap().as_str(), "digest-00001");
    for queue in Lane::ALL {
        assert_eq!(world.queue.depth(queue).await.unwrap().dead, 0, "a bad source is not poison");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_luck_is_tried_again_and_poison_is_put_aside() {
    let world = World::new(script(3));
    world.script.failing.lock().unwrap().insert("digest-00001".into(), 2);
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    drain(roles).await;
    world.check_published(3).await;

    let world = World::new(script(3));
    world.script.failing.lock().unwrap().insert("digest-00001".into(), u32::MAX);
    let roles = world.start_all();
    world.submit().await;
    let record = world.ended().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(record.failure().unwrap().cause, "out of luck (tried 3 times)");
    let dead = world.queue.dead_letters(Lane::Task(Resource::Cpu));
    assert_eq!(dead.len(), 1);
    assert!(dead[0].body.contains("digest-00001"), "{dead:?}");

    // retried, with the cause repaired: only missing tasks are run
    world.script.failing.lock().unwrap().clear();
    let before = world.script.finished.lock().unwrap().clone();
    control::retry(&world.deps(), &world.job, None).await.unwrap().unwrap();
    assert_eq!(world.ended().await.state(), JobState::Completed);
    drain(roles).await;
    world.check_published(3).await;
    let after = world.script.finished.lock().unwrap().clone();
    for (task, times) in before {
        assert_eq!(after[&task], times, "{task} was done again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_its_work() {
    let world = World::new(script(2));
    let roles = world.start_all();
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    control::cancel(&world.deps(), &world.job, None).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    assert_eq!(world.record().await.state(), JobState::Cancelled);
    assert_eq!(world.script.cancelled.load(Ordering::Relaxed), 2, "both attempts were stopped");
    assert!(world.script.finished.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_job_is_forgotten() {
    let world = World::new(script(2));
    let roles = world.start_all();
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    control::delete(&world.deps(), &world.job, Source::Delete).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    for queue in Lane::ALL {
        let depth = world.queue.depth(queue).await.unwrap();
        assert_eq!((depth.waiting, depth.in_flight), (0, 0), "{queue} queue");
    }
    assert!(world.ledger.job(&world.job).await.unwrap().is_none(), "nothing brought it back");
}
