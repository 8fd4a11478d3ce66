//! What a developer runs: `cargo xtask layers|fidelity|bench|fuzz-lite|fleet|simulate|torture`.

mod bench;
mod fidelity;
mod fleet;
mod fuzz;
mod layers;
mod measure;
mod program;
mod simulate;
mod table;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a developer of Segue runs beside cargo itself.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that every package depends only on what its layer may know
    Layers(layers::LayersArgs),
    /// Copy recipe against the source, file by file, judged by an independent tool
    Fidelity(fidelity::FidelityArgs),
    /// What it costs, side by side with other programs on this machine
    Bench(bench::BenchArgs),
    /// Throw damaged documents at our own parsers for a while
    FuzzLite(fuzz::FuzzArgs),
    /// Real processes on an AWS emulator: faults, each many times, and what was lost
    Fleet(fleet::FleetArgs),
    /// The roles in a simulated world, one history for each seed
    Simulate(simulate::SimulateArgs),
    /// A thousand workers in virtual time: writes the plots and the table of docs/scale.md
    Scale,
    /// Real processes on real files, killed, stopped and starved at random
    Torture(torture::TortureArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Layers(args) => layers::run(&args),
        Command::Fidelity(args) => fidelity::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::FuzzLite(args) => fuzz::run(&args),
        Command::Fleet(args) => fleet::run(&args.args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Scale => simulate::scale(),
        Command::Torture(args) => torture::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
