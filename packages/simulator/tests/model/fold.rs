//! States that differ by nothing but names are one.
//!
//! Processes do the same things, the tasks of a job are alike, and so are jobs: no rule of the
//! protocol looks at a number. [`folded`] gives a state another order of them, by what each
//! of them is. Not every two states that are alike come to the same order (that only costs
//! states); what comes out is always a renaming of what went in.

use crate::state::{Job, Lease, MOST, What, Work, World};

/// Places in the order of their keys, and where each place goes.
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
    let (places, goes) = order(world.processes.iter().map(|work| work.map(|work| what_it_is(&world, work))));
    world.processes = places.iter().map(|old| world.processes[*old]).collect();
    for job in &mut world.jobs {
        each_lease(job, |lease| lease.holder = lease.holder.map(|holder| goes[usize::from(holder)]));
    }
    for number in 0..world.jobs.len() {
        order_tasks(&mut world, number, usize::from(segments));
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
fn what_it_is(world: &World, work: Work) -> (Work, Lease, u8, u8, bool) {
    let job = &world.jobs[usize::from(work.job)];
    let lease = match work.what {
        What::Plan => job.chunk,
        What::Join => job.join,
        What::Task(task) => job.tasks[usize::from(task)],
    };
    let holds = lease.holder.is_some_and(|holder| world.processes[usize::from(holder)] == Some(work));
    let (done, parts) = match work.what {
        What::Task(task) => (job.done[usize::from(task)], job.parts[usize::from(task)]),
        _ => (0, job.joins),
    };
    let what = match work.what {
        What::Task(_) => What::Task(0),
        what => what,
    };
    (Work { job: 0, what, ..work }, Lease { holder: None, ..lease }, done, parts, holds)
}

fn each_lease(job: &mut Job, change: impl Fn(&mut Lease)) {
    change(&mut job.chunk);
    change(&mut job.join);
    job.tasks.iter_mut().for_each(change);
}

fn order_tasks(world: &mut World, number: usize, segments: usize) {
    let job = world.jobs[number].clone();
    let is_at =
        |work: &Work, task: usize| usize::from(work.job) == number && work.what == What::Task(task as u8);
    let at_work = |task: usize| -> Vec<Option<Work>> {
        let alike = |work: Work| Work { what: What::Task(0), ..work };
        world.processes.iter().map(|work| work.filter(|work| is_at(work, task)).map(alike)).collect()
    };
    let key = |task: usize| {
        (job.done[task], job.parts[task], job.tasks[task], job.ask_tasks & (1 << task) != 0, at_work(task))
    };
    let (places, goes) = order((0..segments).map(key));
    let new = &mut world.jobs[number];
    new.ask_tasks = 0;
    debug_assert!(segments <= MOST);
    for (place, old) in places.into_iter().enumerate() {
        (new.done[place], new.parts[place], new.tasks[place]) =
            (job.done[old], job.parts[old], job.tasks[old]);
        new.ask_tasks |= u8::from(job.ask_tasks & (1 << old) != 0) << place;
    }
    for work in world.processes.iter_mut().flatten() {
        if let What::Task(task) = work.what
            && usize::from(work.job) == number
        {
            work.what = What::Task(goes[usize::from(task)]);
        }
    }
}
