//! Shutdown on SIGINT and SIGTERM: the first drains, a second SIGINT ends the process at once.

use segue_domain::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::{self, EXIT_INTERRUPTED};

/// Listens for SIGINT and SIGTERM from now on. The first cancels the returned token, after
/// calling `on_first`. A second SIGINT ends the process at once, with all
/// programs it started.
///
/// # Errors
/// Signal handlers that cannot be installed.
pub fn listen(on_first: impl FnOnce() + Send + 'static) -> Result<CancellationToken, Failure> {
    let cannot = |error: std::io::Error| failure::io("listening for signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        on_first();
        asked.cancel();
        interrupt.recv().await;
        segue_process::kill_all();
        std::process::exit(EXIT_INTERRUPTED.into());
    });
    Ok(token)
}
