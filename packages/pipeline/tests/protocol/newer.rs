//! Roles of this build meet documents of a newer one: they leave them, and what depends on them, to it.
//!
//! Messages are in `faults.rs`, rows of a ledger in the tests of each adapter.

use std::time::Duration;

use bytes::Bytes;
use segue_domain::{Key, Message, OutputId, OutputState, PlanHash, SealedPlan, TaskId, TaskKind, Term};
use segue_ports::{
    CompletionLedger, JobChange, JobLedger, Lane, MediaStore, PutOptions, Resource, WorkQueue,
};

use crate::engines::Script;
use crate::world::{World, drain};

const NEWER: &[u8] = br#"{"version":99,"whatever":[1]}"#;

fn script() -> Script {
    Script { segments: 2, task_takes: Duration::from_secs(7), ..Script::default() }
}

fn video() -> OutputId {
    "video".parse().unwrap()
}

async fn no_dead_letters(world: &World) {
    for lane in Lane::ALL {
        assert_eq!(world.queue.depth(lane).await.unwrap().dead, 0, "{lane}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_plan_is_left_to_a_newer_build() {
    let world = World::new(script());
    world.submit().await;
    let key = Key::segment(&world.job, &video(), Term(1), "plan.json").unwrap();
    world.store.put_bytes(&key, Bytes::from_static(NEWER), &PutOptions::default()).await.unwrap();
    let sealed = SealedPlan { hash: PlanHash::of(NEWER), key: key.to_string(), tasks: 2 };
    let seal = JobChange::Seal(vec![(video(), sealed)]);
    world.ledger.change(&world.job, seal, None).await.unwrap().expect("a plan is sealed");
    let task = TaskId::of(TaskKind::Digest, 0);
    let (job, output) = (world.job.clone(), video());
    let message = Message::Task { job: job.clone(), output: output.clone(), task: task.clone() }.encode();
    let lane = Lane::Task(Resource::Cpu);
    world.queue.send(lane, &[message], Duration::ZERO).await.unwrap();
    let assemble = Message::Assemble { job, output }.encode();
    world.queue.send(Lane::Assemble, &[assemble], Duration::ZERO).await.unwrap();

    let roles = world.start_all();
    tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
    drain(roles).await;
    let record = world.record().await;
    let found = record.output(&video()).unwrap();
    assert_eq!((found.state, &found.failure), (OutputState::Mapping, &None));
    let name = record.output_ref(&video());
    assert_eq!(world.ledger.failures(&name, &task).await.unwrap(), 0, "it was counted as a failure");
    assert_eq!(world.ledger.completed(&name).await.unwrap(), 0);
    assert_eq!(world.store.get_bytes(&key, 100).await.unwrap(), NEWER, "a newer document was changed");
    no_dead_letters(&world).await;
    let depth = world.queue.depth(lane).await.unwrap();
    assert!(depth.waiting + depth.in_flight >= 1, "the task is left to nobody");
}

#[tokio::test(start_paused = true)]
async fn a_newer_manifest_is_not_replaced_and_the_output_waits() {
    let world = World::new(script());
    let key = Key::manifest(&world.job);
    world.store.put_bytes(&key, Bytes::from_static(NEWER), &PutOptions::default()).await.unwrap();
    let roles = world.start_all();
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
    let record = world.record().await;
    let found = record.output(&video()).unwrap();
    assert_eq!((found.state, &found.failure), (OutputState::Publishing, &None));
    assert_eq!(world.store.get_bytes(&key, 100).await.unwrap(), NEWER, "a newer document was changed");
    no_dead_letters(&world).await;

    world.store.delete(&key).await.unwrap();
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(2).await;
    world.check_nothing_left().await;
}
