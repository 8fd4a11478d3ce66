//! From an upload to the first segment that somebody works on: ours against the method of many
//! pipelines, which download the source, cut it with ffmpeg, upload all segments and then start.
//!
//! Both are one process that plans and one that works, each with a line of its own to the
//! emulator, which counts. Both use the same client of the store, with the same parallel parts.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use segue_adapter_aws::{AwsBackend, AwsSettings};
use segue_domain::{JobId, Key, Term};
use segue_ports::{FileUse, MediaStore, PutOptions};

use crate::fleet::{Fleet, Tuning};
use crate::process::Process;
use crate::proxy::Proxy;

/// How long one arm may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What one arm came to.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    /// From the end of the upload until a worker asked for the first bytes of its segment.
    pub to_taken: Duration,
    /// From the end of the upload until a program ran on the whole of a first segment.
    pub to_work: Duration,
    /// Bytes of bodies that were moved before the one and before the other.
    pub bytes: (u64, u64),
    /// Requests until the segment was taken.
    pub requests: u64,
    /// Most memory of the process that plans and of its programs, resident, bytes.
    pub peak_bytes: u64,
}

/// Both arms.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Size of the source.
    pub source_bytes: u64,
    /// Ours.
    pub ours: Arm,
    /// The other method.
    pub peer: Arm,
}

impl Arrival {
    /// How many times sooner ours is.
    pub fn sooner(&self) -> f64 {
        self.peer.to_taken.as_secs_f64() / self.ours.to_taken.as_secs_f64()
    }

    /// Ours against the peer's, of the bytes before the first segment is taken.
    pub fn share_of_bytes(&self) -> f64 {
        self.ours.bytes.0 as f64 / self.peer.bytes.0 as f64
    }

    /// Whether what was asked for is met: 20 times sooner, with 5% of the bytes.
    pub fn is_met(&self) -> bool {
        self.sooner() >= 20.0 && self.share_of_bytes() < 0.05
    }
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        writeln!(f, "| source of {:.0} MB | ours | download, cut, upload all | |", mb(self.source_bytes))?;
        writeln!(f, "|---|---|---|---|")?;
        let (ours, peer) = (&self.ours, &self.peer);
        let mut row = |what: &str, unit: &str, a: f64, b: f64| {
            writeln!(f, "| {what} | {a:.2} {unit} | {b:.2} {unit} | {:.1}x |", b / a)
        };
        let s = |span: Duration| span.as_secs_f64();
        row("upload to the first segment taken", "s", s(ours.to_taken), s(peer.to_taken))?;
        row("upload to a program running on it", "s", s(ours.to_work), s(peer.to_work))?;
        row("bytes moved before it is taken", "MB", mb(ours.bytes.0), mb(peer.bytes.0))?;
        row("bytes moved before the program runs", "MB", mb(ours.bytes.1), mb(peer.bytes.1))?;
        row("requests before it is taken", "", ours.requests as f64, peer.requests as f64)?;
        row("peak memory of who plans", "MB", mb(ours.peak_bytes), mb(peer.peak_bytes))
    }
}

/// Measures both on one emulator, the peer last; `harness` is `segue-fleet`.
///
/// # Errors
/// The emulator's; an arm that does not get there.
pub async fn measure(source: &Path, segment: Duration, harness: &Path) -> Result<Arrival> {
    let dir = tempfile::Builder::new().prefix("segue-arrival-").tempdir()?;
    let program = marking_program(dir.path())?;
    let recipe = dir.path().join("arrival.toml");
    let text = format!(
        "version = 1\nname = \"arrival\"\n[video]\nmode = \"copy\"\n[map]\ncommand = \"'{}' {{input}} {{output}}\"\n",
        program.display()
    );
    std::fs::write(&recipe, text)?;
    let tuning = Tuning {
        lease: Duration::from_secs(30),
        visibility: Duration::from_secs(30),
        recipe: recipe.display().to_string(),
        segment,
        ..Tuning::default()
    };
    let fleet = Fleet::new(tuning).await?;
    Ok(Arrival {
        source_bytes: source.metadata()?.len(),
        ours: ours(&fleet, source, &dir.path().join("mark")).await?,
        peer: peer(&fleet, source, segment, harness, &program, &dir.path().join("mark")).await?,
    })
}

