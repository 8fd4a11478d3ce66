//! Time since 1970 that stands still when tokio's clock is paused.

use tokio::time::Instant;

use crate::clock::{Clock, SystemClock};

/// A clock that goes with tokio's.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    epoch_ms: i64,
    started: Instant,
}

impl TokioClock {
    /// A clock that shows the machine's time now.
    pub fn new() -> TokioClock {
        TokioClock::at(SystemClock.now_ms())
    }

    /// A clock that shows `epoch_ms` now: the same history every time.
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
