//! State of the model: outputs of a job, leases, completions, messages, processes.

use segue_domain::job::JOB_VERSION;
use segue_domain::{
    CommittedIndex, Failure, FaultKind, Gate, JobRecord, Need, NewOutput, OutputId, OutputRecord,
    OutputState, PlanHash, SealedPlan,
};
use segue_ports::{JobChange, OutputChange};

/// Most segments of an output here.
pub const MOST: usize = 3;

/// The last lease of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    pub term: u8,
    pub holder: Option<u8>,
    /// Whether it has not expired.
    pub lasts: bool,
}

/// An output with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Output {
    pub state: OutputState,
    pub sealed: bool,
    /// The counter of completions.
    pub count: u8,
    /// The term of each task's completion; 0 for none.
    pub done: [u8; MOST],
    /// Terms, as bits, of the attempts whose files are stored.
    pub parts: [u8; MOST],
    pub assemblies: u8,
    /// The term of the committed index, and of the public one; 0 for none.
    pub index: u8,
    pub public: u8,
    /// Whether a need was read before it was public.
    pub read_early: bool,
    pub tasks: [Lease; MOST],
    pub assembly: Lease,
    /// Messages on a lane: the assembly, and one bit for each task.
    pub ask_assembly: bool,
    pub ask_tasks: u8,
}

/// A job with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// Whether the ledger has it.
    pub is_there: bool,
    pub deleting: bool,
    /// Whether it was completed for the first time.
    pub was_completed: bool,
    /// The number of jobs of this id that were deleted before.
    pub life: u8,
    pub manifest: Manifest,
    pub planning: Lease,
    pub ask_plan: bool,
    pub outputs: Vec<Output>,
}

/// The manifest of a job: the outputs, as bits, that it lists, and of which life of the job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Manifest {
    pub listed: u8,
    pub life: u8,
}

/// What a message asks for, of which output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    Plan,
    Task(u8, u8),
    Assembly(u8),
}

/// The next step of a process.
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
    ReadManifest,
    WriteManifest,
    Complete,
    Wake,
    /// Releases the lease; the message is acknowledged if it is done.
    Release(bool),
    Ack,
}

/// A process with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Work {
    pub job: u8,
    pub what: What,
    pub step: Step,
    /// Term of the lease that it acquired.
    pub term: u8,
    /// The index that it publishes.
    pub index: u8,
    /// The outputs, as bits, that were ready to be planned when it read the job.
    pub ready: u8,
    /// The life of the job that it read.
    pub life: u8,
    /// The manifest that it read.
    pub manifest: Manifest,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub jobs: Vec<Job>,
    pub processes: Vec<Option<Work>>,
    /// Faults and requests of users that may still come.
    pub left: u8,
}

/// The need of output 0: it needs output 1, where there is one.
pub fn need(gate: Option<Gate>, number: usize) -> Option<Need> {
    let gate = gate.filter(|_| number == 0)?;
    Some(Need { output: name(1), gate })
}

/// The name of an output.
pub fn name(number: usize) -> OutputId {
    ["a", "b"][number].parse().expect("a plain id")
}

impl Output {
    pub fn new() -> Output {
        Output {
            state: OutputState::Created,
            sealed: false,
            count: 0,
            done: [0; MOST],
            parts: [0; MOST],
            assemblies: 0,
            index: 0,
            public: 0,
            read_early: false,
            tasks: [Lease::default(); MOST],
            assembly: Lease::default(),
            ask_assembly: false,
            ask_tasks: 0,
        }
    }
}

impl Job {
    /// A job that was created and of which no message was sent.
    pub fn new(outputs: usize) -> Job {
        Job {
            is_there: true,
            deleting: false,
            was_completed: false,
            life: 0,
            manifest: Manifest::default(),
            planning: Lease::default(),
            ask_plan: false,
            outputs: vec![Output::new(); outputs],
        }
    }

    pub fn lease(&mut self, what: What) -> &mut Lease {
        match what {
            What::Plan => &mut self.planning,
            What::Task(output, task) => &mut self.outputs[usize::from(output)].tasks[usize::from(task)],
            What::Assembly(output) => &mut self.outputs[usize::from(output)].assembly,
        }
    }

    /// The document of the ledger that this is, for the production rules.
    pub fn record(&self, segments: u8, gate: Option<Gate>) -> JobRecord {
        let outputs = self.outputs.iter().enumerate().map(|(number, output)| {
            let plan = SealedPlan { hash: PlanHash("h".into()), key: String::new(), tasks: segments.into() };
            let index = CommittedIndex { key: output.index.to_string(), hash: String::new() };
            let asked = NewOutput {
                id: name(number),
                kind: String::new(),
                needs: need(gate, number).into_iter().collect(),
                required: true,
                priority: 0,
                spec: String::new(),
            };
            OutputRecord {
                state: output.state,
                plan: output.sealed.then_some(plan),
                index: (output.index > 0).then_some(index),
                ..OutputRecord::new(asked, 0)
            }
        });
        JobRecord {
            version: JOB_VERSION,
            id: "j".parse().expect("a plain id"),
            epoch: "1".parse().expect("a plain id"),
            revision: 1,
            asset: "j".parse().expect("a plain id"),
            source_key: String::new(),
            recipe: String::new(),
            awaiting_until_ms: None,
            deleting: self.deleting,
            outputs: outputs.collect(),
            created_at_ms: 0,
            updated_at_ms: 0,
            completed_at_ms: self.was_completed.then_some(0),
        }
    }

    /// Makes a change as [`JobChange::applied_to`] does; false when that refuses it.
    pub fn change(&mut self, change: &JobChange, segments: u8, gate: Option<Gate>) -> bool {
        if !self.is_there {
            return false;
        }
        let counted = match change.counted_output() {
            Some(output) if *output == name(0) => self.outputs[0].count,
            Some(_) => self.outputs[1].count,
            None => 0,
        };
        let Some(after) = change.applied_to(&self.record(segments, gate), counted.into(), 0) else {
            return false;
        };
        self.deleting = after.deleting;
        self.was_completed = after.completed_at_ms.is_some();
        for (output, after) in self.outputs.iter_mut().zip(after.outputs) {
            output.state = after.state;
            output.sealed = after.plan.is_some();
            output.index = after.index.map_or(0, |index| index.key.parse().expect("a term"));
        }
        true
    }
}

/// Seals the outputs whose bits are set.
pub fn seal(outputs: u8, segments: u8) -> JobChange {
    let plan = SealedPlan { hash: PlanHash("h".into()), key: String::new(), tasks: segments.into() };
    let named = (0..2usize).filter(|number| outputs & (1 << number) != 0);
    JobChange::Seal(named.map(|number| (name(number), plan.clone())).collect())
}

pub fn of(output: u8, change: OutputChange) -> JobChange {
    JobChange::output(&name(output.into()), change)
}

pub fn fail() -> OutputChange {
    OutputChange::Fail(Failure::new(FaultKind::Source, "it is broken"))
}
