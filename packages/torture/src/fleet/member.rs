//! One process of a fleet: its role, what is done to it, and how it may end.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::finding::{Broken, Finding};
use crate::processes::send;

/// Why a process may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It may not.
    Well,
    /// It was asked to.
    Asked,
    /// It was killed.
    Killed,
    /// It is short of something.
    Starved,
}

/// A running `segue worker`.
pub struct Member {
    /// Its roles.
    pub roles: &'static str,
    /// Its process.
    pub pid: i32,
    /// Why it may end.
    pub condition: Condition,
    /// Whether it is stopped now.
    pub stopped: bool,
    child: Child,
    log: PathBuf,
}

impl Member {
    /// Starts it; what it says goes to a new file in `folder`.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(mut command: Command, roles: &'static str, folder: &Path, number: u64) -> Result<Member> {
        let log = folder.join(format!("{}-{number}.log", roles.replace(',', "-")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).process_group(0);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let pid = i32::try_from(child.id())?;
        Ok(Member { roles, pid, condition: Condition::Well, stopped: false, child, log })
    }

    /// Looks whether it has ended; how, and what is wrong with that.
    ///
    /// # Errors
    /// A process that cannot be waited for.
    pub fn ended(&mut self) -> Result<Option<(String, Option<Finding>)>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        let words = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        let finding = (!self.may_end_so(status)).then(|| {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            let what =
                format!("{} ({:?}) ended with {words}: {}", self.roles, self.condition, last.join(" / "));
            Finding::new(Broken::BadEnd, what)
        });
        Ok(Some((words, finding)))
    }

    fn may_end_so(&self, status: ExitStatus) -> bool {
        let signal = |signal: Signal| status.signal() == Some(signal as i32);
        match self.condition {
            Condition::Well => false,
            Condition::Asked => status.code() == Some(0) || signal(Signal::SIGTERM),
            Condition::Killed => signal(Signal::SIGKILL),
            Condition::Starved => {
                // the last one where whisper.cpp gets no memory
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
