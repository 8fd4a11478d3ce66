//! `cargo xtask mutants`: builds the protocol with its deliberate bugs, and runs the tests that find each.
//!
//! The bugs are data (`packages/simulator/mutants`). They are compiled only in a copy of the source, under the
//! target folder, so that the source itself has no code for them.

mod copy;
mod edits;

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::program;
use copy::Copy;

/// `cargo xtask mutants`
#[derive(Debug, Args)]
pub struct MutantsArgs {
    /// Search for each mutant from new seeds, which takes an hour, instead of replaying the recorded histories
    #[arg(long, conflicts_with = "write")]
    search: bool,
    /// Only write the edited copy of the source, and print its folder
    #[arg(long)]
    write: bool,
}

/// Tests of the simulator that need the mutants.
const RECORDED: &str = "mutants::found::";
const SEARCH: &str = "mutants::every_mutant_is_found_within_its_seeds";

/// Writes the copy and runs its tests; returns whether every mutant was found.
///
/// # Errors
/// An edit does not apply, a file cannot be written, or cargo cannot be started.
pub fn run(args: &MutantsArgs) -> Result<bool> {
    let copy = Copy::write()?;
    if args.write {
        println!("{}", copy.folder().display());
        return Ok(true);
    }
    let (profile, tests) = if args.search { (&["--release"][..], SEARCH) } else { (&[][..], RECORDED) };
    let mut cargo = cargo(&copy, "test")?;
    cargo.args(profile).args(["--test", "histories", "--", "--ignored", tests]);
    let ended = cargo.status().context("starting cargo")?;
    copy.save_builds()?;
    Ok(ended.success())
}

/// A cargo command for the simulator in a new copy with all mutants.
///
/// # Errors
/// An edit does not apply, or a file cannot be written.
pub fn cargo_of_simulator(command: &str) -> Result<Command> {
    cargo(&Copy::write()?, command)
}

fn cargo(copy: &Copy, command: &str) -> Result<Command> {
    copy.restore_builds()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(program::root()).args([
        command,
        "--quiet",
        "--offline",
        "--package",
        "segue-simulator",
    ]);
    cargo.arg("--manifest-path").arg(copy.manifest()).envs(copy.environment());
    Ok(cargo)
}
