//! Fidelity table: every test file through the copy recipe, compared by an independent tool.
//!
//! For each file the table has the results of one pass of ffmpeg `-c copy` into the three
//! containers, of Segue without a map, with `cp` and with a remux as map command, and of naive
//! cutting. The comparing tool is `tools/fidelity.py` of the shared folder, which shares no code
//! with Segue.

mod judge;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::program;
use crate::table::Table;
use judge::{Bench, Verdict};

/// `cargo xtask fidelity`
#[derive(Debug, Args)]
pub struct FidelityArgs {
    /// Folder with media/ and tools/ [env: SEGUE_SHARED]
    #[arg(long, value_name = "DIR")]
    shared: Option<PathBuf>,
    /// Use this ffmpeg, and the ffprobe beside it, for everything
    #[arg(long, value_name = "PATH")]
    ffmpeg: Option<PathBuf>,
    /// Segment duration
    #[arg(long, value_name = "TIME", default_value = "2s")]
    segment_duration: String,
    /// Test this map command, besides no map; may be repeated
    #[arg(long, value_name = "COMMAND", conflicts_with = "all_maps")]
    map: Vec<String>,
    /// Test without a map, with a copy and with a remux; the default without --map
    #[arg(long)]
    all_maps: bool,
    /// `aws`: compare the results on an AWS emulator with those of one process instead
    #[arg(long, value_name = "NAME", value_parser = ["aws"])]
    backend: Option<String>,
    /// Only files whose path contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Results of one file.
#[derive(Debug, Serialize)]
struct Line {
    file: String,
    one_pass: Option<&'static str>,
    segments: Option<u64>,
    ours: Vec<Verdict>,
    seed: Verdict,
}

impl Line {
    /// Whether Segue damages a file that one pass keeps.
    fn missed(&self) -> bool {
        self.one_pass.is_some() && self.ours.iter().any(|verdict| !verdict.is_good())
    }
}

/// Prints the table; returns whether no file is damaged that one pass keeps.
///
/// # Errors
/// No shared folder, a build that fails, or tools that are missing.
pub fn run(args: &FidelityArgs) -> Result<bool> {
    let shared = program::shared(args.shared.as_deref())?;
    if args.backend.is_some() {
        let mut same =
            vec!["same".to_owned(), "--segment-duration".to_owned(), args.segment_duration.clone()];
        same.extend(args.only.iter().flat_map(|text| ["--only".to_owned(), text.clone()]));
        same.extend(media(&shared)?.iter().map(|path| path.display().to_string()));
        return crate::fleet::run(&same);
    }
    let segue = program::segue(&[])?;
    let links = tempfile::tempdir()?;
    let path: Option<OsString> =
        args.ffmpeg.as_deref().map(|ffmpeg| program::path_with(ffmpeg, links.path())).transpose()?;
    let bench = Bench { segue, shared, path, segment_duration: args.segment_duration.clone() };
    let maps = maps(args);
    let wanted = |path: &PathBuf| args.only.as_ref().is_none_or(|text| path.to_string_lossy().contains(text));
    let files: Vec<PathBuf> = media(&bench.shared)?.into_iter().filter(wanted).collect();
    ensure!(!files.is_empty(), "no media files in {}", bench.shared.join("media").display());
    let lines = judge_all(&bench, &files, &maps)?;
    let missed = lines.iter().filter(|line| line.missed()).count();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&lines)?);
    } else {
        print!("{}", table(&lines, &maps));
        println!("\n{}", totals(&lines, &maps));
    }
    Ok(missed == 0)
}

/// Name of the column, and map command.
fn maps(args: &FidelityArgs) -> Vec<(String, Option<String>)> {
    let mut maps = vec![("plain".to_owned(), None)];
    if args.map.is_empty() {
        maps.push(("cp".to_owned(), Some("cp {input} {output}".to_owned())));
        let remux = "ffmpeg -v error -i {input} -map 0 -c copy {output}";
        maps.push(("remux".to_owned(), Some(remux.to_owned())));
    }
    maps.extend(args.map.iter().map(|command| (format!("map `{command}`"), Some(command.clone()))));
    maps
}

