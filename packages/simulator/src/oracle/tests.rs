//! Each invariant is violated on purpose: the oracle reports it, and which.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use segue_domain::completion::COMPLETION_VERSION;
use segue_domain::{
    CommittedIndex, Completion, Failure, FaultKind, Gate, JobId, Key, Manifest, Message, Need, NewOutput,
    OutputId, OutputRef, OutputState, PlanHash, SealedPlan, TaskId, Term,
};
use segue_ports::{JobChange, Lane, LeaseName, NewJob, OutputChange, Resource};
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

fn video() -> OutputId {
    "video".parse().unwrap()
}

fn transcript() -> OutputId {
    "transcript".parse().unwrap()
}

fn output_ref() -> OutputRef {
    OutputRef { job: job(), epoch: EPOCH.parse().unwrap(), output: video() }
}

fn task() -> TaskId {
    "digest-00000".parse().unwrap()
}

fn by() -> By {
    By { process: 0, holder: "p0-0".parse().unwrap(), partial: false }
}

fn failure(cause: &str) -> OutputChange {
    OutputChange::Fail(Failure::new(FaultKind::Internal, cause))
}

fn asked(id: OutputId, needs: Vec<Need>) -> NewOutput {
    NewOutput { id, kind: "video".into(), needs, required: true, priority: 0, spec: String::new() }
}

/// A job of a video, and of a transcript that the video needs where `gate` is given.
fn new_job(gate: Option<Gate>) -> NewJob {
    let needs = gate.map(|gate| Need { output: transcript(), gate });
    let mut outputs = vec![asked(video(), needs.into_iter().collect())];
    outputs.extend(gate.map(|_| asked(transcript(), Vec::new())));
    NewJob {
        id: job(),
        asset: "j0".parse().unwrap(),
        source_key: "input/j0/source.mp4".into(),
        recipe: String::new(),
        outputs,
        awaiting: None,
    }
}

/// The epoch of the first job, created at time 0.
const EPOCH: &str = "0000000000000000000000000001";

fn created(state: &mut State) {
    state.model.create(&new_job(None), 0);
}

/// The state of the video, whatever it was.
fn put_in(state: &mut State, now: OutputState) {
    state.model.jobs.get_mut(&job()).unwrap().outputs[0].state = now;
}

/// Makes a change in the model, without a fence, and checks it.
fn change(world: &World, state: &mut State, change: &JobChange) {
    let before = state.model.jobs[&job()].clone();
    let after = state.model.change(&job(), change, None, 0).expect("allowed here");
    world.judge_change(state, &by(), change, &before, &after);
}

fn change_video(world: &World, state: &mut State, of_video: OutputChange) {
    change(world, state, &JobChange::output(&video(), of_video));
}

fn hold(state: &mut State, name: &LeaseName) {
    state.model.acquire(name, &by().holder, Duration::from_secs(30), 0);
}

fn sealed_plan() -> SealedPlan {
    SealedPlan { hash: PlanHash("x".into()), key: "segments/j0/video/1/plan.json".into(), tasks: 1 }
}

fn sealed(world: &World, state: &mut State) {
    created(state);
    hold(state, &LeaseName::plan(&job()));
    change(world, state, &JobChange::Seal(vec![(video(), sealed_plan())]));
}

fn completion(files: Vec<segue_domain::PartFile>) -> Completion {
    Completion {
        version: COMPLETION_VERSION,
        output: output_ref(),
        task: task(),
        term: Term(1),
        files,
        facts: serde_json::Value::Null,
    }
}

fn message(body: String) -> Sent {
    let now = tokio::time::Instant::now();
    Sent { id: 1, body, visible_at: now, deliveries: 1, delivered_at: now, forgotten: false }
}

/// A manifest that lists nothing, of a life of the job.
fn manifest(epoch: &str) -> Manifest {
    Manifest {
        version: segue_domain::manifest::MANIFEST_VERSION,
        job: job(),
        epoch: epoch.parse().unwrap(),
        recipe: String::new(),
        source_bytes: 0,
        duration_ms: None,
        outputs: BTreeMap::new(),
    }
}

fn write_manifest(world: &World, state: &mut State, manifest: &Manifest) {
    world.judge_document(state, &Key::manifest(&job()), &Bytes::from(manifest.encode()));
}

