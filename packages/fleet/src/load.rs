//! Much at once: one job of very many segments, and very many jobs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use segue_domain::{JobId, JobState};
use segue_ports::JobLedger;

use crate::fleet::{Fleet, Tuning, clip};
use crate::oracle;
use crate::process::Process;
use crate::proxy::Traffic;

/// How long the sweeper may take to remove what was left.
const TIDY: Duration = Duration::from_secs(300);

/// A job of many segments.
#[derive(Debug, Clone)]
pub struct Large {
    /// Segments.
    pub segments: u64,
    /// From the upload to the end.
    pub took: Duration,
    /// What went over the line meanwhile.
    pub traffic: Traffic,
}

impl Large {
    /// Calls of the ledger for each segment.
    pub fn ledger_calls(&self) -> f64 {
        self.traffic.of("DynamoDB").calls as f64 / self.segments as f64
    }
}

/// The head of a table of [`Large`].
pub const LARGE_HEAD: &str = "| segments | took | ledger calls, each segment | queue calls | store calls | largest write of the ledger | largest message |\n|---|---|---|---|---|---|---|";

impl fmt::Display for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |service: &str| self.traffic.of(service).calls as f64 / self.segments as f64;
        write!(
            f,
            "| {} | {:.0} s | {:.2} | {:.2} | {:.2} | {} bytes | {} bytes |",
            self.segments,
            self.took.as_secs_f64(),
            each("DynamoDB"),
            each("AmazonSQS"),
            each("S3"),
            self.traffic.of("DynamoDB").largest,
            self.traffic.largest_message,
        )
    }
}

/// Puts a source of `segments` frames, each a segment, through a map step that copies.
///
/// # Errors
/// A job that does not end well, or that leaves something.
pub async fn large(segments: u64, workers: usize) -> Result<Large> {
    let dir = tempfile::Builder::new().prefix("segue-large-").tempdir()?;
    let source = frames(dir.path(), segments)?;
    let recipe = dir.path().join("large.toml");
    let text = "version = 1\nname = \"large\"\n[video]\n[map]\ncommand = \"cp {input} {output}\"\n";
    std::fs::write(&recipe, text)?;
    let fleet = Fleet::new(Tuning {
        lease: Duration::from_secs(30),
        visibility: Duration::from_secs(60),
        sweep: Duration::from_secs(10),
        recipe: recipe.display().to_string(),
        segment: Duration::from_millis(100),
        ..Tuning::default()
    })
    .await?;
    let roles = format!("planner,worker={workers},assembler,sweeper");
    let _crew = fleet.start(&roles)?;
    let before = fleet.proxy.traffic();
    let begun = Instant::now();
    let job: JobId = "large".parse()?;
    fleet.put_in_parts(&format!("input/{job}/source.mp4"), &source).await?;
    let patience = Duration::from_secs(120) + Duration::from_millis(400) * segments as u32;
    let record = fleet.ended(&job, patience).await?;
    let took = begun.elapsed();
    ensure!(record.state() == JobState::Completed, "{record:?}\n{}", fleet.words());
    let traffic = fleet.proxy.traffic().since(&before);
    let tasks: u64 =
        record.outputs.iter().filter_map(|output| output.plan.as_ref()).map(|plan| plan.tasks).sum();
    ensure!(tasks == segments, "{tasks} tasks for {segments} segments");
    oracle::quiet(&fleet, TIDY).await?;
    let verdict = oracle::judge(&fleet, &job).await?;
    ensure!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
    Ok(Large { segments, took, traffic })
}

/// As many frames, each a keyframe, at ten a second, with sound.
fn frames(dir: &Path, count: u64) -> Result<PathBuf> {
    let path = dir.join("frames.mp4");
    let seconds = count as f64 / 10.0;
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size=64x36:rate=10:duration={seconds}"))
        .args(["-f", "lavfi", "-i", &format!("sine=frequency=440:sample_rate=16000:duration={seconds}")])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "1", "-c:a", "aac", "-b:a", "24k"])
        .args(["-movflags", "+faststart"])
        .arg(&path)
        .output()
        .context("ffmpeg")?;
    ensure!(made.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
    Ok(path)
}

/// Many jobs at once.
#[derive(Debug, Clone)]
pub struct Many {
    /// Jobs.
    pub jobs: usize,
    /// Worker processes.
    pub workers: usize,
    /// From the first upload to the end of the last job.
    pub took: Duration,
    /// From a job's creation to its end, of the quickest, the middle and the slowest one.
    pub spans: [Duration; 3],
    /// How many jobs that came later ended before a job, at most.
    pub overtaken: usize,
}

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [least, middle, most] = self.spans.map(|span| span.as_secs_f64());
        write!(
            f,
            "{} jobs over {} workers in {:.0} s; a job took {least:.0} s at least, {middle:.0} s in the middle, {most:.0} s at most; the most overtaken one by {} later ones",
            self.jobs,
            self.workers,
            self.took.as_secs_f64(),
            self.overtaken,
        )
    }
}

/// Puts `jobs` clips at once to a fleet with `workers` worker processes.
///
/// # Errors
/// A job that does not end well, or that leaves something.
pub async fn many(jobs: usize, workers: usize) -> Result<Many> {
    let fleet = Fleet::new(Tuning {
        lease: Duration::from_secs(30),
        visibility: Duration::from_secs(60),
        sweep: Duration::from_secs(5),
        ..Tuning::default()
    })
    .await?;
    let clip = clip(fleet.dir())?;
    let mut crew: Vec<Process> = Vec::new();
    for roles in ["planner", "assembler", "assembler", "sweeper"] {
        crew.push(fleet.start(roles)?);
    }
    for _ in 0..workers {
        crew.push(fleet.start("worker")?);
    }
    let begun = Instant::now();
    let mut all = Vec::new();
    for number in 0..jobs {
        let job: JobId = format!("many-{number:04}").parse()?;
        fleet.put(&format!("input/{job}/source.mp4"), &clip).await?;
        all.push(job);
    }
    let patience = Duration::from_secs(120) + Duration::from_secs(6) * jobs as u32;
    let mut ended = Vec::new();
    for job in &all {
        let left = patience.saturating_sub(begun.elapsed());
        let record = fleet.ended(job, left).await.with_context(|| fleet.words())?;
        if record.state() != JobState::Completed {
            bail!("{record:?}\n{}", fleet.words());
        }
    }
    let took = begun.elapsed();
    oracle::quiet(&fleet, TIDY).await?;
    for job in &all {
        let verdict = oracle::judge(&fleet, job).await?;
        ensure!(verdict.wrong.is_empty(), "{:?}", verdict.wrong);
        let record = fleet.backend.ledger.job(job).await?.context("a job is gone")?;
        ended.push((record.created_at_ms, record.updated_at_ms));
    }
    let mut spans: Vec<i64> = ended.iter().map(|(from, to)| to - from).collect();
    spans.sort_unstable();
    let span = |at: usize| Duration::from_millis(spans[at].max(0) as u64);
    let before = |one: &(i64, i64)| ended.iter().filter(|other| other.0 > one.0 && other.1 < one.1).count();
    Ok(Many {
        jobs,
        workers,
        took,
        spans: [span(0), span(spans.len() / 2), span(spans.len() - 1)],
        overtaken: ended.iter().map(before).max().unwrap_or(0),
    })
}
