//! Developer commands: `cargo xtask layers|fidelity|bench|fuzz-lite|fleet|mutants|simulate|scale|torture`.

mod bench;
mod fidelity;
mod fleet;
mod fuzz;
mod layers;
mod measure;
mod mutants;
mod program;
mod simulate;
mod table;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Segue.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the dependency rules between packages
    Layers(layers::LayersArgs),
    /// Compare the results of the copy recipe with their sources, file by file, with an independent tool
    Fidelity(fidelity::FidelityArgs),
    /// Measure time and memory, beside other programs on this machine
    Bench(bench::BenchArgs),
    /// Fuzz the parsers with damaged documents for some seconds
    FuzzLite(fuzz::FuzzArgs),
    /// Inject faults into real processes on an AWS emulator
    Fleet(fleet::FleetArgs),
    /// Build the protocol with each deliberate bug, in a copy of the source, and run the tests that find them
    Mutants(mutants::MutantsArgs),
    /// Simulate the protocol with faults, one history per seed
    Simulate(simulate::SimulateArgs),
    /// Simulate 1,000 workers; write the plots and the table of docs/scale.md
    Scale,
    /// Kill, stop and limit real processes at random, and check the results
    Torture(torture::TortureArgs),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Layers(args) => layers::run(&args),
        Command::Fidelity(args) => fidelity::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::FuzzLite(args) => fuzz::run(&args),
        Command::Fleet(args) => fleet::run(&args.args),
        Command::Mutants(args) => mutants::run(&args),
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
