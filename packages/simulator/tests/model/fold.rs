//! Symmetry: states that differ only in numbers are explored as one.
//!
//! Processes are interchangeable, and so are the tasks of an output and the jobs: no rule of the protocol
//! reads a number. The outputs of a job are not, because one needs the other. [`folded`] sorts processes,
//! tasks and jobs by what they are. Two symmetric states do not always get the same order (that only
//! costs states); the result is always a renaming.

use crate::state::{Job, Lease, MOST, What, Work, World};

/// The positions in order of their keys, and the new position of each.
fn order<K: Ord>(keys: impl Iterator<Item = K>) -> (Vec<usize>, Vec<u8>) {
    let mut keyed: Vec<(K, usize)> = keys.zip(0..).collect();
    keyed.sort();
    let places: Vec<usize> = keyed.into_iter().map(|(_, place)| place).collect();
    let mut goes = vec![0; places.len()];
    places.iter().enumerate().for_each(|(new, old)| goes[*old] = new as u8);
    (places, goes)
}

/// The state in another order.
pub fn folded(mut world: World, segments: u8) -> World {
    let (places, goes) = order(world.processes.iter().map(|work| work.map(|work| description(&world, work))));
    world.processes = places.iter().map(|old| world.processes[*old]).collect();
    for job in &mut world.jobs {
        each_lease(job, |lease| lease.holder = lease.holder.map(|holder| goes[usize::from(holder)]));
    }
    for number in 0..world.jobs.len() {
        for output in 0..world.jobs[number].outputs.len() {
            order_tasks(&mut world, number, output, usize::from(segments));
        }
    }
    let at_work = |number: usize| -> Vec<Option<Work>> {
        let of_job = |work: &&Work| usize::from(work.job) == number;
        world
            .processes
            .iter()
            .map(|work| work.as_ref().filter(of_job).map(|w| Work { job: 0, ..*w }))
            .collect()
    };
    let (places, goes) = order(world.jobs.iter().enumerate().map(|(n, job)| (job.clone(), at_work(n))));
    world.jobs = places.iter().map(|old| world.jobs[*old].clone()).collect();
    for work in world.processes.iter_mut().flatten() {
        work.job = goes[usize::from(work.job)];
    }
    world
}

/// What a process does, without the numbers of its task and its job.
fn description(world: &World, work: Work) -> (Work, Lease, u8, u8, bool) {
    let job = &world.jobs[usize::from(work.job)];
    let lease = *job.clone().lease(work.what);
    let holds = lease.holder.is_some_and(|holder| world.processes[usize::from(holder)] == Some(work));
    let (done, parts) = match work.what {
        What::Task(output, task) => {
            let output = &job.outputs[usize::from(output)];
            (output.done[usize::from(task)], output.parts[usize::from(task)])
        }
        What::Assembly(output) => (0, job.outputs[usize::from(output)].assemblies),
        What::Plan => (0, 0),
    };
    let what = match work.what {
        What::Task(output, _) => What::Task(output, 0),
        what => what,
    };
    (Work { job: 0, what, ..work }, Lease { holder: None, ..lease }, done, parts, holds)
}

fn each_lease(job: &mut Job, change: impl Fn(&mut Lease)) {
    change(&mut job.planning);
    for output in &mut job.outputs {
        change(&mut output.assembly);
        output.tasks.iter_mut().for_each(&change);
    }
}

fn order_tasks(world: &mut World, number: usize, output: usize, segments: usize) {
    let old_output = world.jobs[number].outputs[output].clone();
    let task = |task: usize| What::Task(output as u8, task as u8);
    let at_work = |place: usize| -> Vec<Option<Work>> {
        let is_at = |work: &Work| usize::from(work.job) == number && work.what == task(place);
        let alike = |work: Work| Work { what: task(0), ..work };
        world.processes.iter().map(|work| work.filter(is_at).map(alike)).collect()
    };
    let key = |task: usize| {
        let asked = old_output.ask_tasks & (1 << task) != 0;
        (old_output.done[task], old_output.parts[task], old_output.tasks[task], asked, at_work(task))
    };
    let (places, goes) = order((0..segments).map(key));
    let new = &mut world.jobs[number].outputs[output];
    new.ask_tasks = 0;
    debug_assert!(segments <= MOST);
    for (place, old) in places.into_iter().enumerate() {
        (new.done[place], new.parts[place], new.tasks[place]) =
            (old_output.done[old], old_output.parts[old], old_output.tasks[old]);
        new.ask_tasks |= u8::from(old_output.ask_tasks & (1 << old) != 0) << place;
    }
    for work in world.processes.iter_mut().flatten() {
        if let What::Task(of, task) = work.what
            && usize::from(work.job) == number
            && usize::from(of) == output
        {
            work.what = What::Task(of, goes[usize::from(task)]);
        }
    }
}