/// A committed and published video of a job that is being published.
fn published(state: &mut State) {
    created(state);
    put_in(state, OutputState::Publishing);
    state.oracle.commits(&job(), &video(), "video.txt", Bytes::from_static(b"mine"));
    let public = Key::published(&job(), "video.txt").unwrap().to_string();
    state.objects.put(&public, Bytes::from_static(b"mine"));
    let mut manifest = manifest(EPOCH);
    let committed = state.oracle.output(&job(), &video()).committed.as_ref().unwrap();
    let (index, hash) = (committed.index.clone(), committed.hash.clone());
    manifest.add(&index, &hash);
    state.objects.put(&Key::index(&job(), &video()).to_string(), Bytes::from(index.encode().0));
    state.oracle.story(&job()).listed.insert(video(), hash);
    state.objects.put(&Key::manifest(&job()).to_string(), Bytes::from(manifest.encode()));
}

/// The first violation after `does`.
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
fn a_correct_world_has_no_violation() {
    let quiet = said(|world, state| {
        created(state);
        change(world, state, &JobChange::Cancel);
        world.look(state);
        world.judge_rest(state);
    });
    assert_eq!(quiet, None);
}

#[test]
fn a_violated_invariant_is_named() {
    type Violate = fn(&Arc<World>, &mut State);
    let cases: [(Invariant, Violate); 21] = [
        (Invariant::Cause, |world, state| {
            created(state);
            hold(state, &LeaseName::plan(&job()));
            change_video(world, state, failure("for no reason"));
        }),
        (Invariant::StaleTerm, |world, state| {
            created(state);
            change_video(world, state, failure("injected"));
        }),
        (Invariant::Durable, |world, state| sealed(world, state)),
        (Invariant::Durable, |world, state| {
            let key = "work/j0/video/digest-00000/1/part.txt".to_owned();
            let file = segue_domain::PartFile { name: "part.txt".into(), key, bytes: 1 };
            world.judge_completion(state, &completion(vec![file]));
        }),
        (Invariant::SegmentsOnce, |world, state| world.judge_completion(state, &completion(vec![]))),
        (Invariant::SegmentsOnce, |world, state| {
            created(state);
            put_in(state, OutputState::Assembling);
            hold(state, &LeaseName::assemble(&job(), &video()));
            let index =
                CommittedIndex { key: "work/j0/video/assembly/1/index.json".into(), hash: "h".into() };
            change_video(world, state, OutputChange::Commit(index));
        }),
        (Invariant::AckLast, |world, state| {
            created(state);
            let body = Message::Plan { job: job() }.encode();
            world.judge_ack(state, Lane::Plan, &message(body));
        }),
        (Invariant::GoodMessage, |world, state| {
            let body = Message::Plan { job: job() }.encode();
            world.judge_dead_letter(state, &message(body), "no reason");
        }),
        (Invariant::Bounded, |world, state| {
            let body = Message::Plan { job: job() }.encode();
            (0..100).for_each(|_| world.judge_send(state, Lane::Plan, &body));
        }),
        (Invariant::Unwanted, |world, state| {
            created(state);
            let from = Key::work(&job(), &video(), &task(), Term(1), "video.txt").unwrap();
            world.judge_promote(state, &from, &Key::published(&job(), "video.txt").unwrap());
        }),
        (Invariant::OwnKeys, |world, state| {
            let key = Key::work(&job(), &video(), &task(), Term(1), "part.txt").unwrap();
            world.judge_put(state, &by(), &key);
            world.judge_put(state, &By { holder: "p1-0".parse().unwrap(), ..by() }, &key);
        }),
        (Invariant::PublishedOnce, |world, state| {
            created(state);
            put_in(state, OutputState::Publishing);
            change_video(world, state, OutputChange::Complete);
        }),
        (Invariant::PublishedOnce, |world, state| {
            published(state);
            state.oracle.output(&job(), &video()).committed.as_mut().unwrap().published = 1;
            let from = Key::work(&job(), &video(), &task(), Term(1), "index.json").unwrap();
            world.judge_promote(state, &from, &Key::index(&job(), &video()));
        }),
        (Invariant::Manifest, |world, state| {
            published(state);
            state.objects.delete(&Key::manifest(&job()).to_string());
            put_in(state, OutputState::Publishing);
            change_video(world, state, OutputChange::Complete);
        }),
        (Invariant::Manifest, |world, state| {
            published(state);
            write_manifest(world, state, &manifest(EPOCH));
        }),
        (Invariant::Manifest, |world, state| {
            published(state);
            write_manifest(world, state, &manifest("0"));
        }),
        (Invariant::Manifest, |world, state| {
            published(state);
            let index = state.oracle.output(&job(), &video()).committed.as_ref().unwrap().index.clone();
            let mut wrong = Manifest::decode(state.objects.get("jobs/j0/manifest.json").unwrap()).unwrap();
            wrong.add(&segue_domain::OutputIndex { output: transcript(), ..index }, "h");
            write_manifest(world, state, &wrong);
        }),
        (Invariant::Needs, |world, state| {
            state.model.create(&new_job(Some(Gate::Plan)), 0);
            hold(state, &LeaseName::plan(&job()));
            let before = state.model.jobs[&job()].clone();
            let seal = JobChange::Seal(vec![(video(), sealed_plan())]);
            world.judge_change(state, &by(), &seal, &before, &before);
        }),
        (Invariant::Addition, |world, state| {
            created(state);
            let before = state.model.jobs[&job()].clone();
            let mut after = before.clone();
            after.outputs[0].retries = 1;
            let add = JobChange::Add { outputs: vec![], recipe: String::new(), revision: 1 };
            world.judge_change(state, &by(), &add, &before, &after);
        }),
        (Invariant::Deleting, |world, state| {
            created(state);
            state.model.jobs.get_mut(&job()).unwrap().deleting = true;
            let before = state.model.jobs[&job()].clone();
            world.judge_change(state, &by(), &JobChange::Cancel, &before, &before);
        }),
        (Invariant::Deleting, |world, state| {
            // not by a user
            created(state);
            change(world, state, &JobChange::Delete { epoch: EPOCH.parse().unwrap() });
        }),
    ];
    for (number, (invariant, violate)) in cases.into_iter().enumerate() {
        assert_eq!(said(violate), Some(invariant), "case {number}");
    }
}

