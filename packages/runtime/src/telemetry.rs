//! Logs: off by default, so that stderr carries only the cause of a failure.

use segue_domain::Failure;
use tracing_subscriber::EnvFilter;

use crate::failure;
use crate::settings::{LogFormat, Settings};

/// Starts logging to stderr as the settings define it. Call it once, at the start of a program.
///
/// # Errors
/// A filter that cannot be parsed, or logging that was started before.
pub fn start(settings: &Settings) -> Result<(), Failure> {
    let Some(filter) = settings.log.as_deref().filter(|filter| *filter != "off") else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        failure::usage(format!("log filter {filter:?}: {error}; try info or segue=debug"))
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => subscriber.with_ansi(false).try_init(),
        LogFormat::Json => subscriber.json().try_init(),
    };
    started.map_err(|error| failure::internal(format!("logging: {error}")))
}
