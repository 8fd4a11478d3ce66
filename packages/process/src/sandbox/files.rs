//! The rules on files, network and signals (Landlock).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::fs::{Mode, OFlags, open};

use super::{kernel, programs};
use crate::invocation::{Invocation, Profile};
use crate::policy::{MapAccess, Policy};

/// The newest Landlock ABI whose rights are handled; an older kernel enforces those that it supports.
const NEWEST: ABI = ABI::V6;

/// Reading a file or a folder and running a program.
const RUN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});

/// Reading a file or a folder.
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// All rights in a folder except executing programs, devices and sockets.
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | RemoveFile | RemoveDir | MakeReg | MakeDir | MakeSym | MakeFifo
    | Refer
});

/// Using a device.
const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | IoctlDev});

/// The rights that a rule for a file may have.
const OF_FILES: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{Execute | ReadFile | WriteFile | Truncate | IoctlDev});

/// A prepared ruleset.
#[derive(Debug)]
pub(super) struct Rules {
    ruleset: OwnedFd,
    restricts_files: bool,
}

impl Rules {
    /// Allows the calling process to read its own /proc entries. The parent cannot add this
    /// rule: its own /proc/self is another folder. Runs between fork and exec.
    pub fn allow_own_proc(&self) -> io::Result<()> {
        if self.restricts_files {
            let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
            if let Ok(own) = open(c"/proc/self", flags, Mode::empty()) {
                kernel::allow_beneath(self.ruleset.as_fd(), own.as_fd(), READ.bits())?;
            }
        }
        Ok(())
    }
}

impl AsFd for Rules {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ruleset.as_fd()
    }
}

/// Rules that the kernel refuses.
#[derive(Debug)]
pub(super) struct Refusal(RulesetError);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Landlock: {}", self.0)
    }
}

impl From<RulesetError> for Refusal {
    fn from(error: RulesetError) -> Refusal {
        Refusal(error)
    }
}

/// The ruleset for a command; `None` if the kernel can enforce none of it.
pub(super) fn rules(call: &Invocation, policy: &Policy) -> Result<Option<Rules>, Refusal> {
    let restricts_files = call.profile == Profile::Media || policy.map != MapAccess::Open;
    let created = if restricts_files { restricted(call, policy)? } else { open_to_all()? };
    let ruleset: Option<OwnedFd> = created.into();
    Ok(ruleset.map(|ruleset| Rules { ruleset, restricts_files }))
}

/// Only the declared files, no TCP, no signals to and no abstract sockets of processes
/// outside.
fn restricted(call: &Invocation, policy: &Policy) -> Result<RulesetCreated, Refusal> {
    let is_map = call.profile == Profile::Map;
    let has_network = is_map && policy.map == (MapAccess::Restricted { network: true });
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
    if !has_network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?.scope(Scope::from_all(NEWEST))?;
    }
    let mut created = ruleset.create()?;
    let mut allow = |path: &Path, access| -> Result<(), Refusal> { rule(&mut created, path, access) };
    for path in programs::SYSTEM {
        allow(Path::new(path), RUN)?;
    }
    for path in programs::of(&call.program).iter().chain(&policy.read) {
        allow(path, RUN)?;
    }
    allow(Path::new("/dev/null"), DEVICE)?;
    if call.gpu || is_map {
        for path in programs::GPU_READ {
            allow(Path::new(path), READ)?;
        }
        for device in programs::gpu_devices() {
            allow(&device, DEVICE)?;
        }
    }
    if is_map {
        allow(Path::new("/dev/shm"), WRITE)?;
    }
    if has_network {
        for path in programs::NETWORK {
            allow(Path::new(path), READ)?;
        }
    }
    let of_child = |path: &Path| call.dir.as_deref().map_or_else(|| path.to_owned(), |dir| dir.join(path));
    for path in call.reads() {
        allow(&of_child(path), READ)?;
    }
    for folder in call.written_folders() {
        allow(&of_child(folder), WRITE)?;
    }
    Ok(created)
}

/// All files stay accessible, and processes outside do not: a process under any ruleset can read
/// neither the memory nor the environment of one that is not under it.
fn open_to_all() -> Result<RulesetCreated, Refusal> {
    let mut created = Ruleset::default().handle_access(AccessFs::Refer)?.create()?;
    rule(&mut created, Path::new("/"), AccessFs::Refer.into())?;
    Ok(created)
}

/// Adds a rule. A missing path needs none: the program cannot open it either.
fn rule(created: &mut RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<(), Refusal> {
    let Ok(fd) = PathFd::new(path) else { return Ok(()) };
    let access = if path.is_dir() { access } else { access & OF_FILES };
    created.add_rule(PathBeneath::new(fd, access))?;
    Ok(())
}
