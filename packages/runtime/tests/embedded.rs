//! A whole job in one process over the embedded backend, with engines that only copy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use segue_domain::{
    Failure, FaultKind, FileKind, Manifest, OutputId, Plan, Recipe, Segment, Task, TaskId, TaskKind,
    TickRange, Timebase,
};
use segue_ports::{
    AssembleRequest, Assembled, AssembledFile, Assembler, EngineError, MapEngine, NoReport, PlanRequest,
    Planned, PlannedOutput, Planner, ProducedFile, TaskRequest, TaskResult,
};
use segue_runtime::models::sha256_of;
use segue_runtime::run::read_marker;
use segue_runtime::{Engines, Finished, Outcome, RunRequest, run_embedded};
use tokio_util::sync::CancellationToken;

const PARTS: u32 = 3;

/// Copies a third of the source in each task; can be configured to fail or to hang.
#[derive(Default)]
struct Copier {
    plan_fails_with: Option<EngineError>,
    /// An output whose tasks fail.
    fails: Option<&'static str>,
    hang_from: Option<u32>,
    tasks_done: AtomicUsize,
    tasks_begun: AtomicUsize,
}

#[async_trait]
impl Planner for Copier {
    async fn plan(&self, request: PlanRequest) -> Result<Planned, EngineError> {
        if let Some(error) = &self.plan_fails_with {
            let message = error.message.replace("SOURCE", request.source.path().to_str().unwrap());
            return Err(EngineError { message, ..error.clone() });
        }
        let task = |index| Task {
            id: TaskId::of(TaskKind::Digest, index),
            kind: TaskKind::Digest,
            segment: Some(index),
            work_ms: 10,
            attempts: None,
        };
        let segment = |index: u32| {
            let start = i64::from(index) * 1000;
            Segment { index, range: TickRange { start, end: start + 1000 }, frames: 1, bytes: 1 }
        };
        let plan = |output: &OutputId| Plan {
            version: 1,
            job: request.run.job.clone(),
            output: output.clone(),
            recipe: request.recipe.name.clone(),
            spec: request.recipe.outputs[output].clone(),
            source_bytes: request.source.path().metadata().unwrap().len(),
            source_key: request.source_key.clone(),
            duration_ms: Some(3000),
            timebase: Timebase { num: 1, den: 1000 },
            segments: (0..PARTS).map(segment).collect(),
            tasks: (0..PARTS).map(task).collect(),
            reason: None,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: BTreeMap::new(),
            engine: serde_json::Value::Null,
        };
        let planned = |output: &OutputId| PlannedOutput { plan: plan(output), files: Vec::new() };
        let outputs = request.outputs.iter().map(|output| (output.clone(), Ok(planned(output)))).collect();
        Ok(Planned { outputs, warnings: Vec::new() })
    }
}

#[async_trait]
impl MapEngine for Copier {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Digest]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        let index = request.task.segment.unwrap();
        self.tasks_begun.fetch_add(1, Ordering::SeqCst);
        if self.fails == Some(request.plan.output.as_str()) {
            return Err(EngineError::new(FaultKind::Environment, "no luck"));
        }
        if self.hang_from.is_some_and(|from| index >= from) {
            request.run.cancel.cancelled().await;
            return Err(EngineError::cancelled());
        }
        let source = std::fs::read(request.inputs.source.path()).unwrap();
        let third = source.len() / PARTS as usize;
        let from = index as usize * third;
        let to = if index + 1 == PARTS { source.len() } else { from + third };
        let path = request.run.scratch.join("part.bin");
        std::fs::write(&path, &source[from..to]).unwrap();
        self.tasks_done.fetch_add(1, Ordering::SeqCst);
        let file = ProducedFile { name: "part.bin".into(), path };
        Ok(TaskResult { files: vec![file], facts: serde_json::Value::Null })
    }
}

