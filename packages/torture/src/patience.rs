//! A timeout that excludes the time during which this process itself was stopped.

use std::time::{Duration, Instant};

/// Longest time counted between two checks; more means that this process was stopped.
const LONGEST_STEP: Duration = Duration::from_millis(500);

/// A timeout, measured by frequent checks.
#[derive(Debug)]
pub struct Patience {
    left: Duration,
    last: Instant,
}

impl Patience {
    /// A timeout of `limit` from now.
    pub fn new(limit: Duration) -> Patience {
        Patience { left: limit, last: Instant::now() }
    }

    /// Checks the clock; returns whether the timeout is over. Must be called much more often than
    /// every half second.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.left = self.left.saturating_sub((now - self.last).min(LONGEST_STEP));
        self.last = now;
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_half_a_second() {
        let mut patience = Patience::new(Duration::from_secs(2));
        patience.last = Instant::now().checked_sub(Duration::from_secs(3_600)).unwrap();
        assert!(!patience.is_over());
        assert!(
            patience.left > Duration::from_millis(1_400) && patience.left <= Duration::from_millis(1_500)
        );
        assert!(Patience::new(Duration::ZERO).is_over());
    }
}
