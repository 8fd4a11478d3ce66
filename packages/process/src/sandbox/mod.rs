//! The sandbox of a child: limits on resources, rules on files and network (Landlock), and a
//! filter of system calls (seccomp).
//!
//! [`Jail::prepare`] builds everything in the parent: the values of the limits, the Landlock
//! ruleset, the compiled filter. [`Jail::enter`] runs in the child between fork and exec and only
//! makes system calls. None of it needs a privilege: no_new_privs is enough.

mod files;
mod kernel;
mod machine;
mod programs;
mod resources;
mod syscalls;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::BpfProgram;

use crate::error::ProcessError;
use crate::invocation::{Invocation, Profile};
use crate::policy::{MapAccess, Policy, SandboxMode};
use crate::supervise::Limits;

pub use machine::machine_memory;
pub(crate) use resources::Applied;

/// Sandbox features of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Support {
    /// Version of the Landlock ABI; `None` if the kernel lacks Landlock, or does not
    /// enable it.
    pub landlock_abi: Option<u32>,
    /// Whether seccomp filters are available.
    pub seccomp: bool,
}

impl Support {
    /// What is missing and where it is available; `None` if nothing is missing.
    pub fn missing(&self) -> Option<&'static str> {
        match (self.landlock_abi, self.seccomp) {
            (Some(_), true) => None,
            (None, true) => Some("this kernel has no Landlock (Linux 5.13 or newer, with landlock in lsm=)"),
            (Some(_), false) => Some("this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"),
            (None, false) => Some("this kernel has neither Landlock nor seccomp filters"),
        }
    }
}

/// Detects the features of this kernel.
pub fn support() -> Support {
    static SUPPORT: OnceLock<Support> = OnceLock::new();
    *SUPPORT.get_or_init(|| Support {
        landlock_abi: kernel::landlock_abi(),
        // a list of the actions that a filter may use; empty or absent without filters
        seccomp: std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
            .is_ok_and(|actions| actions.split_whitespace().any(|action| action == "errno")),
    })
}

/// A child's restrictions, ready to be applied.
#[derive(Debug, Default)]
pub(crate) struct Jail {
    is_on: bool,
    resources: Vec<(Resource, Rlimit)>,
    applied: Applied,
    files: Option<files::Rules>,
    filter: Option<BpfProgram>,
    inherited: Vec<Arc<File>>,
}

impl Jail {
    /// Prepares the restrictions of `policy`.
    ///
    /// # Errors
    /// A kernel without Landlock or seccomp where they are required; rules that it refuses.
    pub fn prepare(call: &Invocation, limits: &Limits, policy: &Policy) -> Result<Jail, ProcessError> {
        Jail::prepare_on(call, limits, policy, support())
    }

    fn prepare_on(
        call: &Invocation,
        limits: &Limits,
        policy: &Policy,
        support: Support,
    ) -> Result<Jail, ProcessError> {
        let inherited = call.inherited().to_vec();
        if policy.mode == SandboxMode::Off {
            return Ok(Jail { inherited, ..Jail::default() });
        }
        if let Some(missing) = support.missing().filter(|_| policy.mode == SandboxMode::Require) {
            return Err(ProcessError::setup(format!(
                "{}: not started without a sandbox: {missing}; set SEGUE_SANDBOX=best to go on without it",
                call.what
            )));
        }
        let failed = |e: &dyn std::fmt::Display| {
            ProcessError::setup(format!("{}: the sandbox cannot be prepared: {e}", call.what))
        };
        let files = match support.landlock_abi {
            Some(_) => files::rules(call, policy).map_err(|e| failed(&e))?,
            None => None,
        };
        let filter = match support.seccomp {
            true => Some(syscalls::filter(refused(call, policy)).map_err(|e| failed(&e))?),
            false => None,
        };
        let (resources, applied) = resources::limits(call, limits, policy);
        Ok(Jail { is_on: true, resources, applied, files, filter, inherited })
    }

    /// The limits that are tighter than those this process has itself.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Whether the child can access only the files of its rules.
    pub fn has_file_rules(&self) -> bool {
        self.files.is_some()
    }

    /// Restricts the calling process. Runs between fork and exec: it makes system calls and
    /// allocates nothing.
    ///
    /// # Errors
    /// A system call that the kernel refuses.
    pub fn enter(&self) -> io::Result<()> {
        for file in &self.inherited {
            rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
        }
        if !self.is_on {
            return Ok(());
        }
        kernel::prefer_for_oom_kill();
        if let Some(rules) = &self.files {
            rules.allow_own_proc()?;
        }
        for (resource, limit) in &self.resources {
            setrlimit(*resource, *limit)?;
        }
        kernel::drop_privileges();
        nix::sys::prctl::set_no_new_privs().map_err(io::Error::from)?;
        if let Some(rules) = &self.files {
            kernel::restrict_self(rules.as_fd())?;
        }
        match self.filter.as_deref().map(seccompiler::apply_filter) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(seccompiler::Error::Prctl(e) | seccompiler::Error::Seccomp(e))) => Err(e),
            Some(Err(_)) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Groups of system calls that a child is refused.
fn refused(call: &Invocation, policy: &Policy) -> syscalls::Refused {
    match (call.profile, policy.map) {
        (Profile::Media, _) => syscalls::Refused { sockets: true, privileged: true },
        (Profile::Map, MapAccess::Restricted { network }) => {
            syscalls::Refused { sockets: !network, privileged: true }
        }
        (Profile::Map, MapAccess::Open) => syscalls::Refused { sockets: false, privileged: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProcessErrorKind;

    #[test]
    fn require_refuses_a_kernel_that_lacks_something() {
        let call = Invocation::new("probing", "true", Vec::new());
        let on = |mode, support| {
            let policy = Policy { mode, ..Policy::default() };
            Jail::prepare_on(&call, &Limits::default(), &policy, support)
        };
        let old = Support { landlock_abi: None, seccomp: true };
        let error = on(SandboxMode::Require, old).unwrap_err();
        assert_eq!(error.kind(), ProcessErrorKind::Environment);
        assert!(!error.is_retryable());
        assert!(error.to_string().contains("no Landlock"), "{error}");
        let jail = on(SandboxMode::Best, old).unwrap();
        assert!(jail.files.is_none() && jail.filter.is_some() && !jail.resources.is_empty());
        let bare = on(SandboxMode::Best, Support { landlock_abi: None, seccomp: false }).unwrap();
        assert!(bare.files.is_none() && bare.filter.is_none() && !bare.resources.is_empty());
        let off = on(SandboxMode::Off, support()).unwrap();
        assert!(off.files.is_none() && off.filter.is_none() && off.resources.is_empty());
    }
}
