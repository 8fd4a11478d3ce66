//! Real processes that are killed: the next process continues at once, and what was durable before
//! the kill is there after it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use segue_adapter_local::LocalBackend;
use segue_domain::completion::COMPLETION_VERSION;
use segue_domain::{Completion, JobId, Key, NewOutput, OutputId, OutputRef, TaskId, Term};
use segue_ports::{
    Acquired, CompletionLedger, FileUse, JobFilter, JobLedger, Lane, Lease, LeaseLedger, LeaseName,
    MediaStore, NewJob, PutOptions, Recorded, Resource, WorkQueue,
};

const STATE: &str = "SEGUE_TEST_STATE";
const LONG: Duration = Duration::from_secs(3600);
const QUEUE: Lane = Lane::Task(Resource::Cpu);

/// Starts one of the children below and waits until it has acquired a lease or a message.
fn start(child: &str, state: &Path) -> Child {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([child, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).any(|line| line.contains("ready"));
    assert!(ready, "{child} ended before it was ready");
    process
}

fn signal(process: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), signal).unwrap();
}

/// Kills it, and checks that it did not end by itself before.
fn kill_hard(mut process: Child) {
    use std::os::unix::process::ExitStatusExt;
    signal(&process, Signal::SIGKILL);
    let status = process.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "the child failed by itself: {status}");
}

fn state_of_child() -> PathBuf {
    std::env::var_os(STATE).expect("started by a test").into()
}

fn job(name: &str) -> JobId {
    name.parse().unwrap()
}

fn the_task() -> TaskId {
    "digest-00000".parse().unwrap()
}

fn video() -> OutputId {
    "video".parse().unwrap()
}

/// The output of an existing job.
async fn output_of(backend: &LocalBackend, id: &JobId) -> OutputRef {
    backend.ledger.job(id).await.unwrap().expect("the job").output_ref(&video())
}

async fn create(backend: &LocalBackend, id: &JobId) {
    let video = NewOutput {
        id: video(),
        kind: "video".into(),
        needs: vec![],
        required: true,
        priority: 0,
        spec: "s".into(),
    };
    let new = NewJob {
        id: id.clone(),
        asset: "x".parse().unwrap(),
        source_key: "input/x/source.bin".into(),
        recipe: "{}".into(),
        outputs: vec![video],
        awaiting: None,
    };
    backend.ledger.create_job(new).await.unwrap();
}

async fn acquire(backend: &LocalBackend, name: &LeaseName) -> Option<Lease> {
    match backend.ledger.acquire(name, backend.holder(), LONG).await.unwrap() {
        Acquired::Held(lease) => Some(lease),
        Acquired::Busy(_) => None,
    }
}

