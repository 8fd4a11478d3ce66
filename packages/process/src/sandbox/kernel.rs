//! System calls without a library function that may run between fork and exec.
//! None of these functions allocates.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use rustix::fs::{Mode, OFlags, open};

/// OOM score adjustment of a child: the kernel kills it
/// before the worker that started it. The maximum is 1000.
const OOM_SCORE_ADJ: &[u8] = b"500";

/// The kernel's `LANDLOCK_CREATE_RULESET_VERSION`.
const CREATE_RULESET_VERSION: libc::c_ulong = 1;
/// The kernel's `LANDLOCK_RULE_PATH_BENEATH`.
const RULE_PATH_BENEATH: libc::c_ulong = 1;

/// The kernel's `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// Version of the Landlock ABI; `None` without Landlock.
#[expect(unsafe_code, reason = "a system call that takes no pointer and returns a version")]
pub(super) fn landlock_abi() -> Option<u32> {
    let nothing = ptr::null::<libc::c_void>();
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// Adds a rule for `parent` to a ruleset; `access` is a set of the kernel's access rights.
#[expect(unsafe_code, reason = "the kernel reads one struct that outlives the call")]
pub(super) fn allow_beneath(ruleset: BorrowedFd<'_>, parent: BorrowedFd<'_>, access: u64) -> io::Result<()> {
    let rule = PathBeneath { allowed_access: access, parent_fd: parent.as_raw_fd() };
    let done = unsafe {
        let rule = ptr::from_ref(&rule);
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), RULE_PATH_BENEATH, rule, 0_u32)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Restricts the calling thread to a ruleset.
#[expect(unsafe_code, reason = "a system call that takes no pointer")]
pub(super) fn restrict_self(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Privileges of root that undo the sandbox or reach the whole machine. With `CAP_PERFMON` a process
/// reads the memory of every other, whatever Landlock says, and with `CAP_SYS_RESOURCE` it raises
/// its limits.
const PRIVILEGES: [libc::c_ulong; 20] = [
    21, // CAP_SYS_ADMIN
    38, // CAP_PERFMON
    19, // CAP_SYS_PTRACE
    24, // CAP_SYS_RESOURCE
    39, // CAP_BPF
    40, // CAP_CHECKPOINT_RESTORE
    16, // CAP_SYS_MODULE
    17, // CAP_SYS_RAWIO
    22, // CAP_SYS_BOOT
    25, // CAP_SYS_TIME
    20, // CAP_SYS_PACCT
    34, // CAP_SYSLOG
    12, // CAP_NET_ADMIN
    13, // CAP_NET_RAW
    32, // CAP_MAC_OVERRIDE
    33, // CAP_MAC_ADMIN
    30, // CAP_AUDIT_CONTROL
    37, // CAP_AUDIT_READ
    9,  // CAP_LINUX_IMMUTABLE
    27, // CAP_MKNOD
];

/// Drops the capabilities of a child of root that undo the sandbox. Fails without effect if this
/// process has no capabilities, so that its children gain none either, and for those that an older
/// kernel does not support.
#[expect(unsafe_code, reason = "a system call that takes no pointer")]
pub(super) fn drop_privileges() {
    for privilege in PRIVILEGES {
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, privilege, 0, 0, 0) };
    }
}

/// Makes the kernel kill this process before others when memory is short. Without effect if the system
/// lacks the file.
pub(super) fn prefer_for_oom_kill() {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    if let Ok(file) = open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
        let _ = rustix::io::write(&file, OOM_SCORE_ADJ);
    }
}
