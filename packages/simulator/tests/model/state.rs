//! What the core of the protocol knows: jobs, leases, completions, messages, processes.

use segue_domain::{Failure, FaultKind, JobRecord, JobState, PlanHash, SealedPlan};
use segue_ports::JobChange;

/// Most segments of a job here.
pub const MOST: usize = 3;

/// The last lease of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub term: u8,
    pub holder: Option<u8>,
    /// Whether its time is not over.
    pub lasts: bool,
}

/// A job with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// Absent when the job is not in the ledger.
    pub state: Option<JobState>,
    pub sealed: bool,
    pub count: u8,
    /// The term of each task's completion; 0 for none.
    pub done: [u8; MOST],
    /// Terms, as bits, of the attempts whose files lie in the store.
    pub parts: [u8; MOST],
    pub joins: u8,
    /// The term of the manifest that is committed, and of the one that is public; 0 for none.
    pub manifest: u8,
    pub public: u8,
    pub chunk: Lease,
    pub tasks: [Lease; MOST],
    pub join: Lease,
    /// Messages that are on a queue: plan, join, and one bit for each task.
    pub ask_plan: bool,
    pub ask_join: bool,
    pub ask_tasks: u8,
}

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    Plan,
    Task(u8),
    Join,
}

/// Where a process stands in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Read,
    Acquire,
    ReadAgain,
    Store,
    Commit,
    Discard,
    Send,
    Promote,
    Complete,
    /// Gives the lease back; the message is acknowledged if it is done.
    Release(bool),
    Ack,
}

/// A process at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Work {
    pub job: u8,
    pub what: What,
    pub step: Step,
    /// Term of the lease that it took.
    pub term: u8,
    /// The manifest that it read.
    pub manifest: u8,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub jobs: Vec<Job>,
    pub processes: Vec<Option<Work>>,
    /// Faults and wishes of users that may still come.
    pub left: u8,
}

impl Job {
    /// A job that was created and that nobody was told of.
    pub fn new() -> Job {
        Job {
            state: Some(JobState::Created),
            sealed: false,
            count: 0,
            done: [0; MOST],
            parts: [0; MOST],
            joins: 0,
            manifest: 0,
            public: 0,
            chunk: Lease::default(),
            tasks: [Lease::default(); MOST],
            join: Lease::default(),
            ask_plan: false,
            ask_join: false,
            ask_tasks: 0,
        }
    }

    pub fn lease(&mut self, what: What) -> &mut Lease {
        match what {
            What::Plan => &mut self.chunk,
            What::Task(task) => &mut self.tasks[usize::from(task)],
            What::Join => &mut self.join,
        }
    }

    /// The row of the ledger that this is, for the production rules.
    fn record(&self, state: JobState, segments: u8) -> JobRecord {
        let plan = SealedPlan { hash: PlanHash("h".into()), key: String::new(), tasks: u64::from(segments) };
        JobRecord {
            id: "j".parse().expect("a plain id"),
            epoch: "1".parse().expect("a plain id"),
            state,
            source_key: String::new(),
            recipe: String::new(),
            plan: self.sealed.then_some(plan),
            completed_tasks: u64::from(self.count),
            manifest_key: (self.manifest > 0).then(|| self.manifest.to_string()),
            failure: None,
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    /// Whether the plan is sealed and all of it is in: the production question.
    pub fn is_all_in(&self, segments: u8) -> bool {
        self.state.is_some_and(|state| self.record(state, segments).all_tasks_in())
    }

    /// Makes a change as [`JobChange::applied_to`] says; false when that refuses it.
    pub fn change(&mut self, change: &JobChange, segments: u8) -> bool {
        let Some(state) = self.state else { return false };
        let Some(after) = change.applied_to(&self.record(state, segments), 0) else { return false };
        self.state = Some(after.state);
        self.sealed = after.plan.is_some();
        self.manifest = after.manifest_key.map_or(0, |key| key.parse().expect("a term"));
        true
    }
}

pub fn seal(segments: u8) -> JobChange {
    let tasks = u64::from(segments);
    JobChange::Seal(SealedPlan { hash: PlanHash("h".into()), key: String::new(), tasks })
}

pub fn fail() -> JobChange {
    let cause = "it is broken".to_owned();
    JobChange::Fail(Failure { kind: FaultKind::Source, cause, task: None, stderr_tail: vec![] })
}