#[tokio::test]
#[ignore = "a child of the tests below"]
async fn child_holds_everything() {
    let state = state_of_child();
    let backend = LocalBackend::open(&state).unwrap();
    let lease = acquire(&backend, &LeaseName::plan(&job("j"))).await.unwrap();
    assert_eq!(lease.term, Term(1));
    assert_eq!(backend.queue.receive(QUEUE, 1, LONG, LONG).await.unwrap().len(), 1);
    std::fs::write(state.join("media/.tmp").join(backend.holder().as_str()).join("half"), "ha").unwrap();
    println!("ready");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let name = LeaseName::plan(&job("j"));
    // before: a backend that was open all the time; after: one that opens then
    for open_before in [true, false] {
        let state = folder.path().join(open_before.to_string());
        let backend = LocalBackend::open(&state).unwrap();
        backend.queue.send(QUEUE, &["m".to_owned()], Duration::ZERO).await.unwrap();
        let child = start("child_holds_everything", &state);
        assert_eq!(acquire(&backend, &name).await, None, "taken from a living process");
        assert_eq!(backend.queue.receive(QUEUE, 1, LONG, Duration::ZERO).await.unwrap(), []);
        signal(&child, Signal::SIGSTOP);
        assert_eq!(acquire(&backend, &name).await, None, "taken from a stopped process");
        let third = LocalBackend::open(&state).unwrap();
        assert_eq!(acquire(&third, &name).await, None, "taken by opening");
        drop(third);

        let backend = Some(backend).filter(|_| open_before);
        let sleeper = backend.clone().map(|backend| {
            tokio::spawn(async move { backend.queue.receive(QUEUE, 1, LONG, LONG).await.unwrap() })
        });
        kill_hard(child);
        let killed = Instant::now();
        let backend = backend.unwrap_or_else(|| LocalBackend::open(&state).unwrap());
        let lease = acquire(&backend, &name).await.expect("the lease of a dead process");
        assert_eq!(lease.term, Term(2), "the term grows all the same");
        let got = match sleeper {
            Some(sleeper) => sleeper.await.unwrap(),
            None => backend.queue.receive(QUEUE, 1, LONG, Duration::ZERO).await.unwrap(),
        };
        assert_eq!(got.len(), 1, "the message of a dead process");
        assert_eq!((got[0].deliveries, got[0].receipt.0.as_str()), (2, "1-2"));
        assert!(killed.elapsed() < Duration::from_secs(3), "it took {:?}", killed.elapsed());
        drop(backend);
        drop(LocalBackend::open(&state).unwrap());
        let open = state.join("media/.locks/open");
        assert_eq!(files_below(&state.join("media")), [open], "temporary files are left");
        assert_eq!(files_below(&state.join("alive")), [] as [PathBuf; 0]);
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

/// Bytes that identify their writer and show whether they are complete.
fn content(key: &Key) -> Vec<u8> {
    let line = format!("{key}\n");
    let times = 200 + line.len() * 37 % 3000;
    line.repeat(times).into_bytes()
}

/// One job with the steps of the roles; the process may be killed after each.
async fn work_on(backend: &LocalBackend, scratch: &Path, body: &str) {
    let (id, task) = (job(body), the_task());
    let Some(lease) = acquire(backend, &LeaseName::task(&id, &video(), &task)).await else { return };
    let output = output_of(backend, &id).await;
    if backend.ledger.completion(&output, &task).await.unwrap().is_none() {
        let key = Key::work(&id, &video(), &task, lease.term, "part.bin").unwrap();
        let file = scratch.join(uuid::Uuid::now_v7().to_string());
        std::fs::write(&file, content(&key)).unwrap();
        assert!(backend.store.head(&key).await.unwrap().is_none(), "a term was given twice");
        let options = PutOptions::default();
        backend.store.upload(&key, &file, FileUse::Consume, &options).await.unwrap();
        let replaced = Key::segment(&id, &video(), Term(1), "latest.bin").unwrap();
        let bytes = content(&replaced).into();
        backend.store.put_bytes(&replaced, bytes, &options).await.unwrap();
        let facts = serde_json::json!({ "key": key.to_string() });
        let (version, term) = (COMPLETION_VERSION, lease.term);
        let done = Completion { version, output, task, term, files: vec![], facts };
        assert_eq!(backend.ledger.record(&done, &lease).await.unwrap(), Recorded::Created);
        let public = Key::published(&id, "part.bin").unwrap();
        backend.store.promote(&key, &public, &options).await.unwrap();
    }
    backend.ledger.release(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child of the test below"]
async fn child_works_in_a_loop() {
    let state = state_of_child();
    let backend = LocalBackend::open(&state).unwrap();
    let scratch = state.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (backend, scratch) = (backend.clone(), scratch.clone());
        workers.spawn(async move {
            loop {
                let id = job(&uuid::Uuid::now_v7().to_string());
                create(&backend, &id).await;
                backend.queue.send(QUEUE, &[id.to_string()], Duration::ZERO).await.unwrap();
                for delivery in backend.queue.receive(QUEUE, 2, LONG, LONG).await.unwrap() {
                    work_on(&backend, &scratch, &delivery.body).await;
                    assert!(backend.queue.ack(QUEUE, &delivery.receipt).await.unwrap());
                }
            }
        });
    }
    println!("ready");
    workers.join_next().await.unwrap().unwrap();
}

/// Invariants of the folder after every kill. Returns the numbers of jobs and completions.
async fn check(state: &Path) -> (usize, usize) {
    let backend = LocalBackend::open(state).unwrap();
    let db = rusqlite::Connection::open(state.join("segue.db")).unwrap();
    let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let depth = backend.queue.depth(QUEUE).await.unwrap();
    assert_eq!((depth.in_flight, depth.dead), (0, 0), "messages of the dead are free");
    let bodies: Vec<String> = db
        .prepare("SELECT body FROM messages")
        .and_then(|mut all| all.query_map([], |row| row.get(0))?.collect())
        .unwrap();
    let waiting: BTreeSet<String> = bodies.into_iter().collect();

    let own = state.join("media/.tmp").join(backend.holder().as_str());
    let temps = std::fs::read_dir(state.join("media/.tmp")).unwrap().flatten();
    assert_eq!(temps.map(|e| e.path()).collect::<Vec<_>>(), [own], "temporary files of the dead");
    let mut from = None;
    loop {
        let page = backend.store.list("", from.as_deref(), 50).await.unwrap();
        for object in page.objects {
            let key: Key = object.key.parse().unwrap();
            let bytes = backend.store.get_bytes(&key, 1 << 24).await.unwrap();
            let mut expected = content(&key);
            if let Key::Published { job, .. } = &key {
                let output = output_of(&backend, job).await;
                let done = backend.ledger.completion(&output, &the_task()).await.unwrap().expect("published");
                expected = content(&done.facts["key"].as_str().unwrap().parse().unwrap());
            }
            assert!(bytes == expected, "{key} holds a part of a write");
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let (mut jobs, mut done) = (0, 0);
    let mut from = None;
    loop {
        let page = backend.ledger.jobs(JobFilter::default(), from.as_deref(), 50).await.unwrap();
        for record in page.jobs {
            let output = record.output_ref(&video());
            let completions = backend.ledger.completions(&output, None, 10).await.unwrap();
            let counted = backend.ledger.completed(&output).await.unwrap();
            assert_eq!(counted, completions.len() as u64, "counts are completions");
            for completion in &completions {
                let key: Key = completion.facts["key"].as_str().unwrap().parse().unwrap();
                assert!(backend.store.head(&key).await.unwrap().is_some(), "{key} was recorded and is lost");
            }
            let in_queue = waiting.contains(record.id.as_str());
            // acknowledged only after it was recorded; a sweeper would send what was never sent
            let never_sent = record.updated_at_ms == record.created_at_ms && completions.is_empty();
            assert!(in_queue || !completions.is_empty() || never_sent, "job {} is lost", record.id);
            jobs += 1;
            done += completions.len();
        }
        from = page.next;
        if from.is_none() {
            return (jobs, done);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_promise_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut seen = (0, 0);
    // on a busy machine a child may be killed before it starts: then it takes more rounds
    for round in 0..320_u64 {
        if round >= 32 && seen.1 > 50 {
            break;
        }
        let children = [start("child_works_in_a_loop", &state), start("child_works_in_a_loop", &state)];
        for (n, child) in children.into_iter().enumerate() {
            let noise = uuid::Uuid::new_v4().as_u128() as u64;
            tokio::time::sleep(Duration::from_micros(noise % if n == 0 { 90_000 } else { 40_000 })).await;
            kill_hard(child);
        }
        let now = check(&state).await;
        assert!(now.0 >= seen.0 && now.1 >= seen.1, "round {round}: {now:?} after {seen:?}");
        seen = now;
    }
    assert!(seen.1 > 50, "the children hardly did anything: {seen:?}");
    println!("64 kills: {} jobs, {} completions", seen.0, seen.1);
}