#[async_trait]
impl Assembler for Copier {
    async fn assemble(&self, request: AssembleRequest) -> Result<Assembled, EngineError> {
        let parts = request.parts.iter().map(|part| std::fs::read(&part.files["part.bin"]).unwrap());
        let path = request.run.scratch.join("final.mp4");
        std::fs::write(&path, parts.collect::<Vec<_>>().concat()).unwrap();
        let (bytes, sha256) = sha256_of(&path).unwrap();
        let output = request.plan.output.as_str();
        let name = if output == "video" { "final.mp4".to_owned() } else { format!("{output}/final.mp4") };
        let file = AssembledFile {
            name,
            path,
            kind: FileKind::Media,
            media_type: "video/mp4".into(),
            bytes,
            sha256,
            made: "parts in a row".into(),
        };
        Ok(Assembled { files: vec![file], notes: Vec::new(), tools: BTreeMap::new() })
    }
}

struct Bench {
    root: tempfile::TempDir,
    request: RunRequest,
}

const SOURCE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz!";

impl Bench {
    fn new() -> Bench {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("talk.mp4");
        std::fs::write(&source, SOURCE).unwrap();
        let request = RunRequest {
            source,
            out_dir: root.path().join("made/out"),
            recipe: Recipe::built_in("rejoin").unwrap(),
            state: None,
            workers: 2,
            threads: 2,
            fsync: false,
        };
        Bench { root, request }
    }

    fn out(&self) -> PathBuf {
        self.request.out_dir.clone()
    }

    async fn run_until(&self, copier: &Arc<Copier>, stop: CancellationToken) -> Result<Outcome, Failure> {
        let copier = Arc::clone(copier);
        let engines = async |_: &Recipe| {
            Ok(Engines { planner: copier.clone(), map: vec![copier.clone()], assembler: copier.clone() })
        };
        let run = run_embedded(self.request.clone(), engines, Arc::new(NoReport), stop);
        tokio::time::timeout(Duration::from_secs(60), run).await.expect("the run ends")
    }

    async fn run(&self, copier: Copier) -> Result<Outcome, Failure> {
        self.run_until(&Arc::new(copier), CancellationToken::new()).await
    }

    /// Runs until the first part is done and the others hang, then shuts down.
    async fn interrupt(&self) -> Outcome {
        let copier = Arc::new(Copier { hang_from: Some(1), ..Copier::default() });
        let stop = CancellationToken::new();
        let (asked, seen) = (stop.clone(), Arc::clone(&copier));
        tokio::spawn(async move {
            while seen.tasks_done.load(Ordering::SeqCst) < 1 || seen.tasks_begun.load(Ordering::SeqCst) < 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            asked.cancel();
        });
        self.run_until(&copier, stop).await.unwrap()
    }
}

