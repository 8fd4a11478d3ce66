//! Who ends a command's own children when we are killed.
//!
//! The kernel ends our children with us (the spawner sees to that), and not what they have
//! started. A guard is a shell that leads the process group which the command joins, and waits
//! for its input to end, which it does with us however we end; then it kills the group. It
//! stands before the command begins. What leaves the group on purpose (setsid(2)) is out of
//! reach.

use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

/// Kills its process group when this process ends before it is dropped.
pub(super) struct Guard {
    waiting: Child,
}

impl Guard {
    /// Starts a guard in a group of its own.
    ///
    /// # Errors
    /// No shell, or no room for another process.
    pub fn start() -> io::Result<Guard> {
        let waiting = Command::new("/bin/sh")
            // the group is first asked to end, and the guard is not meant
            .args(["-c", "trap '' HUP INT TERM; read -r _; kill -9 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Guard { waiting })
    }

    /// The group that it guards.
    pub fn group(&self) -> Option<u32> {
        self.waiting.id()
    }
}
