//! Kills the programs that a command started when we are killed.
//!
//! The kernel kills our children with us (`spawner.rs` asks for it), and not what they started. A
//! guard is a shell that leads the process group which the command joins. It waits for the end of
//! its input, which comes with our end however we end, and then kills the group. It is started
//! before the command. A program could leave the group with setsid(2) or setpgid(2), which the
//! sandbox refuses.

use std::io;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::environment;

/// A process that kills its group when this process ends before the guard is dropped.
pub(crate) struct Guard {
    waiting: Child,
}

impl Guard {
    /// Starts a guard as the leader of a new group.
    ///
    /// # Errors
    /// No shell, or no further process allowed.
    pub fn start() -> io::Result<Guard> {
        let waiting = Command::new("/bin/sh")
            .env_clear()
            .envs(environment::ours().filter(|(name, _)| environment::is_allowed(name)))
            // SIGINT and SIGTERM go to the whole group first, and must not end the guard
            .args(["-c", "trap '' HUP INT TERM; read -r _; kill -9 0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Guard { waiting })
    }

    /// Number of its group.
    pub fn group(&self) -> Option<u32> {
        self.waiting.id()
    }
}
