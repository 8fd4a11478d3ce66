//! One process of a fleet: its roles, its faults, and its allowed exit status.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::finding::{Broken, Finding};
use crate::processes::send;

/// Reason for which a process may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// None: it must not end.
    Running,
    /// It was terminated.
    Terminated,
    /// It was killed.
    Killed,
    /// A resource limit was set.
    Starved,
}

/// A running `segue worker`.
pub struct Member {
    /// Its roles.
    pub roles: &'static str,
    /// Process id.
    pub pid: i32,
    /// The reason for which it may end.
    pub condition: Condition,
    /// Whether it is stopped.
    pub stopped: bool,
    child: Child,
    log: PathBuf,
}

impl Member {
    /// Starts it; its stderr goes to a new file in `folder`.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(mut command: Command, roles: &'static str, folder: &Path, number: u64) -> Result<Member> {
        let log = folder.join(format!("{}-{number}.log", roles.replace(',', "-")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let pid = i32::try_from(child.id())?;
        Ok(Member { roles, pid, condition: Condition::Running, stopped: false, child, log })
    }

    /// Returns its exit status, if it has ended, and a finding if that is not allowed.
    ///
    /// # Errors
    /// A process that cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<(String, Option<Finding>)>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        let end = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        let finding = (!self.may_end_with(status)).then(|| {
            let stderr = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = stderr.lines().rev().take(3).collect();
            let what =
                format!("{} ({:?}) ended with {end}: {}", self.roles, self.condition, last.join(" / "));
            Finding::new(Broken::BadEnd, what)
        });
        Ok(Some((end, finding)))
    }

    fn may_end_with(&self, status: ExitStatus) -> bool {
        let signal = |signal: Signal| status.signal() == Some(signal as i32);
        match self.condition {
            Condition::Running => false,
            Condition::Terminated => status.code() == Some(0) || signal(Signal::SIGTERM),
            Condition::Killed => signal(Signal::SIGKILL),
            Condition::Starved => {
                // SIGSEGV where an allocation of whisper.cpp fails
                let crash = [Signal::SIGABRT, Signal::SIGTERM, Signal::SIGSEGV].into_iter().any(signal);
                matches!(status.code(), Some(0 | 4)) || crash
            }
        }
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::SIGSTOP => self.stopped = true,
            Signal::SIGCONT => self.stopped = false,
            _ => {}
        }
        send(self.pid, signal);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
