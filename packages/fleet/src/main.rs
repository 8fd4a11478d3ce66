//! `segue-fleet faults`: the table of faults, each many times, with real processes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use segue_fleet::faults::{Fault, HEAD, sweep};

/// Real processes on an AWS emulator.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let things go wrong and count what was lost or done twice
    Faults {
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
    },
    /// A deployment for another harness: lines on stdin, JSON on stdout
    Deployment,
}

#[tokio::main]
async fn main() -> ExitCode {
    let (faults, runs, at_once, seed) = match Cli::parse().command {
        Command::Faults { faults, runs, at_once, seed } => (faults, runs, at_once, seed),
        Command::Deployment => return deployment().await,
    };
    let faults = if faults.is_empty() { Fault::ALL.to_vec() } else { faults };
    println!("{HEAD}");
    let mut good = true;
    for fault in faults {
        match sweep(fault, runs, at_once.max(1), seed).await {
            Ok(row) => {
                println!("{}", row.markdown());
                for wrong in row.wrong.iter().chain(&row.left) {
                    eprintln!("{}: {wrong}", fault.words());
                }
                good &= row.is_good();
            }
            Err(error) => {
                eprintln!("{}: {error:#}", fault.words());
                good = false;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn deployment() -> ExitCode {
    match segue_fleet::deployment::serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deployment: {error:#}");
            ExitCode::FAILURE
        }
    }
}
