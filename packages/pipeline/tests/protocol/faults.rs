//! Crashes at any moment, lost and duplicated messages, invalid bodies.

use std::time::Duration;

use segue_domain::{JobState, Message};
use segue_ports::{Lane, Resource, WorkQueue};

use crate::engines::Script;
use crate::world::{Running, World, drain};

fn script() -> Script {
    Script {
        segments: 4,
        task_takes: Duration::from_secs(7),
        join_takes: Duration::from_secs(9),
        ..Script::default()
    }
}

/// Every role is killed `after` the start; new ones continue.
async fn killed_after(after: Duration) {
    let world = World::new(script());
    world.submit().await;
    let roles = world.start_all();
    tokio::time::sleep(after).await;
    for role in roles {
        Running::kill(role).await;
    }
    let roles = world.start_all();
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(4).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn everything_dies_at_any_moment_and_nothing_is_lost() {
    for step in 0..120 {
        killed_after(Duration::from_millis(step * 317)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_forgets_everything_and_the_sweeper_drives_on() {
    for forget_at in [0u64, 3, 8, 16, 20, 30] {
        let world = World::new(script());
        world.submit().await;
        let roles = world.start_all();
        tokio::time::sleep(Duration::from_secs(forget_at)).await;
        for role in roles {
            role.kill().await;
        }
        for queue in Lane::ALL {
            tokio::time::sleep(Duration::from_secs(120)).await;
            loop {
                let got =
                    world.queue.receive(queue, 10, Duration::from_secs(60), Duration::ZERO).await.unwrap();
                if got.is_empty() {
                    break;
                }
                for delivery in got {
                    world.queue.ack(queue, &delivery.receipt).await.unwrap();
                }
            }
        }
        let roles = world.start_all();
        world.ended().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drain(roles).await;
        world.check_published(4).await;
        world.check_nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_comes_many_times_and_counts_once() {
    let world = World::new(script());
    let record = world.submit().await;
    let roles = world.start_all();
    for _ in 0..40 {
        let (job, output): (_, segue_domain::OutputId) = (record.id.clone(), "video".parse().unwrap());
        let mut bodies = vec![
            Message::Plan { job: job.clone() },
            Message::Assemble { job: job.clone(), output: output.clone() },
        ];
        bodies.extend((0..4).map(|i| {
            let task = format!("digest-{i:05}").parse().unwrap();
            Message::Task { job: job.clone(), output: output.clone(), task }
        }));
        for message in bodies {
            let queue = match message {
                Message::Plan { .. } => Lane::Plan,
                Message::Task { .. } => Lane::Task(Resource::Cpu),
                Message::Assemble { .. } => Lane::Assemble,
            };
            world.queue.send(queue, &[message.encode()], Duration::ZERO).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(4).await;
    world.check_nothing_left().await;
    let finished = world.script.finished.lock().unwrap().clone();
    assert!(finished.values().all(|times| *times == 1), "{finished:?}");
}

#[tokio::test(start_paused = true)]
async fn foreign_texts_are_put_aside_and_newer_ones_are_left() {
    let world = World::new(script());
    let roles = world.start_all();
    let newer = r#"{"version":3,"message":{"kind":"dance"}}"#.to_owned();
    let texts = ["nonsense".to_owned(), "{}".to_owned(), newer.clone()];
    world.queue.send(Lane::Task(Resource::Cpu), &texts, Duration::ZERO).await.unwrap();
    world.submit().await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(4).await;
    assert_eq!(world.queue.dead_letters(Lane::Task(Resource::Cpu)).len(), 2);
    tokio::time::sleep(Duration::from_secs(120)).await;
    let left = world
        .queue
        .receive(Lane::Task(Resource::Cpu), 10, Duration::from_secs(60), Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].body, newer);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_kills_its_workers_ends_its_job() {
    let world = World::new(Script { task_takes: Duration::from_secs(1000), ..script() });
    world.submit().await;
    let others = [world.start_planner(world.deps(), "c"), world.start_sweeper()];
    for life in 0..60 {
        let holder = format!("w{life}");
        let worker = world.start_worker(world.deps(), &holder);
        tokio::time::sleep(Duration::from_secs(100)).await;
        worker.kill().await;
        if world.record().await.state().is_terminal() {
            break;
        }
    }
    drain(others.into()).await;
    let record = world.record().await;
    assert_eq!(record.state(), JobState::Failed);
    assert!(record.failure().unwrap().cause.contains("ended 10 workers"));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_take_longer_than_a_sweep_do_not_fill_the_queue() {
    let segments = 200;
    let world = World::new(Script { segments, task_takes: Duration::from_secs(100), ..script() });
    world.submit().await;
    let roles = world.start_all();
    let mut most = 0;
    while !world.record().await.state().is_terminal() {
        let depth = world.queue.depth(Lane::Task(Resource::Cpu)).await.unwrap();
        most = most.max(depth.waiting + depth.in_flight);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(segments).await;
    world.check_nothing_left().await;
    // its own, and one more after 1, 3, 7, 15, 31, 63, 127 minutes
    assert!(most <= u64::from(segments) * 8, "{most} messages for {segments} tasks");
}
