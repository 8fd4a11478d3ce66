//! After `kill -9` at any moment the same command resumes the job, without repeating finished tasks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use segue_tests::{
    Fixture, Random, Sandbox, assert_none_left, assert_same_media, fixture, sha256, wait_until,
};

const KILLS: usize = 16;
const WORKERS: usize = 2;

/// A job with a slow map command that logs its start and end.
struct Job {
    sandbox: Sandbox,
    source: PathBuf,
    log: PathBuf,
    map: String,
    workers: String,
}

impl Job {
    fn new(seconds: f64, workers: usize) -> Job {
        let sandbox = Sandbox::new();
        let log = sandbox.path("log");
        let body = format!(
            "echo start $SEGUE_INDEX >> {log}\nsleep {seconds}\ncp \"$1\" \"$2\"\necho end $SEGUE_INDEX >> {log}",
            log = log.display()
        );
        let map = format!("{} {{input}} {{output}}", sandbox.script("slow", &body).display());
        Job { sandbox, source: fixture(Fixture::Long), log, map, workers: workers.to_string() }
    }

    fn start(&self) -> Child {
        let args = [
            "--recipe",
            "rejoin",
            "--segment-duration",
            "2s",
            "--map",
            &self.map,
            "--workers",
            &self.workers,
        ];
        let mut command = self.sandbox.run(&self.source, &args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// How often each segment was started, or ended.
    fn count(&self, what: &str) -> BTreeMap<u32, usize> {
        let mut count = BTreeMap::new();
        for line in std::fs::read_to_string(&self.log).unwrap_or_default().lines() {
            if let Some(index) = line.strip_prefix(what).and_then(|rest| rest.trim().parse().ok()) {
                *count.entry(index).or_default() += 1;
            }
        }
        count
    }

    fn finish(&self) {
        let ended = self.sandbox.end_of(self.start());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        self.sandbox.assert_published();
        assert_same_media(&self.source, &self.sandbox.joined());
    }
}

fn kill_now(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
}

fn undisturbed() -> (u64, String) {
    let job = Job::new(0.0, WORKERS);
    job.finish();
    sha256(&job.sandbox.joined())
}

#[test]
fn killed_at_random_moments_it_ends_as_if_it_had_not_been() {
    let mut random = Random::seeded(3);
    let expected = undisturbed();
    let (mut kills, mut jobs) = (0, 0);
    while kills < KILLS {
        let job = Job::new(0.25, WORKERS);
        let mut killed_here = 0;
        loop {
            let mut child = job.start();
            let moment = Duration::from_millis(20 + random.below(3_000));
            std::thread::sleep(moment);
            if child.try_wait().unwrap().is_some() {
                break;
            }
            kill_now(&child);
            child.wait().unwrap();
            assert_none_left(&job.sandbox.mark);
            killed_here += 1;
            assert!(killed_here < 40, "no progress: {:?}", job.count("end"));
        }
        job.finish();
        assert_eq!(sha256(&job.sandbox.joined()), expected, "different result after {killed_here} kills");
        let runs: usize = job.count("start").values().sum();
        let most = 8 + killed_here * WORKERS;
        assert!(runs <= most, "{runs} runs of 8 segments after {killed_here} kills of {WORKERS} workers");
        kills += killed_here;
        jobs += 1;
    }
    println!("{kills} kills over {jobs} jobs");
}

#[test]
fn what_is_recorded_is_not_done_again() {
    for killed_after in [1, 4, 7] {
        // one worker starts the next segment only after the previous one is recorded
        let job = Job::new(0.15, 1);
        let mut child = job.start();
        wait_until("so many parts are started", || job.count("start").len() > killed_after);
        kill_now(&child);
        child.wait().unwrap();
        let running = *job.count("start").keys().next_back().unwrap();
        job.finish();
        for (index, runs) in job.count("start") {
            let most = if index == running { 2 } else { 1 };
            assert!(runs <= most, "segment {index} ran {runs} times, killed while {running} ran");
        }
        assert_eq!(job.count("end").len(), 8);
    }
}

#[test]
fn killed_while_it_plans_and_while_it_joins() {
    let expected = undisturbed();
    for after in ["out/.segue", "out/.segue/media/jobs", "out/.segue/out", "out/manifest.json"] {
        let job = Job::new(0.0, WORKERS);
        let path = job.sandbox.path(after);
        let mut child = job.start();
        // the file may already be gone, so the wait ends with the process
        while !path.exists() && child.try_wait().unwrap().is_none() {}
        if child.try_wait().unwrap().is_none() {
            kill_now(&child);
            child.wait().unwrap();
            assert_none_left(&job.sandbox.mark);
        }
        job.finish();
        assert_eq!(sha256(&job.sandbox.joined()), expected, "killed after {after} appeared");
    }
}

#[test]
fn going_on_does_not_wait() {
    let job = Job::new(0.1, WORKERS);
    let mut child = job.start();
    wait_until("some parts are done", || job.count("end").len() > 2);
    kill_now(&child);
    child.wait().unwrap();
    let started = std::time::Instant::now();
    job.finish();
    assert!(started.elapsed() < Duration::from_secs(15), "resuming took {:?}", started.elapsed());
}

#[test]
fn a_source_that_changed_meanwhile_is_another_job() {
    let job = Job::new(0.2, 1);
    let own = job.sandbox.path("own.mp4");
    std::fs::copy(&job.source, &own).unwrap();
    let job = Job { source: own.clone(), ..job };
    let mut child = job.start();
    wait_until("it is at work", || !job.count("start").is_empty());
    kill_now(&child);
    child.wait().unwrap();
    std::fs::copy(fixture(Fixture::H264Closed), &own).unwrap();
    let ended = job.sandbox.end_of(job.start());
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    ended.assert_one_line(&["unfinished job"]);
    let left: &Path = &job.sandbox.out();
    assert!(!left.join("final.mp4").exists());
}

#[test]
fn what_a_map_command_started_ends_with_us() {
    let sandbox = Sandbox::new();
    let body = format!(
        "sh -c 'sleep 300' &\nsh -c 'sh -c \"sleep 300; true\"; true' &\necho at work >> {}\nsleep 300",
        sandbox.path("log").display()
    );
    let map = format!("{} {{input}} {{output}}", sandbox.script("family", &body).display());
    let args = ["--recipe", "rejoin", "--segment-duration", "2s", "--workers", "2", "--map", &map];
    let mut command = sandbox.run(&fixture(Fixture::Long), &args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let at_work = || std::fs::read_to_string(sandbox.path("log")).unwrap_or_default().lines().count();
    wait_until("two parts are at work", || at_work() == 2);
    kill_now(&child);
    child.wait().unwrap();
    assert_none_left(&sandbox.mark);
}
