//! The core of the protocol, explored to its end: every order of steps, crashes, duplicates,
//! lost messages, leases that run out, cancels, retries and deletes, within small bounds.
//! `docs/model-checking.md` has the bounds and the numbers.

mod fold;
mod protocol;
mod state;

use std::collections::{HashMap, HashSet};
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

/// The same where states that differ by names alone are one.
const FOLDED: &[Bounds] = &[(2, 1, 2, 0, 29_783), (2, 2, 2, 0, 101_936)];

/// The same as [`WIDE`].
const FOLDED_WIDE: &[Bounds] = &[
    (1, 2, 2, 1, 132_272),
    (1, 2, 3, 0, 81_306),
    (1, 3, 2, 1, 312_667),
    (1, 3, 3, 0, 198_609),
    (2, 3, 2, 0, 254_718),
    (2, 1, 2, 1, 2_437_387),
];

fn protocol(jobs: usize, segments: u8, processes: usize, faults: u8) -> Protocol {
    Protocol { jobs, segments, processes, faults, mistake: None, folds: false }
}

fn fingerprint_of(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
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
        index.insert(fingerprint_of(state), index.len() as u32);
        before.push(vec![]);
    });
    let mut actions = Vec::new();
    while let Some(state) = open.pop() {
        let from = index[&fingerprint_of(&state)];
        if state.jobs.iter().all(|job| job.state.is_none_or(|state| state.is_terminal())) {
            ended.push(from);
        }
        protocol.actions(&state, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = protocol.next_state(&state, action) else { continue };
            let known = index.len() as u32;
            let to = *index.entry(fingerprint_of(&next)).or_insert(known);
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
fn check(bounds: &[Bounds], folds: bool) {
    for (jobs, segments, processes, faults, states) in bounds {
        let protocol = Protocol { folds, ..protocol(*jobs, *segments, *processes, *faults) };
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
    check(SMALL, false);
}

#[test]
#[ignore = "minutes and gigabytes: cargo test --release -p segue-simulator --test model -- --ignored"]
fn nothing_breaks_within_wider_bounds() {
    check(WIDE, false);
}

#[test]
fn nothing_breaks_where_names_do_not_count() {
    check(FOLDED, true);
}

#[test]
#[ignore = "minutes and gigabytes: cargo test --release -p segue-simulator --test model -- --ignored"]
fn nothing_breaks_within_wider_bounds_where_names_do_not_count() {
    check(FOLDED_WIDE, true);
}

/// What can happen in a state, without whom it happens to.
fn what_can_happen(protocol: &Protocol, world: &World) -> Vec<std::mem::Discriminant<protocol::Action>> {
    let mut actions = Vec::new();
    protocol.actions(world, &mut actions);
    let kinds = actions.iter().filter(|action| protocol.next_state(world, **action).is_some());
    let mut kinds: Vec<_> = kinds.map(std::mem::discriminant).collect();
    kinds.sort_by_key(fingerprint_of);
    kinds
}

#[test]
fn folding_only_renames() {
    let protocol = protocol(2, 2, 2, 0);
    let (mut known, mut open) = (HashSet::new(), protocol.init_states());
    let mut folded_away = 0;
    while let Some(world) = open.pop() {
        if known.len() > 40_000 || !known.insert(fingerprint_of(&world)) {
            continue;
        }
        let folded = fold::folded(world.clone(), protocol.segments);
        folded_away += usize::from(folded != world);
        assert_eq!(what_can_happen(&protocol, &world), what_can_happen(&protocol, &folded), "{world:?}");
        for property in protocol.properties() {
            let holds = property.condition;
            assert_eq!(holds(&protocol, &world), holds(&protocol, &folded), "{}: {world:?}", property.name);
        }
        let mut actions = Vec::new();
        protocol.actions(&world, &mut actions);
        open.extend(actions.into_iter().filter_map(|action| protocol.next_state(&world, action)));
    }
    assert!(folded_away > 10_000, "{folded_away} states have another order");
}

/// Names of the properties that break with a mistake, and the number of hopeless states.
fn broken_by(mistake: Mistake, folds: bool, segments: u8, faults: u8) -> Vec<&'static str> {
    let broken = Protocol { mistake: Some(mistake), folds, ..protocol(1, segments, 2, faults) };
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
        for folds in [false, true] {
            let found = broken_by(mistake, folds, 1, faults);
            assert!(found.contains(&property), "{mistake:?}: {found:?}");
        }
    }
}

#[test]
#[ignore = "minutes: cargo test --release -p segue-simulator --test model -- --ignored"]
fn a_mistake_that_takes_two_faults_breaks_a_property() {
    for mistake in [Mistake::ChangeUnfenced, Mistake::CompletesUnfenced] {
        assert_eq!(broken_by(mistake, true, 1, 1), [""; 0], "{mistake:?} takes two faults");
        let found = broken_by(mistake, true, 1, 2);
        assert!(found.contains(&"what is completed is public"), "{mistake:?}: {found:?}");
    }
}

#[test]
fn a_mistake_leaves_jobs_that_cannot_end() {
    for mistake in [Mistake::LeaseNeverExpires, Mistake::NobodySweeps] {
        for folds in [false, true] {
            let broken = Protocol { mistake: Some(mistake), folds, ..protocol(1, 1, 2, 1) };
            let (hopeless, states) = hopeless(&broken);
            assert!(hopeless > 0, "{mistake:?}: none of {states} states is hopeless");
        }
    }
}
