//! `segue-fleet faults|same|deployment`: real processes on an AWS emulator, many times.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use segue_fleet::faults::{Fault, HEAD, sweep};
use segue_fleet::same::{Comparison, MAPS};

/// Real processes on an AWS emulator.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let things go wrong and count what was lost or done twice
    Faults(FaultArgs),
    /// Hold what the fleet makes of files against what one process makes of them
    Same(SameArgs),
    /// A deployment for another harness: lines on stdin, JSON on stdout
    Deployment,
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

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Faults(args) => faults(args).await,
        Command::Same(args) => all_same(args).await,
        Command::Deployment => segue_fleet::deployment::serve().await.map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("segue-fleet: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn faults(args: FaultArgs) -> Result<bool> {
    let faults = if args.faults.is_empty() { Fault::ALL.to_vec() } else { args.faults };
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
