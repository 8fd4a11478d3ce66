//! `segue-torture`: what `cargo xtask torture` runs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use segue_torture::{OnWhat, Plan, Sabotage, torture};

/// Kills, stops and starves real processes on real files, and looks whether anything is lost
#[derive(Debug, Parser)]
#[command(name = "cargo xtask torture", max_term_width = 100)]
struct Cli {
    /// Minutes for which jobs are started [default: 5]
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Seconds, instead
    #[arg(long, value_name = "S", conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// Where the random numbers begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the jobs run on
    #[arg(long, value_enum, default_value_t = OnWhat::Embedded)]
    backend: OnWhat,
    /// Only the job of this number, as a finding is replayed
    #[arg(long, value_name = "NUMBER")]
    job: Option<u64>,
    /// Jobs at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    at_once: usize,
    /// The program
    #[arg(long, value_name = "PROGRAM", env = "SEGUE_BIN")]
    segue: PathBuf,
    /// The program segue-fleet, for --backend aws
    #[arg(long, value_name = "PROGRAM", env = "SEGUE_FLEET_BIN")]
    helper: Option<PathBuf>,
    /// Folder for sources, jobs and logs [default: segue-torture in the folder for temporary files]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Break this promise deliberately, in one job; the run must be red
    #[arg(long, value_enum, value_name = "WHAT")]
    sabotage: Option<Sabotage>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = Plan {
        segue: cli.segue,
        work: cli.work.unwrap_or_else(|| std::env::temp_dir().join("segue-torture")),
        seed: cli.seed,
        time: Duration::from_secs(cli.seconds.unwrap_or(cli.minutes.unwrap_or(5) * 60)),
        job: cli.job,
        at_once: cli.at_once,
        sabotage: cli.sabotage,
        backend: cli.backend,
        helper: cli.helper,
    };
    match torture(&plan) {
        Ok(tally) => {
            println!("seed {}\n\n{}", plan.seed, tally.tables());
            println!("{}", if tally.is_clean() { "clean" } else { "RED" });
            if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("torture: {error:#}");
            ExitCode::from(2)
        }
    }
}
