//! Limits on resources (setrlimit(2)).

use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit};

use super::machine;
use crate::invocation::{Invocation, Profile};
use crate::policy::Policy;
use crate::supervise::Limits;

/// Open files of a program that parses media. A join opens up to 200 parts at once.
const OPEN_FILES: u64 = 1024;

/// Seconds of processor time between the signal that a program may handle and SIGKILL.
const CPU_GRACE: u64 = 5;

/// The limits of a child that are tighter than those of this process; only these can cause its
/// failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// Bytes of address space.
    pub memory: Option<u64>,
    /// Bytes of each file that it writes.
    pub file_size: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
}

/// The limits of a child.
pub(super) fn limits(
    call: &Invocation,
    limits: &Limits,
    policy: &Policy,
) -> (Vec<(Resource, Rlimit)>, Applied) {
    let memory = call.memory.map(|bytes| policy.memory.unwrap_or(bytes));
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
    // a backstop if the limit on wall time is evaded: the same duration on all cores
    let cpu = limits.time.as_secs().saturating_add(1).saturating_mul(cores);
    let files = (call.profile == Profile::Media).then_some(OPEN_FILES);
    let mut all = Vec::new();
    let mut set = |resource, wanted: Option<u64>, grace: u64| {
        let wanted = wanted?;
        let (limit, is_tighter) = tightened(&getrlimit(resource), wanted, grace);
        all.push((resource, limit));
        is_tighter.then_some(wanted)
    };
    let memory = set(Resource::As, memory, 0).filter(|_| machine::overcommits());
    let file_size = set(Resource::Fsize, call.file_size, 0);
    let cpu_seconds = set(Resource::Cpu, Some(cpu), CPU_GRACE);
    set(Resource::Nofile, files, 0);
    set(Resource::Core, Some(0), 0);
    (all, Applied { memory, file_size, cpu_seconds })
}

/// `wanted`, unless this process has a lower limit; and whether it has not.
fn tightened(ours: &Rlimit, wanted: u64, grace: u64) -> (Rlimit, bool) {
    let least = |limit: Option<u64>, wanted: u64| limit.map_or(wanted, |limit| limit.min(wanted));
    let maximum = least(ours.maximum, wanted.saturating_add(grace));
    let current = least(ours.current, wanted).min(maximum);
    (Rlimit { current: Some(current), maximum: Some(maximum) }, current == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_raised() {
        let of = |current, maximum| tightened(&Rlimit { current, maximum }, 100, 5);
        let limit = |current, maximum| Rlimit { current: Some(current), maximum: Some(maximum) };
        assert_eq!(of(None, None), (limit(100, 105), true));
        assert_eq!(of(Some(40), None), (limit(40, 105), false));
        assert_eq!(of(Some(40), Some(60)), (limit(40, 60), false));
        assert_eq!(of(Some(500), Some(500)), (limit(100, 105), true));
    }

    #[test]
    fn a_program_without_limits_of_its_own_has_no_limit_on_memory() {
        let policy = Policy { memory: Some(7), ..Policy::default() };
        let of = |call: &Invocation| limits(call, &Limits::default(), &policy).1;
        let call = Invocation::new("test", "true", Vec::new());
        assert_eq!(of(&call).memory, None);
        assert_eq!(of(&call.with_memory(1 << 30)).memory, Some(7));
    }
}
