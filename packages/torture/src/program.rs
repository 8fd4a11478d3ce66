//! One running program: its events as they come, its end when it comes.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::processes::send;

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It does the job.
    Main,
    /// It was told to do the same job at the same time.
    Twin,
    /// It was told to do another job in the same folder.
    Intruder,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What it was for.
    pub role: Role,
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// What it said on stderr.
    pub stderr: String,
    /// The manifest that it said it had published.
    pub finished: Option<Value>,
    /// Whether it said that there was nothing left to do.
    pub already: bool,
}

impl Ended {
    /// Whether it only found another one at work in its folder.
    pub fn was_turned_away(&self) -> bool {
        self.code == Some(2) && self.stderr.contains("another segue is at work")
    }

    /// Its end in a few words.
    pub fn words(&self) -> String {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no end".to_owned(),
        };
        let said = self.stderr.trim().replace('\n', " / ");
        if said.is_empty() { how } else { format!("{how}: {said}") }
    }
}

/// A running program.
pub struct Program {
    /// Its process.
    pub pid: i32,
    role: Role,
    child: Child,
    stderr: Option<PathBuf>,
    deaf: Arc<AtomicBool>,
    status: Option<ExitStatus>,
    events: Vec<Value>,
}

impl Program {
    /// Starts it; every line of its stdout is sent as `(index, line)`, and an empty one at
    /// the end. With a file for stderr, else without stdin and stderr.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(
        command: &mut Command,
        role: Role,
        stderr: Option<PathBuf>,
        index: usize,
        lines: Sender<(usize, String)>,
    ) -> Result<Program> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        match &stderr {
            Some(path) => command.stderr(File::create(path)?),
            None => command.stderr(Stdio::null()),
        };
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdout = child.stdout.take().context("its stdout is piped")?;
        let deaf = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&deaf);
        std::thread::spawn(move || listen(stdout, index, &lines, &heard));
        let pid = i32::try_from(child.id())?;
        Ok(Program { pid, role, child, stderr, deaf, status: None, events: Vec::new() })
    }

    /// What it is for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Keeps a line that it wrote; the event in it.
    pub fn hear(&mut self, line: &str) -> Option<Value> {
        let event: Value = serde_json::from_str(line).ok()?;
        self.events.push(event.clone());
        Some(event)
    }

    /// Reads its stdout no more.
    pub fn close_output(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// A process that cannot be waited for.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status.is_none())
    }

    /// How it ended; a program that still runs is killed.
    ///
    /// # Errors
    /// A process that cannot be waited for.
    pub fn end(mut self) -> Result<Ended> {
        if self.is_running()? {
            send(self.pid, Signal::SIGKILL);
        }
        let status = self.child.wait()?;
        let last = |name: &str| self.events.iter().rev().find(|event| event["event"] == name);
        let finished = last("finished");
        let stderr = self.stderr.as_ref().map(|path| std::fs::read(path).unwrap_or_default());
        Ok(Ended {
            role: self.role,
            code: status.code(),
            signal: status.signal(),
            stderr: String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned(),
            finished: finished.map(|event| event["manifest"].clone()),
            already: finished.is_some_and(|event| event["already"] == true),
        })
    }
}

/// Reads lines to the end, or until nobody wants them.
fn listen(stdout: ChildStdout, index: usize, lines: &Sender<(usize, String)>, deaf: &AtomicBool) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { break };
        if deaf.load(Ordering::Relaxed) || lines.send((index, line)).is_err() {
            break;
        }
    }
    let _ = lines.send((index, String::new()));
}
