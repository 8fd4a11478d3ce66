//! `segue-torture`, the program behind `cargo xtask torture`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use segue_torture::{OnWhat, Plan, Sabotage, torture};

/// Kill, stop and limit real processes on real files, and check that no work is lost
#[derive(Debug, Parser)]
#[command(name = "cargo xtask torture", max_term_width = 100)]
struct Cli {
    /// Minutes during which jobs are started [default: 5]
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// The same in seconds
    #[arg(long, value_name = "S", conflicts_with = "minutes")]
    seconds: Option<u64>,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Backend of the jobs
    #[arg(long, value_enum, default_value_t = OnWhat::Embedded)]
    backend: OnWhat,
    /// Run only the job with this number, to replay a finding
    #[arg(long, value_name = "NUMBER")]
    job: Option<u64>,
    /// Concurrent jobs
    #[arg(long, value_name = "N", default_value_t = 4)]
    at_once: usize,
    /// The program segue
    #[arg(long, value_name = "PROGRAM", env = "SEGUE_BIN")]
    segue: PathBuf,
    /// The program segue-fleet, for --backend aws
    #[arg(long, value_name = "PROGRAM", env = "SEGUE_FLEET_BIN")]
    helper: Option<PathBuf>,
    /// Folder for sources, jobs and logs [default: segue-torture in the temporary folder]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Damage this deliberately, in one job; the run must fail
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
