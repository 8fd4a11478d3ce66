//! Benchmarks of Segue against other programs, in one run on one machine.
//!
//! Every row has a limit and whether it was met; what was not run is printed with its reason.
//! Nothing is tuned: Segue runs with its defaults, and the other programs with settings that do
//! the same work.

mod encode;
mod image;
mod memory;
mod peer;
mod plan;
mod rejoin;
mod report;
mod sources;
mod speech;
mod stream;
mod wer;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::program;
use report::Report;
use sources::Sources;

/// `cargo xtask bench`
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Small sources and single runs, to test the bench itself; the figures are not meaningful
    #[arg(long)]
    quick: bool,
    /// Run only this; may be repeated [default: all but long ones]
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Item>,
    /// Also run the long ones: a transcript of two hours
    #[arg(long)]
    long: bool,
    /// Folder with media/ and tools/ [env: SEGUE_SHARED]; without it speech is synthesised
    #[arg(long, value_name = "DIR")]
    shared: Option<PathBuf>,
    /// Folder with the speech models [env: SEGUE_MODEL_DIR]
    #[arg(long, value_name = "DIR")]
    model_dir: Option<PathBuf>,
    /// Build the speech engine with this feature: cuda, vulkan, metal, openblas
    #[arg(long, value_name = "FEATURE")]
    engine_feature: Vec<String>,
    /// Folder for sources and results, which are kept
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Item {
    /// `rejoin` against a plain remux
    Rejoin,
    /// Time and bytes read to plan
    Plan,
    /// `mp4` against one encode with the same settings: cost and quality
    Mp4,
    /// `stream` against one ffmpeg with the same ladder: cost, memory and quality
    Stream,
    /// `transcript` against one pass of whisper.cpp
    Transcript,
    /// `transcript` against faster-whisper
    Peer,
    /// Word error rate for three talks and four numbers of segments
    Wer,
    /// Three sizes of photos against vips and ImageMagick: images per second and quality
    Image,
    /// Memory for 10 minutes and 2 hours, without a transcript
    Memory,
    /// Memory for 10 minutes and 2 hours, with a transcript (long)
    MemoryTranscript,
}

impl Item {
    fn is_long(self) -> bool {
        self == Item::MemoryTranscript
    }
}

/// Settings of all benchmarks.
struct Bench {
    segue: PathBuf,
    shared: Option<PathBuf>,
    model_dir: Option<PathBuf>,
    features: Vec<String>,
    sources: Sources,
    work: PathBuf,
    quick: bool,
    /// Number of runs of each program.
    runs: usize,
    threads: usize,
}

/// Runs the benchmarks, prints and writes the table; returns whether every limit was met.
///
/// # Errors
/// A build that fails, or a folder that cannot be written.
pub fn run(args: &BenchArgs) -> Result<bool> {
    let out = args.out.clone().unwrap_or_else(|| program::root().join("bench-out"));
    let out = std::path::absolute(out)?;
    std::fs::create_dir_all(&out).with_context(|| format!("{}", out.display()))?;
    let work = tempfile::tempdir_in(&out)?;
    let named = |flag: &Option<PathBuf>, variable: &str| {
        flag.clone().or_else(|| std::env::var_os(variable).map(PathBuf::from)).filter(|p| p.exists())
    };
    let shared = named(&args.shared, "SEGUE_SHARED");
    let bench = Bench {
        segue: program::segue(&args.engine_feature)?,
        model_dir: named(&args.model_dir, "SEGUE_MODEL_DIR"),
        features: args.engine_feature.clone(),
        sources: Sources::new(out.join("sources"), shared.clone(), args.quick)?,
        shared,
        work: work.path().to_owned(),
        quick: args.quick,
        runs: if args.quick { 1 } else { 3 },
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut report = Report::new(args.quick, bench.threads);
    for item in Item::value_variants() {
        let chosen =
            if args.only.is_empty() { args.long || !item.is_long() } else { args.only.contains(item) };
        let name = item.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default();
        if !chosen {
            report.not_run(&name, &format!("not asked for; run it with --only {name}"));
            continue;
        }
        eprintln!("bench: {name}");
        if let Err(error) = bench.measure(*item, &mut report) {
            report.failed(&name, &format!("{error:#}"));
        }
        // after each one, so that a stopped bench leaves partial results
        report.write(&out)?;
    }
    println!("{}", report.markdown());
    Ok(report.all_met())
}

impl Bench {
    fn measure(&self, item: Item, report: &mut Report) -> Result<()> {
        match item {
            Item::Rejoin => rejoin::measure(self, report),
            Item::Plan => plan::measure(self, report),
            Item::Mp4 => encode::measure(self, report),
            Item::Stream => stream::measure(self, report),
            Item::Transcript => speech::against_one_pass(self, report),
            Item::Peer => peer::measure(self, report),
            Item::Wer => speech::word_errors(self, report),
            Item::Image => image::measure(self, report),
            Item::Memory => memory::without_words(self, report),
            Item::MemoryTranscript => memory::with_words(self, report),
        }
    }

    /// `segue run` with these arguments and an empty output folder.
    fn run_command(
        &self,
        source: &std::path::Path,
        args: &[&str],
    ) -> Result<(std::process::Command, PathBuf)> {
        let out = self.work.join("segue-out");
        if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        let mut command = std::process::Command::new(&self.segue);
        command.arg("run").arg(source).arg("--out").arg(&out).args(["--progress", "none"]).args(args);
        if let Some(models) = &self.model_dir {
            command.env("SEGUE_MODEL_DIR", models);
        }
        Ok((command, out))
    }
}
