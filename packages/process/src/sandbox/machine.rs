//! The amount of memory of this machine.

use std::fs;

/// Memory limit of this process with its children, in bytes: the machine's, or that of its
/// container; `None` where the system does not report it.
pub fn machine_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok();
    let physical = meminfo.as_deref().and_then(total_of);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container = limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    physical.into_iter().chain(container).min()
}

fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Whether the kernel refuses memory that it could not provide (`vm.overcommit_memory` is 2):
/// then a refused allocation does not show that a limit set by Segue was reached.
pub(super) fn overcommits() -> bool {
    fs::read_to_string("/proc/sys/vm/overcommit_memory").map_or(true, |mode| mode.trim() != "2")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        assert_eq!(total_of("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
    }
}
