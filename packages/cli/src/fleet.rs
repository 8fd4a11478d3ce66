//! `segue worker` and `segue health`: one process of a fleet.

use std::process::ExitCode;

use segue_domain::Failure;
use segue_runtime::backend::Backend;
use segue_runtime::fleet::{self, FleetConfig};
use segue_runtime::{AllowMap, Settings, failure, shutdown, wiring};

use crate::args::HealthArgs;
use crate::output;

/// Runs the roles until SIGINT or SIGTERM.
pub async fn worker(settings: &Settings) -> Result<ExitCode, Failure> {
    let config = FleetConfig::of(settings)?;
    let stop = shutdown::listen(|| output::note("stopping: releasing leases and messages"))?;
    let backend = Backend::open(&settings.backend()?).await?;
    let engines = wiring::engines(settings, AllowMap::None).await?;
    fleet::work(&backend, &engines, &config, stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Checks a health file.
pub fn health(args: &HealthArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let file = args.file.clone().or_else(|| settings.health_file.clone());
    let file = file.ok_or_else(|| failure::usage("name the health file, or set SEGUE_HEALTH_FILE"))?;
    fleet::health::check(&file)?;
    Ok(ExitCode::SUCCESS)
}
