//! `cargo xtask fleet`: real processes on an AWS emulator.
//!
//! It runs as a separate program, so that xtask does not link a cloud SDK.

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::program;

/// `cargo xtask fleet`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct FleetArgs {
    /// Arguments of segue-fleet; see `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub args: Vec<String>,
}

/// Builds and runs it; returns whether all checks passed.
///
/// # Errors
/// Cargo cannot be started.
pub fn run(args: &[String]) -> Result<bool> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(program::root()).args(["run", "--quiet", "--package", "segue-fleet", "--"]);
    let ended = cargo.args(args).status().context("starting cargo")?;
    Ok(ended.success())
}
