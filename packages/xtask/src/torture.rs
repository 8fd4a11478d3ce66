//! `cargo xtask torture`: builds and runs the torture test.
//!
//! It runs as a separate program, so that xtask does not link a database.

use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::program;

/// `cargo xtask torture`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct TortureArgs {
    /// Arguments of segue-torture; see `--help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Builds it and the `segue` program, and runs it; returns whether there were no findings.
///
/// # Errors
/// Cargo cannot be started, or a build fails.
pub fn run(args: &TortureArgs) -> Result<bool> {
    let segue = program::segue(&[])?;
    let mut helper = None;
    if args.args.iter().any(|arg| arg == "aws" || arg == "--backend=aws") {
        helper = Some(program::debug("segue-fleet")?);
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(program::root()).args(["run", "--quiet", "--package", "segue-torture", "--"]);
    cargo.args(&args.args).env("SEGUE_BIN", segue);
    cargo.envs(helper.map(|helper| ("SEGUE_FLEET_BIN", helper)));
    let ended = cargo.status().context("starting cargo")?;
    Ok(ended.success())
}
