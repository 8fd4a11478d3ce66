//! Scenarios: which kinds of fault a sweep may use, and so has to hit.

use crate::fault::FaultKind;
use FaultKind::*;

/// A named set of fault kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The kinds that it enables.
    pub kinds: &'static [FaultKind],
}

const USERS: &[FaultKind] = &[Resubmit, CancelJob, RetryJob, DeleteJob, Recreate, Flaky, Poison, Broken];

const OTHER: &str = "another method, that of most pipelines, and how it loses jobs";

/// Every scenario; the first is the default.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "everything",
        about: "all faults together, a random few of them in each history",
        kinds: FaultKind::ALL,
    },
    Scenario { name: "calm", about: "no faults at all", kinds: &[] },
    Scenario {
        name: "calls",
        about: "calls that fail, hang, repeat or come late",
        kinds: &[FailBefore, FailAfter, SlowBefore, SlowAfter, Repeat, Late, Partial],
    },
    Scenario {
        name: "crashes",
        about: "roles that die, at calls, at awaits and at any time",
        kinds: &[CrashBefore, CrashAfter, CrashAtAwait, CrashAtTime, NoRestart, Killer],
    },
    Scenario {
        name: "queue",
        about: "messages lost, doubled, early, foreign and old",
        kinds: &[Forget, Duplicate, EarlyShow, Foreign, Stray, FailAfter, CrashAfter],
    },
    Scenario {
        name: "time",
        about: "processes that stand still, clocks that jump and drift, stragglers",
        kinds: &[
            Pause,
            ClockJump,
            LedgerClockJump,
            Drift,
            SlowBefore,
            SlowAfter,
            Straggler,
            Stubborn,
            Duplicate,
        ],
    },
    Scenario {
        name: "network",
        about: "partitions and throttling",
        kinds: &[Partition, Throttle, FailBefore, FailAfter, Late, Straggler],
    },
    Scenario { name: "users", about: "cancels, deletes, retries and repeats while tasks fail", kinds: USERS },
    Scenario {
        name: "deletes",
        about: "jobs deleted and made again while requests come late and publishers stand still",
        kinds: &[DeleteJob, Recreate, Late, SlowBefore, SlowAfter, Pause],
    },
    Scenario {
        name: "tasks",
        about: "tasks, sources, engines and workers that are no good",
        kinds: &[
            Flaky,
            Poison,
            Broken,
            Killer,
            BadSource,
            FailedJoin,
            Straggler,
            BlackHoleHang,
            BlackHoleFail,
            Stubborn,
            Pause,
        ],
    },
    Scenario {
        name: "upgrade",
        about: "two builds with two message versions while roles die",
        kinds: &[Skew, CrashAtTime, CrashAfter, FailAfter],
    },
    Scenario { name: crate::other::NAME, about: OTHER, kinds: &[] },
];

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}
