//! What can happen in a state, and what holds in every state.

use segue_domain::OutputState;
use segue_ports::{JobChange, OutputChange};
use stateright::{Model, Property};

use crate::fold::folded;
use crate::protocol::{Mistake, Protocol, is_asked, take};
use crate::state::{Job, Lease, Output, Step, What, Work, World, fail, of};

/// A state in which everything succeeded can be reached.
pub const POSSIBLE: &str = "all jobs are completed";

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
    Retry(u8, u8),
    Delete(u8),
    Remove(u8),
    Create(u8),
    Sweep(u8),
}

/// Whether the process that holds a lease still works under it.
fn is_holder_at_work(world: &World, number: usize, what: What, lease: Lease) -> bool {
    let holder = lease.holder.and_then(|holder| world.processes[usize::from(holder)]);
    holder.is_some_and(|work| usize::from(work.job) == number && work.what == what && work.term == lease.term)
}

impl Protocol {
    fn job_actions(&self, world: &World, number: usize, actions: &mut Vec<Action>) {
        let (job, name, faults) = (&world.jobs[number], number as u8, world.left > 0);
        // idle processes are alike: the first of them receives
        let idle = world.processes.iter().position(Option::is_none);
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
        if faults && job.is_there && !job.deleting {
            actions.extend([Action::Cancel(name), Action::Delete(name)]);
            actions.extend((0..self.outputs as u8).map(|output| Action::Retry(name, output)));
        }
        if job.deleting {
            actions.push(Action::Remove(name));
        }
        if !job.is_there {
            actions.push(Action::Create(name));
        }
    }

    /// The items and files of a deleted job go. Terms, messages and processes stay.
    fn remove(&self, job: &Job) -> Job {
        let end = |lease: Lease| Lease { holder: None, lasts: false, ..lease };
        let outputs = job.outputs.iter().map(|old| Output {
            tasks: old.tasks.map(end),
            assembly: end(old.assembly),
            ask_assembly: old.ask_assembly,
            ask_tasks: old.ask_tasks,
            ..Output::new()
        });
        Job {
            is_there: false,
            life: job.life + 1,
            planning: end(job.planning),
            ask_plan: job.ask_plan,
            outputs: outputs.collect(),
            ..Job::new(self.outputs)
        }
    }

    fn end_leases(&self, job: &mut Job) {
        for what in self.whats() {
            job.lease(what).holder = None;
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let (jobs, processes) = (vec![Job::new(self.outputs); self.jobs], vec![None; self.processes]);
        let unasked = World { jobs, processes, left: self.faults };
        let mut asked = unasked.clone();
        asked.jobs.iter_mut().for_each(|job| job.ask_plan = true);
        vec![unasked, asked]
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
        (0..world.jobs.len()).for_each(|number| self.job_actions(world, number, actions));
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let pays = |next: &mut World| next.left = next.left.saturating_sub(1);
        match action {
            Action::Receive(me, job, what) => {
                let manifest = Default::default();
                let work =
                    Work { job, what, step: Step::Read, term: 0, index: 0, ready: 0, life: 0, manifest };
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
                let (What::Task(output, _) | What::Assembly(output)) = work.what else { return None };
                let job = &mut next.jobs[usize::from(work.job)];
                let failed = self.fenced(job, me, work, &of(output, fail()));
                next.processes[usize::from(me)] = Some(Work { step: Step::Release(failed), ..work });
                pays(&mut next);
            }
            Action::Cancel(job) | Action::Retry(job, _) | Action::Delete(job) => {
                let change = match action {
                    Action::Retry(_, output) => of(output, OutputChange::Retry),
                    Action::Cancel(_) => JobChange::Cancel,
                    _ => JobChange::Delete { epoch: "1".parse().expect("a plain id") },
                };
                let job = &mut next.jobs[usize::from(job)];
                if !self.change(job, &change) {
                    return None;
                }
                if job.deleting {
                    self.end_leases(job);
                }
                pays(&mut next);
            }
            Action::Remove(job) => next.jobs[usize::from(job)] = self.remove(&world.jobs[usize::from(job)]),
            Action::Create(job) => next.jobs[usize::from(job)].is_there = true,
            Action::Sweep(job) => self.sweep(&mut next.jobs[usize::from(job)]),
        }
        if self.folds {
            next = folded(next, self.segments);
        }
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        use OutputState::{Assembling, Completed, Publishing};
        fn every(world: &World, holds: impl Fn(&Job, &Output) -> bool) -> bool {
            world.jobs.iter().all(|job| job.outputs.iter().all(|output| holds(job, output)))
        }
        vec![
            Property::always("the count is the number of completions", |_, world| {
                every(world, |_, output| {
                    usize::from(output.count) == output.done.iter().filter(|term| **term > 0).count()
                })
            }),
            Property::always("nothing is assembled before it is mapped", |protocol: &Protocol, world| {
                every(world, |_, output| {
                    !matches!(output.state, Assembling | Publishing | Completed)
                        || output.count == protocol.segments
                })
            }),
            Property::always("what is recorded is stored", |_, world| {
                every(world, |_, output| {
                    let mut parts = output.done.iter().zip(output.parts);
                    output.state == Completed
                        || parts.all(|(term, parts)| *term == 0 || parts & (1 << term) != 0)
                })
            }),
            Property::always("only the committed index is public", |_, world| {
                every(world, |job, output| {
                    let chosen = output.public == output.index;
                    job.deleting
                        || output.public == 0
                        || chosen && matches!(output.state, Publishing | Completed)
                })
            }),
            Property::always("a completed output is public and in the manifest", |_, world: &World| {
                world.jobs.iter().all(|job| {
                    let is_listed =
                        |n: usize| job.manifest.listed & (1 << n) != 0 && job.manifest.life == job.life;
                    let is_public = |output: &Output| output.index > 0 && output.public == output.index;
                    let mut outputs = job.outputs.iter().enumerate();
                    outputs.all(|(n, output)| output.state != Completed || is_public(output) && is_listed(n))
                })
            }),
            Property::always("the manifest lists only public outputs", |_, world: &World| {
                world.jobs.iter().all(|job| {
                    let is_of_now = job.is_there && job.manifest.life == job.life;
                    let is_public = |output: &Output| output.index > 0 && output.public == output.index;
                    let mut outputs = job.outputs.iter().enumerate();
                    !is_of_now
                        || outputs.all(|(n, output)| job.manifest.listed & (1 << n) == 0 || is_public(output))
                })
            }),
            Property::always("a need is read after it is published", |_, world| {
                every(world, |_, output| !output.read_early)
            }),
            Property::always("a job is completed when all its outputs are", |_, world: &World| {
                let all = |job: &Job| job.outputs.iter().all(|output| output.state == Completed);
                world.jobs.iter().all(|job| job.was_completed == all(job))
            }),
            Property::sometimes(POSSIBLE, |_, world| every(world, |_, output| output.state == Completed)),
        ]
    }
}
