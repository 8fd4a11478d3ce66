//! A limit on waiting that does not count while this process itself was stopped.

use std::time::{Duration, Instant};

/// The most that may pass between two looks; the rest is taken for a pause of our own.
const MOST: Duration = Duration::from_millis(500);

/// Time that was waited, by many looks.
#[derive(Debug)]
pub struct Patience {
    left: Duration,
    last: Instant,
}

impl Patience {
    /// So much, from now on.
    pub fn of(limit: Duration) -> Patience {
        Patience { left: limit, last: Instant::now() }
    }

    /// Looks at the clock; whether it is over. To be called much more often than every
    /// half second.
    pub fn is_over(&mut self) -> bool {
        let now = Instant::now();
        self.left = self.left.saturating_sub((now - self.last).min(MOST));
        self.last = now;
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_counts_half_a_second() {
        let mut patience = Patience::of(Duration::from_secs(2));
        patience.last = Instant::now().checked_sub(Duration::from_secs(3_600)).unwrap();
        assert!(!patience.is_over());
        assert!(
            patience.left > Duration::from_millis(1_400) && patience.left <= Duration::from_millis(1_500)
        );
        assert!(Patience::of(Duration::ZERO).is_over());
    }
}
