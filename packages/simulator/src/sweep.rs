//! Many histories on all cores, and whether they were worth anything.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Context;

use crate::fault::{Coverage, FaultKind};
use crate::op::Op;
use crate::oracle::Violation;
use crate::params::{Params, call_faults};
use crate::scenario::Scenario;
use crate::switch;

/// Violations that a report keeps.
const KEEP: usize = 20;

/// Histories for each pair of fault and call from which on every pair has to be hit.
const HISTORIES_PER_PAIR: u64 = 40;

/// What a sweep is to do.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The seeds.
    pub seeds: Range<u64>,
    /// Threads, at least 1.
    pub threads: usize,
    /// Whether to stop at the first violation.
    pub stop_at_first: bool,
    /// The deliberate bug that is on, in a build that has them.
    pub mutant: Option<&'static str>,
}

/// What a sweep came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The scenario.
    pub scenario: &'static Scenario,
    /// Histories that ran.
    pub histories: u64,
    /// Histories that broke something.
    pub broken: u64,
    /// The first of them by seed.
    pub violations: Vec<(u64, Violation)>,
    /// Faults that were hit.
    pub coverage: Coverage,
    /// Calls of ports.
    pub calls: u64,
    /// Simulated time, seconds.
    pub virtual_seconds: u64,
    /// Jobs that were completed, failed, cancelled, deleted.
    pub ends: [u64; 4],
    /// The hashes of all histories, added: the same seeds, the same number.
    pub hash: u64,
    /// Real time, seconds.
    pub seconds: f64,
}

impl Sweep {
    /// All of `seeds` under `scenario` on every core.
    pub fn new(scenario: &'static Scenario, seeds: Range<u64>) -> Sweep {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Sweep { scenario, seeds, threads, stop_at_first: false, mutant: None }
    }

    /// Runs it.
    ///
    /// # Errors
    /// No folder for scratch files can be made.
    pub fn run(&self) -> anyhow::Result<Report> {
        let started = Instant::now();
        let (next, stop) = (AtomicU64::new(self.seeds.start), AtomicBool::new(false));
        let mut report = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.threads.max(1)).map(|_| scope.spawn(|| self.work(&next, &stop))).collect();
            let mut all = self.empty();
            for thread in threads {
                all.add(thread.join().expect("a panic in a role is caught as a violation")?);
            }
            anyhow::Ok(all)
        })?;
        report.violations.sort_by_key(|(seed, _)| *seed);
        report.violations.truncate(KEEP);
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }

    fn empty(&self) -> Report {
        Report {
            scenario: self.scenario,
            histories: 0,
            broken: 0,
            violations: Vec::new(),
            coverage: Coverage::default(),
            calls: 0,
            virtual_seconds: 0,
            ends: [0; 4],
            hash: 0,
            seconds: 0.0,
        }
    }

    fn work(&self, next: &AtomicU64, stop: &AtomicBool) -> anyhow::Result<Report> {
        let scratch = scratch_folder()?;
        let mut report = self.empty();
        switch::choose(self.mutant);
        while !stop.load(Relaxed) {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= self.seeds.end {
                break;
            }
            let outcome =
                crate::history::run(Params::draw(seed, self.scenario, HashSet::new()), scratch.path());
            report.histories += 1;
            report.calls += outcome.calls;
            report.virtual_seconds += outcome.virtual_ms / 1000;
            report.hash = report.hash.wrapping_add(outcome.hash());
            report.coverage.add(&outcome.coverage);
            report.ends.iter_mut().zip(outcome.ends).for_each(|(all, ends)| *all += u64::from(ends));
            if let Some(violation) = outcome.violation {
                report.broken += 1;
                if report.violations.len() < KEEP {
                    report.violations.push((seed, violation));
                }
                stop.fetch_or(self.stop_at_first, Relaxed);
            }
        }
        switch::choose(None);
        Ok(report)
    }
}

/// A folder for the few real files of a history: in memory where the system has such a place.
///
/// # Errors
/// It cannot be made.
pub fn scratch_folder() -> anyhow::Result<tempfile::TempDir> {
    let memory = PathBuf::from("/dev/shm");
    let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("segue-simulator-").tempdir_in(&root);
    folder.with_context(|| format!("no scratch folder in {}", root.display()))
}

impl Report {
    fn add(&mut self, other: Report) {
        self.histories += other.histories;
        self.broken += other.broken;
        self.violations.extend(other.violations);
        self.coverage.add(&other.coverage);
        self.calls += other.calls;
        self.virtual_seconds += other.virtual_seconds;
        self.ends.iter_mut().zip(other.ends).for_each(|(all, ends)| *all += ends);
        self.hash = self.hash.wrapping_add(other.hash);
    }

    /// Histories a second.
    pub fn rate(&self) -> f64 {
        self.histories as f64 / self.seconds.max(1e-9)
    }

    /// Kinds that the scenario enables and that were never hit; after enough histories of a
    /// scenario that has everything, pairs of kind and call as well.
    pub fn not_hit(&self) -> Vec<String> {
        let kinds = self.scenario.kinds.iter().filter(|kind| self.coverage.of(**kind) == 0);
        let mut missing: Vec<String> = kinds.map(|kind| kind.as_str().to_owned()).collect();
        let pairs = call_faults(self.scenario);
        let has_all = self.scenario.kinds.len() == FaultKind::ALL.len();
        if has_all && self.histories >= pairs.len() as u64 * HISTORIES_PER_PAIR {
            let never = pairs.iter().filter(|(kind, op)| self.coverage.at(*kind, *op) == 0);
            missing.extend(never.map(|(kind, op)| format!("{}: {}", op.as_str(), kind.as_str())));
        }
        missing
    }

    /// Whether nothing broke and everything that should have been hit was.
    pub fn is_green(&self) -> bool {
        self.broken == 0 && self.not_hit().is_empty()
    }

    /// The rarest pair of fault and call and how often it was hit.
    pub fn rarest(&self) -> Option<(FaultKind, Op, u64)> {
        let pairs = call_faults(self.scenario).into_iter();
        pairs.map(|(kind, op)| (kind, op, self.coverage.at(kind, op))).min_by_key(|(.., hits)| *hits)
    }
}
