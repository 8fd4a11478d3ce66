//! Each invariant, broken on purpose: the oracle says so, and says which.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::{Completion, Failure, FaultKind, JobId, Key, Message, PlanHash, SealedPlan, TaskId, Term};
use segue_ports::{JobChange, LeaseName, NewJob, Lane, Resource};
use tokio_util::sync::CancellationToken;

use crate::history;
use crate::life::Life;
use crate::oracle::Invariant;
use crate::params::{Params, Role};
use crate::port::By;
use crate::queue::Sent;
use crate::scenario::Scenario;
use crate::world::{State, World};

fn calm() -> Params {
    Params::draw(3, Scenario::named("calm").unwrap(), HashSet::new())
}

fn job() -> JobId {
    "j0".parse().unwrap()
}

fn task() -> TaskId {
    "carry-00000".parse().unwrap()
}

fn by() -> By {
    By { process: 0, holder: "c0-0".parse().unwrap(), partial: false }
}

fn failure(cause: &str) -> Failure {
    Failure { kind: FaultKind::Internal, cause: cause.into(), task: None, stderr_tail: vec![] }
}

fn created(state: &mut State) {
    let new = NewJob { id: job(), source_key: "input/j0/source.mp4".into(), recipe: String::new() };
    state.model.create(&new, 0);
}

/// Makes a change in the model, without a fence, and has it judged.
fn change(world: &World, state: &mut State, change: &JobChange) {
    let after = state.model.change(&job(), change, None, 0).expect("allowed here");
    world.judge_change(state, &by(), change, &after);
}

fn hold(state: &mut State, name: &LeaseName) {
    state.model.acquire(name, &by().holder, Duration::from_secs(30), 0);
}

fn sealed(world: &World, state: &mut State) {
    created(state);
    hold(state, &LeaseName::chunk(&job()));
    let plan = SealedPlan { hash: PlanHash("x".into()), key: "segments/j0/1/plan.json".into(), tasks: 1 };
    change(world, state, &JobChange::Seal(plan));
}

fn completion(files: Vec<segue_domain::PartFile>) -> Completion {
    Completion { job: job(), task: task(), term: Term(1), files, facts: serde_json::Value::Null }
}

fn message(body: String) -> Sent {
    let now = tokio::time::Instant::now();
    Sent { id: 1, body, visible_at: now, deliveries: 1, delivered_at: now, forgotten: false }
}

/// What the oracle says first after `does`.
fn said(does: impl FnOnce(&Arc<World>, &mut State)) -> Option<Invariant> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = Arc::new(World::new(calm(), PathBuf::new()));
        let state = &mut *world.lock();
        does(&world, state);
        state.violation.as_ref().map(|violation| violation.invariant)
    })
}

#[test]
fn a_world_in_order_is_not_complained_about() {
    let quiet = said(|world, state| {
        created(state);
        change(world, state, &JobChange::Cancel);
        world.look(state);
        world.judge_rest(state);
    });
    assert_eq!(quiet, None);
}

