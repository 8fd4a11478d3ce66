//! What is done to a process, and when.

use std::time::Duration;

/// How far a job has come, as it is seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The process runs and the job is not known yet, or not taken up again.
    Starting,
    /// The plan is being made.
    Planning,
    /// Tasks are being done.
    Mapping,
    /// The parts are being joined and certified.
    Reducing,
    /// The manifest is chosen, files get their public names.
    Publishing,
    /// Published; the files get their names in the output folder.
    Delivering,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Stage; 6] = [
        Stage::Starting,
        Stage::Planning,
        Stage::Mapping,
        Stage::Reducing,
        Stage::Publishing,
        Stage::Delivering,
    ];

    /// Its name in the summary.
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

    /// The stage of a job in this state of the ledger.
    pub fn of_state(state: &str) -> Option<Stage> {
        match state {
            "created" => Some(Stage::Planning),
            "mapping" => Some(Stage::Mapping),
            "reassembling" => Some(Stage::Reducing),
            "publishing" => Some(Stage::Publishing),
            "completed" => Some(Stage::Delivering),
            _ => None,
        }
    }
}

/// Something bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of the program.
    Kill,
    /// `kill -9` of a program that it started.
    KillChild,
    /// SIGSTOP of the program, SIGCONT after that.
    Stop(Duration),
    /// SIGSTOP of a program that it started, SIGCONT after that.
    StopChild(Duration),
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGINT, and another one after that.
    InterruptTwice(Duration),
    /// So many bytes of address space and no more, for it and for each program that it starts.
    Memory(u64),
    /// So many more open files and no more.
    Files(u64),
    /// The disk is full; where a time is given, it has room again after that.
    FullDisk(Option<Duration>),
    /// Nobody reads its output any more.
    CloseOutput,
    /// It is started without stdin and stderr.
    NoDescriptors,
    /// The same command once more while it runs.
    Twin,
    /// The same command twice at one time.
    TwinAtOnce,
    /// Another job in the same output folder.
    Intruder,
    /// The services of a fleet do not answer for a while.
    Outage,
}

/// Longer than a lease of the embedded backend lasts.
pub const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(32);

impl Fault {
    /// Its name in the summary.
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

    /// Whether the machine is short of something, so that a job may fail for it.
    pub fn starves(self) -> bool {
        matches!(self, Fault::Memory(_) | Fault::Files(_) | Fault::FullDisk(_))
    }

    /// Whether a job should come to its end in spite of it, in the same life.
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

    /// Whether it takes a disk of its own.
    pub fn needs_small_disk(self) -> bool {
        matches!(self, Fault::FullDisk(_))
    }

    /// Whether it is done by how the process is started.
    pub fn is_at_start(self) -> bool {
        matches!(self, Fault::NoDescriptors | Fault::TwinAtOnce)
    }
}

/// A fault and its moment: when so much of a stage is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub fault: Fault,
    /// Not before this stage.
    pub stage: Stage,
    /// And after so many thousandths of the time that this stage takes undisturbed.
    pub part: u32,
}

/// How long each stage of a job takes undisturbed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times([Duration; Stage::ALL.len()]);

impl Times {
    /// Out of when each stage that was seen began, in order, and when the job ended.
    pub fn between(begins: &[(Stage, Duration)], end: Duration) -> Times {
        let mut times = Times::default();
        for (index, (stage, begin)) in begins.iter().enumerate() {
            let next = begins.get(index + 1).map_or(end, |(_, begin)| *begin);
            times.0[*stage as usize] += next.saturating_sub(*begin);
        }
        times
    }

    /// So many thousandths of a stage.
    pub fn part(&self, stage: Stage, thousandths: u32) -> Duration {
        self.0[stage as usize] * thousandths / 1000
    }
}
