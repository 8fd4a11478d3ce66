//! Sources that arrive without a submitted job.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{JobState, Key, Recipe};
use segue_pipeline::control;
use segue_pipeline::ingester::{Ingested, ingest};
use segue_ports::{Lane, MediaStore, PutOptions, WorkQueue};

use crate::engines::Script;
use crate::world::{Running, World, drain};

async fn world() -> (World, Vec<Running>) {
    let world = World::new(Script { segments: 3, ..Script::default() });
    let mut roles = world.start_all();
    roles.remove(0).drain().await;
    roles.push(world.start_intake(world.deps(), "intake"));
    (world, roles)
}

async fn put(world: &World, ext: &str) -> Key {
    let key = Key::source(&world.job, ext);
    world.store.put_bytes(&key, Bytes::from_static(b"source"), &PutOptions::default()).await.unwrap();
    key
}

async fn tell(world: &World, texts: &[String]) {
    world.queue.send(Lane::Plan, texts, Duration::ZERO).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_arrives_becomes_one_job_however_often_it_is_told() {
    let (world, roles) = world().await;
    let key = put(&world, "mp4").await;
    let notice = format!("arrived {key}");
    tell(&world, &vec![notice.clone(); 5]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.ended().await;
    // late, and out of order
    tell(&world, &[notice.clone(), notice]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    drain(roles).await;
    world.check_published(3).await;
    world.check_nothing_left().await;
    assert_eq!(world.script.plans.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_odd_goes_to_a_person_and_holds_nothing_up() {
    let (world, roles) = world().await;
    let key = put(&world, "mp4").await;
    tell(&world, &[format!("arrived input/../source.mp4 {key}"), "hello".into()]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let dead = world.queue.depth(Lane::Plan).await.unwrap().dead;
    drain(roles).await;
    assert_eq!(dead, 2);
    world.check_published(3).await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_notice_stays_for_a_newer_build() {
    let (world, roles) = world().await;
    tell(&world, &["newer".into()]).await;
    tokio::time::sleep(Duration::from_secs(7200)).await;
    drain(roles).await;
    let depth = world.queue.depth(Lane::Plan).await.unwrap();
    assert_eq!((depth.waiting + depth.in_flight, depth.dead), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_there_keeps_its_recipe_its_source_and_its_end() {
    let world = World::new(Script { segments: 3, ..Script::default() });
    let (mp4, mov) = (put(&world, "mp4").await, put(&world, "mov").await);
    let deps = world.deps();
    let (first, second) = (Recipe::built_in("rejoin").unwrap(), Recipe::built_in("mp4").unwrap());
    assert_eq!(ingest(&deps, &first, &mp4).await.unwrap(), Ingested::Created);
    assert_eq!(ingest(&deps, &second, &mp4).await.unwrap(), Ingested::Asked);
    assert_eq!(ingest(&deps, &second, &mov).await.unwrap(), Ingested::OtherSource);
    assert_eq!(world.record().await.recipe, first.to_json());
    control::cancel(&deps, &world.job, None).await.unwrap().unwrap();
    assert_eq!(ingest(&deps, &first, &mp4).await.unwrap(), Ingested::Known(JobState::Cancelled));
    assert_eq!(world.queue.depth(Lane::Plan).await.unwrap().waiting, 2);
    let part = Key::published(&world.job, "final.mp4").unwrap();
    assert!(ingest(&deps, &first, &part).await.is_err(), "what is published is no source");
}
