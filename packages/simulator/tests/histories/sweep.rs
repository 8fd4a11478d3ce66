//! A short sweep of every scenario: no invariant is violated, and every kind of fault occurs.

use segue_simulator::scenario::SCENARIOS;
use segue_simulator::sweep::Sweep;
use segue_simulator::{Scenario, other};

/// Histories of each scenario: a minute at most, without optimisation.
const HISTORIES: u64 = 500;

#[test]
fn every_scenario_is_green() {
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name != other::NAME) {
        // a history in which a job is made again ten times is as long as ten
        let histories = HISTORIES / (scenario.focus.remakes.0.max(1));
        let report = Sweep::new(scenario, 0..histories).run().unwrap();
        assert_eq!(report.histories, histories);
        assert!(
            report.is_green(),
            "{}: {:?}, not hit: {:?}",
            scenario.name,
            report.violations,
            report.not_hit()
        );
        assert!(report.ends[0] > histories / 4, "{} completes only {:?}", scenario.name, report.ends);
    }
}

#[test]
fn a_sweep_that_hits_nothing_is_not_green() {
    let scenario = Scenario::named("everything").unwrap();
    let report = Sweep::new(scenario, 0..1).run().unwrap();
    assert_eq!(report.broken, 0, "{:?}", report.violations);
    assert!(!report.is_green());
}

#[test]
fn another_protocol_loses_jobs_in_four_ways() {
    let losses = other::sweep(0..600);
    assert_eq!(losses.causes.len(), 4, "{losses:?}");
    assert!(losses.causes.values().all(|(count, _)| *count >= 2), "{losses:?}");
    let (_, seed) = losses.causes.values().next().unwrap();
    let outcome = other::run(*seed);
    assert!(outcome.lost.is_some() && outcome.log.contains("DIES") || outcome.log.contains("all are in"));
}
