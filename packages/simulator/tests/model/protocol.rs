//! The roles as steps between two calls, and everything that can come between two steps.
//!
//! What a change makes of a job, and whether all is in, is asked of the production rules
//! (`JobChange::applied_to`, `JobRecord::all_tasks_in`); a lease is the contract of
//! `LeaseLedger`, and the steps are those of `packages/pipeline`.

use segue_domain::JobState;
use segue_ports::JobChange;
use stateright::{Model, Property};

use crate::fold::folded;
use crate::state::{Job, Lease, Step, What, Work, World, fail, seal};

/// That not only nothing bad happens.
pub const POSSIBLE: &str = "all jobs are completed";

/// A deliberate mistake of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    ChangeUnfenced,
    RecordUnfenced,
    CountsTwice,
    PublishesBeforeCommit,
    CompletesUnfenced,
    LeaseNeverExpires,
    NobodySweeps,
}

/// How much of the protocol is looked at.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub jobs: usize,
    pub segments: u8,
    pub processes: usize,
    /// Crashes, leases that run out under a living holder, lost messages, failures, and
    /// cancels, retries and deletes of users: so many in all.
    pub faults: u8,
    pub mistake: Option<Mistake>,
    /// Whether states that differ by names alone are one.
    pub folds: bool,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Receive(u8, u8, What),
    Step(u8),
    Crash(u8),
    Expire(u8, What),
    Lose(u8, What),
    Break(u8),
    Cancel(u8),
    Retry(u8),
    Delete(u8),
    Create(u8),
    Sweep(u8),
}

