//! The roles as steps between two calls, and everything that can come between two steps.
//!
//! The result of a change of a job, whether needs are met, and which outputs are open come from the
//! production rules (`JobChange::applied_to`, `JobRecord`). A lease follows the contract of
//! `LeaseLedger`, and the steps are those of `packages/pipeline`.

use segue_domain::{Gate, JobRecord, OutputState};
use segue_ports::{JobChange, OutputChange};

use crate::state::{Job, Lease, Manifest, Step, What, Work, name, of, seal};

/// A deliberate mistake of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    ChangeUnfenced,
    RecordUnfenced,
    CountsTwice,
    PublishesBeforeCommit,
    CompletesUnfenced,
    ManifestReplaced,
    ManifestUnasked,
    NeedReadEarly,
    LeaseNeverExpires,
    NobodySweeps,
}

/// The bounds of the model.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub jobs: usize,
    /// Outputs of a job, 1 or 2.
    pub outputs: usize,
    /// What of the first output waits for the second, if anything.
    pub gate: Option<Gate>,
    /// Segments of an output.
    pub segments: u8,
    pub processes: usize,
    /// Crashes, leases that expire under a living holder, lost messages, failures, and cancels, retries
    /// and deletions of users: so many in all.
    pub faults: u8,
    pub mistake: Option<Mistake>,
    /// Whether states that differ only in numbers are one.
    pub folds: bool,
}

/// The set of planned outputs is not that which was ready when the job was read.
const CHANGED: u8 = 1 << 7;

impl Protocol {
    pub fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    pub fn record(&self, job: &Job) -> JobRecord {
        job.record(self.segments, self.gate)
    }

    pub fn change(&self, job: &mut Job, change: &JobChange) -> bool {
        job.change(change, self.segments, self.gate)
    }

    pub fn whats(&self) -> impl Iterator<Item = What> {
        let outputs = 0..self.outputs as u8;
        let tasks =
            outputs.clone().flat_map(|output| (0..self.segments).map(move |task| What::Task(output, task)));
        [What::Plan].into_iter().chain(outputs.map(What::Assembly)).chain(tasks)
    }

    /// A change under the lease that the process acquired.
    pub fn fenced(&self, job: &mut Job, me: u8, work: Work, change: &JobChange) -> bool {
        let lease = *job.lease(work.what);
        let current = lease.term == work.term && lease.holder == Some(me);
        let completes = matches!(change, JobChange::Output { change: OutputChange::Complete, .. });
        let unfenced = self.is(Mistake::ChangeUnfenced) || self.is(Mistake::CompletesUnfenced) && completes;
        (current || unfenced) && self.change(job, change)
    }

    fn ask_missing(&self, job: &mut Job, output: usize) {
        let output = &mut job.outputs[output];
        for task in (0..self.segments).filter(|task| output.done[usize::from(*task)] == 0) {
            output.ask_tasks |= 1 << task;
        }
    }

    fn needs_are_met(&self, job: &Job, output: usize, gate: Gate) -> bool {
        let record = self.record(job);
        record.output(&name(output)).is_some_and(|output| record.needs_are_met(output, gate))
    }

    fn is_mapped(&self, job: &Job, output: usize) -> bool {
        let (record, count) = (self.record(job), job.outputs[output].count);
        record.output(&name(output)).is_some_and(|output| output.is_mapped(count.into()))
    }

    fn ask_assembly(&self, job: &mut Job, output: usize) {
        let waits = matches!(job.outputs[output].state, OutputState::Mapping | OutputState::Assembling);
        let ready = self.is_mapped(job, output) && self.needs_are_met(job, output, Gate::Assembly);
        job.outputs[output].ask_assembly |= job.is_there && waits && ready;
    }

    /// The outputs, as bits, that can be planned now.
    fn ready(&self, job: &Job) -> u8 {
        let record = self.record(job);
        let is_ready = |number: &usize| {
            let output = &record.outputs[*number];
            output.state == OutputState::Created
                && record.is_open(output)
                && record.needs_are_met(output, Gate::Plan)
        };
        (0..self.outputs).filter(is_ready).fold(0, |bits, number| bits | 1 << number)
    }