#[test]
fn a_broken_invariant_is_named() {
    type Break = fn(&Arc<World>, &mut State);
    let cases: [(Invariant, Break); 12] = [
        (Invariant::Cause, |world, state| {
            created(state);
            hold(state, &LeaseName::chunk(&job()));
            change(world, state, &JobChange::Fail(failure("for no reason")));
        }),
        (Invariant::StaleTerm, |world, state| {
            created(state);
            change(world, state, &JobChange::Fail(failure("injected")));
        }),
        (Invariant::Durable, |world, state| sealed(world, state)),
        (Invariant::Durable, |world, state| {
            let key = "work/j0/carry-00000/1/part.txt".to_owned();
            world.judge_completion(
                state,
                &completion(vec![segue_domain::PartFile { name: "part.txt".into(), key, bytes: 1 }]),
            );
        }),
        (Invariant::SegmentsOnce, |world, state| world.judge_completion(state, &completion(vec![]))),
        (Invariant::AckLast, |world, state| {
            created(state);
            let body = Message::Chunk { job: job() }.encode();
            world.judge_ack(state, Lane::Plan, &message(body));
        }),
        (Invariant::GoodMessage, |world, state| {
            let body = Message::Chunk { job: job() }.encode();
            world.judge_dead_letter(state, &message(body), "a whim");
        }),
        (Invariant::Bounded, |world, state| {
            let body = Message::Chunk { job: job() }.encode();
            (0..100).for_each(|_| world.judge_send(state, Lane::Plan, &body));
        }),
        (Invariant::Unwanted, |world, state| {
            created(state);
            let from = Key::work(&job(), &task(), Term(1), "final.txt").unwrap();
            world.judge_promote(state, &from, &Key::published(&job(), "final.txt").unwrap());
        }),
        (Invariant::OwnKeys, |world, state| {
            let key = Key::work(&job(), &task(), Term(1), "part.txt").unwrap();
            world.judge_put(state, &by(), &key);
            world.judge_put(state, &By { holder: "c1-0".parse().unwrap(), ..by() }, &key);
        }),
        (Invariant::Needed, |world, state| {
            let key = Key::source(&job(), "mp4");
            created(state);
            state.objects.put(&key.to_string(), Bytes::new());
            world.judge_delete(state, &by(), &key, None);
        }),
        (Invariant::OneManifest, |world, state| {
            created(state);
            state.model.jobs.get_mut(&job()).unwrap().state = segue_domain::JobState::Publishing;
            change(world, state, &JobChange::Complete);
        }),
    ];
    for (number, (invariant, breaks)) in cases.into_iter().enumerate() {
        assert_eq!(said(breaks), Some(invariant), "case {number}");
    }
}

/// A user's removals are judged by what the ledger could have told.
#[test]
fn a_deletion_that_takes_from_the_next_job_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(calm(), PathBuf::new());
        let user = world.params.processes.iter().position(|process| process.role == Role::User).unwrap();
        let by = By { process: user, ..by() };
        let removes = |key: &Key, asked| {
            let state = &mut *world.lock();
            state.objects.put(&key.to_string(), Bytes::from_static(b"another's"));
            world.judge_delete(state, &by, key, asked);
            state.violation.take().map(|violation| violation.invariant)
        };
        let public = Key::published(&job(), "final.txt").unwrap();
        assert_eq!(removes(&public, None), None, "there is no job");
        let early = tokio::time::Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        created(&mut world.lock());
        world.lock().oracle.created(&job(), BTreeSet::new());
        assert_eq!(removes(&public, Some(early)), None, "it was made while the removal was under way");
        tokio::time::advance(Duration::from_secs(1)).await;
        let late = tokio::time::Instant::now();
        assert_eq!(removes(&public, Some(late)), Some(Invariant::Needed));

        // what has a term is never excused
        let part = Key::work(&job(), &task(), Term(1), "part.txt").unwrap();
        let file = segue_domain::PartFile { name: "part.txt".into(), key: part.to_string(), bytes: 9 };
        world.lock().model.completions.insert((job(), task()), completion(vec![file]));
        assert_eq!(removes(&part, Some(early)), Some(Invariant::Needed));
    });
}

#[test]
fn a_file_of_an_earlier_job_is_not_what_was_committed() {
    let said = said(|world, state| {
        created(state);
        state.model.jobs.get_mut(&job()).unwrap().state = segue_domain::JobState::Publishing;
        state.oracle.commits(&job(), "final.txt", Bytes::from_static(b"mine"));
        let public = Key::published(&job(), "final.txt").unwrap().to_string();
        state.objects.put(&public, Bytes::from_static(b"mine"));
        change(world, state, &JobChange::Complete);
        assert_eq!(state.violation, None);
        // as long, and another's
        state.objects.put(&public, Bytes::from_static(b"your"));
        world.judge_rest(state);
    });
    assert_eq!(said, Some(Invariant::OneManifest));
}

