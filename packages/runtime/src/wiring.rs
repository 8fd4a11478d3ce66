//! Where programs get engines from: the one place that makes them out of settings.

use std::path::Path;

use segue_domain::Failure;
use tokio_util::sync::CancellationToken;

use crate::failure;
use crate::run::Engines;
use crate::settings::Settings;

/// How a joined file compares with its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether nothing differs.
    pub same: bool,
    /// What was compared and found, a line each.
    pub lines: Vec<String>,
    /// The same for programs.
    pub report: serde_json::Value,
}

/// The engines that these settings ask for.
///
/// # Errors
/// ffmpeg that is missing or too old.
pub async fn engines(_settings: &Settings) -> Result<Engines, Failure> {
    Err(failure::internal("this build has no engines"))
}

/// Compares `joined` with `source`: frames, samples, times.
///
/// # Errors
/// A file that cannot be read, or ffmpeg that is missing.
pub async fn verify(
    _settings: &Settings,
    _source: &Path,
    _joined: &Path,
    _cancel: CancellationToken,
) -> Result<Verdict, Failure> {
    Err(failure::internal("this build cannot verify"))
}
