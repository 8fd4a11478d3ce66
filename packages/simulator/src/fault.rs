//! Kinds of faults, and how often each occurred.

use std::fmt;

use crate::op::Op;

macro_rules! kinds {
    ($($name:ident, $text:literal;)*) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "the text beside each is its description")]
        pub enum FaultKind { $($name),* }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$name),*];

            /// The name in logs and tables.
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
    CrashBefore, "caller crashes before the effect";
    CrashAfter, "caller crashes after the effect";
    Repeat, "call is repeated below the role, the second answer counts";
    Late, "caller gives up, the effect comes later";
    Partial, "only a part of it is done, then it fails";
    CrashAtAwait, "role crashes at its k-th await";
    CrashAtTime, "role crashes at a time";
    NoRestart, "role is not restarted until the faults end";
    Pause, "process is paused and resumes";
    Partition, "process cannot reach a service";
    Throttle, "service refuses everybody for a while";
    ClockJump, "wall clock of a process jumps";
    LedgerClockJump, "clock of the ledger jumps";
    Drift, "clock of a process runs fast or slow";
    Forget, "queue loses a message";
    Duplicate, "queue duplicates a message";
    EarlyShow, "message is visible again in the middle of work";
    Foreign, "a text that is no message is on the queue";
    Stray, "an old or early message is on the queue";
    Skew, "two builds with two message versions side by side";
    Straggler, "a task takes much longer than others";
    BlackHoleHang, "worker takes tasks and hangs";
    BlackHoleFail, "worker takes tasks and fails them at once";
    Stubborn, "engine ignores its cancellation";
    Flaky, "an attempt fails and may be tried again";
    Poison, "a task fails whenever it is tried";
    Broken, "a task cannot succeed";
    Killer, "a task kills its worker whenever it is tried";
    BadSource, "a source cannot be planned";
    BadPlan, "one output cannot be planned";
    NewerPlan, "an output meets a document of a newer build";
    FailedAssembly, "an assembly fails and may be tried again";
    BrokenAssembly, "an output cannot be assembled";
    Resubmit, "a job is submitted again";
    CancelJob, "a job is cancelled";
    CancelOutput, "one output is cancelled";
    RetryJob, "the failed outputs of a job are retried";
    RetryOutput, "one failed output is retried";
    AddOutput, "an output is added to a job";
    DeleteJob, "a job is deleted";
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

    /// Requests of users.
    pub const REQUESTS: &[FaultKind] = &[
        FaultKind::Resubmit,
        FaultKind::CancelJob,
        FaultKind::CancelOutput,
        FaultKind::RetryJob,
        FaultKind::RetryOutput,
        FaultKind::AddOutput,
        FaultKind::DeleteJob,
        FaultKind::Recreate,
    ];

    /// Whether it can occur at a call.
    pub fn fits(self, op: Op) -> bool {
        match self {
            FaultKind::Partial => matches!(op, Op::Send | Op::Upload),
            // a user is no process that is restarted
            FaultKind::CrashBefore | FaultKind::CrashAfter
                if matches!(
                    op,
                    Op::CreateJob
                        | Op::Cancel
                        | Op::CancelOutput
                        | Op::Retry
                        | Op::Add
                        | Op::MarkDeleting
                        | Op::DeleteJob
                ) =>
            {
                false
            }
            // a read has no effect that could be lost, repeated or delayed
            FaultKind::FailAfter | FaultKind::CrashAfter | FaultKind::Repeat | FaultKind::Late => op.writes(),
            _ => true,
        }
    }
}

/// One fault of a history, so that the history can be replayed with or without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultId {
    /// At the n-th call of that name.
    Call(Op, u32),
    /// The n-th event of the history's list.
    Event(u32),
    /// A property of a task, an output, a job or a process.
    Trait(FaultKind, u32),
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultId::Call(op, n) => write!(f, "call {} number {n}", op.as_str()),
            FaultId::Event(n) => write!(f, "event number {n}"),
            FaultId::Trait(kind, n) => write!(f, "{} (number {n})", kind.as_str()),
        }
    }
}

/// How often each kind occurred, and at which call.
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
    /// Counts one.
    pub fn hit(&mut self, kind: FaultKind, op: Option<Op>) {
        self.kinds[kind as usize] += 1;
        if let Some(op) = op {
            self.calls[cell(kind, op)] += 1;
        }
    }

    /// Adds the counts of another history.
    pub fn add(&mut self, other: &Coverage) {
        self.kinds.iter_mut().zip(&other.kinds).for_each(|(mine, theirs)| *mine += theirs);
        self.calls.iter_mut().zip(&other.calls).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// How often any occurred.
    pub fn total(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// How often any occurred that is not a request of a user.
    pub fn of_world(&self) -> u64 {
        self.total() - FaultKind::REQUESTS.iter().map(|kind| self.of(*kind)).sum::<u64>()
    }

    /// How often a kind occurred.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.kinds[kind as usize]
    }

    /// How often any occurred at one call.
    pub fn at_call(&self, op: Op) -> u64 {
        FaultKind::OF_CALLS.iter().map(|kind| self.at(*kind, op)).sum()
    }

    /// How often a kind occurred at one call.
    pub fn at(&self, kind: FaultKind, op: Op) -> u64 {
        self.calls[cell(kind, op)]
    }
}