#[test]
fn the_state_of_a_job_that_is_not_that_of_its_outputs_is_noticed() {
    let completed_at = |state: OutputState, at: Option<i64>| {
        said(|world, of_world| {
            created(of_world);
            put_in(of_world, state);
            let mut job = of_world.model.jobs[&job()].clone();
            job.completed_at_ms = at;
            world.judge_state(of_world, &job.clone(), &job);
            let earlier = segue_domain::JobRecord { completed_at_ms: Some(1), ..job.clone() };
            if at.is_some() {
                world.judge_state(of_world, &earlier, &job);
            }
        })
    };
    assert_eq!(completed_at(OutputState::Completed, Some(1)), None);
    assert_eq!(completed_at(OutputState::Completed, Some(2)), Some(Invariant::JobState), "completed again");
    assert_eq!(completed_at(OutputState::Completed, None), Some(Invariant::JobState), "not noted");
    assert_eq!(completed_at(OutputState::Mapping, None), None);
}

/// Files of an output are judged by its own state, not by that of its job.
#[test]
fn a_removed_file_of_an_output_that_still_runs_is_noticed() {
    let removed = |of_video: OutputState| {
        said(|world, state| {
            created(state);
            put_in(state, of_video);
            state.model.jobs.get_mut(&job()).unwrap().outputs[0].asked.required = false;
            let part = Key::work(&job(), &video(), &task(), Term(1), "part.txt").unwrap();
            let file = segue_domain::PartFile { name: "part.txt".into(), key: part.to_string(), bytes: 9 };
            state.model.completions.insert((output_ref(), task()), completion(vec![file]));
            state.objects.put(&part.to_string(), Bytes::from_static(b"a result"));
            world.judge_delete(state, &by(), &part, None);
        })
    };
    assert_eq!(removed(OutputState::Completed), None);
    for of_video in [OutputState::Mapping, OutputState::Assembling, OutputState::Failed] {
        assert_eq!(removed(of_video), Some(Invariant::Needed), "{of_video}");
    }
}

