//! Totals of faults and findings, as tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::fault::{Fault, Stage};
use crate::finding::{Broken, Finding};
use crate::life::Met;

/// Sums over all jobs.
#[derive(Debug, Default)]
pub struct Tally {
    /// Jobs that ended.
    pub jobs: u64,
    /// Programs started for them.
    pub lives: u64,
    /// Jobs that completed.
    pub completed: u64,
    /// Jobs that failed because of a broken source, as expected.
    pub refused: u64,
    met: BTreeMap<(&'static str, Stage), u64>,
    found: BTreeMap<Broken, u64>,
    ends: BTreeMap<String, u64>,
}

impl Tally {
    /// Adds the faults of one life.
    pub fn add_met(&mut self, met: &[Met]) {
        for met in met {
            *self.met.entry((met.fault.name(), met.stage)).or_default() += 1;
        }
    }

    /// Adds the end of a program.
    pub fn add_end(&mut self, end: String) {
        *self.ends.entry(end).or_default() += 1;
    }

    /// Adds the findings of one job.
    pub fn add_findings(&mut self, findings: &[Finding]) {
        for finding in findings {
            *self.found.entry(finding.broken).or_default() += 1;
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Tally) {
        self.jobs += other.jobs;
        self.lives += other.lives;
        self.completed += other.completed;
        self.refused += other.refused;
        for (key, count) in other.met {
            *self.met.entry(key).or_default() += count;
        }
        for (key, count) in other.found {
            *self.found.entry(key).or_default() += count;
        }
        for (key, count) in other.ends {
            *self.ends.entry(key).or_default() += count;
        }
    }

    /// Number of findings of this kind.
    pub fn found(&self, broken: Broken) -> u64 {
        self.found.get(&broken).copied().unwrap_or(0)
    }

    /// Whether there are no findings.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// Total number of faults.
    pub fn faults(&self) -> u64 {
        self.met.values().sum()
    }

    /// The tables, in Markdown.
    pub fn tables(&self) -> String {
        let mut text = String::from("| fault |");
        for stage in Stage::ALL {
            let _ = write!(text, " {} |", stage.name());
        }
        let _ = writeln!(text, " all |\n|---|{}---|", "---|".repeat(Stage::ALL.len()));
        for fault in Fault::ALL {
            let count = |stage| self.met.get(&(fault.name(), stage)).copied().unwrap_or(0);
            let _ = write!(text, "| {} |", fault.name());
            for stage in Stage::ALL {
                let _ = write!(text, " {} |", count(stage));
            }
            let _ = writeln!(text, " {} |", Stage::ALL.into_iter().map(count).sum::<u64>());
        }
        let ends: Vec<_> = self.ends.iter().map(|(end, count)| format!("{count} with {end}")).collect();
        let _ = writeln!(text, "\nLives ended: {}.\n", ends.join(", "));
        let _ = writeln!(
            text,
            "| jobs | completed | refused | lives | faults |{}",
            Broken::ALL.map(|broken| format!(" {} |", broken.name())).concat()
        );
        let _ = writeln!(text, "|---|---|---|---|---|{}", "---|".repeat(Broken::ALL.len()));
        let _ = write!(
            text,
            "| {} | {} | {} | {} | {} |",
            self.jobs,
            self.completed,
            self.refused,
            self.lives,
            self.faults()
        );
        for broken in Broken::ALL {
            let _ = write!(text, " {} |", self.found(broken));
        }
        text.push('\n');
        text
    }
}
