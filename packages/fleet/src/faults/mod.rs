//! Things that go wrong, each many times, with real processes.
//!
//! A *run* is one job: a clip is put to `input/…`, the fault is let loose while the fleet works
//! on it, and when it is over the oracle looks at the job. Several jobs are on their way at once.

mod scenario;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use segue_domain::JobId;

use crate::fleet::{Fleet, Tuning, clip};
use crate::oracle;
use crate::process::Process;

pub use scenario::Fault;

/// How long a job may take, faults included.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long the sweeper may take to remove what was left.
const TIDY: Duration = Duration::from_secs(90);

/// What came of a fault.
#[derive(Debug, Clone)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// Jobs.
    pub runs: usize,
    /// How often the fault happened.
    pub happened: u64,
    /// Jobs without a result.
    pub lost: usize,
    /// Jobs with more than one result, or something counted twice.
    pub doubled: usize,
    /// Whether objects, messages or dead letters were left after the sweep.
    pub left: Option<String>,
    /// How long it took.
    pub took: Duration,
    /// What is wrong, for people.
    pub wrong: Vec<String>,
}

impl Row {
    /// Whether all is as it must be.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.left.is_none() && self.happened > 0
    }

    /// A line of the table.
    pub fn markdown(&self) -> String {
        let left = if self.left.is_some() { "yes" } else { "nothing" };
        let Row { fault, runs, happened, lost, doubled, took, .. } = self;
        format!(
            "| {} | {runs} | {happened} | {lost} | {doubled} | {left} | {:.0} s |",
            fault.words(),
            took.as_secs_f64()
        )
    }
}

/// The head of the table.
pub const HEAD: &str =
    "| fault | runs | happened | lost | doubled | left | took |\n|---|---|---|---|---|---|---|";

/// Lets `fault` happen to `runs` jobs, `at_once` of them at the same time.
///
/// # Errors
/// The harness's own: an emulator that does not start, a program that is not there.
pub async fn sweep(fault: Fault, runs: usize, at_once: usize, seed: u64) -> Result<Row> {
    let begun = Instant::now();
    let fleet = Fleet::new(tuning(fault)?).await?;
    let clip = clip(fleet.dir())?;
    let mut crew = Crew { processes: fleet.start_all()?, random: Random(seed | 1) };
    let mut row = Row {
        fault,
        runs,
        happened: 0,
        lost: 0,
        doubled: 0,
        left: None,
        took: Duration::ZERO,
        wrong: vec![],
    };
    let mut all = Vec::new();
    for batch in 0..runs.div_ceil(at_once) {
        let count = at_once.min(runs - batch * at_once);
        let jobs = put(&fleet, &clip, batch, count).await?;
        row.happened += scenario::happen(fault, &fleet, &mut crew, &jobs).await?;
        for job in &jobs {
            if let Err(error) = fleet.ended(job, PATIENCE).await {
                row.wrong.push(format!("{error:#}"));
            }
        }
        all.extend(jobs);
    }
    fleet.proxy.set(crate::Weather::Fair);
    if let Err(error) = oracle::quiet(&fleet, TIDY).await {
        row.left = Some(format!("{error:#}"));
    }
    for job in &all {
        let verdict = oracle::judge(&fleet, job).await?;
        row.lost += usize::from(verdict.lost);
        row.doubled += usize::from(verdict.doubled);
        row.wrong.extend(verdict.wrong);
    }
    row.took = begun.elapsed();
    if !row.is_good() {
        row.wrong.push(fleet.words());
    }
    Ok(row)
}

fn tuning(fault: Fault) -> Result<Tuning> {
    let mut tuning = Tuning::default();
    if fault == Fault::ShortVisibility {
        // the work is longer than a message can be hidden
        tuning.visibility = Duration::from_secs(1);
        tuning.recipe = slow_recipe()?.display().to_string();
    }
    if matches!(fault, Fault::Stopped | Fault::Frozen) {
        tuning.lasting = fault == Fault::Stopped;
        tuning.direct = true;
    }
    if fault == Fault::StaleWorker {
        tuning.lease = Duration::from_secs(2);
        tuning.recipe = slow_recipe()?.display().to_string();
    }
    Ok(tuning)
}

/// A recipe whose map step copies after two seconds.
fn slow_recipe() -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("segue-slow-{}.toml", std::process::id()));
    let text = "version = 1\nname = \"slow\"\n[video]\n[map]\ncommand = \"sh -c 'sleep 2; cp \\\"$0\\\" \\\"$1\\\"' {input} {output}\"\n";
    std::fs::write(&path, text).context("a recipe")?;
    Ok(path)
}

async fn put(fleet: &Fleet, clip: &Path, batch: usize, count: usize) -> Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for number in 0..count {
        let job: JobId = format!("run-{batch}-{number}").parse()?;
        fleet.put(&format!("input/{job}/source.mp4"), clip).await?;
        jobs.push(job);
    }
    Ok(jobs)
}

/// The processes, and what decides about them.
pub struct Crew {
    /// All of them.
    pub processes: Vec<Process>,
    /// Numbers that look like chance and can be had again.
    pub random: Random,
}

impl Crew {
    /// How many there are of each kind.
    pub fn kinds(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        for process in &self.processes {
            *kinds.entry(process.start.roles.as_str()).or_default() += 1;
        }
        kinds
    }
}

/// xorshift: good enough to choose who dies.
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}
