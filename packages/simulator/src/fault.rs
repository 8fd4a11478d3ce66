//! What can go wrong, and the book in which it is counted.

use std::fmt;

use crate::op::Op;

macro_rules! kinds {
    ($($name:ident, $text:literal;)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the text beside each says what it is")]
        pub enum FaultKind { $($name),* }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$name),*];

            /// What happens, for logs and tables.
            pub fn as_str(self) -> &'static str {
                match self { $(FaultKind::$name => $text),* }
            }
        }
    };
}

kinds! {
    FailBefore, "call fails before its effect";
    FailAfter, "call fails after its effect: the answer is lost";
    SlowBefore, "call is slow before its effect";
    SlowAfter, "call is slow after its effect";
    CrashBefore, "caller dies before the effect";
    CrashAfter, "caller dies after the effect";
    Repeat, "call is repeated below the role, the second answer counts";
    Late, "caller gives up, the effect comes later";
    Partial, "only a part of it is done, then it fails";
    CrashAtAwait, "role dies at its k-th await";
    CrashAtTime, "role dies at a time";
    NoRestart, "role stays dead until the faults end";
    Pause, "process stands still and wakes up";
    Partition, "process cannot reach a service";
    Throttle, "service refuses everybody for a while";
    ClockJump, "wall clock of a process jumps";
    LedgerClockJump, "clock of the ledger jumps";
    Drift, "clock of a process runs fast or slow";
    Forget, "queue forgets a message";
    Duplicate, "queue doubles a message";
    EarlyShow, "message is visible again in the middle of work";
    Foreign, "a text that is not ours is on the queue";
    Stray, "an old or early message is on the queue";
    Skew, "two builds with two message versions side by side";
    Straggler, "a task takes much longer than others";
    BlackHoleHang, "worker takes tasks and hangs";
    BlackHoleFail, "worker takes tasks and fails them at once";
    Stubborn, "engine does not heed its cancellation";
    Flaky, "an attempt fails and may be tried again";
    Poison, "a task fails whenever it is tried";
    Broken, "a task cannot succeed";
    Killer, "a task kills its worker whenever it is tried";
    BadSource, "a source cannot be planned";
    FailedJoin, "a join fails and may be tried again";
    Resubmit, "a job is submitted again";
    CancelJob, "a job is cancelled";
    RetryJob, "an ended job is driven on by hand";
    DeleteJob, "an ended job is deleted";
    Recreate, "a deleted job is submitted again";
}

impl FaultKind {
    /// The faults of a single call; they are counted for each call.
    pub const OF_CALLS: &[FaultKind] = &[
        FaultKind::FailBefore,
        FaultKind::FailAfter,
        FaultKind::SlowBefore,
        FaultKind::SlowAfter,
        FaultKind::CrashBefore,
        FaultKind::CrashAfter,
        FaultKind::Repeat,
        FaultKind::Late,
        FaultKind::Partial,
    ];

    /// What users wish: it ends nobody's work by itself.
    pub const WISHES: &[FaultKind] = &[
        FaultKind::Resubmit,
        FaultKind::CancelJob,
        FaultKind::RetryJob,
        FaultKind::DeleteJob,
        FaultKind::Recreate,
    ];

    /// Whether a call can suffer it.
    pub fn fits(self, op: Op) -> bool {
        match self {
            FaultKind::Partial => matches!(op, Op::Send | Op::PutFile),
            // a user is no process that is started again
            FaultKind::CrashBefore | FaultKind::CrashAfter
                if matches!(op, Op::CreateJob | Op::Cancel | Op::Retry | Op::DeleteJob) =>
            {
                false
            }
            // what only reads has no effect to lose, repeat or delay
            FaultKind::FailAfter | FaultKind::CrashAfter | FaultKind::Repeat | FaultKind::Late => op.writes(),
            _ => true,
        }
    }
}

/// Names one fault of a history, so that a history can be run again without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultId {
    /// What befell the n-th call of that name.
    Call(Op, u32),
    /// The n-th event of the history's list.
    Event(u32),
    /// What a task, a worker or a process is like.
    Trait(FaultKind, u32),
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultId::Call(op, n) => write!(f, "what befalls {} number {n}", op.as_str()),
            FaultId::Event(n) => write!(f, "event number {n}"),
            FaultId::Trait(kind, n) => write!(f, "{} (number {n})", kind.as_str()),
        }
    }
}

/// How often each kind was hit, and at which call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    kinds: Vec<u64>,
    calls: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage {
            kinds: vec![0; FaultKind::ALL.len()],
            calls: vec![0; FaultKind::OF_CALLS.len() * Op::ALL.len()],
        }
    }
}

fn cell(kind: FaultKind, op: Op) -> usize {
    kind as usize * Op::ALL.len() + op as usize
}

impl Coverage {
    /// Counts one hit.
    pub fn hit(&mut self, kind: FaultKind, op: Option<Op>) {
        self.kinds[kind as usize] += 1;
        if let Some(op) = op {
            self.calls[cell(kind, op)] += 1;
        }
    }

    /// Adds what another history hit.
    pub fn add(&mut self, other: &Coverage) {
        self.kinds.iter_mut().zip(&other.kinds).for_each(|(mine, theirs)| *mine += theirs);
        self.calls.iter_mut().zip(&other.calls).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// How often anything was hit.
    pub fn total(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// How often anything was hit that is not a user's wish.
    pub fn of_world(&self) -> u64 {
        self.total() - FaultKind::WISHES.iter().map(|kind| self.of(*kind)).sum::<u64>()
    }

    /// How often a kind was hit.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.kinds[kind as usize]
    }

    /// How often anything was hit at one call.
    pub fn at_call(&self, op: Op) -> u64 {
        FaultKind::OF_CALLS.iter().map(|kind| self.at(*kind, op)).sum()
    }

    /// How often a kind was hit at one call.
    pub fn at(&self, kind: FaultKind, op: Op) -> u64 {
        self.calls[cell(kind, op)]
    }
}
