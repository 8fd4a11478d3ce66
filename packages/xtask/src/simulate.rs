//! `cargo xtask simulate`: builds and runs the simulator.
//!
//! It runs as a separate program, so that its features (a paused clock) get into
//! no other build.

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::{mutants, program};

/// `cargo xtask simulate`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct SimulateArgs {
    /// Arguments of the simulator; see `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Writes the plots and the table of `docs/scale.md`.
///
/// # Errors
/// Cargo cannot be started.
pub fn scale() -> Result<bool> {
    let docs = program::root().join("docs").display().to_string();
    run(&SimulateArgs { args: vec!["--scale".to_owned(), docs] })
}

/// Builds and runs the simulator; returns whether no invariant was violated.
///
/// # Errors
/// Cargo cannot be started.
pub fn run(args: &SimulateArgs) -> Result<bool> {
    let mut cargo = if args.args.iter().any(|arg| arg.starts_with("--mutant")) {
        mutants::cargo_of_simulator("run")?
    } else {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(program::root()).args(["run", "--quiet", "--package", "segue-simulator"]);
        cargo
    };
    let ended = cargo.args(["--release", "--"]).args(&args.args).status().context("starting cargo")?;
    Ok(ended.success())
}
