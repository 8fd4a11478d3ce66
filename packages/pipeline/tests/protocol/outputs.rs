//! Jobs of several outputs: needs, optional outputs, additions, retries of one of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use segue_domain::{JobState, OutputState, Recipe};
use segue_pipeline::control;
use segue_ports::{Lane, MediaStore, Resource, WorkQueue};
use segue_ports_testkit::memory::MemoryQueue;

use crate::engines::Script;
use crate::world::{World, drain};

/// A transcript, a video that needs it, an optional thumbnail.
fn recipe() -> Recipe {
    let mut recipe = Recipe::built_in("standard").unwrap();
    recipe.outputs.get_mut(&"thumbnail".parse().unwrap()).unwrap().required = false;
    recipe
}

fn script() -> Script {
    Script {
        segments: 3,
        task_takes: Duration::from_secs(7),
        join_takes: Duration::from_secs(5),
        ..Script::default()
    }
}

fn state_of(record: &segue_domain::JobRecord, output: &str) -> OutputState {
    record.output(&output.parse().unwrap()).unwrap().state
}

#[tokio::test(start_paused = true)]
async fn every_output_is_published_and_a_need_is_read_after_it_is() {
    let world = World::with_recipe(script(), recipe());
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(3).await;
    world.check_output(&"thumbnail".parse().unwrap(), 3).await;
    world.check_nothing_left().await;
    assert_eq!(world.script.plans.load(Ordering::Relaxed), 1, "one look at the source for all outputs");
    let key = segue_domain::Key::published(&world.job, "final.txt").unwrap();
    let text = world.store.get_bytes(&key, 1 << 20).await.unwrap();
    assert!(text.starts_with(b"needs transcript of 1 files"), "{text:?}");
    let index = segue_domain::Key::index(&world.job, &"video".parse().unwrap());
    let index = world.store.get_bytes(&index, 1 << 20).await.unwrap();
    let index = segue_domain::OutputIndex::decode(&index).unwrap();
    let record = world.record().await;
    let transcript = record.output(&"transcript".parse().unwrap()).unwrap();
    assert_eq!(index.needs[transcript.id()], transcript.index.as_ref().unwrap().hash);
}