/// Removals of plain names are checked against the last answer of the ledger.
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
        let public = Key::published(&job(), "video.txt").unwrap();
        assert_eq!(removes(&public, None), None, "there is no job");
        let early = tokio::time::Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        created(&mut world.lock());
        world.lock().oracle.created(&job(), BTreeSet::new());
        assert_eq!(removes(&public, Some(early)), None, "it was created while the removal was on its way");
        tokio::time::advance(Duration::from_secs(1)).await;
        let late = tokio::time::Instant::now();
        assert_eq!(removes(&public, Some(late)), Some(Invariant::Needed));

        // a key with a term is never excused
        let part = Key::work(&job(), &video(), &task(), Term(1), "part.txt").unwrap();
        let file = segue_domain::PartFile { name: "part.txt".into(), key: part.to_string(), bytes: 9 };
        world.lock().model.completions.insert((output_ref(), task()), completion(vec![file]));
        assert_eq!(removes(&part, Some(early)), Some(Invariant::Needed));
    });
}

#[test]
fn a_file_of_an_earlier_job_is_not_what_was_committed() {
    let said = said(|world, state| {
        published(state);
        change_video(world, state, OutputChange::Complete);
        assert_eq!(state.violation, None);
        // as long, and of another job
        state.objects.put("jobs/j0/video.txt", Bytes::from_static(b"your"));
        world.judge_rest(state);
    });
    assert_eq!(said, Some(Invariant::PublishedOnce));
}

#[test]
fn a_lease_that_two_holders_trust_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(calm(), PathBuf::new());
        let life = Arc::new(Life::new(0, "w0", 0, CancellationToken::new()));
        let (name, token) = (LeaseName::task(&job(), &video(), &task()), CancellationToken::new());
        let work = world.work_begins(&life, &job(), Some(&video()), name.clone(), &token);
        token.cancel();
        world.judge_grant(&mut world.lock(), &name);
        assert_eq!(world.lock().violation, None, "cancelled work trusts no lease");
        world.work_ends(work);
        world.work_begins(&life, &job(), Some(&video()), name.clone(), &CancellationToken::new());
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
    assert!(left(|state| state.objects.put("work/j0/video/digest-00000/1/part.txt", Bytes::new())).is_some());
    assert!(left(|state| state.objects.put("segments/j0/video/1/plan.json", Bytes::new())).is_some());
    assert!(
        left(|state| state.lanes.lane(Lane::Task(Resource::Cpu)).send("x".into(), Duration::ZERO)).is_some()
    );
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
fn a_job_without_a_role_does_not_end() {
    // the sweeper sends the tasks again and again
    assert_eq!(without(Role::Worker), Some(Invariant::Bounded));
    assert_eq!(without(Role::Planner), Some(Invariant::Ends));
    assert_eq!(without(Role::Assembler), Some(Invariant::Ends));
}

#[test]
fn a_completion_that_is_counted_twice_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        use segue_ports::JobLedger;
        let world = World::new(calm(), PathBuf::new());
        // the ledger has no completion, the model has one
        world.ledger.create_job(new_job(None)).await.unwrap();
        let state = &mut *world.lock();
        created(state);
        let done = completion(vec![]);
        state.model.completions.insert((output_ref(), task()), done.clone());
        world.judge_completion(state, &done);
        assert_eq!(
            state.violation.as_ref().map(|violation| violation.invariant),
            Some(Invariant::CountedOnce)
        );
    });
}

#[test]
fn a_ledger_that_differs_from_the_model_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        use segue_ports::JobLedger;
        let world = Arc::new(World::new(calm(), PathBuf::new()));
        let port = crate::port::Port::new(&world, &Arc::new(Life::new(0, "p0", 0, CancellationToken::new())));
        created(&mut world.lock());
        let _ = port.job(&job()).await;
        let found = world.lock().violation.as_ref().map(|violation| violation.invariant);
        assert_eq!(found, Some(Invariant::Model));
    });
}

#[test]
fn what_is_public_of_a_deleted_job_is_noticed() {
    let left = said(|world, state| {
        state.objects.put("jobs/j0/video.txt", Bytes::new());
        world.judge_rest(state);
    });
    assert_eq!(left, Some(Invariant::Orphans));
}