/// A program that notes when it was started, beside itself, and copies.
fn marking_program(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("work");
    let mark = dir.join("mark");
    std::fs::write(&path, format!("#!/bin/sh\n: > '{}'\nexec cp \"$1\" \"$2\"\n", mark.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

async fn appears(mark: &Path, fleet: &Fleet) -> Result<Instant> {
    let begun = Instant::now();
    while !mark.exists() {
        if begun.elapsed() > PATIENCE {
            bail!("nobody works on anything: {}", fleet.words());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(Instant::now())
}

async fn ours(fleet: &Fleet, source: &Path, mark: &Path) -> Result<Arm> {
    let line = Proxy::to(segue_adapter_aws::testing::emulator().endpoint()).await?;
    let planner = fleet.start("planner")?;
    // the program marks its start with a file that is none of its task's
    let environment = [("AWS_ENDPOINT_URL", line.endpoint()), ("SEGUE_SANDBOX", "off")];
    let _worker = fleet.start_with("worker", &environment)?;
    // both wait for messages
    while fleet.proxy.counts().0 == 0 || line.counts().0 == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let memory = Memory::of(&planner);
    let job: JobId = "arrival".parse()?;
    let key = Key::source(&job, "mp4").to_string();
    fleet.put_in_parts(&key, source).await?;
    let begun = Instant::now();
    let before = (fleet.proxy.counts().0 + line.counts().0, fleet.proxy.bytes() + line.bytes());
    line.watch_for("/source.");
    let worked = appears(mark, fleet).await?;
    let seen = line.seen().context("no worker read of the source")?;
    let all = fleet.proxy.bytes() + line.bytes() - before.1;
    let arm = Arm {
        to_taken: seen.at - begun,
        to_work: worked - begun,
        bytes: (fleet.proxy.bytes() + seen.bytes - before.1, all),
        requests: fleet.proxy.counts().0 + seen.requests - before.0,
        peak_bytes: memory.peak(),
    };
    drop(planner);
    let cancelled = fleet.segue(["cancel", job.as_str()]).output()?;
    ensure!(cancelled.status.success(), "cancel: {}", String::from_utf8_lossy(&cancelled.stderr));
    std::fs::remove_file(mark)?;
    Ok(arm)
}

async fn peer(
    fleet: &Fleet,
    source: &Path,
    segment: Duration,
    harness: &Path,
    work: &Path,
    mark: &Path,
) -> Result<Arm> {
    let line = Proxy::to(segue_adapter_aws::testing::emulator().endpoint()).await?;
    let job: JobId = "peer".parse()?;
    let key = Key::source(&job, "mp4").to_string();
    fleet.put_in_parts(&key, source).await?;
    let begun = Instant::now();
    let dir = fleet.dir().join("peer");
    std::fs::create_dir_all(&dir)?;
    let mut command = Command::new(harness);
    command.arg("cut").arg(&dir).arg(&key).arg(segment.as_secs_f64().to_string());
    command.envs(fleet.environment(&[("AWS_ENDPOINT_URL", line.endpoint())]));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("the other method")?;
    let memory = Memory::of_child(&child);
    while child.try_wait()?.is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            bail!("the other method does not end");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    ensure!(child.wait()?.success(), "the other method failed");
    let taken = Instant::now();
    let bytes = line.bytes();
    // the worker: its segment, and then its work
    let first = fleet.backend.store.get_file(&segment_key(&job, "seg-00000.mp4")?, &dir).await?;
    let segment_bytes = first.metadata()?.len();
    let ran = Command::new(work).arg(&first).arg(dir.join("out.mp4")).status()?;
    ensure!(ran.success() && mark.exists(), "the work failed");
    let arm = Arm {
        to_taken: taken - begun,
        to_work: begun.elapsed(),
        bytes: (bytes, bytes + segment_bytes),
        requests: line.counts().0,
        peak_bytes: memory.peak(),
    };
    std::fs::remove_dir_all(&dir)?;
    std::fs::remove_file(mark)?;
    Ok(arm)
}

/// Where the other method puts a segment.
fn segment_key(job: &JobId, name: &str) -> Result<Key> {
    Ok(Key::segment(job, &"video".parse()?, Term(1), name)?)
}

/// The other method, as a process: downloads the source, cuts it by copying, uploads all.
///
/// # Errors
/// The emulator's, or ffmpeg's.
pub async fn download_cut_upload(dir: &Path, key: &str, segment_s: f64) -> Result<()> {
    let settings = AwsSettings::read(|name| std::env::var(name).ok())?;
    let store = AwsBackend::connect(&settings).await.store;
    let key: Key = key.parse()?;
    let Key::Source { job, .. } = &key else { bail!("{key} is no source") };
    let source = store.get_file(&key, dir).await?;
    let cut = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-i"])
        .arg(&source)
        .args(["-map", "0", "-c", "copy", "-f", "segment", "-segment_time", &segment_s.to_string()])
        .args(["-reset_timestamps", "1"])
        .arg(dir.join("seg-%05d.mp4"))
        .output()?;
    ensure!(cut.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&cut.stderr));
    let mut segments: Vec<PathBuf> = std::fs::read_dir(dir)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seg-")))
        .collect();
    segments.sort();
    for path in segments {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        store.upload(&segment_key(job, &name)?, &path, FileUse::Consume, &PutOptions::default()).await?;
    }
    Ok(())
}

/// The most resident memory of a process and its children, looked at every 5 ms.
struct Memory {
    peak: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Memory {
    fn of(process: &Process) -> Memory {
        Memory::of_pid(process.id())
    }

    fn of_child(child: &Child) -> Memory {
        Memory::of_pid(child.id())
    }

    fn of_pid(pid: u32) -> Memory {
        let (peak, ended) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (seen, end) = (Arc::clone(&peak), Arc::clone(&ended));
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(resident(pid), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Memory { peak, ended }
    }

    fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Resident bytes of a process and all below it; 0 for one that is gone.
fn resident(pid: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let own: u64 = pages.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let below: u64 = children
        .flat_map(|all| all.split_whitespace().filter_map(|n| n.parse().ok()).collect::<Vec<u32>>())
        .map(resident)
        .sum();
    own * 4096 + below
}
