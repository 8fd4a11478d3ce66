//! Kills the descendants of a command when this process is killed.
//!
//! The kernel kills this process's children with it (requested in `spawner.rs`), but not their children. A
//! guard is a shell that leads the process group which the command joins. It waits for EOF on
//! its stdin, which occurs when this process ends for any reason, and then kills the group. It is started
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
    /// Starts a guard as the leader of a new process group.
    ///
    /// # Errors
    /// No shell, or the process limit is reached.
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

    /// Id of its process group.
    pub fn group(&self) -> Option<u32> {
        self.waiting.id()
    }
}
