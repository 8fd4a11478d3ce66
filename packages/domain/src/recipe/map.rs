//! The user's map command.

use serde::{Deserialize, Serialize};

use super::{Span, invalid};
use crate::error::DomainError;

/// A map command: the user's own program, run on every segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapRecipe {
    /// The command line with `{input}` and `{output}`; also `{index} {total} {start} {end}
    /// {job}`. It is split by shell rules and run without a shell.
    pub command: String,
    /// Time limit for one segment.
    #[serde(default = "default_map_timeout")]
    pub timeout: Span,
    /// Maximum number of attempts at one segment.
    #[serde(default = "default_map_attempts")]
    pub attempts: u32,
    /// Extension of `{output}` without a dot; absent for that of `{input}`, which is an MP4 or
    /// a QuickTime file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

impl MapRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if !reads_and_writes(&self.command) {
            return Err(invalid("map.command must name {input} and {output}"));
        }
        if !(1..=20).contains(&self.attempts) {
            return Err(invalid("map.attempts is not between 1 and 20"));
        }
        let plain = |e: &String| (1..=8).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric());
        if self.extension.as_ref().is_some_and(|e| !plain(e)) {
            return Err(invalid("map.extension is not 1 to 8 letters or digits"));
        }
        Ok(())
    }
}

/// Default time limit of a map command.
pub fn default_map_timeout() -> Span {
    Span::from_millis(3_600_000)
}

/// Default number of attempts of a map command.
pub fn default_map_attempts() -> u32 {
    3
}

pub(super) fn reads_and_writes(command: &str) -> bool {
    command.contains("{input}") && command.contains("{output}")
}
