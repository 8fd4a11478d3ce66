//! Faults, and when they are injected.

use std::time::Duration;

/// Stage of a job, as observed from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The process runs; the job is not created or resumed yet.
    Starting,
    /// Planning.
    Planning,
    /// Running tasks.
    Mapping,
    /// Joining and certifying parts.
    Reducing,
    /// The manifest is committed; files get their public names.
    Publishing,
    /// Published; files are moved to the output folder.
    Delivering,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Stage; 6] = [
        Stage::Starting,
        Stage::Planning,
        Stage::Mapping,
        Stage::Reducing,
        Stage::Publishing,
        Stage::Delivering,
    ];

    /// The name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Starting => "starting",
            Stage::Planning => "planning",
            Stage::Mapping => "mapping",
            Stage::Reducing => "reducing",
            Stage::Publishing => "publishing",
            Stage::Delivering => "delivering",
        }
    }

    /// The stage of a job state of the ledger.
    pub fn of_state(state: &str) -> Option<Stage> {
        match state {
            "created" => Some(Stage::Planning),
            "mapping" => Some(Stage::Mapping),
            "assembling" => Some(Stage::Reducing),
            "publishing" => Some(Stage::Publishing),
            "completed" => Some(Stage::Delivering),
            _ => None,
        }
    }
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the program.
    Kill,
    /// `kill -9` of a program that it started.
    KillChild,
    /// SIGSTOP of the program, SIGCONT after this time.
    Stop(Duration),
    /// SIGSTOP of a program that it started, SIGCONT after this time.
    StopChild(Duration),
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGINT, and another one after this time.
    InterruptTwice(Duration),
    /// Address-space limit in bytes, for it and each program that it starts.
    Memory(u64),
    /// Limit on open files, above the current number.
    Files(u64),
    /// The disk is full; with a time, space is freed after it.
    FullDisk(Option<Duration>),
    /// Its stdout is no longer read.
    CloseOutput,
    /// It is started without stdin and stderr.
    NoDescriptors,
    /// The same command once more while it runs.
    Twin,
    /// The same command started twice at the same time.
    TwinAtOnce,
    /// Another job in the same output folder.
    Intruder,
    /// The services of a fleet are unreachable for some time.
    Outage,
}

/// Longer than a lease of the embedded backend.
pub const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(32);

impl Fault {
    /// The name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9",
            Fault::KillChild => "kill -9 of a child",
            Fault::Stop(time) if time >= LONGER_THAN_A_LEASE => "stop beyond the lease",
            Fault::Stop(_) => "stop",
            Fault::StopChild(_) => "stop of a child",
            Fault::Interrupt => "SIGINT",
            Fault::Terminate => "SIGTERM",
            Fault::InterruptTwice(_) => "SIGINT twice",
            Fault::Memory(_) => "memory limit",
            Fault::Files(_) => "open files limit",
            Fault::FullDisk(None) => "full disk",
            Fault::FullDisk(Some(_)) => "disk full for a while",
            Fault::CloseOutput => "closed output",
            Fault::NoDescriptors => "closed descriptors",
            Fault::Twin => "twin",
            Fault::TwinAtOnce => "twin at once",
            Fault::Intruder => "intruder",
            Fault::Outage => "services gone for a while",
        }
    }

    /// One of each kind, in the order of the summary.
    pub const ALL: [Fault; 18] = [
        Fault::Kill,
        Fault::KillChild,
        Fault::Stop(Duration::ZERO),
        Fault::Stop(LONGER_THAN_A_LEASE),
        Fault::StopChild(Duration::ZERO),
        Fault::Interrupt,
        Fault::Terminate,
        Fault::InterruptTwice(Duration::ZERO),
        Fault::Memory(0),
        Fault::Files(0),
        Fault::FullDisk(None),
        Fault::FullDisk(Some(Duration::ZERO)),
        Fault::CloseOutput,
        Fault::NoDescriptors,
        Fault::Twin,
        Fault::TwinAtOnce,
        Fault::Intruder,
        Fault::Outage,
    ];

    /// Whether it limits a resource, so that a job may fail because of it.
    pub fn starves(self) -> bool {
        matches!(self, Fault::Memory(_) | Fault::Files(_) | Fault::FullDisk(_))
    }

    /// Whether the same life should complete the job in spite of it.
    pub fn is_mild(self) -> bool {
        matches!(
            self,
            Fault::Stop(_)
                | Fault::StopChild(_)
                | Fault::CloseOutput
                | Fault::NoDescriptors
                | Fault::Twin
                | Fault::TwinAtOnce
        )
    }

    /// Whether it needs a small disk.
    pub fn needs_small_disk(self) -> bool {
        matches!(self, Fault::FullDisk(_))
    }

    /// Whether it happens at the start of the process.
    pub fn is_at_start(self) -> bool {
        matches!(self, Fault::NoDescriptors | Fault::TwinAtOnce)
    }
}

/// A fault and its moment within a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// The fault.
    pub fault: Fault,
    /// The earliest stage.
    pub stage: Stage,
    /// Delay in the stage, in thousandths of its duration without faults.
    pub part: u32,
}

/// Duration of each stage of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times([Duration; Stage::ALL.len()]);

impl Times {
    /// Computes durations from the starts of the observed stages, in order, and the end of the job.
    pub fn between(begins: &[(Stage, Duration)], end: Duration) -> Times {
        let mut times = Times::default();
        for (index, (stage, begin)) in begins.iter().enumerate() {
            let next = begins.get(index + 1).map_or(end, |(_, begin)| *begin);
            times.0[*stage as usize] += next.saturating_sub(*begin);
        }
        times
    }

    /// A fraction of a stage, in thousandths.
    pub fn part(&self, stage: Stage, thousandths: u32) -> Duration {
        self.0[stage as usize] * thousandths / 1000
    }
}
