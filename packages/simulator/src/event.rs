//! What can befall the world from outside.

use crate::fault::FaultKind;
use crate::op::Service;

/// Something that befalls the world at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A process dies.
    Crash(usize),
    /// A process dies and is not started again before the faults end.
    CrashForLong(usize),
    /// A process dies when it was polled that often from now on.
    CrashAtAwait(usize, u32),
    /// A process stands still for so many milliseconds.
    Pause(usize, u64),
    /// A process cannot reach a service for so many milliseconds.
    Partition(usize, Service, u64),
    /// A service refuses everybody for so many milliseconds.
    Throttle(Service, u64),
    /// The wall clock of a process jumps by so many milliseconds.
    ClockJump(usize, i64),
    /// The ledger's clock jumps by so many milliseconds, and back after the second number.
    LedgerClockJump(i64, u64),
    /// A queue forgets a message.
    Forget(u64),
    /// A queue doubles a message.
    Duplicate(u64),
    /// A message that is being worked on is visible again.
    EarlyShow(u64),
    /// A text that is not ours comes.
    Foreign(u64),
    /// A valid message that no role sent arrives.
    Stray(u64),
}

impl Event {
    /// The kind of fault that it is.
    pub fn kind(self) -> FaultKind {
        match self {
            Event::Crash(_) => FaultKind::CrashAtTime,
            Event::CrashForLong(_) => FaultKind::NoRestart,
            Event::CrashAtAwait(..) => FaultKind::CrashAtAwait,
            Event::Pause(..) => FaultKind::Pause,
            Event::Partition(..) => FaultKind::Partition,
            Event::Throttle(..) => FaultKind::Throttle,
            Event::ClockJump(..) => FaultKind::ClockJump,
            Event::LedgerClockJump(..) => FaultKind::LedgerClockJump,
            Event::Forget(_) => FaultKind::Forget,
            Event::Duplicate(_) => FaultKind::Duplicate,
            Event::EarlyShow(_) => FaultKind::EarlyShow,
            Event::Foreign(_) => FaultKind::Foreign,
            Event::Stray(_) => FaultKind::Stray,
        }
    }
}
