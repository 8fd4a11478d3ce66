//! Health file for container probes: touched while the roles of the process run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use segue_domain::Failure;
use tokio_util::sync::CancellationToken;

use crate::failure;

/// How often the file is touched.
const EVERY: Duration = Duration::from_secs(5);

/// Maximum age of the file of a healthy process.
const FRESH: Duration = Duration::from_secs(30);

/// Touches the file until `stop`, then removes it.
pub async fn beat(path: PathBuf, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = std::fs::write(&path, format!("{}\n", std::process::id())) {
            tracing::warn!(%error, path = %path.display(), "the health file cannot be written");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    let _ = std::fs::remove_file(&path);
}

/// Checks that the process that touches this file is healthy.
///
/// # Errors
/// A file that is missing or was not touched for 30 s.
pub fn check(path: &Path) -> Result<(), Failure> {
    let sick = |why: String| failure::environment(format!("health file {}: {why}", path.display()));
    let touched =
        path.metadata().and_then(|found| found.modified()).map_err(|error| sick(error.to_string()))?;
    match touched.elapsed() {
        Ok(age) if age > FRESH => Err(sick(format!("not touched for {} s", age.as_secs()))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_fresh_while_somebody_touches_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("health");
        assert!(check(&path).unwrap_err().cause.contains("health"));
        let stop = CancellationToken::new();
        let beating = tokio::spawn(beat(path.clone(), stop.clone()));
        while check(&path).is_err() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        beating.await.unwrap();
        assert!(!path.exists());
        let file = std::fs::File::create(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
        assert!(check(&path).unwrap_err().cause.contains("60 s"));
    }
}
