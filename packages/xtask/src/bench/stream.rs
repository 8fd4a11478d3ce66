//! The output `stream` against one ffmpeg process with the same ladder, settings and fragments.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::encode::{mean, ssim_at};
use super::report::Report;
use crate::measure::{Cost, Watch, median, run};

const WALL_LIMIT: f64 = 1.05;
const CPU_LIMIT: f64 = 1.10;
/// Frames compared on either side of the start of a part.
const NEAR: usize = 10;

/// Shorter side, width, and limit of the bit rate in kbit/s, as the ladder of Segue has them for 1080p at 30 frames a
/// second.
const LADDER: [(u32, u32, u32); 3] = [(1080, 1920, 6_000), (720, 1280, 3_500), (480, 854, 1_600)];
const PRESET: &str = "veryfast";

/// Compares cost, then the quality of each size.
pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let seconds = if bench.quick { 20 } else { 600 };
    let source = bench.sources.motion_of(1920, 1080, seconds)?;
    let recipe = bench.work.join("stream.toml");
    let heights = LADDER.map(|(lines, ..)| lines.to_string()).join(", ");
    let text = format!(
        "version = 2\nname = \"stream\"\nsegment_duration = \"60s\"\n[outputs.stream]\nkind = \"stream\"\n\
         heights = [{heights}]\npreset = \"{PRESET}\"\n"
    );
    std::fs::write(&recipe, text)?;
    let recipe = recipe.display().to_string();
    let one = bench.work.join("one");
    // a long run averages by itself
    let runs = if seconds >= 600 { 1 } else { bench.runs };
    let (mut ours, mut theirs) = (Vec::<Cost>::new(), Vec::<Cost>::new());
    let mut out = one.clone();
    for _ in 0..runs {
        let _ = std::fs::remove_dir_all(&one);
        std::fs::create_dir_all(&one)?;
        theirs.push(run(&mut same_ladder(&source, &one), Watch::Memory)?);
        let (mut command, folder) = bench.run_command(&source, &["--recipe", &recipe])?;
        ours.push(run(&mut command, Watch::Memory)?);
        out = folder;
    }
    report.raw("stream: ours", &ours);
    report.raw("stream: one ffmpeg", &theirs);
    let of = [
        ("wall", (|c: &Cost| c.wall_s) as fn(&Cost) -> f64, WALL_LIMIT, "≤ 1.05×"),
        ("CPU", |c| c.cpu_s, CPU_LIMIT, "≤ 1.10×"),
    ];
    for (what, of, limit, shown_limit) in of {
        let (a, b) = (median(ours.iter().map(of)), median(theirs.iter().map(of)));
        let shown = format!("{:.3}× ({a:.2} s against {b:.2} s, {seconds} s of 1080p, {PRESET})", a / b);
        report.at_most("stream", &format!("{what} against one ffmpeg"), a / b, limit, shown, shown_limit);
    }
    let mb = |costs: &[Cost]| median(costs.iter().map(|c| c.peak_pss_kb as f64 * 1024.0 / 1e6));
    let (a, b) = (mb(&ours), mb(&theirs));
    report.info("stream", "peak memory of the tree, PSS", a, format!("{a:.0} MB against {b:.0} MB"));
    quality(bench, report, &source, &out, &one)
}

