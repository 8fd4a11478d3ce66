//! Bench report, as a table and as JSON.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use crate::table::Table;

/// Whether a limit was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Met {
    Yes,
    Missed,
    NoLimit,
    NotRun,
    Failed,
}

#[derive(Debug, Serialize)]
struct Row {
    item: String,
    what: String,
    measured: String,
    value: Option<f64>,
    limit: String,
    met: Met,
}

/// All measurements.
#[derive(Debug, Serialize)]
pub struct Report {
    quick: bool,
    threads: usize,
    machine: String,
    rows: Vec<Row>,
    raw: Vec<(String, Value)>,
}

impl Report {
    /// An empty report.
    pub fn new(quick: bool, threads: usize) -> Report {
        Report { quick, threads, machine: machine(), rows: Vec::new(), raw: Vec::new() }
    }

    /// A number with an upper limit.
    pub fn at_most(
        &mut self,
        item: &str,
        what: &str,
        value: f64,
        limit: f64,
        shown: String,
        limit_text: &str,
    ) {
        let met = if value <= limit { Met::Yes } else { Met::Missed };
        self.push(item, what, shown, Some(value), limit_text, met);
    }

    /// A number with a lower limit.
    pub fn at_least(
        &mut self,
        item: &str,
        what: &str,
        value: f64,
        limit: f64,
        shown: String,
        limit_text: &str,
    ) {
        let met = if value >= limit { Met::Yes } else { Met::Missed };
        self.push(item, what, shown, Some(value), limit_text, met);
    }

    /// A number without a limit.
    pub fn info(&mut self, item: &str, what: &str, value: f64, shown: String) {
        self.push(item, what, shown, Some(value), "reported", Met::NoLimit);
    }

    /// A benchmark that was not run, with the reason.
    pub fn not_run(&mut self, item: &str, why: &str) {
        self.push(item, "", why.to_owned(), None, "", Met::NotRun);
    }

    /// A benchmark that failed.
    pub fn failed(&mut self, item: &str, why: &str) {
        self.push(item, "", why.to_owned(), None, "", Met::Failed);
    }

    /// Single runs, for the JSON.
    pub fn raw(&mut self, what: &str, runs: &impl Serialize) {
        self.raw.push((what.to_owned(), serde_json::to_value(runs).unwrap_or_default()));
    }

    fn push(&mut self, item: &str, what: &str, measured: String, value: Option<f64>, limit: &str, met: Met) {
        eprintln!("bench:   {item} {what}: {measured} ({limit}) {}", word(met));
        let row = Row { item: item.into(), what: what.into(), measured, value, limit: limit.into(), met };
        self.rows.push(row);
    }

    /// Whether no limit was missed and no benchmark failed.
    pub fn all_met(&self) -> bool {
        !self.rows.iter().any(|row| matches!(row.met, Met::Missed | Met::Failed))
    }

    /// The table, followed by the missed limits and failures.
    pub fn markdown(&self) -> String {
        let mut table = Table::new(["item", "what", "measured", "limit", ""]);
        for row in &self.rows {
            table.row([
                row.item.clone(),
                row.what.clone(),
                row.measured.clone(),
                row.limit.clone(),
                word(row.met).to_owned(),
            ]);
        }
        let mut text = format!("{}, {} threads\n\n{}\n", self.machine, self.threads, table.markdown());
        if self.quick {
            text.push_str(
                "quick run: sources are small and each was run once; these figures prove nothing\n",
            );
        }
        let missed: Vec<_> =
            self.rows.iter().filter(|row| matches!(row.met, Met::Missed | Met::Failed)).collect();
        for row in &missed {
            let line =
                format!("{}: {} {}: {} ({})\n", word(row.met), row.item, row.what, row.measured, row.limit);
            text.push_str(&line);
        }
        if missed.is_empty() {
            text.push_str("nothing was missed\n");
        }
        text
    }

    /// Writes both forms into `out`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        std::fs::write(out.join("bench.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(std::fs::write(out.join("bench.md"), self.markdown())?)
    }
}

fn word(met: Met) -> &'static str {
    match met {
        Met::Yes => "met",
        Met::Missed => "MISSED",
        Met::NoLimit => "",
        Met::NotRun => "not run",
        Met::Failed => "FAILED",
    }
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{}, load {load} at the start", name.trim_start_matches(['\t', ' ', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_limit_is_listed_below_the_table() {
        let mut report = Report::new(false, 2);
        report.at_most("a", "ratio", 1.2, 1.5, "1.20".into(), "≤ 1.5");
        report.info("b", "ratio", 9.0, "9.0".into());
        report.not_run("c", "not asked for");
        assert!(report.all_met() && report.markdown().ends_with("nothing was missed\n"));
        report.at_least("d", "ssim", 0.9, 0.995, "0.900".into(), "≥ 0.995");
        assert!(!report.all_met());
        assert!(report.markdown().ends_with("MISSED: d ssim: 0.900 (≥ 0.995)\n"), "{}", report.markdown());
    }
}
