//! `cargo xtask fleet`: real processes on an AWS emulator.
//!
//! It is run as a program, so that no client of the cloud gets into this one.

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::program;

/// `cargo xtask fleet`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct FleetArgs {
    /// What it is given; `--help` says what there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Builds it and runs it. False when something was not as it must be.
///
/// # Errors
/// Cargo cannot be started.
pub fn run(args: &[String]) -> Result<bool> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(program::root()).args(["run", "--quiet", "--package", "segue-fleet", "--"]);
    let ended = cargo.args(args).status().context("starting cargo")?;
    Ok(ended.success())
}