fn finished(outcome: Result<Outcome, Failure>) -> Finished {
    match outcome.unwrap() {
        Outcome::Finished(finished) => *finished,
        other => panic!("{other:?}"),
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_job_ends_with_its_results_and_nothing_else() {
    let bench = Bench::new();
    let done = finished(bench.run(Copier::default()).await);
    assert!(!done.already && !done.resumed);
    assert_eq!(done.manifest.duration_ms, Some(3000));
    assert_eq!(std::fs::read(bench.out().join("final.mp4")).unwrap(), SOURCE);
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json"]);
    let manifest = Manifest::decode(&std::fs::read(bench.out().join("manifest.json")).unwrap()).unwrap();
    let segments: Vec<u32> = manifest.outputs.values().map(|output| output.segments).collect();
    assert_eq!((manifest.job, segments), (done.job.clone(), vec![PARTS]));
    assert!(done.failed.is_empty(), "{:?}", done.failed);

    let idle = Arc::new(Copier::default());
    let again = finished(bench.run_until(&idle, CancellationToken::new()).await);
    assert!(again.already);
    assert_eq!(again.job, done.job);
    assert_eq!(idle.tasks_begun.load(Ordering::SeqCst), 0, "work was done twice");

    std::fs::remove_file(bench.out().join("final.mp4")).unwrap();
    assert!(!finished(bench.run(Copier::default()).await).already, "a lost file is made again");
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json"]);
}

#[tokio::test]
async fn every_output_is_delivered_but_an_optional_one_that_failed() {
    let mut bench = Bench::new();
    let text = "version = 2\nname = \"two\"\n[outputs.video]\nkind = \"video\"\n\
                [outputs.other]\nkind = \"video\"\nrequired = false\n";
    bench.request.recipe = Recipe::from_toml(text).unwrap();
    let done = finished(bench.run(Copier { fails: Some("other"), ..Copier::default() }).await);
    let failed: Vec<_> =
        done.failed.iter().map(|(output, why)| (output.as_str(), why.cause.as_str())).collect();
    assert_eq!(failed, [("other", "no luck")]);
    assert_eq!(names(&bench.out()), [".segue", "final.mp4", "manifest.json"]);

    // the same request tries again what failed, and only that
    let again = finished(bench.run(Copier::default()).await);
    assert!(again.resumed && again.failed.is_empty(), "{again:?}");
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json", "other"]);

    bench.request.out_dir = bench.root.path().join("both");
    assert!(finished(bench.run(Copier::default()).await).failed.is_empty());
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json", "other"]);
    assert_eq!(std::fs::read(bench.out().join("other/final.mp4")).unwrap(), SOURCE);

    // a required one fails the job, and its folder has the others
    bench.request.out_dir = bench.root.path().join("one");
    let failure = bench.run(Copier { fails: Some("video"), ..Copier::default() }).await.unwrap_err();
    assert_eq!(failure.cause, "output video: no luck");
    assert_eq!(names(&bench.out()), [".segue", "manifest.json", "other"]);
}

#[tokio::test]
async fn an_interrupted_job_goes_on_with_what_is_not_done() {
    let bench = Bench::new();
    let Outcome::Interrupted { state, .. } = bench.interrupt().await else { panic!("not interrupted") };
    assert_eq!(state, bench.out().canonicalize().unwrap().join(".segue"));
    assert_eq!(names(&bench.out()), [".segue"], "something is there under a final name");

    let rest = Arc::new(Copier::default());
    let done = finished(bench.run_until(&rest, CancellationToken::new()).await);
    assert!(done.resumed);
    assert_eq!(rest.tasks_done.load(Ordering::SeqCst), 2, "only what was not done is done");
    assert_eq!(std::fs::read(bench.out().join("final.mp4")).unwrap(), SOURCE);
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json"]);
}

#[tokio::test]
async fn an_unfinished_folder_is_refused_to_another_job() {
    let mut bench = Bench::new();
    bench.interrupt().await;
    bench.request.recipe = Recipe::built_in("mp4").unwrap();
    let failure = bench.run(Copier::default()).await.unwrap_err();
    assert_eq!(failure.kind, FaultKind::Usage);
    assert!(failure.cause.contains("unfinished job (recipe rejoin"), "{}", failure.cause);
    assert!(read_marker(&bench.out()).is_ok(), "the unfinished job was touched");
}

#[tokio::test]
async fn state_elsewhere_is_used_and_cleared() {
    let mut bench = Bench::new();
    let elsewhere = bench.root.path().join("state");
    bench.request.state = Some(elsewhere.to_str().unwrap().parse().unwrap());
    let Outcome::Interrupted { job, state } = bench.interrupt().await else { panic!("not interrupted") };
    assert_eq!(state, elsewhere.join(job.as_str()));
    assert!(state.join("segue.db").is_file());
    assert!(finished(bench.run(Copier::default()).await).resumed);
    assert_eq!(names(&elsewhere), Vec::<String>::new());
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json"]);
}

#[tokio::test]
async fn a_bad_source_leaves_its_record_or_nothing() {
    let bench = Bench::new();
    let no_video = || EngineError::new(FaultKind::Source, "no video in SOURCE");
    let expected = format!("no video in {}", bench.request.source.display());
    let failure =
        bench.run(Copier { plan_fails_with: Some(no_video()), ..Copier::default() }).await.unwrap_err();
    assert_eq!((failure.kind, failure.cause), (FaultKind::Source, expected), "in the words of the user");
    assert_eq!(names(bench.root.path()), ["talk.mp4"], "folders that were made for it are still there");

    let lines: Vec<String> = (0..10).map(|n| format!("line {n}")).collect();
    let tail = EngineError { stderr_tail: lines.clone(), ..no_video() };
    bench.run(Copier { plan_fails_with: Some(tail), ..Copier::default() }).await.unwrap_err();
    assert_eq!(names(&bench.out().join(".segue")), ["job.json", "lock"]);
    let record = read_marker(&bench.out()).unwrap().record.unwrap();
    assert_eq!(record.failure().unwrap().stderr_tail, lines);

    assert!(!finished(bench.run(Copier::default()).await).resumed, "a failed job begins anew");
    assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json"]);
}

#[tokio::test]
async fn engines_that_are_missing_leave_an_unfinished_job_as_it_is() {
    let bench = Bench::new();
    let run = async || {
        let missing = async |_: &Recipe| {
            Err(Failure {
                kind: FaultKind::Environment,
                cause: "no ffmpeg".into(),
                task: None,
                stderr_tail: Vec::new(),
            })
        };
        run_embedded(bench.request.clone(), missing, Arc::new(NoReport), CancellationToken::new()).await
    };
    assert_eq!(run().await.unwrap_err().cause, "no ffmpeg");
    assert_eq!(names(bench.root.path()), ["talk.mp4"]);
    bench.interrupt().await;
    assert_eq!(run().await.unwrap_err().cause, "no ffmpeg");
    assert!(finished(bench.run(Copier::default()).await).resumed);
}

#[tokio::test]
async fn results_that_cannot_be_delivered_are_kept_and_delivered_later() {
    let bench = Bench::new();
    bench.interrupt().await;
    // a folder in the place of a result
    std::fs::create_dir(bench.out().join("final.mp4")).unwrap();
    let failure = bench.run(Copier::default()).await.unwrap_err();
    assert_eq!(failure.kind, FaultKind::Environment, "{}", failure.cause);

    std::fs::remove_dir(bench.out().join("final.mp4")).unwrap();
    let idle = Arc::new(Copier::default());
    finished(bench.run_until(&idle, CancellationToken::new()).await);
    assert_eq!(idle.tasks_begun.load(Ordering::SeqCst), 0, "work was done twice");
    assert_eq!(std::fs::read(bench.out().join("final.mp4")).unwrap(), SOURCE);
}

#[tokio::test]
async fn an_unfinished_job_that_the_machine_keeps_from_going_on_is_kept() {
    let bench = Bench::new();
    bench.interrupt().await;
    let state = bench.out().join(".segue");
    // a scratch folder that cannot be created
    let scratch = state.join("scratch");
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::write(&scratch, "in the way").unwrap();
    let failure = bench.run(Copier::default()).await.unwrap_err();
    assert_eq!(failure.kind, FaultKind::Environment, "{failure:?}");
    assert!(state.join("segue.db").is_file(), "the work that was done is gone");
    std::fs::remove_file(&scratch).unwrap();
    let rest = Arc::new(Copier::default());
    assert!(finished(bench.run_until(&rest, CancellationToken::new()).await).resumed);
    assert_eq!(rest.tasks_done.load(Ordering::SeqCst), 2, "only what was not done is done");
}

/// States of a file that was not flushed before a power cut: empty, truncated, or of its full length without
/// its content; before and after its rename to the output folder.
#[tokio::test]
async fn a_result_that_a_power_cut_took_is_noticed_and_made_anew() {
    for (left, delivered) in [(0, false), (SOURCE.len(), false), (SOURCE.len(), true)] {
        let bench = Bench::new();
        bench.interrupt().await;
        let result = bench.out().join("final.mp4");
        // published, and its delivery prevented
        std::fs::create_dir(&result).unwrap();
        bench.run(Copier::default()).await.unwrap_err();
        std::fs::remove_dir(&result).unwrap();
        let jobs = bench.out().join(".segue/media/jobs");
        let published = jobs.join(&names(&jobs)[0]);
        assert_eq!(std::fs::read(published.join("final.mp4")).unwrap(), SOURCE);
        if delivered {
            for name in ["final.mp4", "manifest.json"] {
                std::fs::hard_link(published.join(name), bench.out().join(name)).unwrap();
            }
        }
        std::fs::write(published.join("final.mp4"), vec![0; left]).unwrap();

        let finished = finished(bench.run(Copier::default()).await);
        assert!(!finished.resumed && !finished.already, "{left} {delivered}");
        assert_eq!(std::fs::read(&result).unwrap(), SOURCE, "{left} {delivered}");
        assert_eq!(names(&bench.out()), ["final.mp4", "manifest.json"]);

        // without the state folder the owner of the output folder is unknown
        std::fs::write(&result, vec![0; left]).unwrap();
        let failure = bench.run(Copier::default()).await.unwrap_err();
        assert_eq!(failure.kind, FaultKind::Usage);
        assert!(failure.cause.contains("final.mp4 is not what was written"), "{}", failure.cause);
    }
}
