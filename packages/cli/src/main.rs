//! The `segue` program: a thin shell over `segue-runtime`.
//!
//! stdout carries results, stderr one line with the cause of a failure.

mod args;
mod doctor;
mod fleet;
mod jobs;
mod models;
mod output;
mod plan;
mod progress;
mod run;
mod settings_flags;
mod small;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use segue_domain::Failure;
use segue_runtime::children::{self, MapOwner};
use segue_runtime::{Settings, Sources, failure, memory, telemetry};

use args::{Cli, Command};

fn main() -> ExitCode {
    memory::give_back_large_blocks();
    let cli = Cli::parse();
    match start(&cli) {
        Ok(code) => code,
        Err(failure) => {
            output::failure(&failure, cli.verbose);
            ExitCode::from(failure::exit_code(failure.kind))
        }
    }
}

fn start(cli: &Cli) -> Result<ExitCode, Failure> {
    let settings = Settings::load(&Sources::of_process(cli.config.as_deref(), cli.flags())?)?;
    telemetry::start(&settings)?;
    let is_own = matches!(cli.command, Command::Run(_));
    children::apply(&settings, if is_own { MapOwner::User } else { MapOwner::Submitter });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failure::io("starting", &error))?;
    let code = match &cli.command {
        Command::Run(args) => runtime.block_on(run::run(args, &settings)),
        Command::Verify(args) => runtime.block_on(verify::verify(args, &settings)),
        Command::Plan(args) => runtime.block_on(plan::plan(args, &settings)),
        Command::Doctor(args) => runtime.block_on(doctor::doctor(args, &settings)),
        Command::Models(args) => models::models(args, &settings),
        Command::Worker(_) => runtime.block_on(fleet::worker(&settings)),
        Command::Health(args) => fleet::health(args, &settings),
        Command::Submit(args) => runtime.block_on(jobs::submit(args, &settings)),
        Command::Status(args) => runtime.block_on(jobs::status(args, &settings)),
        Command::Watch(args) => runtime.block_on(jobs::watch(args, &settings)),
        Command::Add(args) => runtime.block_on(jobs::add(args, &settings)),
        Command::Retry(args) => runtime.block_on(jobs::retry(args, &settings)),
        Command::Cancel(args) => runtime.block_on(jobs::cancel(args, &settings)),
        Command::Delete(args) => runtime.block_on(jobs::delete(args, &settings)),
        Command::Dlq(args) => runtime.block_on(jobs::dlq(args, &settings)),
        Command::Recipe(args) => small::recipe(args),
        Command::Environment(args) => small::environment(args),
        Command::Completions { shell } => small::completions(*shell),
    };
    // a role that does not end has been logged; it must not block the exit of the process
    runtime.shutdown_background();
    code
}
