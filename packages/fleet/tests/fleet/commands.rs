//! Jobs by their ids, and processes that are asked to end.

use std::process::Output;
use std::time::Duration;

use segue_domain::{JobId, JobState, Key, TaskId};
use segue_fleet::{Fleet, Tuning, Weather, clip, oracle};
use segue_ports::{CompletionLedger, JobLedger, Lane, MediaStore, Resource, WorkQueue};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

fn run(fleet: &Fleet, args: &[&str]) -> Output {
    fleet.segue(args).output().expect("the program starts")
}

/// What a command prints as JSON, its last line where there are several.
fn said(fleet: &Fleet, args: &[&str]) -> Value {
    let output = run(fleet, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(text.lines().last().unwrap_or_default()))
        .unwrap()
}

fn refused(fleet: &Fleet, args: &[&str], code: i32, words: &str) {
    let output = run(fleet, args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(words) && text.trim().lines().count() == 1, "{args:?}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_given_followed_and_removed_by_commands_alone() {
    let fleet = Fleet::new(Tuning::default()).await.unwrap();
    let clip = clip(fleet.dir()).unwrap();
    let clip = clip.to_str().unwrap();
    let job = said(&fleet, &["submit", clip, "--recipe", "rejoin", "--job", "mine", "--json"]);
    assert_eq!((job["id"].as_str(), job["state"].as_str()), (Some("mine"), Some("created")));
    // the notice of the upload finds the job with its own recipe
    let _crew = fleet.start("planner,worker,assembler,sweeper").unwrap();
    let watched = said(&fleet, &["watch", "mine", "--json"]);
    assert_eq!(watched["state"], "completed", "{watched}\n{}", fleet.words());
    let status = said(&fleet, &["status", "mine", "--json"]);
    assert!(status["manifest"]["outputs"]["video"]["files"].as_array().unwrap().len() >= 2, "{status}");
    let listed = said(&fleet, &["status", "--state", "completed", "--json"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    // the same again is the same job
    let again = said(&fleet, &["submit", clip, "--recipe", "rejoin", "--job", "mine", "--json"]);
    assert_eq!(again["state"], "completed");
    oracle::quiet(&fleet, PATIENCE).await.unwrap();

    // an object in its place, and one that is copied
    let input = fleet.deployment.settings.buckets.input.clone();
    let elsewhere = format!("s3://{input}/elsewhere/talk.mp4");
    fleet.put("elsewhere/talk.mp4", clip.as_ref()).await.unwrap();
    let copied = said(&fleet, &["submit", &elsewhere, "--recipe", "rejoin", "--watch", "--json"]);
    assert_eq!(copied["state"], "completed", "{copied}");
    refused(&fleet, &["submit", &format!("s3://{input}/none.mp4")], 3, "there is no s3://");
    refused(&fleet, &["submit", "s3://bucket"], 2, "s3://BUCKET/KEY");

    said(&fleet, &["delete", "mine", "--with-source", "--json"]);
    for prefix in ["input/mine/", "jobs/mine/"] {
        assert!(fleet.backend.store.list(prefix, None, 10).await.unwrap().objects.is_empty(), "{prefix}");
    }
    refused(&fleet, &["status", "mine"], 2, "no job mine");
    refused(&fleet, &["retry", copied["id"].as_str().unwrap()], 2, "only failed or cancelled");
    refused(&fleet, &["status", "a/b"], 2, "letters");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_source_is_gone_says_so_and_goes_on_when_it_is_back() {
    let fleet = Fleet::new(Tuning::default()).await.unwrap();
    let clip = clip(fleet.dir()).unwrap();
    let key: Key = "input/lost/source.mp4".parse().unwrap();
    fleet.put(&key.to_string(), &clip).await.unwrap();
    fleet.backend.store.delete(&key).await.unwrap();
    let _crew = fleet.start("planner,worker,assembler,sweeper").unwrap();
    let job: JobId = "lost".parse().unwrap();
    let record = fleet.ended(&job, PATIENCE).await.unwrap();
    let cause = &record.failure().expect("it failed").cause;
    assert!(record.state() == JobState::Failed && cause.contains("not there any more"), "{cause}");
    let watched = run(&fleet, &["watch", "lost"]);
    assert_eq!(watched.status.code(), Some(3), "the source's fault");

    let again = said(&fleet, &["submit", clip.to_str().unwrap(), "--job", "lost", "--watch", "--json"]);
    assert_eq!(again["state"], "completed", "{again}\n{}", fleet.words());
    oracle::quiet(&fleet, PATIENCE).await.unwrap();
}

/// The submission and the notice of its upload have the tasks sent twice; a repeat of a task
/// that is worked on waits for its lease, and would hide whether the task was given back.
async fn each_task_once(fleet: &Fleet, job: &JobId, started: std::time::Instant) {
    let queue = &fleet.backend.queue;
    let is_quiet = async || {
        let depth = queue.depth(Lane::Plan).await.unwrap();
        let job = fleet.backend.ledger.job(job).await.unwrap();
        let planned = job.is_some_and(|job| job.outputs.iter().all(|output| output.plan.is_some()));
        planned && (depth.waiting, depth.in_flight) == (0, 0)
    };
    while !is_quiet().await {
        assert!(started.elapsed() < PATIENCE, "{}", fleet.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut bodies = std::collections::BTreeSet::new();
    loop {
        let got = queue
            .receive(Lane::Task(Resource::Cpu), 10, Duration::from_secs(60), Duration::from_secs(1))
            .await
            .unwrap();
        if got.is_empty() {
            break;
        }
        for delivery in got {
            queue.ack(Lane::Task(Resource::Cpu), &delivery.receipt).await.unwrap();
            bodies.insert(delivery.body);
        }
    }
    let bodies: Vec<String> = bodies.into_iter().collect();
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    queue.send(Lane::Task(Resource::Cpu), &bodies, Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_to_end_gives_back_what_it_holds_and_nothing_recorded_is_done_again() {
    let tuning = Tuning {
        recipe: "rejoin".into(),
        lease: Duration::from_secs(60),
        visibility: Duration::from_secs(60),
        ..Tuning::default()
    };
    let fleet = Fleet::new(tuning).await.unwrap();
    let clip = clip(fleet.dir()).unwrap();
    let done = fleet.dir().join("done");
    // says which segment was begun; the second one hangs until it is let go on
    let let_go = fleet.dir().join("let-go");
    let map = format!(
        "sh -c 'echo \"$2\" >> {0}; if [ \"$2\" = 1 ]; then while [ ! -e {1} ]; do sleep 0.1; done; fi; cp \"$0\" \"$1\"' {{input}} {{output}} {{index}}",
        done.display(),
        let_go.display()
    );
    let begun = |segment: &str| {
        let text = std::fs::read_to_string(&done).unwrap_or_default();
        text.lines().filter(|line| *line == segment).count()
    };
    let args =
        ["submit", clip.to_str().unwrap(), "--recipe", "rejoin", "--map", &map, "--job", "drained", "--json"];
    said(&fleet, &args);
    let job: JobId = "drained".parse().unwrap();
    let task = |index: u32| TaskId::of(segue_domain::TaskKind::Map, index);
    let video = fleet.backend.ledger.job(&job).await.unwrap().unwrap().output_ref(&"video".parse().unwrap());
    let mut others = fleet.start("planner,assembler").unwrap();
    let started = std::time::Instant::now();
    each_task_once(&fleet, &job, started).await;
    // the map command marks its start with a file that is not of its task
    let open = [("SEGUE_SANDBOX", "off")];
    let mut first = fleet.start_with("worker=3", &open).unwrap();
    loop {
        let recorded = fleet.backend.ledger.completions(&video, None, 100).await.unwrap();
        let others_in = recorded.iter().filter(|completion| completion.task != task(1)).count();
        if others_in >= 2 && begun("1") == 1 {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{recorded:?}\n{}", fleet.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (status, took) = first.drain().await.unwrap();
    assert!(status.success() && took < Duration::from_secs(30), "{status} after {took:?}: {}", first.words());
    // the message is there at once, though it could have been hidden for a minute
    let depth = fleet.backend.queue.depth(Lane::Task(Resource::Cpu)).await.unwrap();
    assert!(depth.waiting >= 1 && depth.in_flight == 0, "{depth:?}");
    let freed = std::time::Instant::now();
    std::fs::write(&let_go, "").unwrap();
    let mut second = fleet.start_with("worker", &open).unwrap();
    let record = fleet.ended(&job, PATIENCE).await.unwrap();
    assert_eq!(record.state(), JobState::Completed, "{:?}", record.failure());
    assert!(freed.elapsed() < Duration::from_secs(30), "the lease of a minute was not given back");
    assert_eq!((begun("0"), begun("1"), begun("2")), (1, 2, 1), "only what was on its way is done again");
    for process in [&mut others, &mut second] {
        let (status, took) = process.drain().await.unwrap();
        assert!(status.success() && took < Duration::from_secs(30), "{status} after {took:?}");
    }
    let scratch = std::fs::read_dir(fleet.dir().join("scratch")).unwrap();
    let left: Vec<_> = scratch.flatten().filter(|entry| entry.path().is_dir()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(fleet.backend.ledger.completed(&video).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deployment_lacks_is_said_in_one_line() {
    let fleet = Fleet::new(Tuning::default()).await.unwrap();
    let mut command = fleet.segue(["worker", "--backend", "aws://"]);
    let output = command.env_remove("JOBS_TABLE_NAME").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("JOBS_TABLE_NAME"), "{text}");
    refused(&fleet, &["worker", "--roles", "gpu-worker"], 2, "MAP_GPU_QUEUE_URL");
    refused(&fleet, &["worker", "--roles", "ingest"], 2, "INGEST_QUEUE_URL");
    refused(&fleet, &["worker", "--roles", "dancer"], 2, "there is no role");
    refused(&fleet, &["run", "x", "--out", "o", "--state", "aws://"], 3, "no such file");
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_doors_are_said_in_a_line_and_lose_nothing() {
    let fleet = Fleet::new(Tuning::default()).await.unwrap();
    let clip = clip(fleet.dir()).unwrap();
    let doors = [
        (Weather::Denied, "check the credentials and what they are allowed to do"),
        (Weather::Expired, "the credentials have expired, renew them"),
        (Weather::Elsewhere, "check"),
    ];
    let crew = fleet.start("planner,worker,assembler,sweeper").unwrap();
    for (number, (door, words)) in doors.into_iter().enumerate() {
        fleet.proxy.set(door);
        refused(&fleet, &["status", "some"], 4, words);
        refused(&fleet, &["submit", clip.to_str().unwrap(), "--job", "never"], 4, words);
        // an upload that nobody may look at, until somebody opens
        let job: JobId = format!("closed-{number}").parse().unwrap();
        fleet.put(&format!("input/{job}/source.mp4"), &clip).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        fleet.proxy.set(Weather::Fair);
        let record = fleet.ended(&job, PATIENCE).await.unwrap_or_else(|e| panic!("{e:#}\n{}", fleet.words()));
        assert_eq!(record.state(), JobState::Completed, "{record:?}\n{}", fleet.words());
        let verdict = oracle::judge(&fleet, &job).await.unwrap();
        assert!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
    }
    assert!(fleet.backend.ledger.job(&"never".parse().unwrap()).await.unwrap().is_none());
    oracle::quiet(&fleet, PATIENCE).await.unwrap();
    drop(crew);
}
