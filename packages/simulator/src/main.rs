//! `segue-simulator`: what `cargo xtask simulate` runs.

mod report;

use std::collections::HashSet;
use std::ops::Range;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use segue_simulator::mutants::MUTANTS;
use segue_simulator::scenario::SCENARIOS;
use segue_simulator::shrink::shrink;
use segue_simulator::sweep::{Sweep, scratch_folder};
use segue_simulator::{Params, Scenario, switch};

/// Runs the production roles in a simulated world, one history for each seed
#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate", max_term_width = 100)]
struct Cli {
    /// Seeds to run: from A to before B
    #[arg(long, value_name = "A..B", default_value = "0..10000", value_parser = seeds)]
    seeds: Range<u64>,
    /// Which faults: a name of --list
    #[arg(long, value_name = "NAME", default_value = "everything", value_parser = scenario)]
    scenario: &'static Scenario,
    /// Run one seed and print its readable log
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// With --replay: leave out every fault that is not needed to violate the same invariant
    #[arg(long, requires = "replay")]
    shrink: bool,
    /// Threads; all cores by default
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print how often each fault was hit
    #[arg(long)]
    coverage: bool,
    /// Find every deliberate bug and print the table; in the build of `cargo xtask mutants`
    #[arg(long)]
    mutants: bool,
    /// With --replay: this deliberate bug is on; with --mutants: only this one is looked for
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// With --mutants: write a history with few faults for each of them, DIR/MUTANT.txt
    #[arg(long, value_name = "DIR", requires = "mutants")]
    record: Option<std::path::PathBuf>,
    /// Print the scenarios
    #[arg(long)]
    list: bool,
    /// A thousand workers in a model of discrete events: writes the plots and the table of
    /// docs/scale.md in this folder
    #[arg(long, value_name = "DIR")]
    scale: Option<std::path::PathBuf>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parsed.filter(|range: &Range<u64>| !range.is_empty()).ok_or_else(|| "seeds are A..B with A < B".into())
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    Scenario::named(name).ok_or_else(|| {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("there are {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("simulate: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<bool> {
    if cli.list {
        report::scenarios();
        return Ok(true);
    }
    if let Some(folder) = &cli.scale {
        return segue_simulator::scale::plot::all(folder);
    }
    if cli.mutants {
        return find_mutants(cli);
    }
    if let Some(seed) = cli.replay {
        return replay(cli, seed);
    }
    if cli.scenario.name == segue_simulator::other::NAME {
        return report::other(cli.seeds.clone());
    }
    let threads = cli.threads;
    let sweep = Sweep::new(cli.scenario, cli.seeds.clone());
    let sweep = Sweep { threads: threads.unwrap_or(sweep.threads), ..sweep };
    let found = sweep.run()?;
    report::sweep(&found, cli.coverage);
    if let Some((seed, _)) = found.violations.first() {
        show_shrunk(cli.scenario, *seed)?;
    }
    Ok(found.is_green())
}

/// Prints a history with few faults that violates the same invariant.
fn show_shrunk(scenario: &'static Scenario, seed: u64) -> anyhow::Result<()> {
    let scratch = scratch_folder()?;
    let found = segue_simulator::run(Params::draw(seed, scenario, HashSet::new()), scratch.path());
    let shrunk = shrink(&found, scenario, scratch.path());
    report::shrunk(scenario, &found, &shrunk);
    Ok(())
}

fn replay(cli: &Cli, seed: u64) -> anyhow::Result<bool> {
    if cli.scenario.name == segue_simulator::other::NAME {
        return report::replay_other(seed);
    }
    choose(cli.mutant.as_deref())?;
    if cli.shrink {
        show_shrunk(cli.scenario, seed)?;
        return Ok(true);
    }
    let scratch = scratch_folder()?;
    let outcome = segue_simulator::run(Params::draw(seed, cli.scenario, HashSet::new()), scratch.path());
    print!("{}", outcome.log);
    report::history(&outcome);
    Ok(outcome.violation.is_none())
}

/// Enables a deliberate bug on this thread.
fn choose(name: Option<&str>) -> anyhow::Result<()> {
    let Some(name) = name else { return Ok(()) };
    has_mutants()?;
    let mutant =
        MUTANTS.iter().find(|mutant| mutant.name == name).context("there is no mutant of that name")?;
    switch::choose(Some(&mutant.name));
    Ok(())
}

fn find_mutants(cli: &Cli) -> anyhow::Result<bool> {
    has_mutants()?;
    if let Some(folder) = &cli.record {
        return report::record(cli.seeds.clone(), folder, cli.mutant.as_deref());
    }
    report::mutants(cli.seeds.clone(), cli.threads, cli.mutant.as_deref())
}

fn has_mutants() -> anyhow::Result<()> {
    anyhow::ensure!(switch::is_in_build(), "this build has no mutants; use cargo xtask simulate");
    Ok(())
}
