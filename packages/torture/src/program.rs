//! One running program: its events and its end.

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

/// Purpose of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the job.
    Main,
    /// Runs the same job at the same time.
    Twin,
    /// Runs another job in the same folder.
    Intruder,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its purpose.
    pub role: Role,
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Its stderr.
    pub stderr: String,
    /// The manifest that it reported.
    pub finished: Option<Value>,
    /// Whether it reported that the job was already complete.
    pub already: bool,
}

impl Ended {
    /// Whether it ended because another process uses its folder.
    pub fn was_turned_away(&self) -> bool {
        self.code == Some(2) && self.stderr.contains("another segue process works")
    }

    /// Exit status and stderr, in one line.
    pub fn describe(&self) -> String {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no end".to_owned(),
        };
        let stderr = self.stderr.trim().replace('\n', " / ");
        if stderr.is_empty() { how } else { format!("{how}: {stderr}") }
    }
}

/// A running program.
pub struct Program {
    /// Process id.
    pub pid: i32,
    role: Role,
    child: Child,
    stderr: Option<PathBuf>,
    output_closed: Arc<AtomicBool>,
    status: Option<ExitStatus>,
    events: Vec<Value>,
}

impl Program {
    /// Starts it. Sends every line of its stdout as `(index, line)`, and an empty line at the end.
    /// Without a file for `stderr`, stderr is discarded.
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
        let output_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&output_closed);
        std::thread::spawn(move || read_lines(stdout, index, &lines, &closed));
        let pid = i32::try_from(child.id())?;
        Ok(Program { pid, role, child, stderr, output_closed, status: None, events: Vec::new() })
    }

    /// Its purpose.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Records a line of its stdout; returns the event in it.
    pub fn record_event(&mut self, line: &str) -> Option<Value> {
        let event: Value = serde_json::from_str(line).ok()?;
        self.events.push(event.clone());
        Some(event)
    }

    /// Stops reading its stdout.
    pub fn close_output(&self) {
        self.output_closed.store(true, Ordering::Relaxed);
    }

    /// Whether it is running.
    ///
    /// # Errors
    /// A process that cannot be waited for.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status.is_none())
    }

    /// Kills it if it is still running, and returns its end.
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

/// Sends lines until the end of stdout, or until it is closed.
fn read_lines(stdout: ChildStdout, index: usize, lines: &Sender<(usize, String)>, closed: &AtomicBool) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { break };
        if closed.load(Ordering::Relaxed) || lines.send((index, line)).is_err() {
            break;
        }
    }
    let _ = lines.send((index, String::new()));
}
