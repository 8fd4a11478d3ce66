//! Processes of a job, found by a mark in their environment, which child processes inherit.

use std::fs;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::patience::Patience;

/// Name of the variable that carries the mark. Segue passes it on to every program that it starts.
pub const MARK: &str = "SEGUE_MARK";

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Command line, truncated.
    pub line: String,
}

/// Running processes with this mark.
pub fn marked(mark: &str) -> Vec<Process> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // processes of other users and ended processes are not readable
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line: String = String::from_utf8_lossy(&line).replace('\0', " ").chars().take(200).collect();
            found.push(Process { pid, line });
        }
    }
    found
}

/// How long processes may run after the program that started them has ended.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until no process with this mark is left; kills and returns those that stay.
pub fn none_left(mark: &str) -> Vec<Process> {
    let mut patience = Patience::new(EXIT_TIMEOUT);
    loop {
        let left = marked(mark);
        if left.is_empty() || patience.is_over() {
            for process in &left {
                send(process.pid, Signal::SIGKILL);
            }
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal; returns whether the process exists.
pub fn send(pid: i32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid), signal).is_ok()
}

/// Address space of a process, bytes.
pub fn address_space(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    Some(statm.split_whitespace().next()?.parse::<u64>().ok()? * rustix::param::page_size() as u64)
}

/// The highest file descriptor of a process, plus one.
pub fn file_table(pid: i32) -> Option<u64> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    numbers.max().map(|highest| highest + 1)
}
