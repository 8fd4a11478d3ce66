//! `segue-fleet faults|same|arrival|load|deployment`: real processes on an AWS emulator, many times.

use std::path::PathBuf;
use std::process::ExitCode;

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use segue_fleet::arrival::measure;
use segue_fleet::faults::{Fault, HEAD, sweep};
use segue_fleet::load::{LARGE_HEAD, large, many};
use segue_fleet::same::{Comparison, MAPS};

/// Real processes on an AWS emulator.
#[derive(Debug, Parser)]
struct Cli {
    /// Which one is started
    #[arg(long, global = true, value_enum, default_value_t = On::Ministack)]
    emulator: On,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum On {
    /// In this process's network, on loopback
    Ministack,
    /// In a network of its own, and this program with it
    Localstack,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let things go wrong and count what was lost or done twice
    Faults(FaultArgs),
    /// Hold what the fleet makes of files against what one process makes of them
    Same(SameArgs),
    /// From an upload to the first segment that is worked on, against another method
    Arrival(ArrivalArgs),
    /// One job of very many segments, and very many jobs
    Load(LoadArgs),
    /// A deployment for another harness: lines on stdin, JSON on stdout
    Deployment,
    /// The other method of `arrival`, as a process
    #[command(hide = true)]
    Cut {
        /// A folder
        dir: PathBuf,
        /// The source
        key: String,
        /// Length of a segment in seconds
        seconds: f64,
    },
}

#[derive(Debug, Args)]
struct FaultArgs {
    /// Only these; all of them where none is named
    #[arg(value_enum)]
    faults: Vec<Fault>,
    /// Jobs for each fault
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// Jobs at the same time
    #[arg(long, default_value_t = 5)]
    at_once: usize,
    /// What chance is made of
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

#[derive(Debug, Args)]
struct SameArgs {
    /// The files
    files: Vec<PathBuf>,
    /// Length of a segment
    #[arg(long, default_value = "2s")]
    segment_duration: String,
    /// Only files whose path contains this
    #[arg(long)]
    only: Option<String>,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// Segments of the large job; a tenth of them goes first, for comparison. 0 for none
    #[arg(long, default_value_t = 10_000)]
    segments: u64,
    /// Workers of the large job
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Jobs at once; 0 for none
    #[arg(long, default_value_t = 200)]
    jobs: usize,
    /// Worker processes for them
    #[arg(long, default_value_t = 8)]
    workers: usize,
}

#[derive(Debug, Args)]
struct ArrivalArgs {
    /// The source, an MP4
    source: PathBuf,
    /// Length of a segment in seconds
    #[arg(long, default_value_t = 300)]
    segment: u64,
    /// Runs, of which the one with the median ratio is printed
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let inside = match cli.emulator {
        On::Ministack => None,
        On::Localstack => match segue_fleet::network::enter() {
            Ok(inside) => Some(inside),
            Err(error) => return failed(&error),
        },
    };
    let done = run(cli.command, cli.emulator).await;
    if let Some(folder) = inside {
        // LocalStack still writes there, until this process ends
        let _ = std::fs::remove_dir_all(folder);
    }
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("segue-fleet: {error:#}");
    ExitCode::from(2)
}

async fn run(command: Command, on: On) -> Result<bool> {
    match command {
        Command::Faults(args) => faults(args, on).await,
        Command::Same(args) => all_same(args).await,
        Command::Arrival(args) => arrival(args).await,
        Command::Load(args) => load(args).await,
        Command::Cut { dir, key, seconds } => {
            segue_fleet::arrival::download_cut_upload(&dir, &key, seconds).await.map(|()| true)
        }
        Command::Deployment => segue_fleet::deployment::serve().await.map(|()| true),
    }
}

async fn faults(args: FaultArgs, on: On) -> Result<bool> {
    let mut faults = if args.faults.is_empty() { Fault::ALL.to_vec() } else { args.faults };
    if on == On::Localstack {
        // it forgets everything when it ends
        faults.retain(|fault| *fault != Fault::Stopped);
        anyhow::ensure!(!faults.is_empty(), "LocalStack keeps nothing over an end; frozen is what it can do");
    }
    println!("{HEAD}");
    let mut good = true;
    for fault in faults {
        let row = sweep(fault, args.runs, args.at_once.max(1), args.seed).await?;
        println!("{}", row.markdown());
        for wrong in row.wrong.iter().chain(&row.left) {
            eprintln!("{}: {wrong}", fault.words());
        }
        good &= row.is_good();
    }
    Ok(good)
}

async fn load(args: LoadArgs) -> Result<bool> {
    let mut good = true;
    if args.segments > 0 {
        println!("{LARGE_HEAD}");
        let few = large((args.segments / 10).max(1), args.at_once).await?;
        println!("{few}");
        let all = large(args.segments, args.at_once).await?;
        println!("{all}");
        // a number is some bytes longer; heartbeats are as many as the work is long
        let grows = |few: u64, all: u64| all > few + few / 10;
        let (a, b) = (few.traffic.of("DynamoDB"), all.traffic.of("DynamoDB"));
        let constant = all.ledger_calls() < few.ledger_calls() * 1.1
            && !grows(a.largest, b.largest)
            && !grows(few.traffic.largest_message, all.traffic.largest_message);
        println!("{}", if constant { "nothing grows" } else { "MISSED: something grows with the segments" });
        good &= constant;
    }
    if args.jobs > 0 {
        println!("{}", many(args.jobs, args.workers).await?);
    }
    Ok(good)
}

async fn arrival(args: ArrivalArgs) -> Result<bool> {
    let mut runs = Vec::new();
    for _ in 0..args.runs.max(1) {
        runs.push(measure(&args.source, Duration::from_secs(args.segment), &std::env::current_exe()?).await?);
    }
    let ratios: Vec<String> = runs.iter().map(|run| format!("{:.1}x", run.sooner())).collect();
    runs.sort_by(|a, b| a.sooner().total_cmp(&b.sooner()));
    let median = runs[runs.len() / 2];
    println!("{median}");
    println!(
        "sooner in each run: {}; {:.2}% of the bytes",
        ratios.join(", "),
        100.0 * median.share_of_bytes()
    );
    println!("{}", if median.is_met() { "met" } else { "MISSED: 20 times sooner, under 5% of the bytes" });
    Ok(median.is_met())
}

async fn all_same(args: SameArgs) -> Result<bool> {
    let wanted = |path: &PathBuf| args.only.as_ref().is_none_or(|text| path.to_string_lossy().contains(text));
    let files: Vec<PathBuf> = args.files.iter().filter(|path| wanted(path)).cloned().collect();
    println!("| file | map | fleet against one process |\n|---|---|---|");
    let (mut same, mut all) = (0, 0);
    let comparison = Comparison::begin(&args.segment_duration).await?;
    for file in &files {
        for (map, command) in MAPS {
            let said = comparison.of(file, command).await?;
            all += 1;
            same += usize::from(said.is_same());
            println!("| {} | {map} | {said} |", file.file_name().unwrap_or_default().to_string_lossy());
        }
    }
    println!("\n{all} results, {same} the same");
    Ok(all > 0 && same == all)
}