    /// The next step of a process; `None` when it is done with its message.
    pub fn step(&self, job: &mut Job, me: u8, work: Work) -> Option<Work> {
        let next = |step: Step| Some(Work { step, ..work });
        match (work.step, work.what) {
            (Step::Read, _) => self.read(job, work),
            (Step::Acquire, what) => {
                let lease = job.lease(what);
                if lease.holder.is_some() && lease.lasts {
                    return None;
                }
                *lease = Lease { term: lease.term + 1, holder: Some(me), lasts: true };
                Some(Work { step: Step::ReadAgain, term: lease.term, ..work })
            }
            (Step::ReadAgain, _) => self.read_again(job, me, work),
            (Step::Store, _) => {
                self.store(job, work);
                next(Step::Commit)
            }
            (Step::Commit, _) => self.commit(job, me, work),
            (Step::Discard, What::Task(output, task)) => {
                let parts = &mut job.outputs[usize::from(output)].parts;
                parts[usize::from(task)] &= !(1 << work.term);
                next(Step::Send)
            }
            (Step::Send, what) => {
                self.send(job, work);
                let done = what != What::Plan || work.ready & CHANGED == 0;
                next(if work.term == 0 { Step::Ack } else { Step::Release(done) })
            }
            (Step::Release(done), what) => {
                let lease = job.lease(what);
                if lease.term == work.term && lease.holder == Some(me) {
                    lease.holder = None;
                }
                if done { next(Step::Ack) } else { None }
            }
            (Step::Ack, what) => {
                take(job, what);
                None
            }
            (_, What::Assembly(output)) => self.publish(job, me, work, usize::from(output)),
            (step, what) => unreachable!("{step:?} of {what:?}"),
        }
    }

    fn read(&self, job: &mut Job, work: Work) -> Option<Work> {
        let work = Work { life: job.life, ..work };
        let next = |step: Step| Some(Work { step, ..work });
        if !job.is_there || job.deleting {
            return next(Step::Ack);
        }
        match work.what {
            What::Plan => {
                for output in 0..self.outputs {
                    if job.outputs[output].state == OutputState::Mapping {
                        self.ask_missing(job, output);
                    }
                }
                let ready = self.ready(job);
                Some(Work { ready, step: if ready == 0 { Step::Ack } else { Step::Acquire }, ..work })
            }
            What::Task(output, task) => {
                let output = &job.outputs[usize::from(output)];
                match output.state {
                    OutputState::Mapping if output.done[usize::from(task)] > 0 => next(Step::Send),
                    OutputState::Mapping => next(Step::Acquire),
                    _ => next(Step::Ack),
                }
            }
            What::Assembly(output) => {
                let number = usize::from(output);
                let is_ready = self.is_mapped(job, number)
                    && (self.needs_are_met(job, number, Gate::Assembly) || self.is(Mistake::NeedReadEarly));
                match job.outputs[number].state {
                    OutputState::Mapping | OutputState::Assembling if is_ready => next(Step::Acquire),
                    OutputState::Publishing => next(Step::Acquire),
                    _ => next(Step::Ack),
                }
            }
        }
    }

    /// The job as it is read under the lease.
    fn read_again(&self, job: &mut Job, me: u8, work: Work) -> Option<Work> {
        let next = |step: Step| Some(Work { step, ..work });
        let later = next(Step::Release(false));
        if !job.is_there || job.deleting || job.life != work.life {
            return later;
        }
        match work.what {
            What::Plan => {
                let now = self.ready(job);
                let changed = if work.ready & !now == 0 { 0 } else { CHANGED };
                if now == 0 { later } else { Some(Work { step: Step::Commit, ready: now | changed, ..work }) }
            }
            What::Task(output, _) => match job.outputs[usize::from(output)].state {
                OutputState::Mapping => next(Step::Store),
                _ => later,
            },
            What::Assembly(output) => match job.outputs[usize::from(output)].state {
                OutputState::Mapping if self.is(Mistake::NeedReadEarly) => {
                    job.outputs[usize::from(output)].state = OutputState::Assembling;
                    next(Step::Store)
                }
                OutputState::Mapping => {
                    let changed = self.fenced(job, me, work, &of(output, OutputChange::Assemble));
                    if changed { next(Step::Store) } else { later }
                }
                OutputState::Assembling => next(Step::Store),
                OutputState::Publishing => {
                    let index = job.outputs[usize::from(output)].index;
                    Some(Work { step: Step::Promote, index, ..work })
                }
                _ => later,
            },
        }
    }

    fn store(&self, job: &mut Job, work: Work) {
        match work.what {
            What::Plan => {}
            What::Task(output, task) => {
                job.outputs[usize::from(output)].parts[usize::from(task)] |= 1 << work.term;
            }
            What::Assembly(output) => {
                let number = usize::from(output);
                // an attempt whose lease is over can read what it likes: it commits nothing
                let current = job.outputs[number].assembly.term == work.term && job.life == work.life;
                let needed = self.gate.filter(|_| number == 0).map(|_| &job.outputs[1]);
                let early = needed.is_some_and(|needed| needed.public == 0 || needed.public != needed.index);
                job.outputs[number].read_early |= early && current && job.is_there && !job.deleting;
                job.outputs[number].assemblies |= 1 << work.term;
                if self.is(Mistake::PublishesBeforeCommit) {
                    job.outputs[number].public = work.term;
                }
            }
        }
    }