#[tokio::test(start_paused = true)]
async fn an_optional_output_fails_alone() {
    for broken in ["plan/thumbnail", "thumbnail/digest-00001", "assemble/thumbnail"] {
        let world = World::with_recipe(script(), recipe());
        *world.script.broken.lock().unwrap() = Some(broken.into());
        let roles = world.start_all();
        world.submit().await;
        let record = world.ended().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drain(roles).await;
        assert_eq!(record.state(), JobState::Completed, "{broken}");
        assert_eq!(state_of(&record, "thumbnail"), OutputState::Failed, "{broken}");
        world.check_published(3).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_required_output_fails_the_job_keeps_the_others_and_is_retried_alone() {
    let world = World::with_recipe(script(), recipe());
    *world.script.broken.lock().unwrap() = Some("assemble/video".into());
    let roles = world.start_all();
    world.submit().await;
    let record = world.ended().await;
    assert_eq!(record.state(), JobState::Failed);
    assert_eq!(record.failure().unwrap().cause, "it cannot be assembled");
    world.check_output(&"transcript".parse().unwrap(), 3).await;
    let before = world.script.finished.lock().unwrap().clone();
    world.script.broken.lock().unwrap().take();
    let video = "video".parse().unwrap();
    control::retry(&world.deps(), &world.job, Some(&video)).await.unwrap().unwrap();
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(3).await;
    world.check_nothing_left().await;
    assert_eq!(*world.script.finished.lock().unwrap(), before, "a finished task was repeated");
    assert_eq!(world.script.plans.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_output_that_waits_for_a_failed_one_goes_on_when_that_is_retried() {
    let world = World::with_recipe(script(), recipe());
    *world.script.broken.lock().unwrap() = Some("transcript/digest-00002".into());
    let roles = world.start_all();
    world.submit().await;
    let record = world.ended().await;
    assert_eq!(record.state(), JobState::Failed);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let record = world.record().await;
    assert_eq!(state_of(&record, "video"), OutputState::Mapping, "it waits");
    world.script.broken.lock().unwrap().take();
    control::retry(&world.deps(), &world.job, None).await.unwrap().unwrap();
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    world.check_published(3).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_output_without_tasks_is_completed_and_does_not_block() {
    let world = World::with_recipe(Script { empty: vec!["transcript"], ..script() }, recipe());
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    assert_eq!(world.record().await.state(), JobState::Completed);
    world.check_output(&"transcript".parse().unwrap(), 0).await;
    world.check_output(&"video".parse().unwrap(), 3).await;
    world.check_nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_added_output_repeats_nothing_of_the_others() {
    let first = Recipe::built_in("rejoin").unwrap();
    let world = World::with_recipe(script(), first);
    let roles = world.start_all();
    world.submit().await;
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let completed_at = world.record().await.completed_at_ms;
    let before = world.script.finished.lock().unwrap().clone();
    let transcript = Recipe::built_in("transcript").unwrap();
    for _ in 0..3 {
        control::add_outputs(&world.deps(), &world.job, &transcript).await.unwrap();
    }
    assert_eq!(world.record().await.state(), JobState::Completed, "an added output is optional");
    world.ended().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.check_published(3).await;
    world.check_output(&"transcript".parse().unwrap(), 3).await;
    world.check_nothing_left().await;
    let record = world.record().await;
    assert_eq!(record.completed_at_ms, completed_at, "a job is completed once");
    let after = world.script.finished.lock().unwrap().clone();
    assert!(before.iter().all(|(task, times)| after[task] == *times), "a finished task was repeated");
    assert_eq!(after.len(), 6);
    let mut other = transcript.clone();
    other.transcripts_mut().for_each(|transcript| transcript.language = "de".into());
    let refused = control::add_outputs(&world.deps(), &world.job, &other).await.unwrap_err();
    assert!(refused.to_string().contains("other settings"), "{refused}");
    drain(roles).await;
}

/// The roles are killed at every moment of a job of three outputs.
#[tokio::test(start_paused = true)]
async fn three_outputs_survive_kills_at_any_moment() {
    for step in 0..90u64 {
        let world = World::with_recipe(script(), recipe());
        world.submit().await;
        let roles = world.start_all();
        tokio::time::sleep(Duration::from_millis(step * 433)).await;
        for role in roles {
            role.kill().await;
        }
        let roles = world.start_all();
        world.ended().await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        drain(roles).await;
        world.check_published(3).await;
        world.check_output(&"thumbnail".parse().unwrap(), 3).await;
        world.check_nothing_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_leaves_what_is_published() {
    let world = World::with_recipe(script(), recipe());
    let roles = world.start_all();
    world.submit().await;
    let transcript = "transcript".parse().unwrap();
    while world.record().await.output(&transcript).unwrap().state != OutputState::Completed {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = control::cancel(&world.deps(), &world.job, None).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    drain(roles).await;
    assert_eq!(state_of(&after, "transcript"), OutputState::Completed);
    let record = world.record().await;
    assert_eq!(state_of(&record, "video"), OutputState::Cancelled);
    assert_eq!(record.state(), JobState::Cancelled);
    world.check_output(&transcript, 3).await;
}

/// The plan of one output cannot be read; a message plans an output that was added.
#[tokio::test(start_paused = true)]
async fn an_unreadable_plan_does_not_block_the_planning_of_others() {
    let world = World::with_recipe(script(), Recipe::built_in("rejoin").unwrap());
    let planner = world.start_planner(world.deps(), "planner");
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let record = world.record().await;
    assert_eq!(state_of(&record, "video"), OutputState::Mapping);
    let plan: segue_domain::Key = record.outputs[0].plan.as_ref().unwrap().key.parse().unwrap();
    world.store.delete_many(&[plan]).await.unwrap();
    let transcript = Recipe::built_in("transcript").unwrap();
    control::add_outputs(&world.deps(), &world.job, &transcript).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(state_of(&world.record().await, "transcript"), OutputState::Mapping);
    planner.drain().await;
}

/// Task messages that wait on the lane, and those that a worker has.
async fn tasks(world: &World) -> (u64, u64) {
    let depth = world.queue.depth(Lane::Task(Resource::Cpu)).await.unwrap();
    (depth.waiting, depth.in_flight)
}

/// Two workers run a task each of an output, a third one waits.
async fn two_of_three_run(recipe: Recipe) -> (World, Vec<crate::world::Running>) {
    let slow = Script { task_takes: Duration::from_secs(600), ..script() };
    let world = World::with_recipe(slow, recipe);
    let roles = vec![
        world.start_planner(world.deps(), "planner"),
        world.start_worker(world.deps(), "worker-a"),
        world.start_worker(world.deps(), "worker-b"),
    ];
    world.submit().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    (world, roles)
}

#[tokio::test(start_paused = true)]
async fn a_repeated_plan_message_sends_no_task_that_is_running() {
    let (world, roles) = two_of_three_run(Recipe::built_in("rejoin").unwrap()).await;
    assert_eq!(tasks(&world).await, (1, 2));
    let body = segue_domain::Message::Plan { job: world.job.clone() }.encode();
    world.queue.send(Lane::Plan, &[body], Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(tasks(&world).await, (2, 2), "only the task that waits was sent again");
    // a message for an added output sends nothing of an output that has begun
    let transcript = Recipe::built_in("transcript").unwrap();
    control::add_outputs(&world.deps(), &world.job, &transcript).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(state_of(&world.record().await, "transcript"), OutputState::Mapping);
    assert_eq!(tasks(&world).await, (5, 2), "the tasks of the added output");
    drain(roles).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_sends_the_tasks_of_the_retried_output_alone() {
    let (world, roles) = two_of_three_run(Recipe::built_in("rejoin").unwrap()).await;
    let transcript = Recipe::built_in("transcript").unwrap();
    control::add_outputs(&world.deps(), &world.job, &transcript).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(tasks(&world).await, (4, 2));
    let transcript = "transcript".parse().unwrap();
    control::cancel(&world.deps(), &world.job, Some(&transcript)).await.unwrap().unwrap();
    control::retry(&world.deps(), &world.job, Some(&transcript)).await.unwrap().unwrap();
    assert_eq!(tasks(&world).await, (7, 2), "three tasks of the retried output");
    drain(roles).await;
}

/// An output waits long for another one, and then the message that wakes it is lost.
#[tokio::test(start_paused = true)]
async fn a_lost_message_of_a_waiting_output_is_sent_within_the_usual_time() {
    let slow = Script { join_takes: Duration::from_secs(1), ..script() };
    let world = World::with_recipe(slow, recipe());
    let mut roles = vec![
        world.start_planner(world.deps(), "planner"),
        world.start_worker(world.deps(), "worker-a"),
        world.start_sweeper(),
    ];
    world.submit().await;
    // the sweeper has looked at the video for so long that it waits 64 sweeps
    tokio::time::sleep(Duration::from_secs(20 * 3600)).await;
    let record = world.record().await;
    assert_eq!(state_of(&record, "video"), OutputState::Mapping);
    // the transcript is assembled by a process whose messages are lost
    let lost = Arc::new(MemoryQueue::new());
    let output = "transcript".parse().unwrap();
    let body = segue_domain::Message::Assemble { job: world.job.clone(), output }.encode();
    lost.send(Lane::Assemble, &[body], Duration::ZERO).await.unwrap();
    let deaf = world.start_assembler(world.deps_with(Arc::clone(&world.ledger) as _, lost), "deaf");
    while state_of(&world.record().await, "transcript") != OutputState::Completed {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    deaf.drain().await;
    roles.push(world.start_assembler(world.deps(), "assembler"));
    let every = world.config("x").sweep_every;
    tokio::time::sleep(every * 4).await;
    assert_eq!(state_of(&world.record().await, "video"), OutputState::Completed);
    drain(roles).await;
}
