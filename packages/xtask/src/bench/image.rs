//! Three sizes of photos against vips and ImageMagick: images per second, and quality.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Bench;
use super::report::Report;
use crate::measure::{Watch, median, run};
use crate::program;

/// Sides of the variants; the first is cropped to a square.
const SIDES: [u32; 3] = [150, 600, 1200];
/// Size of a photo, 12 megapixels.
const SIZE: (u32, u32) = (4000, 3000);
/// Quality of all WebP files.
const QUALITY: u32 = 80;

/// Compares time, then quality.
pub fn measure(bench: &Bench, report: &mut Report) -> Result<()> {
    let photos = photos(bench)?;
    let out = bench.work.join("image");
    std::fs::create_dir_all(&out)?;
    let image = program::image_variants()?;
    let programs = ["vips", "ImageMagick"].into_iter().zip([vips as Make, magick as Make]);
    let programs: Vec<(&str, Make)> = programs.filter(|(name, _)| has(name)).collect();
    let mut ours = Vec::new();
    let mut theirs = vec![Vec::new(); programs.len()];
    for _ in 0..bench.runs {
        ours.push(seconds(&photos, &out, |photo, out| segue(&image, photo, out))?);
        for ((_, make), times) in programs.iter().zip(&mut theirs) {
            times.push(seconds(&photos, &out, make)?);
        }
    }
    report.raw("image: seconds of our runs", &ours);
    report.raw("image: seconds of the other programs' runs", &theirs);
    let rate = |seconds: f64| photos.len() as f64 / seconds;
    for ((name, _), times) in programs.iter().zip(&theirs) {
        // ratios of alternating runs: both saw the same state of the machine
        let ratio = median(times.iter().zip(&ours).map(|(theirs, ours)| theirs / ours));
        let (a, b) = (rate(median(ours.iter().copied())), rate(median(times.iter().copied())));
        let shown = format!("{ratio:.2}× ({a:.2} against {b:.2} images/s, one process for each image)");
        let what = format!("images per second against {name}");
        report.at_least("image", &what, ratio, 1.0, shown, "≥ 1×");
    }
    for name in ["vips", "ImageMagick"].iter().filter(|name| !has(name)) {
        report
            .not_run("image", &format!("skipped: {name} is not installed; scripts/setup --test installs it"));
    }
    if has("vips") { quality(bench, report, &image, &photos[0], &out) } else { Ok(()) }
}

type Make = fn(&Path, &Path) -> Vec<Command>;

fn has(program: &str) -> bool {
    let program = if program == "vips" { "vipsthumbnail" } else { magick_program() };
    Command::new(program).arg("--version").output().is_ok()
}

/// Debian's name of ImageMagick 6, else that of version 7.
fn magick_program() -> &'static str {
    let is_there = |name: &str| Command::new(name).arg("-version").output().is_ok();
    if is_there("convert-im6.q16") { "convert-im6.q16" } else { "magick" }
}

/// Photos with detail at every scale: fractals with grain.
fn photos(bench: &Bench) -> Result<Vec<PathBuf>> {
    let count = if bench.quick { 2 } else { 6 };
    (0..count).map(|number| bench.sources.photo(number, SIZE)).collect()
}

fn segue(program: &Path, photo: &Path, out: &Path) -> Vec<Command> {
    let mut command = Command::new(program);
    command.arg(photo).arg(out);
    vec![command]
}

fn vips(photo: &Path, out: &Path) -> Vec<Command> {
    let command = |side: u32| {
        let mut vips = Command::new("vipsthumbnail");
        // one thread: images are processed side by side, one on each core
        vips.env("VIPS_CONCURRENCY", "1").arg(photo).args(["--size", &format!("{side}x{side}")]);
        if side == SIDES[0] {
            vips.args(["--smartcrop", "centre"]);
        }
        let file = out.join(format!("vips-{side}.webp[Q={QUALITY},strip]"));
        vips.arg("--output").arg(file);
        vips
    };
    SIDES.map(command).into()
}

fn magick(photo: &Path, out: &Path) -> Vec<Command> {
    let command = |side: u32| {
        let mut magick = Command::new(magick_program());
        magick.env("MAGICK_THREAD_LIMIT", "1").env("OMP_NUM_THREADS", "1").arg(photo).arg("-auto-orient");
        let size = format!("{side}x{side}");
        if side == SIDES[0] {
            let crop = format!("{size}^");
            magick.args(["-resize", &crop, "-gravity", "center", "-extent", &size]);
        } else {
            magick.args(["-resize", &format!("{size}>")]);
        }
        magick
            .args(["-strip", "-quality", &QUALITY.to_string()])
            .arg(out.join(format!("magick-{side}.webp")));
        magick
    };
    SIDES.map(command).into()
}

/// Wall time for all photos, one after the other.
fn seconds(photos: &[PathBuf], out: &Path, make: impl Fn(&Path, &Path) -> Vec<Command>) -> Result<f64> {
    let mut sum = 0.0;
    for photo in photos {
        for mut command in make(photo, out) {
            sum += run(&mut command, Watch::Time)?.wall_s;
        }
    }
    Ok(sum)
}

/// SSIM of each variant against the photo, scaled by ffmpeg with Lanczos and never compressed.
fn quality(bench: &Bench, report: &mut Report, image: &Path, photo: &Path, out: &Path) -> Result<()> {
    for mut command in segue(image, photo, out).into_iter().chain(vips(photo, out)) {
        run(&mut command, Watch::Time)?;
    }
    for side in SIDES {
        let scale = if side == SIDES[0] {
            format!("crop=ih:ih,scale={side}:{side}")
        } else {
            format!("scale={side}:-1")
        };
        let of = |name: String| ssim(bench, &out.join(name), photo, &scale);
        let (ours, theirs) = (of(format!("image-{side}.webp"))?, of(format!("vips-{side}.webp"))?);
        let bytes = |name: String| out.join(name).metadata().map(|m| m.len());
        let more = 100.0 * (ours / theirs - 1.0);
        let (a, b) = (bytes(format!("image-{side}.webp"))?, bytes(format!("vips-{side}.webp"))?);
        let shown = format!("{more:+.2}% ({ours:.4} against {theirs:.4}; {a} and {b} bytes)");
        report.at_least("image", &format!("SSIM at {side} against vips"), more, -1.0, shown, "≥ −1%");
    }
    Ok(())
}

fn ssim(bench: &Bench, made: &Path, photo: &Path, scale: &str) -> Result<f64> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(&bench.work).args(["-nostdin", "-v", "info", "-i"]).arg(made).arg("-i").arg(photo);
    let graph = format!(
        "[1:v]format=gbrp,{scale}:flags=lanczos+accurate_rnd+full_chroma_int[b];[0:v]format=gbrp[a];[a][b]ssim"
    );
    let ended = run(ffmpeg.args(["-lavfi", &graph, "-f", "null", "-"]), Watch::Time)?;
    let all = ended.stderr.lines().rev().find_map(|line| line.split("All:").nth(1));
    let value = all.and_then(|rest| rest.split_whitespace().next()).context("ffmpeg printed no SSIM")?;
    Ok(value.parse()?)
}
