//! A fault counts when it occurs, not when it is planned.

use std::collections::HashSet;

use segue_simulator::event::Event;
use segue_simulator::fault::FaultKind;
use segue_simulator::sweep::scratch_folder;
use segue_simulator::{Outcome, Params, Scenario, run};

/// A calm history in which the first planner crashes at one of its awaits.
fn dies_at_await(polls: u32) -> Outcome {
    let mut params = Params::draw(3, Scenario::named("calm").unwrap(), HashSet::new());
    params.events.push((0, Event::CrashAtAwait(0, polls)));
    run(params, scratch_folder().unwrap().path())
}

#[test]
fn a_crash_at_an_await_counts_when_it_has_come_to_that_await() {
    let dies = dies_at_await(2);
    assert_eq!(dies.violation, None, "{}", dies.log);
    assert!(dies.log.contains("CRASHED"), "{}", dies.log);
    assert_eq!(dies.coverage.of(FaultKind::CrashAtAwait), 1);
    let lives = dies_at_await(1_000_000);
    assert!(!lives.log.contains("CRASHED"), "{}", lives.log);
    assert_eq!(lives.coverage.of(FaultKind::CrashAtAwait), 0, "it was only planned");
}