/// One decode, the same sizes and limits, and keyframes where fragments start.
fn same_ladder(source: &Path, out: &Path) -> Command {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(out).args(["-nostdin", "-v", "error", "-y", "-i"]).arg(source);
    let mut graph = format!("[0:v]split={}", LADDER.len());
    (0..LADDER.len()).for_each(|i| graph.push_str(&format!("[s{i}]")));
    for (i, (lines, width, _)) in LADDER.iter().enumerate() {
        graph.push_str(&format!(";[s{i}]scale={width}:{lines}:flags=bicubic,format=yuv420p[v{i}]"));
    }
    ffmpeg.args(["-filter_complex", &graph]);
    let mut streams = Vec::new();
    for (i, (_, _, kbps)) in LADDER.iter().enumerate() {
        ffmpeg.args(["-map", &format!("[v{i}]"), &format!("-maxrate:v:{i}"), &format!("{kbps}k")]);
        ffmpeg.args([format!("-bufsize:v:{i}"), format!("{kbps}k")]);
        streams.push(format!("v:{i},agroup:a"));
    }
    streams.push("a:0,agroup:a".to_owned());
    ffmpeg.args(["-map", "0:a:0", "-c:v", "libx264", "-preset", PRESET, "-crf", "23"]);
    ffmpeg.args([
        "-force_key_frames",
        "expr:gte(t,n_forced*4)",
        "-forced-idr",
        "1",
        "-sc_threshold",
        "0",
        "-g",
        "100000",
    ]);
    ffmpeg.args(["-c:a", "aac", "-b:a", "128k", "-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "4"]);
    ffmpeg.args(["-hls_flags", "single_file", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8"]);
    ffmpeg.args(["-var_stream_map", &streams.join(" "), "stream_%v.m3u8"]);
    ffmpeg
}

fn quality(bench: &Bench, report: &mut Report, source: &Path, ours: &Path, theirs: &Path) -> Result<()> {
    let document: Value = serde_json::from_slice(&std::fs::read(ours.join("stream/stream.json"))?)?;
    let plan = &document["plan"];
    let numbers = |key: &str| -> Result<Vec<i64>> {
        let all = plan[key].as_array().with_context(|| format!("the stream has no {key}"))?;
        Ok(all.iter().filter_map(Value::as_i64).collect())
    };
    let (starts, parts) = (numbers("starts")?, numbers("parts")?);
    let pictures = plan["pictures"].as_f64().context("the stream has no pictures")?;
    let end = plan["end"].as_f64().context("the stream has no end")?;
    let seams: Vec<usize> = parts
        .iter()
        .skip(1)
        .filter_map(|part| starts.get(usize::try_from(*part).ok()?))
        .map(|start| (*start as f64 * pictures / end).round() as usize)
        .collect();
    ensure!(!seams.is_empty(), "the stream has one part, so there is no seam to compare");
    for (i, (lines, width, _)) in LADDER.iter().enumerate() {
        let a = ssim_at(bench, source, &ours.join(format!("stream/{lines}p.m3u8")), Some((*width, *lines)))?;
        let b = ssim_at(bench, source, &theirs.join(format!("stream_{i}.m3u8")), Some((*width, *lines)))?;
        let name = format!("{lines}p");
        let differ = (a.len() as f64 - b.len() as f64).abs();
        report.at_most(
            "stream",
            &format!("{name}: frames"),
            differ,
            0.0,
            format!("{} and {}", a.len(), b.len()),
            "equal",
        );
        let worse = 100.0 * (mean(&a) / mean(&b) - 1.0);
        let shown = format!("{worse:.3}% (SSIM {:.5} against {:.5})", mean(&a), mean(&b));
        report.at_least("stream", &format!("{name}: SSIM against one ffmpeg"), worse, -0.5, shown, "≥ −0.5%");
        let near = |of: &[f64], seam: usize| {
            let to = (seam + NEAR).min(of.len());
            mean(&of[seam.saturating_sub(NEAR).min(to)..to])
        };
        let dips = seams.iter().map(|seam| 100.0 * (near(&a, *seam) / near(&b, *seam) - 1.0));
        let worst = dips.fold(f64::INFINITY, f64::min);
        let shown = format!("{worst:.3}% at the worst of {} seams", seams.len());
        report.at_least(
            "stream",
            &format!("{name}: SSIM ±10 frames at a seam"),
            worst,
            -0.5,
            shown,
            "≥ −0.5%",
        );
    }
    Ok(())
}