fn media(shared: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in ["video", "derived"] {
        let folder = shared.join("media").join(folder);
        let entries = std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_file() && !name.starts_with("bad_") && !name.ends_with(".json") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Two files at a time.
fn judge_all(bench: &Bench, files: &[PathBuf], maps: &[(String, Option<String>)]) -> Result<Vec<Line>> {
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let line = judge_one(bench, file, maps).with_context(|| file.display().to_string())?;
            eprintln!("{}", progress(&line));
            lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let both = [scope.spawn(work), scope.spawn(work)];
        both.into_iter().try_for_each(|one| one.join().unwrap_or_else(|e| std::panic::resume_unwind(e)))
    })?;
    let mut lines = lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    lines.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(lines)
}

fn judge_one(bench: &Bench, file: &Path, maps: &[(String, Option<String>)]) -> Result<Line> {
    let one_pass = bench.one_pass(file)?;
    let picture = bench.has_picture(file)?;
    let mut segments = None;
    let mut ours = Vec::new();
    for (_, map) in maps {
        if map.is_some() && !picture {
            ours.push(Verdict::NoPicture);
            continue;
        }
        let (verdict, parts) = bench.ours(file, map.as_deref())?;
        segments = segments.max(parts);
        ours.push(verdict);
    }
    let name = file.strip_prefix(bench.shared.join("media")).unwrap_or(file).display().to_string();
    Ok(Line { file: name, one_pass, segments, ours, seed: bench.seed(file)? })
}

fn progress(line: &Line) -> String {
    let ours: Vec<_> = line.ours.iter().map(Verdict::to_string).collect();
    format!("{}: one pass {}; ours {}", line.file, line.one_pass.unwrap_or("differs"), ours.join(", "))
}

fn cells(line: &Line) -> Vec<String> {
    let mut cells = vec![
        line.file.clone(),
        line.one_pass.map_or("differs".to_owned(), |container| format!("same ({container})")),
        line.segments.map(|n| n.to_string()).unwrap_or_default(),
    ];
    cells.extend(line.ours.iter().map(Verdict::to_string));
    cells.push(line.seed.to_string());
    cells.push(if line.missed() { "MISSED".to_owned() } else { String::new() });
    cells
}

fn table(lines: &[Line], maps: &[(String, Option<String>)]) -> String {
    let mut heading = vec!["file".to_owned(), "one pass, best".to_owned(), "segments".to_owned()];
    heading.extend(maps.iter().map(|(name, _)| name.clone()));
    heading.extend(["naive cut".to_owned(), String::new()]);
    let mut table = Table::with_columns(heading);
    for line in lines {
        table.row(cells(line));
    }
    table.markdown()
}

fn totals(lines: &[Line], maps: &[(String, Option<String>)]) -> String {
    let kept: Vec<&Line> = lines.iter().filter(|line| line.one_pass.is_some()).collect();
    let mut totals = vec![format!("{} files, one pass keeps {}", lines.len(), kept.len())];
    for (column, (name, _)) in maps.iter().enumerate() {
        let same = |lines: &[&Line]| lines.iter().filter(|l| l.ours[column] == Verdict::Same).count();
        let none = kept.iter().filter(|l| l.ours[column] == Verdict::NoPicture).count();
        let of_all = same(&lines.iter().collect::<Vec<_>>());
        let without = if none > 0 { format!(", {none} have no picture to map") } else { String::new() };
        totals.push(format!("{name}: same {} of those{without}; {of_all} in all", same(&kept)));
    }
    let seed = kept.iter().filter(|line| line.seed == Verdict::Same).count();
    totals.push(format!("naive cut: same {seed} of those"));
    let missed = kept.iter().filter(|line| line.missed()).count();
    totals.push(format!("MISSED: {missed}"));
    totals.join("\n")
}