#[test]
fn a_lease_that_two_trust_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(calm(), PathBuf::new());
        let life = Arc::new(Life::new(0, "w0", 0, CancellationToken::new()));
        let (name, token) = (LeaseName::task(&job(), &task()), CancellationToken::new());
        let work = world.work_begins(&life, &job(), name.clone(), &token);
        token.cancel();
        world.judge_grant(&mut world.lock(), &name);
        assert_eq!(world.lock().violation, None, "work that was called off trusts nothing");
        world.work_ends(work);
        world.work_begins(&life, &job(), name.clone(), &CancellationToken::new());
        world.judge_grant(&mut world.lock(), &name);
        assert_eq!(world.lock().violation.as_ref().unwrap().invariant, Invariant::Trust);
    });
}

#[test]
fn what_is_left_over_is_noticed() {
    let left = |does: fn(&mut State)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let world = World::new(calm(), PathBuf::new());
            let state = &mut *world.lock();
            does(state);
            world.left_over(state)
        })
    };
    assert_eq!(left(|_| {}), None);
    assert!(left(|state| state.objects.put("work/j0/carry-00000/1/part.txt", Bytes::new())).is_some());
    assert!(left(|state| state.objects.put("segments/j0/1/plan.json", Bytes::new())).is_some());
    assert!(left(|state| state.lanes.lane(Lane::Task(Resource::Cpu)).send("x".into(), Duration::ZERO)).is_some());
    let late = i64::MAX;
    let holder = Some(by().holder);
    let held = crate::model::LastLease { term: 1, holder, until_ms: late };
    let leases = BTreeMap::from([("sweep".to_owned(), held)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(calm(), PathBuf::new());
        world.lock().model.leases = leases;
        assert!(world.left_over(&world.lock()).is_some());
    });
}

/// A history in which no role of a kind is there.
fn without(role: Role) -> Option<Invariant> {
    let mut params = calm();
    params.processes.retain(|process| process.role != role);
    let scratch = crate::sweep::scratch_folder().unwrap();
    history::run(params, scratch.path()).violation.map(|violation| violation.invariant)
}

#[test]
fn a_job_that_nobody_works_on_does_not_end() {
    // what nobody takes off the queue, the sweeper goes on sending
    assert_eq!(without(Role::Worker), Some(Invariant::Bounded));
    assert_eq!(without(Role::Chunker), Some(Invariant::Ends));
    assert_eq!(without(Role::Reassembler), Some(Invariant::Ends));
}

#[test]
fn a_completion_that_is_counted_twice_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        use segue_ports::JobLedger;
        let world = World::new(calm(), PathBuf::new());
        let new = NewJob { id: job(), source_key: "input/j0/source.mp4".into(), recipe: String::new() };
        // the ledger knows of none, the model of one
        world.ledger.create_job(new).await.unwrap();
        let state = &mut *world.lock();
        created(state);
        let done = completion(vec![]);
        state.model.completions.insert((job(), task()), done.clone());
        world.judge_completion(state, &done);
        assert_eq!(
            state.violation.as_ref().map(|violation| violation.invariant),
            Some(Invariant::CountedOnce)
        );
    });
}

#[test]
fn a_ledger_that_does_otherwise_than_the_model_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        use segue_ports::JobLedger;
        let world = Arc::new(World::new(calm(), PathBuf::new()));
        let port = crate::port::Port::new(&world, &Arc::new(Life::new(0, "c0", 0, CancellationToken::new())));
        created(&mut world.lock());
        let _ = port.job(&job()).await;
        let found = world.lock().violation.as_ref().map(|violation| violation.invariant);
        assert_eq!(found, Some(Invariant::Model));
    });
}

#[test]
fn what_is_public_of_a_deleted_job_is_noticed() {
    let left = said(|world, state| {
        state.objects.put("jobs/j0/final.txt", Bytes::new());
        world.judge_rest(state);
    });
    assert_eq!(left, Some(Invariant::Orphans));
}
