//! ffmpeg and ffprobe: paths, versions and capabilities.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use segue_process::machine_memory;
use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::error::{MediaError, Result};
use crate::process::{self, Invocation, Limits};

/// The oldest supported major version.
pub const OLDEST_MAJOR: u32 = 5;

/// Address space of ffprobe, bytes; it takes 0.3 GB to start and a few MB more for most files.
const PROBE_MEMORY: u64 = 2 << 30;

/// Address space of ffmpeg where it encodes no picture, bytes: all that the machine has, within
/// these bounds. Decoding 4K on 16 threads takes 2 GB; much of it is reserved and never used.
const DECODER_MEMORY: std::ops::Range<u64> = 4 << 30..8 << 30;

/// Address space of ffmpeg where it encodes a picture, bytes, on a machine with less memory. At
/// 4K, x264 and x265 take 2 GB on 2 threads and 3.3 GB on 16, and SVT-AV1 reserves 5 GB.
const ENCODER_MEMORY: u64 = 16 << 30;

/// The two programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools {
    /// ffmpeg's path.
    pub ffmpeg: PathBuf,
    /// ffprobe's path.
    pub ffprobe: PathBuf,
    /// Version that `ffmpeg -version` reports.
    pub ffmpeg_version: String,
    /// Version that `ffprobe -version` reports.
    pub ffprobe_version: String,
}

impl Tools {
    /// Finds the programs: by SEGUE_FFMPEG and SEGUE_FFPROBE, else on PATH.
    pub async fn discover() -> Result<Tools> {
        let named = |var: &str, plain: &str| {
            std::env::var_os(var).filter(|v| !v.is_empty()).map_or_else(|| plain.into(), PathBuf::from)
        };
        Tools::at(named("SEGUE_FFMPEG", "ffmpeg"), named("SEGUE_FFPROBE", "ffprobe")).await
    }

    /// Runs the programs at these paths to determine their versions.
    pub async fn at(ffmpeg: PathBuf, ffprobe: PathBuf) -> Result<Tools> {
        let ffmpeg_version = version(&ffmpeg).await?;
        let ffprobe_version = version(&ffprobe).await?;
        for (name, found) in [("ffmpeg", &ffmpeg_version), ("ffprobe", &ffprobe_version)] {
            if let Some(major) = major(found).filter(|m| *m < OLDEST_MAJOR) {
                return Err(MediaError::environment(format!(
                    "{name} is version {found} (major {major}) and at least {OLDEST_MAJOR} is needed; \
                     install a newer one and name it with SEGUE_{}",
                    name.to_uppercase()
                ))
                .retry(false));
            }
        }
        Ok(Tools { ffmpeg, ffprobe, ffmpeg_version, ffprobe_version })
    }

    /// ffmpeg's major version; builds from git count as the newest.
    pub fn ffmpeg_major(&self) -> u32 {
        major(&self.ffmpeg_version).unwrap_or(u32::MAX)
    }

    /// ffmpeg to copy or decode. Its files have to be declared.
    pub(crate) fn ffmpeg(&self, what: impl Into<String>, args: Vec<OsString>) -> Invocation {
        let memory =
            machine_memory().unwrap_or(DECODER_MEMORY.end).clamp(DECODER_MEMORY.start, DECODER_MEMORY.end);
        Invocation::new(what, &self.ffmpeg, [bounds::ffmpeg_options(), args].concat()).with_memory(memory)
    }

    /// ffmpeg to encode a picture. Its files have to be declared.
    pub(crate) fn encoder(&self, what: impl Into<String>, args: Vec<OsString>) -> Invocation {
        let memory = machine_memory().unwrap_or(ENCODER_MEMORY).max(ENCODER_MEMORY);
        Invocation::new(what, &self.ffmpeg, [bounds::ffmpeg_options(), args].concat()).with_memory(memory)
    }

    /// ffprobe. Its files have to be declared.
    pub(crate) fn ffprobe(&self, what: impl Into<String>, args: Vec<OsString>) -> Invocation {
        Invocation::new(what, &self.ffprobe, [bounds::ffprobe_options(), args].concat())
            .with_memory(PROBE_MEMORY)
    }
}

async fn version(program: &Path) -> Result<String> {
    let call = Invocation::new(
        format!("reading the version of {}", program.display()),
        program,
        vec!["-hide_banner".into(), "-version".into()],
    )
    .with_memory(PROBE_MEMORY);
    let limits = Limits { time: Duration::from_secs(20), ..Limits::default() };
    let output = process::output(&call, &limits, 1 << 20).await.map_err(|e| {
        MediaError::environment(e.to_string()).retry(false).with_tail(e.stderr_tail().to_vec())
    })?;
    let output = String::from_utf8_lossy(&output).into_owned();
    let found = output.lines().next().and_then(|l| l.split_once(" version ")).map(|(_, rest)| rest);
    match found.and_then(|rest| rest.split_whitespace().next()) {
        Some(version) => Ok(version.to_owned()),
        None => Err(MediaError::environment(format!(
            "{} does not report a version; is it ffmpeg?",
            program.display()
        ))
        .retry(false)),
    }
}

/// `5.1.9-0+deb12u1` and `n9.0.2-17-g2a57` have a major version, `N-110000-g1234` has none.
fn major(version: &str) -> Option<u32> {
    let digits: String =
        version.strip_prefix('n').unwrap_or(version).chars().take_while(char::is_ascii_digit).collect();
    // four digits are the year of a nightly build
    digits.parse().ok().filter(|n| *n < 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_releases_and_of_git() {
        assert_eq!(major("5.1.9-0+deb12u1"), Some(5));
        assert_eq!(major("n9.0.2-17-g2a571b6068"), Some(9));
        assert_eq!(major("4.4.2-0ubuntu0.22.04.1"), Some(4));
        assert_eq!(major("N-121000-gdeadbeef"), None);
        assert_eq!(major("2026-09-30-git-2a571b6068"), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = Tools::at("/nowhere/ffmpeg".into(), "ffprobe".into()).await.unwrap_err();
        assert_eq!(error.kind(), crate::MediaErrorKind::Environment);
        assert!(error.to_string().contains("/nowhere/ffmpeg"), "{error}");
        assert!(!error.is_retryable());
    }
}
