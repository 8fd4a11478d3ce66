//! Time and bytes read to plan a large file.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Bench;
use super::report::Report;
use crate::measure::{Cost, Watch, median, run};

/// Measures time, and bytes read by the process tree as counted by the kernel.
pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let source = bench.sources.large()?;
    let size = source.metadata()?.len();
    let mut costs = Vec::<Cost>::new();
    for _ in 0..bench.runs.max(3) {
        let mut plan = Command::new(&bench.segue);
        plan.arg("plan").arg(&source).args(["--recipe", "rejoin", "--segment-duration", "60s", "--json"]);
        costs.push(run(&mut plan, Watch::Time)?);
    }
    report.raw("plan", &costs);
    let wall = median(costs.iter().map(|cost| cost.wall_s));
    let shown = format!("{wall:.2} s for {:.2} GB", size as f64 / 1e9);
    report.at_most("plan", "time of `segue plan`", wall, 1.0, shown, "≤ 1 s");
    let read = median(costs.iter().map(|cost| cost.read_bytes as f64));
    let part = 100.0 * read / size as f64;
    let shown = format!("{part:.3}% ({:.2} MB of {:.2} GB)", read / 1e6, size as f64 / 1e9);
    report.at_most("plan", "bytes read, by the kernel's count", part, 2.0, shown, "≤ 2%");
    let plan: Value = serde_json::from_str(&costs[0].stdout).context("segue plan --json")?;
    match find(&plan, "bytes_read") {
        Some(own) => {
            let shown = format!("{:.3}% ({:.2} MB)", 100.0 * own / size as f64, own / 1e6);
            report.at_most(
                "plan",
                "bytes read, by its own count",
                100.0 * own / size as f64,
                2.0,
                shown,
                "≤ 2%",
            );
        }
        None => report.not_run("plan", "its own count: `segue plan --json` has no bytes_read"),
    }
    let segments = plan["plans"]["video"]["segments"].as_array().map_or(0, Vec::len) as f64;
    report.info("plan", "segments found", segments, format!("{segments}"));
    Ok(())
}

/// The first number with this key in a document.
fn find(value: &Value, name: &str) -> Option<f64> {
    match value {
        Value::Object(map) => {
            map.get(name).and_then(Value::as_f64).or_else(|| map.values().find_map(|inner| find(inner, name)))
        }
        Value::Array(list) => list.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}
