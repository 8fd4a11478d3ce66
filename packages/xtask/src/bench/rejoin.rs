//! The copy recipe against one remux by ffmpeg, the fastest alternative.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::report::Report;
use crate::measure::{Cost, Watch, median, run};

const LIMIT: f64 = 1.5;
/// Least total time measured, seconds: a run takes a second or two, and medians of three such runs
/// differed by a third.
const MEASURED_FOR: f64 = 30.0;

/// Measures wall and processor time of both, alternately.
pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let source = bench.sources.large()?;
    compare(bench, report, &source, "rejoin")?;
    // many small packets instead of few large ones, which cost more per byte
    let long = bench.sources.talk_minutes(if bench.quick { 10 } else { 120 })?;
    compare(bench, report, &long, "rejoin, 2 h of small packets")
}

fn compare(bench: &Bench, report: &mut Report, source: &Path, name: &str) -> Result<()> {
    let bytes = source.metadata()?.len();
    let remuxed = bench.work.join("remux.mp4");
    let (mut ours, mut theirs) = (Vec::<Cost>::new(), Vec::<Cost>::new());
    // the first run of each is not counted: it fills the page cache
    let (mut round, mut measured_for) = (0, 0.0);
    while round <= bench.runs || (measured_for < MEASURED_FOR && !bench.quick) {
        let remux = run(&mut plain(source, &remuxed), Watch::Time)?;
        std::fs::remove_file(&remuxed)?;
        let (mut segue, out) =
            bench.run_command(source, &["--recipe", "rejoin", "--segment-duration", "60s"])?;
        let joined = run(&mut segue, Watch::Time)?;
        std::fs::remove_dir_all(&out)?;
        if round > 0 {
            measured_for += remux.wall_s + joined.wall_s;
            theirs.push(remux);
            ours.push(joined);
        }
        round += 1;
    }
    report.raw(&format!("{name}: ours"), &ours);
    report.raw(&format!("{name}: ffmpeg -c copy"), &theirs);
    let size = format!("{:.2} GB", bytes as f64 / 1e9);
    for (what, of) in [("wall", (|c: &Cost| c.wall_s) as fn(&Cost) -> f64), ("CPU", |c: &Cost| c.cpu_s)] {
        let (a, b) = (median(ours.iter().map(of)), median(theirs.iter().map(of)));
        let ratio = a / b;
        let shown = format!("{ratio:.2}× ({a:.2} s against {b:.2} s, {size})");
        report.at_most(name, &format!("{what} against ffmpeg -c copy"), ratio, LIMIT, shown, "≤ 1.5×");
    }
    // now with fsync; last, so that its disk writes do not disturb the runs above
    let (mut ours, mut theirs) = (Vec::<f64>::new(), Vec::<f64>::new());
    for _ in 0..bench.runs {
        let remux = run(&mut plain(source, &remuxed), Watch::Time)?;
        let sync = run(Command::new("sync").arg(&remuxed), Watch::Time)?;
        std::fs::remove_file(&remuxed)?;
        theirs.push(remux.wall_s + sync.wall_s);
        let (mut segue, out) =
            bench.run_command(source, &["--recipe", "rejoin", "--segment-duration", "60s", "--fsync"])?;
        ours.push(run(&mut segue, Watch::Time)?.wall_s);
        std::fs::remove_dir_all(&out)?;
    }
    let (a, b) = (median(ours), median(theirs));
    let shown = format!("{:.2}× ({a:.2} s against {b:.2} s, {size})", a / b);
    report.info(name, "wall with --fsync against ffmpeg -c copy and sync", a / b, shown);
    Ok(())
}

/// One remux of all streams.
fn plain(source: &Path, out: &Path) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(source);
    ffmpeg.args(["-map", "0", "-c", "copy"]).arg(out);
    ffmpeg
}
