//! The core of the protocol, explored completely within small bounds: every order of steps, crashes,
//! duplicates, lost messages, expired leases, cancels, retries and deletions, for jobs of one output and
//! of two, one of which can need the other. `docs/model-checking.md` has the bounds and the numbers.

mod explore;
mod fold;
mod protocol;
mod state;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use explore::{Action, POSSIBLE};
use protocol::{Mistake, Protocol};
use segue_domain::Gate;
use state::World;
use stateright::{Checker, HasDiscoveries, Model};

/// Jobs, outputs, what waits for the second output, segments, processes, faults, and the number of states.
type Bounds = (usize, usize, Option<Gate>, u8, usize, u8, usize);

/// What every run of the tests explores.
const SMALL: &[Bounds] = &[(1, 1, None, 2, 2, 0, 0)];

/// Bounds that take minutes and some gigabytes.
const WIDE: &[Bounds] = &[];

/// The same with symmetry reduction.
const FOLDED: &[Bounds] = &[];

/// The same as [`WIDE`], with symmetry reduction.
const FOLDED_WIDE: &[Bounds] = &[];

fn protocol((jobs, outputs, gate, segments, processes, faults, _): Bounds) -> Protocol {
    Protocol { jobs, outputs, gate, segments, processes, faults, mistake: None, folds: false }
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
        if state.jobs.iter().all(|job| !job.is_there || !protocol.record(job).is_open_job()) {
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

/// No property is violated in any state, every state can end, and there are as many as is documented.
fn check(bounds: &[Bounds], folds: bool) {
    for bounds in bounds {
        let states = bounds.6;
        let protocol = Protocol { folds, ..protocol(*bounds) };
        let (hopeless, counted) = hopeless(&protocol);
        let what = format!("{protocol:?}");
        println!("{what}: {counted} states");
        assert_eq!(hopeless, 0, "{what}: states from which no order of events ends the jobs");
        let checker = protocol.checker().spawn_bfs().join();
        checker.assert_properties();
        assert_eq!(counted, states, "{what}: not as many states as docs/model-checking.md has");
        assert_eq!(checker.unique_state_count(), states, "{what}");
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

/// Bounds as text: jobs, outputs, gate, segments, processes, faults.
fn parse(text: &str) -> Option<Bounds> {
    let parts: Vec<&str> = text.split(',').collect();
    let [jobs, outputs, gate, segments, processes, faults] = parts[..] else { return None };
    let gate = match gate {
        "none" => None,
        "plan" => Some(Gate::Plan),
        "assembly" => Some(Gate::Assembly),
        _ => return None,
    };
    let number = |text: &str| text.parse::<u8>().ok();
    let (jobs, outputs, processes) =
        (number(jobs)?.into(), number(outputs)?.into(), number(processes)?.into());
    Some((jobs, outputs, gate, number(segments)?, processes, number(faults)?, 0))
}

#[test]
#[ignore = "explores the bounds of SEGUE_MODEL, e.g. 1,2,assembly,2,2,0, with symmetry reduction"]
fn nothing_breaks_within_the_bounds_of_the_environment() {
    let text = std::env::var("SEGUE_MODEL").expect("SEGUE_MODEL has the bounds");
    for text in text.split(' ') {
        let bounds = parse(text).expect("JOBS,OUTPUTS,none|plan|assembly,SEGMENTS,PROCESSES,FAULTS");
        let protocol = Protocol { folds: true, ..protocol(bounds) };
        let (hopeless, counted) = hopeless(&protocol);
        println!("{text}: {counted} states");
        assert_eq!(hopeless, 0, "{text}: states from which no order of events ends the jobs");
        protocol.checker().spawn_bfs().join().assert_properties();
    }
}

/// The kinds of actions that can happen in a state.
fn what_can_happen(protocol: &Protocol, world: &World) -> Vec<std::mem::Discriminant<Action>> {
    let mut actions = Vec::new();
    protocol.actions(world, &mut actions);
    let kinds = actions.iter().filter(|action| protocol.next_state(world, **action).is_some());
    let mut kinds: Vec<_> = kinds.map(std::mem::discriminant).collect();
    kinds.sort_by_key(fingerprint_of);
    kinds
}

#[test]
fn folding_only_renames() {
    let protocol = protocol((2, 1, None, 2, 2, 0, 0));
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

/// Bounds with one job of one segment for each output, and two processes.
fn small(outputs: usize, gate: Option<Gate>, faults: u8) -> Bounds {
    (1, outputs, gate, 1, 2, faults, 0)
}

/// Names of the properties that are violated with a mistake.
fn violated_by(mistake: Mistake, folds: bool, bounds: Bounds) -> Vec<&'static str> {
    let wrong = Protocol { mistake: Some(mistake), folds, ..protocol(bounds) };
    let failures = HasDiscoveries::AnyFailures;
    let checker = wrong.checker().finish_when(failures).spawn_bfs().join();
    checker.discoveries().into_keys().filter(|name| *name != POSSIBLE).collect()
}

#[test]
fn a_mistake_violates_a_property() {
    for (mistake, bounds, property) in [
        (Mistake::RecordUnfenced, small(1, None, 1), "what is recorded is stored"),
        (Mistake::CountsTwice, small(1, None, 1), "the count is the number of completions"),
        (Mistake::PublishesBeforeCommit, small(1, None, 1), "only the committed index is public"),
        (Mistake::ManifestReplaced, small(2, None, 0), "a completed output is public and in the manifest"),
        (Mistake::NeedReadEarly, small(2, Some(Gate::Assembly), 0), "a need is read after it is published"),
    ] {
        for folds in [false, true] {
            let found = violated_by(mistake, folds, bounds);
            assert!(found.contains(&property), "{mistake:?}: {found:?}");
        }
    }
}

#[test]
#[ignore = "minutes: cargo test --release -p segue-simulator --test model -- --ignored"]
fn a_mistake_that_takes_two_faults_violates_a_property() {
    let property = "a completed output is public and in the manifest";
    for mistake in [Mistake::ChangeUnfenced, Mistake::CompletesUnfenced] {
        assert_eq!(violated_by(mistake, true, small(1, None, 1)), [""; 0], "{mistake:?} takes two faults");
        let found = violated_by(mistake, true, small(1, None, 2));
        assert!(found.contains(&property), "{mistake:?}: {found:?}");
    }
}

#[test]
fn a_mistake_leaves_jobs_that_cannot_end() {
    for mistake in [Mistake::LeaseNeverExpires, Mistake::NobodySweeps] {
        for folds in [false, true] {
            let wrong = Protocol { mistake: Some(mistake), folds, ..protocol(small(1, None, 1)) };
            let (hopeless, states) = hopeless(&wrong);
            assert!(hopeless > 0, "{mistake:?}: none of {states} states is hopeless");
        }
    }
}
