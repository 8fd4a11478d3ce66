//! Scenarios: which kinds of fault a sweep may use, and so has to hit.

use crate::fault::FaultKind;
use crate::op::Op;
use crate::params::Role;
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
    /// Where it looks more closely.
    pub focus: Focus,
}

/// Where a scenario looks more closely than its kinds of fault say, so that what needs several
/// rare things together is met often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Focus {
    /// The only calls that faults befall, more often than elsewhere; all alike where it is empty.
    pub calls: &'static [Op],
    /// The only roles whose processes events befall; all alike where it is empty.
    pub roles: &'static [Role],
    /// How often each job is deleted and made again: from, to; drawn as a fault where it is 0.
    pub remakes: (u64, u64),
    /// Whether every job is cancelled while it is under way, if it can be, and its user, who
    /// deletes it and makes it again, goes on at the first error.
    pub gives_up: bool,
    /// Whether a second user deletes the same jobs.
    pub deleted_twice: bool,
    /// Attempts of a task that may be killed before its output fails.
    pub max_begun: u32,
    /// Outputs that a job begins with, at least; drawn where it is 0.
    pub outputs: usize,
}

impl Focus {
    /// Everything alike.
    pub const NONE: Focus = Focus {
        calls: &[],
        roles: &[],
        remakes: (0, 0),
        gives_up: false,
        deleted_twice: false,
        max_begun: 10,
        outputs: 0,
    };
}

const USERS: &[FaultKind] = &[
    Resubmit,
    CancelJob,
    CancelOutput,
    RetryJob,
    RetryOutput,
    AddOutput,
    DeleteJob,
    Recreate,
    Flaky,
    Poison,
    Broken,
];

const OTHER: &str = "another method, that of most pipelines, and how it loses jobs";

/// Every scenario; the first is the default.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "everything",
        about: "all faults together, a random few of them in each history",
        kinds: FaultKind::ALL,
        focus: Focus::NONE,
    },
    Scenario { name: "calm", about: "no faults at all", kinds: &[], focus: Focus::NONE },
    Scenario {
        name: "calls",
        about: "calls that fail, hang, repeat or come late",
        kinds: &[FailBefore, FailAfter, SlowBefore, SlowAfter, Repeat, Late, Partial],
        focus: Focus::NONE,
    },
    Scenario {
        name: "crashes",
        about: "roles that die, at calls, at awaits and at any time",
        kinds: &[CrashBefore, CrashAfter, CrashAtAwait, CrashAtTime, NoRestart, Killer],
        focus: Focus::NONE,
    },
    Scenario {
        name: "queue",
        about: "messages lost, doubled, early, foreign and old",
        kinds: &[Forget, Duplicate, EarlyShow, Foreign, Stray, FailAfter, CrashAfter],
        focus: Focus::NONE,
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
        focus: Focus::NONE,
    },
    Scenario {
        name: "network",
        about: "partitions and throttling",
        kinds: &[Partition, Throttle, FailBefore, FailAfter, Late, Straggler],
        focus: Focus::NONE,
    },
    Scenario {
        name: "users",
        about: "cancels, deletes, retries and repeats while tasks fail",
        kinds: USERS,
        focus: Focus::NONE,
    },
    Scenario {
        name: "outputs",
        about: "jobs of several outputs: some fail, are cancelled, retried, or added later",
        kinds: &[
            CancelOutput,
            RetryJob,
            RetryOutput,
            AddOutput,
            Resubmit,
            Broken,
            BadPlan,
            BrokenAssembly,
            FailedAssembly,
            Straggler,
            Duplicate,
            Stray,
            SlowBefore,
            SlowAfter,
            Pause,
        ],
        focus: Focus { outputs: 2, ..Focus::NONE },
    },
    Scenario {
        name: "manifest",
        about: "outputs that are published at the same time, by slow or paused assemblers",
        kinds: &[SlowBefore, SlowAfter, FailAfter, Late, Repeat, Pause, AddOutput],
        focus: Focus {
            calls: &[Op::Promote, Op::GetDocument, Op::PutDocument, Op::Complete],
            roles: &[Role::Assembler, Role::Sweeper],
            outputs: 3,
            ..Focus::NONE
        },
    },
    Scenario {
        name: "stale",
        about: "attempts that fail, commit or publish after their lease was taken over",
        kinds: &[FailBefore, SlowBefore, Pause, Duplicate, EarlyShow, Broken, BrokenAssembly],
        focus: Focus {
            calls: &[Op::Fail, Op::Commit, Op::Promote, Op::Complete, Op::Renew, Op::Extend],
            roles: &[Role::Worker, Role::Assembler, Role::Sweeper],
            ..Focus::NONE
        },
    },
    Scenario {
        name: "trust",
        about: "leases that are acquired slowly or not renewed, while their messages come again",
        kinds: &[FailBefore, SlowAfter, Duplicate, EarlyShow, Straggler],
        focus: Focus { calls: &[Op::Acquire, Op::Renew], roles: &[Role::Worker], ..Focus::NONE },
    },
    Scenario {
        name: "deletes",
        about: "jobs deleted by two and made again while requests come late and publishers stand still",
        kinds: &[DeleteJob, Recreate, Late, SlowBefore, SlowAfter, Pause],
        focus: Focus { deleted_twice: true, ..Focus::NONE },
    },
    Scenario {
        name: "publishing",
        about: "publishers that are slow or stand still while a sweeper takes their place",
        kinds: &[SlowBefore, SlowAfter, Pause],
        focus: Focus {
            calls: &[Op::Commit, Op::GetBytes, Op::Head, Op::Promote, Op::Complete],
            roles: &[Role::Assembler, Role::Sweeper],
            ..Focus::NONE
        },
    },
    Scenario {
        name: "half-deleted",
        about: "jobs that are cancelled, deleted by half and made again while workers are slow",
        kinds: &[FailBefore, SlowBefore, SlowAfter, CancelJob, DeleteJob, Recreate, Pause],
        focus: Focus {
            calls: &[Op::Acquire, Op::List, Op::Delete],
            roles: &[Role::Planner, Role::Worker],
            remakes: (1, 3),
            gives_up: true,
            ..Focus::NONE
        },
    },
    Scenario {
        name: "remade",
        about: "jobs that are deleted and made again under one id, over and over",
        kinds: &[DeleteJob, Recreate, Flaky, Straggler],
        focus: Focus { remakes: (10, 11), ..Focus::NONE },
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
            FailedAssembly,
            BrokenAssembly,
            BadPlan,
            Straggler,
            BlackHoleHang,
            BlackHoleFail,
            Stubborn,
            Pause,
        ],
        focus: Focus::NONE,
    },
    Scenario {
        name: "starved",
        about: "workers that live and lose their leases, for their renewals are slow or fail",
        kinds: &[FailBefore, SlowBefore, Straggler],
        focus: Focus { calls: &[Op::Renew], max_begun: 3, ..Focus::NONE },
    },
    Scenario {
        name: "upgrade",
        about: "two builds with two message versions while roles die",
        kinds: &[Skew, NewerPlan, CrashAtTime, CrashAfter, FailAfter],
        focus: Focus::NONE,
    },
    Scenario { name: crate::other::NAME, about: OTHER, kinds: &[], focus: Focus::NONE },
];

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}
