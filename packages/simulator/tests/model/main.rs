//! The core of the protocol, explored to its end: every order of steps, crashes, duplicates,
//! lost messages, leases that run out, cancels, retries and deletes, within small bounds.
//! `docs/model-checking.md` has the bounds and the numbers.

mod protocol;
mod state;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::{Mistake, Protocol};
use state::World;
use stateright::{Checker, HasDiscoveries, Model};

/// Jobs, segments, processes, faults, and the states that there are.
type Bounds = (usize, u8, usize, u8, usize);

/// What every run of the tests explores.
const SMALL: &[Bounds] = &[
    (1, 2, 2, 0, 8_292),
    (1, 3, 2, 0, 32_582),
    (1, 1, 2, 1, 87_598),
    (2, 1, 2, 0, 117_856),
    (1, 2, 2, 1, 490_831),
];

/// What takes minutes and some gigabytes.
const WIDE: &[Bounds] = &[(1, 2, 3, 0, 901_705), (1, 1, 2, 2, 1_598_636)];

fn protocol(jobs: usize, segments: u8, processes: usize, faults: u8) -> Protocol {
    Protocol { jobs, segments, processes, faults, mistake: None }
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
    if protocol.mistake == Some(Mistake::NobodySweeps) {
        open.remove(0);
    }
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

/// Nothing breaks in any state, every state can end, and there are as many as is documented.
fn check(bounds: &[Bounds]) {
    for (jobs, segments, processes, faults, states) in bounds {
        let protocol = protocol(*jobs, *segments, *processes, *faults);
        let (hopeless, counted) = hopeless(&protocol);
        let what = format!("{jobs} jobs, {segments} segments, {processes} processes, {faults} faults");
        println!("{what}: {counted} states");
        assert_eq!(hopeless, 0, "{what}: states from which no order of events ends the jobs");
        assert_eq!(counted, *states, "{what}: not as many states as docs/model-checking.md says");
        let checker = protocol.checker().spawn_bfs().join();
        checker.assert_properties();
        assert_eq!(checker.unique_state_count(), *states, "{what}");
    }
}

#[test]
fn nothing_breaks_and_every_state_can_end() {
    check(SMALL);
}

#[test]
#[ignore = "minutes and gigabytes: cargo test --release -p segue-simulator --test model -- --ignored"]
fn nothing_breaks_within_wider_bounds() {
    check(WIDE);
}

/// Names of the properties that break with a mistake, and the number of hopeless states.
fn broken_by(mistake: Mistake, segments: u8, faults: u8) -> Vec<&'static str> {
    let mut broken = protocol(1, segments, 2, faults);
    broken.mistake = Some(mistake);
    let failures = HasDiscoveries::AnyFailures;
    let checker = broken.checker().finish_when(failures).spawn_bfs().join();
    checker.discoveries().into_keys().filter(|name| *name != protocol::POSSIBLE).collect()
}

#[test]
fn a_mistake_breaks_a_property() {
    for (mistake, faults, property) in [
        (Mistake::RecordUnfenced, 1, "what is recorded is stored"),
        (Mistake::CountsTwice, 1, "the count is the number of completions"),
        (Mistake::PublishesBeforeCommit, 1, "only the committed manifest is public"),
    ] {
        let found = broken_by(mistake, 1, faults);
        assert!(found.contains(&property), "{mistake:?}: {found:?}");
    }
}

#[test]
#[ignore = "minutes: cargo test --release -p segue-simulator --test model -- --ignored"]
fn a_mistake_that_takes_two_faults_breaks_a_property() {
    for mistake in [Mistake::ChangeUnfenced, Mistake::CompletesUnfenced] {
        assert_eq!(broken_by(mistake, 1, 1), [""; 0], "{mistake:?} takes two faults");
        let found = broken_by(mistake, 1, 2);
        assert!(found.contains(&"what is completed is public"), "{mistake:?}: {found:?}");
    }
}

#[test]
fn a_mistake_leaves_jobs_that_cannot_end() {
    for mistake in [Mistake::LeaseNeverExpires, Mistake::NobodySweeps] {
        let mut broken = protocol(1, 1, 2, 1);
        broken.mistake = Some(mistake);
        let (hopeless, states) = hopeless(&broken);
        assert!(hopeless > 0, "{mistake:?}: none of {states} states is hopeless");
    }
}
