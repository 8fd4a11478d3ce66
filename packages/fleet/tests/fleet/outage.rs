//! The services go away, for real, and come again.

use std::time::{Duration, Instant};

use segue_domain::{JobId, JobState};
use segue_fleet::{Fleet, Tuning, clip, oracle};
use segue_ports::JobLedger;

const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_where_it_was_when_the_emulator_is_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let (begun, let_go) = (dir.path().join("begun"), dir.path().join("let-go"));
    let recipe = dir.path().join("held.toml");
    let map = format!(
        "sh -c 'echo \\\"$2\\\" >> {}; while [ ! -e {} ]; do sleep 0.1; done; cp \\\"$0\\\" \\\"$1\\\"' {{input}} {{output}} {{index}}",
        begun.display(),
        let_go.display()
    );
    let text = format!("version = 1\nname = \"held\"\n[video]\n[map]\ncommand = \"{map}\"\n");
    std::fs::write(&recipe, text).unwrap();
    let tuning =
        Tuning { recipe: recipe.display().to_string(), lasting: true, direct: true, ..Tuning::default() };
    let fleet = Fleet::new(tuning).await.unwrap();
    // the map command marks its start with a file that is not of its task
    let _crew = fleet.start_all_with(&[("SEGUE_SANDBOX", "off")]).unwrap();
    let job: JobId = "held".parse().unwrap();
    let clip = clip(fleet.dir()).unwrap();
    fleet.put(&format!("input/{job}/source.mp4"), &clip).await.unwrap();
    let started = Instant::now();
    while !begun.exists() {
        assert!(started.elapsed() < PATIENCE, "{}", fleet.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fleet.emulator().stop();
    let status = fleet.segue(["status", "held"]).output().unwrap();
    assert_eq!(status.status.code(), Some(4), "{}", String::from_utf8_lossy(&status.stderr));
    std::fs::write(&let_go, "").unwrap();
    fleet.emulator().start_again();

    let record = fleet.backend.ledger.job(&job).await.unwrap().expect("the emulator remembers the job");
    assert!(!record.state().is_terminal(), "{record:?}");
    let record = fleet.ended(&job, PATIENCE).await.unwrap_or_else(|e| panic!("{e:#}\n{}", fleet.words()));
    assert_eq!(record.state(), JobState::Completed, "{record:?}\n{}", fleet.words());
    let verdict = oracle::judge(&fleet, &job).await.unwrap();
    assert!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
    oracle::quiet(&fleet, PATIENCE).await.unwrap();
}
