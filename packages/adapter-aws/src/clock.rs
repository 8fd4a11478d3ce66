//! The ledger's clock: DynamoDB's own time, estimated from its responses.
//!
//! A condition of DynamoDB cannot use its clock, so the writer of a lease provides the
//! time. With each machine's own time, a machine with a wrong clock would take
//! leases too early. Every response has a `Date`, in whole seconds: together with the times of
//! request and response it bounds the error of this machine's clock. The
//! machine's clock is used unchanged while it is within those bounds, and is moved to the
//! nearer bound otherwise. Safety does not depend on it: the fence is the term.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::date_time::Format;
use segue_ports::{Clock, SystemClock};

/// Maximum drift between two clocks: a thousandth, far more than that of any working one.
const DRIFT: i64 = 1000;

/// Bounds on the offset of DynamoDB's clock from the machine's.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low_us: i64,
    high_us: i64,
    heard_ms: i64,
}

impl Bounds {
    fn of(sent_ms: i64, heard_ms: i64, date_ms: i64) -> Bounds {
        let us = |ms: i64| ms.saturating_mul(1000);
        // if a clock was set back in between, the measured duration is meaningless
        let heard_ms = heard_ms.max(sent_ms);
        Bounds { low_us: us(date_ms - heard_ms), high_us: us(date_ms + 999 - sent_ms), heard_ms }
    }

    /// The intersection of both bounds, the older one widened by drift; the newer one if they are disjoint.
    fn narrowed_by(self, newer: Bounds) -> Bounds {
        let passed_ms = newer.heard_ms - self.heard_ms;
        if passed_ms < 0 {
            return newer;
        }
        let drift_us = passed_ms.saturating_mul(1000) / DRIFT;
        let low_us = newer.low_us.max(self.low_us - drift_us);
        let high_us = newer.high_us.min(self.high_us + drift_us);
        if low_us > high_us { newer } else { Bounds { low_us, high_us, ..newer } }
    }

    fn correction_ms(self) -> i64 {
        0_i64.clamp(self.low_us, self.high_us) / 1000
    }
}

/// The clock of one ledger.
pub struct LedgerClock {
    machine: Arc<dyn Clock>,
    bounds: Mutex<Option<Bounds>>,
}

impl LedgerClock {
    /// A clock without measurements, which shows the machine's time.
    pub fn new() -> LedgerClock {
        LedgerClock::over(Arc::new(SystemClock))
    }

    fn over(machine: Arc<dyn Clock>) -> LedgerClock {
        LedgerClock { machine, bounds: Mutex::new(None) }
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        let correction = self.bounds().map_or(0, Bounds::correction_ms);
        self.machine.now_ms().saturating_add(correction)
    }

    fn bounds(&self) -> Option<Bounds> {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, sent_ms: i64, date_ms: i64) {
        let newer = Bounds::of(sent_ms, self.machine.now_ms(), date_ms);
        let mut bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        *bounds = Some(bounds.map_or(newer, |older| older.narrowed_by(newer)));
    }
}

impl fmt::Debug for LedgerClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerClock").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Reads the `Date` of every response.
#[derive(Debug, Clone)]
pub struct HearDate(pub Arc<LedgerClock>);

#[derive(Debug)]
struct SentAt(i64);

impl Storable for SentAt {
    type Storer = StoreReplace<SentAt>;
}

impl Intercept for HearDate {
    fn name(&self) -> &'static str {
        "HearDate"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(SentAt(self.0.machine.now_ms()));
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        if let (Some(date), Some(SentAt(sent_ms))) = (date, cfg.load::<SentAt>()) {
            self.0.hear(*sent_ms, date.secs().saturating_mul(1000));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Simulates a machine whose clock is off by `error_ms` and a server for a while, and
    /// returns the remaining error of its ledger's clock.
    fn talk(error_ms: i64, calls: i64) -> i64 {
        let hand = Arc::new(Hand(AtomicI64::new(0)));
        let clock = LedgerClock::over(Arc::clone(&hand) as Arc<dyn Clock>);
        let mut server_ms = 1_700_000_000_123;
        for call in 0..calls {
            let sent = server_ms + error_ms;
            server_ms += 3;
            let date = server_ms / 1000 * 1000;
            server_ms += 2;
            hand.0.store(server_ms + error_ms, Ordering::Relaxed);
            clock.hear(sent, date);
            server_ms += 137 + call % 7;
        }
        hand.0.store(server_ms + error_ms, Ordering::Relaxed);
        clock.now_ms() - server_ms
    }

    #[test]
    fn a_right_clock_is_left_alone() {
        for calls in [1, 2, 50, 1000] {
            assert_eq!(talk(0, calls), 0);
        }
    }

    #[test]
    fn a_wrong_clock_is_set_right() {
        for error in [-3_600_000, -2_500, 2_500, 86_400_000] {
            let once = talk(error, 1).abs();
            assert!(once <= 1000, "off by {once} ms after one call");
            let often = talk(error, 200).abs();
            assert!(often <= 30, "off by {often} ms after many");
        }
    }

    #[test]
    fn a_clock_that_is_set_meanwhile_is_followed() {
        let hand = Arc::new(Hand(AtomicI64::new(5_000_000)));
        let clock = LedgerClock::over(Arc::clone(&hand) as Arc<dyn Clock>);
        clock.hear(5_000_000, 5_000_000);
        for jumped in [9_000_000, 1_000_000] {
            hand.0.store(jumped, Ordering::Relaxed);
            clock.hear(jumped, 5_001_000);
            assert!((clock.now_ms() - 5_001_000).abs() <= 1000, "after a jump to {jumped}");
        }
    }
}
