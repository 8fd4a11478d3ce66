//! Milliseconds since 1970, by tokio's clock: a paused clock stands still.

use tokio::time::Instant;

use segue_ports::clock::{Clock, SystemClock};

/// A clock that follows tokio's.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    epoch_ms: i64,
    started: Instant,
}

impl TokioClock {
    /// A clock that starts at the system time.
    pub fn new() -> TokioClock {
        TokioClock::at(SystemClock.now_ms())
    }

    /// A clock that starts at `epoch_ms`: deterministic.
    pub fn at(epoch_ms: i64) -> TokioClock {
        TokioClock { epoch_ms, started: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> TokioClock {
        TokioClock::new()
    }
}

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        let passed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.epoch_ms.saturating_add(passed)
    }
}
