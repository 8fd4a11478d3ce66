//! The encode recipe against one encode by ffmpeg, and N segments against one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::report::Report;
use crate::measure::{Cost, Watch, median, run};

const COST_LIMIT: f64 = 1.05;
/// Frames compared on either side of a cut.
const NEAR: usize = 10;
const WHOLE: &str = "1000h";

/// Compares cost, then quality.
pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let source = bench.sources.motion()?;
    let duration = if bench.quick { "4s" } else { "10s" };
    let (mut ours, mut theirs) = (Vec::<Cost>::new(), Vec::<Cost>::new());
    let (parts, whole) = (bench.work.join("parts.mp4"), bench.work.join("whole.mp4"));
    for _ in 0..bench.runs {
        theirs.push(run(&mut same_settings(&source, &bench.work.join("one.mp4")), Watch::Time)?);
        ours.push(segue(bench, &source, duration, &parts)?);
    }
    report.raw("mp4: ours", &ours);
    report.raw("mp4: one ffmpeg", &theirs);
    for (what, of) in [("wall", (|c: &Cost| c.wall_s) as fn(&Cost) -> f64), ("CPU", |c: &Cost| c.cpu_s)] {
        let (a, b) = (median(ours.iter().map(of)), median(theirs.iter().map(of)));
        let shown = format!("{:.3}× ({a:.2} s against {b:.2} s)", a / b);
        report.at_most("mp4", &format!("{what} against one encode"), a / b, COST_LIMIT, shown, "≤ 1.05×");
    }
    segue(bench, &source, WHOLE, &whole)?;
    quality(bench, report, &source, duration, &parts, &whole)
}

fn segue(bench: &Bench, source: &Path, duration: &str, keep: &Path) -> Result<Cost> {
    let (mut command, out) =
        bench.run_command(source, &["--recipe", "mp4", "--segment-duration", duration])?;
    let cost = run(&mut command, Watch::Time)?;
    std::fs::rename(out.join("final.mp4"), keep)?;
    Ok(cost)
}

/// ffmpeg with the settings of the built-in recipe: codec, quality, preset, pixel format and sound, a
/// closed GOP every five seconds, and all threads.
fn same_settings(source: &Path, out: &Path) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(source);
    ffmpeg.args(["-map", "0:v:0", "-map", "0:a:0", "-c:v", "libx264", "-crf", "23", "-preset", "medium"]);
    ffmpeg.args(["-pix_fmt", "yuv420p", "-force_key_frames", "expr:gte(t,n_forced*5)", "-forced-idr", "1"]);
    ffmpeg.args(["-c:a", "aac", "-b:a", "128k"]).arg(out);
    ffmpeg
}

fn quality(
    bench: &Bench,
    report: &mut Report,
    source: &Path,
    duration: &str,
    parts: &Path,
    whole: &Path,
) -> Result<()> {
    let (of_parts, of_whole) = (ssim(bench, source, parts)?, ssim(bench, source, whole)?);
    let frames = (of_parts.len() as f64 - of_whole.len() as f64).abs();
    let shown = format!("{} and {}", of_parts.len(), of_whole.len());
    report.at_most("mp4", "frames, N parts and one", frames, 0.0, shown, "equal");
    let (a, b) = (mean(&of_parts), mean(&of_whole));
    let shown = format!("{:.3}% (SSIM {a:.5} against {b:.5})", 100.0 * (a / b - 1.0));
    report.at_least("mp4", "SSIM of N parts against one", 100.0 * (a / b - 1.0), -0.5, shown, "≥ −0.5%");
    let seams = seams(bench, source, duration)?;
    ensure!(!seams.is_empty(), "the source was not cut, so there is no seam to compare");
    let near = |of: &[f64], seam: usize| {
        let end = (seam + NEAR).min(of.len());
        mean(&of[seam.saturating_sub(NEAR).min(end)..end])
    };
    let dips = seams.iter().map(|seam| 100.0 * (near(&of_parts, *seam) / near(&of_whole, *seam) - 1.0));
    let worst = dips.fold(f64::INFINITY, f64::min);
    let shown = format!("{worst:.3}% at the worst of {} seams", seams.len());
    report.at_least("mp4", "SSIM ±10 frames at a seam, N against one", worst, -0.5, shown, "≥ −0.5%");
    let (a, b) = (parts.metadata()?.len() as f64, whole.metadata()?.len() as f64);
    let more = 100.0 * (a / b - 1.0);
    let shown = format!("{more:+.2}% ({:.2} MB against {:.2} MB)", a / 1e6, b / 1e6);
    report.at_most("mp4", "size of N parts against one", more.abs(), 3.0, shown, "within 3%");
    Ok(())
}

/// SSIM of every frame against the source.
fn ssim(bench: &Bench, source: &Path, encoded: &Path) -> Result<Vec<f64>> {
    ssim_at(bench, source, encoded, None)
}

/// SSIM of every frame against the source, which is scaled to this width and height where they are given.
pub(super) fn ssim_at(
    bench: &Bench,
    source: &Path,
    encoded: &Path,
    size: Option<(u32, u32)>,
) -> Result<Vec<f64>> {
    let stats: PathBuf = bench.work.join("ssim.log");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .current_dir(&bench.work)
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(encoded)
        .arg("-i")
        .arg(source);
    // matched by frame number: both have the same frames in the same order
    let scaled = size.map_or(String::new(), |(w, h)| format!("scale={w}:{h}:flags=bicubic,"));
    let graph = format!("[0:v]setpts=N[a];[1:v]{scaled}setpts=N[b];[a][b]ssim=stats_file=ssim.log");
    ffmpeg.args(["-lavfi", &graph, "-fps_mode", "passthrough", "-an", "-f", "null", "-"]);
    run(&mut ffmpeg, Watch::Time)?;
    let all = |line: &str| line.split("All:").nth(1)?.split_whitespace().next()?.parse().ok();
    Ok(std::fs::read_to_string(stats)?.lines().filter_map(all).collect())
}

/// The first frame of each segment but the first.
fn seams(bench: &Bench, source: &Path, duration: &str) -> Result<Vec<usize>> {
    let mut plan = Command::new(&bench.segue);
    plan.arg("plan").arg(source).args(["--recipe", "mp4", "--segment-duration", duration, "--json"]);
    let plan: Value = serde_json::from_str(&run(&mut plan, Watch::Time)?.stdout)?;
    let segments =
        plan["plans"]["video"]["segments"].as_array().context("segue plan --json has no segments")?;
    let mut first = 0;
    let mut seams = Vec::new();
    for segment in segments {
        if first > 0 {
            seams.push(first);
        }
        first += segment["frames"].as_u64().context("a segment without a number of frames")? as usize;
    }
    Ok(seams)
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