impl Protocol {
    fn is(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn whats(&self) -> impl Iterator<Item = What> {
        [What::Plan, What::Join].into_iter().chain((0..self.segments).map(What::Task))
    }

    /// A change under the lease that the process took.
    fn fenced(&self, job: &mut Job, me: u8, work: Work, change: &JobChange) -> bool {
        let lease = *job.lease(work.what);
        let current = lease.term == work.term && lease.holder == Some(me);
        let unfenced = self.is(Mistake::ChangeUnfenced)
            || self.is(Mistake::CompletesUnfenced) && *change == JobChange::Complete;
        (current || unfenced) && job.change(change, self.segments)
    }

    fn ask_missing(&self, job: &mut Job) {
        for task in (0..self.segments).filter(|task| job.done[usize::from(*task)] == 0) {
            job.ask_tasks |= 1 << task;
        }
    }

    fn ask_join(&self, job: &mut Job) {
        let waits = matches!(job.state, Some(JobState::Mapping | JobState::Reassembling));
        job.ask_join |= waits && job.is_all_in(self.segments);
    }

    /// The next step of a process; `None` when it has done with its message.
    fn step(&self, job: &mut Job, me: u8, work: Work) -> Option<Work> {
        let next = |step: Step| Some(Work { step, ..work });
        let later = next(Step::Release(false));
        match (work.step, work.what) {
            (Step::Read, what) => next(self.read(job, what)),
            (Step::Acquire, what) => {
                let lease = job.lease(what);
                if lease.holder.is_some() && lease.lasts {
                    return None;
                }
                *lease = Lease { term: lease.term + 1, holder: Some(me), lasts: true };
                Some(Work { step: Step::ReadAgain, term: lease.term, ..work })
            }
            (Step::ReadAgain, what) => match (what, job.state) {
                (What::Plan, Some(JobState::Created)) => next(Step::Commit),
                (What::Task(_), Some(JobState::Mapping)) => next(Step::Store),
                (What::Join, Some(JobState::Mapping)) => {
                    let joined = self.fenced(job, me, work, &JobChange::Reassemble);
                    if joined { next(Step::Store) } else { later }
                }
                (What::Join, Some(JobState::Reassembling)) => next(Step::Store),
                (What::Join, Some(JobState::Publishing)) => {
                    Some(Work { step: Step::Promote, manifest: job.manifest, ..work })
                }
                _ => later,
            },
            (Step::Store, What::Task(task)) => {
                job.parts[usize::from(task)] |= 1 << work.term;
                next(Step::Commit)
            }
            (Step::Store, _) => {
                job.joins |= 1 << work.term;
                if self.is(Mistake::PublishesBeforeCommit) {
                    job.public = work.term;
                }
                next(Step::Commit)
            }
            (Step::Commit, What::Plan) => {
                let sealed = self.fenced(job, me, work, &seal(self.segments));
                if sealed { next(Step::Send) } else { later }
            }
            (Step::Commit, What::Task(task)) => next(self.record(job, me, work, usize::from(task))),
            (Step::Commit, What::Join) => {
                let commit = JobChange::Commit { manifest_key: work.term.to_string() };
                let chosen = self.fenced(job, me, work, &commit);
                if chosen { Some(Work { step: Step::Promote, manifest: work.term, ..work }) } else { later }
            }
            (Step::Discard, What::Task(task)) => {
                job.parts[usize::from(task)] &= !(1 << work.term);
                next(Step::Send)
            }
            (Step::Send, what) => {
                if what == What::Plan && job.state == Some(JobState::Mapping) {
                    self.ask_missing(job);
                }
                self.ask_join(job);
                next(if work.term == 0 { Step::Ack } else { Step::Release(true) })
            }
            (Step::Promote, _) => {
                if job.public == 0 && job.joins & (1 << work.manifest) == 0 {
                    return later;
                }
                if job.public == 0 {
                    job.public = work.manifest;
                }
                next(Step::Complete)
            }
            (Step::Complete, _) => {
                let completed = self.fenced(job, me, work, &JobChange::Complete);
                if !completed && job.state == Some(JobState::Publishing) {
                    return later;
                }
                if job.state == Some(JobState::Completed) {
                    (job.joins, job.parts) = (0, Default::default());
                }
                next(Step::Release(true))
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
            (Step::Discard, _) => unreachable!("only a worker discards"),
        }
    }

    fn read(&self, job: &Job, what: What) -> Step {
        let all_in = job.is_all_in(self.segments);
        match (what, job.state) {
            (What::Plan, Some(JobState::Created)) => Step::Acquire,
            (What::Plan, Some(JobState::Mapping)) => Step::Send,
            (What::Task(task), Some(JobState::Mapping)) if job.done[usize::from(task)] > 0 => Step::Send,
            (What::Task(_), Some(JobState::Mapping)) => Step::Acquire,
            (What::Join, Some(JobState::Mapping)) if all_in => Step::Acquire,
            (What::Join, Some(JobState::Reassembling | JobState::Publishing)) => Step::Acquire,
            _ => Step::Ack,
        }
    }

    /// Create and count, in one transaction, under the term.
    fn record(&self, job: &mut Job, me: u8, work: Work, task: usize) -> Step {
        let current = job.tasks[task].term == work.term && job.tasks[task].holder == Some(me);
        if job.state.is_some() && job.done[task] > 0 {
            job.count += u8::from(self.is(Mistake::CountsTwice));
            return if job.done[task] == work.term { Step::Send } else { Step::Discard };
        }
        if job.state.is_none() || !current && !self.is(Mistake::RecordUnfenced) {
            return Step::Discard;
        }
        job.done[task] = work.term;
        job.count += 1;
        Step::Send
    }

    fn sweep(&self, job: &mut Job) {
        match job.state {
            Some(JobState::Created) => job.ask_plan = true,
            Some(JobState::Mapping) => {
                self.ask_missing(job);
                self.ask_join(job);
            }
            Some(JobState::Reassembling | JobState::Publishing) => job.ask_join = true,
            _ => {}
        }
    }
}

fn take(job: &mut Job, what: What) {
    match what {
        What::Plan => job.ask_plan = false,
        What::Join => job.ask_join = false,
        What::Task(task) => job.ask_tasks &= !(1 << task),
    }
}

fn is_asked(job: &Job, what: What) -> bool {
    match what {
        What::Plan => job.ask_plan,
        What::Join => job.ask_join,
        What::Task(task) => job.ask_tasks & (1 << task) != 0,
    }
}

/// Whether the process that holds a lease still works under it.
fn is_holder_at_work(world: &World, number: usize, what: What, lease: Lease) -> bool {
    let holder = lease.holder.and_then(|holder| world.processes[usize::from(holder)]);
    holder.is_some_and(|work| usize::from(work.job) == number && work.what == what && work.term == lease.term)
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let (jobs, processes) = (vec![Job::new(); self.jobs], vec![None; self.processes]);
        let nobody_knows = World { jobs, processes, left: self.faults };
        let mut told = nobody_knows.clone();
        told.jobs.iter_mut().for_each(|job| job.ask_plan = true);
        vec![nobody_knows, told]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let faults = world.left > 0;
        for (me, process) in world.processes.iter().enumerate().map(|(me, process)| (me as u8, process)) {
            let Some(work) = process else { continue };
            actions.push(Action::Step(me));
            if faults {
                actions.push(Action::Crash(me));
                if work.step == Step::Store {
                    actions.push(Action::Break(me));
                }
            }
        }
        // who is idle is all the same: the first of them receives
        let idle = world.processes.iter().position(Option::is_none);
        for (number, job) in world.jobs.iter().enumerate() {
            let name = number as u8;
            for what in self.whats() {
                if is_asked(job, what) {
                    actions.extend(idle.map(|me| Action::Receive(me as u8, name, what)));
                    if faults {
                        actions.push(Action::Lose(name, what));
                    }
                }
                let lease = *job.clone().lease(what);
                let expires = lease.holder.is_some() && lease.lasts && !self.is(Mistake::LeaseNeverExpires);
                if expires && (faults || !is_holder_at_work(world, number, what, lease)) {
                    actions.push(Action::Expire(name, what));
                }
            }
            let mut swept = job.clone();
            self.sweep(&mut swept);
            if swept != *job && !self.is(Mistake::NobodySweeps) {
                actions.push(Action::Sweep(name));
            }
            if faults {
                actions.extend([Action::Cancel(name), Action::Retry(name), Action::Delete(name)]);
            }
            if job.state.is_none() {
                actions.push(Action::Create(name));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let pays = |next: &mut World| next.left = next.left.saturating_sub(1);
        match action {
            Action::Receive(me, job, what) => {
                let work = Work { job, what, step: Step::Read, term: 0, manifest: 0 };
                next.processes[usize::from(me)] = Some(work);
            }
            Action::Step(me) => {
                let work = next.processes[usize::from(me)]?;
                let job = &mut next.jobs[usize::from(work.job)];
                next.processes[usize::from(me)] = self.step(job, me, work);
            }
            Action::Crash(me) => {
                next.processes[usize::from(me)] = None;
                pays(&mut next);
            }
            Action::Expire(number, what) => {
                let lease = *next.jobs[usize::from(number)].lease(what);
                if is_holder_at_work(&next, usize::from(number), what, lease) {
                    pays(&mut next);
                }
                next.jobs[usize::from(number)].lease(what).lasts = false;
            }
            Action::Lose(job, what) => {
                take(&mut next.jobs[usize::from(job)], what);
                pays(&mut next);
            }
            Action::Break(me) => {
                let work = next.processes[usize::from(me)]?;
                let job = &mut next.jobs[usize::from(work.job)];
                let failed = self.fenced(job, me, work, &fail());
                next.processes[usize::from(me)] = Some(Work { step: Step::Release(failed), ..work });
                pays(&mut next);
            }
            Action::Cancel(job) | Action::Retry(job) => {
                let cancels = matches!(action, Action::Cancel(_));
                let change = if cancels { JobChange::Cancel } else { JobChange::Retry };
                if !next.jobs[usize::from(job)].change(&change, self.segments) {
                    return None;
                }
                pays(&mut next);
            }
            Action::Delete(job) => {
                let old = &next.jobs[usize::from(job)];
                if !old.state?.is_terminal() {
                    return None;
                }
                // terms are not forgotten, messages and processes neither
                let end = |lease: Lease| Lease { holder: None, lasts: false, ..lease };
                let (chunk, tasks, join) = (end(old.chunk), old.tasks.map(end), end(old.join));
                let (ask_plan, ask_join, ask_tasks) = (old.ask_plan, old.ask_join, old.ask_tasks);
                next.jobs[usize::from(job)] =
                    Job { state: None, chunk, tasks, join, ask_plan, ask_join, ask_tasks, ..Job::new() };
                pays(&mut next);
            }
            Action::Create(job) => next.jobs[usize::from(job)].state = Some(JobState::Created),
            Action::Sweep(job) => self.sweep(&mut next.jobs[usize::from(job)]),
        }
        if self.folds {
            next = folded(next, self.segments);
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn every(world: &World, holds: impl Fn(&Job) -> bool) -> bool {
            world.jobs.iter().all(holds)
        }
        vec![
            Property::always("the count is the number of completions", |_, world| {
                every(world, |job| {
                    usize::from(job.count) == job.done.iter().filter(|term| **term > 0).count()
                })
            }),
            Property::always("nothing is joined before all of it is in", |protocol: &Protocol, world| {
                use JobState::{Completed, Publishing, Reassembling};
                every(world, |job| {
                    !matches!(job.state, Some(Reassembling | Publishing | Completed))
                        || job.count == protocol.segments
                })
            }),
            Property::always("what is recorded is stored", |_, world| {
                every(world, |job| {
                    job.state == Some(JobState::Completed)
                        || job
                            .done
                            .iter()
                            .zip(job.parts)
                            .all(|(term, parts)| *term == 0 || parts & (1 << term) != 0)
                })
            }),
            Property::always("only the committed manifest is public", |_, world| {
                every(world, |job| {
                    job.public == 0
                        || job.public == job.manifest
                            && matches!(job.state, Some(JobState::Publishing | JobState::Completed))
                })
            }),
            Property::always("what is completed is public", |_, world| {
                every(world, |job| {
                    job.state != Some(JobState::Completed) || job.manifest > 0 && job.public == job.manifest
                })
            }),
            Property::sometimes(POSSIBLE, |_, world| {
                every(world, |job| job.state == Some(JobState::Completed))
            }),
        ]
    }
}
