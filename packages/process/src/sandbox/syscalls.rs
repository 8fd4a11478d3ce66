//! The filter of system calls (seccomp): a list of calls that no decoder needs.
//!
//! A short list of refused calls is enough in addition to the file rules. They fail with EPERM, so
//! that a program which only tries one continues.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

/// Groups of calls that are refused in addition to [`LEAVING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// All calls that create or connect a socket; socket pairs stay allowed.
    pub sockets: bool,
    /// Other processes' memory, namespaces, mounts, keys, and kernel interfaces with a
    /// history of vulnerabilities.
    pub privileged: bool,
}

/// Calls that leave the process group, by which a program is killed with this process.
const LEAVING: [c_long; 2] = [libc::SYS_setsid, libc::SYS_setpgid];

const SOCKETS: [c_long; 4] = [libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen];

const PRIVILEGED: [c_long; 47] = [
    // memory and descriptors of other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // interfaces of the kernel
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_vhangup,
    libc::SYS_syslog,
    // keys
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // namespaces and mounts
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // the machine
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
];

/// Namespaces that clone(2) could create.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The compiled filter.
///
/// # Errors
/// A processor without support in the library.
pub(super) fn filter(refused: Refused) -> io::Result<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = LEAVING.map(|call| (call, Vec::new())).into();
    if refused.sockets {
        rules.extend(SOCKETS.map(|call| (call, Vec::new())));
    }
    if refused.privileged {
        rules.extend(PRIVILEGED.map(|call| (call, Vec::new())));
        rules.insert(libc::SYS_clone, namespaces().map_err(io::Error::other)?);
    }
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(io::Error::other)?;
    let compiled: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    Ok(prologue(refused).into_iter().chain(compiled).collect())
}

/// A rule for each namespace: its bit is set in the first argument.
fn namespaces() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let is_set = |flag: libc::c_int| {
        let flag = flag as u64;
        let set = SeccompCmpOp::MaskedEq(flag);
        SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, set, flag)?])
    };
    NAMESPACES.into_iter().map(is_set).collect()
}

const LOAD_NUMBER: sock_filter = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
const RETURN: u16 = 0x06;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const FAIL: u32 = libc::SECCOMP_RET_ERRNO;

/// What the library's filters lack. On x86-64 every call has a second number, for 32-bit pointers,
/// which a list of numbers does not contain. And clone3(2) takes its flags by a pointer that no
/// filter can follow; as "not implemented" it makes libraries use clone(2).
fn prologue(refused: Refused) -> Vec<sock_filter> {
    let mut program = vec![LOAD_NUMBER];
    let mut fail_if = |code, number: u32, error: libc::c_int| {
        program.push(sock_filter { code, jt: 0, jf: 1, k: number });
        program.push(sock_filter { code: RETURN, jt: 0, jf: 0, k: FAIL | error as u32 });
    };
    if cfg!(target_arch = "x86_64") {
        fail_if(JUMP_IF_AT_LEAST, 0x4000_0000, libc::EPERM);
    }
    if refused.privileged {
        fail_if(JUMP_IF_EQUAL, libc::SYS_clone3 as u32, libc::ENOSYS);
    }
    program
}
