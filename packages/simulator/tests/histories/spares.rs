//! Late attempts return their tasks, and ask for spare attempts that win.

use std::collections::HashSet;

use segue_simulator::sweep::scratch_folder;
use segue_simulator::{Params, Scenario, run};

/// Histories among which all of it has to be seen.
const HISTORIES: u64 = 500;

#[test]
fn spares_begin_win_lose_and_are_forgotten() {
    let scenario = Scenario::named("tasks").unwrap();
    let scratch = scratch_folder().unwrap();
    let (mut begun, mut won, mut lost, mut asked, mut none, mut second) = (0, 0, 0, 0, 0, 0);
    for seed in 0..HISTORIES {
        let params = Params::draw(seed, scenario, HashSet::new());
        let may = params.spares;
        let outcome = run(params, scratch.path());
        assert_eq!(outcome.violation, None, "seed {seed}:\n{}", outcome.log);
        let of_spares: Vec<&str> =
            outcome.log.lines().filter(|line| line.contains("spare_") || line.contains("spare2_")).collect();
        let count = |what: &str, end: &str| {
            of_spares.iter().filter(|line| line.contains(what) && line.contains(end)).count()
        };
        begun += count("works on task/", "spare");
        won += count(" record ", "= created");
        lost += count(" record ", "= existed");
        asked += count(" send task-cpu ", "spare");
        second += count("works on task/", "spare2_");
        none += usize::from(!may && !of_spares.is_empty());
    }
    println!(
        "{asked} asked for, {begun} begun ({second} second ones), {won} won, {lost} lost at the last moment"
    );
    assert_eq!(none, 0, "spare attempts only where they are allowed");
    assert!(second > 10, "{second} second spares");
    assert!(asked > 50 && begun > 50 && won > 20, "{asked} asked for, {begun} begun, {won} won");
}
