//! Measurement of a program and its descendants: wall time, processor time, memory, bytes read.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use serde::Serialize;

/// Sampling interval of memory.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);

/// Cost of one run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Cost {
    /// Wall time, seconds.
    pub wall_s: f64,
    /// Processor time of the process tree, user and system, seconds.
    pub cpu_s: f64,
    /// Peak RSS of the process tree: shared pages counted for each process.
    pub peak_rss_kb: u64,
    /// Peak PSS of the process tree: shared pages counted proportionally.
    pub peak_pss_kb: u64,
    /// Programs at the PSS peak, with their share in kB.
    pub peak_made_of: Vec<(String, u64)>,
    /// Bytes read by the process tree, from disk or cache.
    pub read_bytes: u64,
    /// Its stdout.
    #[serde(skip)]
    pub stdout: String,
    /// Its stderr.
    #[serde(skip)]
    pub stderr: String,
}

/// What is sampled while a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nothing, because sampling costs time.
    Time,
    /// Memory of the process tree.
    Memory,
}

/// Runs a command and returns its cost. Not concurrently: processor time is the difference of the
/// usage of all ended children of this process.
///
/// # Errors
/// A command that cannot be started or fails.
pub fn run(command: &mut Command, watch: Watch) -> Result<Cost> {
    let (cost, status) = run_any(command, watch)?;
    ensure!(status.success(), "{command:?} ended with {status}: {}", cost.stderr.trim());
    Ok(cost)
}

/// As [`run`], but also returns the exit status of a failed command.
pub fn run_any(command: &mut Command, watch: Watch) -> Result<(Cost, ExitStatus)> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?).process_group(0);
    let before = children_cpu()?;
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let pid = child.id();
    let ended = AtomicBool::new(false);
    let mut cost = Cost::default();
    std::thread::scope(|scope| -> Result<()> {
        let sampler = scope.spawn(|| match watch {
            Watch::Time => Peak::default(),
            Watch::Memory => sample_memory(pid, &ended),
        });
        // wait without reaping: /proc/PID/io is read afterwards
        let waited = waitid(Id::Pid(Pid::from_raw(pid as i32)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        cost.wall_s = started.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        let peak = sampler.join().unwrap_or_default();
        (cost.peak_rss_kb, cost.peak_pss_kb, cost.peak_made_of) = (peak.rss_kb, peak.pss_kb, peak.made_of);
        waited.context("waiting").map(|_| ())
    })?;
    cost.read_bytes = field(&format!("/proc/{pid}/io"), "rchar:").unwrap_or(0);
    let status = child.wait()?;
    cost.cpu_s = (children_cpu()? - before).as_secs_f64();
    for (file, text) in [(&mut out, &mut cost.stdout), (&mut err, &mut cost.stderr)] {
        file.rewind()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }
    Ok((cost, status))
}

fn children_cpu() -> Result<Duration> {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let span = |time: TimeVal| {
        Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0))
    };
    Ok(span(used.user_time()) + span(used.system_time()))
}

/// Peak memory, as RSS and PSS.
#[derive(Default)]
struct Peak {
    rss_kb: u64,
    pss_kb: u64,
    made_of: Vec<(String, u64)>,
}

/// Samples the memory of the tree under `root` until `ended`.
fn sample_memory(root: u32, ended: &AtomicBool) -> Peak {
    let mut peak = Peak::default();
    while !ended.load(Ordering::Relaxed) {
        // RSS and PSS from the same read, so that PSS never exceeds RSS
        let seen: Vec<(u32, String)> = tree(root)
            .into_iter()
            .filter_map(|pid| Some((pid, fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)))
            .collect();
        // the shared pages of a process that ends meanwhile are attributed to processes that are read
        // later, and would count twice
        if !seen.iter().all(|(pid, _)| has_memory(*pid)) {
            continue;
        }
        let sum = |name: &str| seen.iter().filter_map(|(_, text)| field_in(text, name)).sum::<u64>();
        let (rss, pss) = (sum("Rss:"), sum("Pss:"));
        peak.rss_kb = peak.rss_kb.max(rss);
        if pss > peak.pss_kb {
            peak.pss_kb = pss;
            let share = |(pid, text): &(u32, String)| (name(*pid), field_in(text, "Pss:").unwrap_or(0));
            peak.made_of = seen.iter().map(share).collect();
        }
        std::thread::sleep(SAMPLE_EVERY);
    }
    peak
}

/// Whether it is running: a zombie has no memory (proc(5), statm).
fn has_memory(pid: u32) -> bool {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split_whitespace().next().is_some_and(|pages| pages != "0")
}

fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or_else(|_| "ended".into(), |comm| comm.trim().into())
}

/// `root` and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut children = HashMap::<u32, Vec<u32>>::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut all, mut next) = (vec![root], 0);
    while next < all.len() {
        all.extend(children.remove(&all[next]).unwrap_or_default());
        next += 1;
    }
    all
}

/// The parent: the second field after the name, which is in parentheses and may contain any character.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn field(path: &str, name: &str) -> Option<u64> {
    field_in(&fs::read_to_string(path).ok()?, name)
}

fn field_in(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The median.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grandchild_counts() {
        let script = "x=$(head -c 30000000 /dev/zero | tr '\\0' a); sh -c 'dd if=/dev/zero of=/dev/null bs=1M count=64 2>&1'; sleep 0.2; echo ${#x}";
        let cost = run(Command::new("sh").args(["-c", script]), Watch::Memory).unwrap();
        assert!(cost.stdout.trim().ends_with("30000000"), "{}", cost.stdout);
        assert!(cost.read_bytes > 64 << 20, "read {}", cost.read_bytes);
        assert!(cost.peak_rss_kb > 29_000, "rss {}", cost.peak_rss_kb);
        assert!(
            cost.peak_pss_kb > 29_000 && cost.peak_pss_kb <= cost.peak_rss_kb,
            "pss {}",
            cost.peak_pss_kb
        );
        assert!(cost.cpu_s > 0.0 && cost.wall_s > 0.2);
    }

    #[test]
    fn an_error_contains_the_stderr_of_the_command() {
        let error = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"]), Watch::Time).unwrap_err();
        assert!(error.to_string().contains("no"), "{error}");
    }

    /// A zombie is still in the process tree, while its shared pages count for other processes.
    #[test]
    fn a_process_that_ended_has_no_memory() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        assert!(has_memory(pid));
        child.kill().unwrap();
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(Pid::from_raw(pid as i32)), ended).unwrap();
        assert!(tree(std::process::id()).contains(&pid) && !has_memory(pid));
        child.wait().unwrap();
        assert!(!has_memory(pid));
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
