//! From a history that breaks something to the shortest that still does.

use std::collections::HashSet;
use std::path::Path;

use crate::fault::FaultId;
use crate::history::{Outcome, run};
use crate::params::Params;
use crate::scenario::Scenario;

/// Histories that are tried at most.
const TRIES: u32 = 600;

/// A history from which no fault can be left out.
#[derive(Debug)]
pub struct Shrunk {
    /// How it went.
    pub outcome: Outcome,
    /// Faults that were left out.
    pub without: HashSet<FaultId>,
    /// Histories that were tried.
    pub tries: u32,
}

/// Leaves faults out, half of them at once and then one by one, while the same invariant
/// still breaks.
pub fn shrink(found: &Outcome, scenario: &'static Scenario, scratch: &Path) -> Shrunk {
    let wanted = found.violation.as_ref().map(|violation| violation.invariant);
    let mut best = Shrunk { outcome: found.clone(), without: HashSet::new(), tries: 0 };
    let mut size = best.outcome.fired.len().max(1);
    loop {
        let mut better = false;
        let fired = best.outcome.fired.clone();
        for some in fired.chunks(size) {
            if best.tries >= TRIES {
                return best;
            }
            let mut without = best.without.clone();
            without.extend(some);
            if without.len() == best.without.len() {
                continue;
            }
            let outcome = run(Params::draw(found.seed, scenario, without.clone()), scratch);
            best.tries += 1;
            // fewer faults: a fault that is left out can bring another one about
            let fewer = outcome.fired.len() < best.outcome.fired.len();
            if fewer && outcome.violation.as_ref().map(|violation| violation.invariant) == wanted {
                (best.outcome, best.without, better) = (outcome, without, true);
                break;
            }
        }
        if !better {
            if size == 1 {
                return best;
            }
            size /= 2;
        }
    }
}
