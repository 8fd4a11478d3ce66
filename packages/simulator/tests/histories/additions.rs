//! An output that is added to a job repeats no task of the others.

use std::collections::{BTreeMap, HashSet};

use segue_simulator::fault::FaultKind;
use segue_simulator::sweep::scratch_folder;
use segue_simulator::{Params, Scenario, run};

#[test]
fn an_added_output_repeats_no_task() {
    let scenario = Scenario::named("outputs").unwrap();
    let scratch = scratch_folder().unwrap();
    let mut added = 0;
    for seed in 0..300 {
        let mut params = Params::draw(seed, scenario, HashSet::new());
        // no fault but the addition: then no attempt has a reason to be repeated
        params.enabled.retain(|kind| *kind == FaultKind::AddOutput);
        params.events.clear();
        (params.call_faults, params.directed, params.spares) = (0, None, false);
        for job in &mut params.jobs {
            (job.cancel_ms, job.cancel_output, job.retries) = (None, None, 0);
            job.again_ms.clear();
        }
        let outcome = run(params, scratch.path());
        assert_eq!(outcome.violation, None, "seed {seed}:\n{}", outcome.log);
        added += outcome.coverage.of(FaultKind::AddOutput);
        let mut started = BTreeMap::<&str, u32>::new();
        for line in outcome.log.lines() {
            if let Some((_, lease)) = line.split_once("works on ")
                && !lease.starts_with("plan/")
            {
                *started.entry(lease).or_default() += 1;
            }
        }
        let repeated = started.iter().find(|(_, times)| **times > 1);
        assert_eq!(repeated, None, "seed {seed}:\n{}", outcome.log);
    }
    assert!(added > 50, "{added} additions");
}