    fn commit(&self, job: &mut Job, me: u8, work: Work) -> Option<Work> {
        let next = |step: Step| Some(Work { step, ..work });
        let later = next(Step::Release(false));
        match work.what {
            What::Plan => {
                let sealed = self.fenced(job, me, work, &seal(work.ready, self.segments));
                if sealed { next(Step::Send) } else { later }
            }
            What::Task(output, task) => {
                next(self.record_completion(job, me, work, output, usize::from(task)))
            }
            What::Assembly(output) => {
                let index = segue_domain::CommittedIndex { key: work.term.to_string(), hash: String::new() };
                let chosen = self.fenced(job, me, work, &of(output, OutputChange::Commit(index)));
                if chosen { Some(Work { step: Step::Promote, index: work.term, ..work }) } else { later }
            }
        }
    }

    /// Creates and counts a completion in one transaction, under the term.
    fn record_completion(&self, job: &mut Job, me: u8, work: Work, output: u8, task: usize) -> Step {
        let (is_there, same_life) = (job.is_there, job.life == work.life);
        let output = &mut job.outputs[usize::from(output)];
        let current = output.tasks[task].term == work.term && output.tasks[task].holder == Some(me);
        let unfenced = self.is(Mistake::RecordUnfenced);
        if is_there && (same_life || unfenced) && output.done[task] > 0 {
            output.count += u8::from(self.is(Mistake::CountsTwice));
            return if output.done[task] == work.term { Step::Send } else { Step::Discard };
        }
        let is_ours = same_life && current;
        if !is_there || !(is_ours || unfenced) {
            return Step::Discard;
        }
        output.done[task] = work.term;
        output.count += 1;
        Step::Send
    }

    fn send(&self, job: &mut Job, work: Work) {
        match work.what {
            What::Plan => {
                for output in (0..self.outputs).filter(|output| work.ready & (1 << output) != 0) {
                    if job.outputs[output].state == OutputState::Mapping {
                        self.ask_missing(job, output);
                    }
                    self.ask_assembly(job, output);
                }
            }
            What::Task(output, _) | What::Assembly(output) => self.ask_assembly(job, usize::from(output)),
        }
    }

    fn publish(&self, job: &mut Job, me: u8, work: Work, output: usize) -> Option<Work> {
        let next = |step: Step| Some(Work { step, ..work });
        let later = next(Step::Release(false));
        match work.step {
            Step::Promote => {
                let found = &mut job.outputs[output];
                if found.public != work.index && found.assemblies & (1 << work.index) == 0 {
                    return later;
                }
                found.public = work.index;
                next(Step::ReadManifest)
            }
            Step::ReadManifest => {
                let is_mine = job.is_there && !job.deleting && job.life == work.life;
                let manifest = job.manifest;
                if manifest.life != work.life && !is_mine && !self.is(Mistake::ManifestUnasked) {
                    return later;
                }
                Some(Work { step: Step::WriteManifest, manifest, ..work })
            }
            Step::WriteManifest => {
                if job.manifest != work.manifest && !self.is(Mistake::ManifestReplaced) {
                    return next(Step::ReadManifest);
                }
                let read = if work.manifest.life == work.life { work.manifest.listed } else { 0 };
                job.manifest = Manifest { listed: read | 1 << output, life: work.life };
                Some(Work { step: Step::Complete, manifest: Manifest::default(), ..work })
            }
            Step::Complete => {
                let completed = self.fenced(job, me, work, &of(output as u8, OutputChange::Complete));
                let found = &mut job.outputs[output];
                if !completed && found.state == OutputState::Publishing {
                    return later;
                }
                if found.state == OutputState::Completed {
                    (found.assemblies, found.parts) = (0, Default::default());
                }
                next(if completed { Step::Wake } else { Step::Release(true) })
            }
            Step::Wake => {
                if self.gate.is_some() && output == 1 {
                    job.ask_plan |= self.ready(job) & 1 != 0;
                    self.ask_assembly(job, 0);
                }
                next(Step::Release(true))
            }
            step => unreachable!("{step:?} of an assembly"),
        }
    }

    pub fn sweep(&self, job: &mut Job) {
        if !job.is_there || job.deleting {
            return;
        }
        let record = self.record(job);
        for output in (0..self.outputs).filter(|output| record.is_open(&record.outputs[*output])) {
            match job.outputs[output].state {
                OutputState::Created => job.ask_plan |= self.ready(job) & (1 << output) != 0,
                OutputState::Mapping => {
                    self.ask_missing(job, output);
                    self.ask_assembly(job, output);
                }
                OutputState::Assembling => self.ask_assembly(job, output),
                OutputState::Publishing => job.outputs[output].ask_assembly = true,
                _ => {}
            }
        }
    }
}

pub fn take(job: &mut Job, what: What) {
    match what {
        What::Plan => job.ask_plan = false,
        What::Assembly(output) => job.outputs[usize::from(output)].ask_assembly = false,
        What::Task(output, task) => job.outputs[usize::from(output)].ask_tasks &= !(1 << task),
    }
}

pub fn is_asked(job: &Job, what: What) -> bool {
    match what {
        What::Plan => job.ask_plan,
        What::Assembly(output) => job.outputs[usize::from(output)].ask_assembly,
        What::Task(output, task) => job.outputs[usize::from(output)].ask_tasks & (1 << task) != 0,
    }
}
