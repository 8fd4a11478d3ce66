//! Leftover processes, found by a mark in their environment.

use std::fs;
use std::time::{Duration, Instant};

/// Name of the variable that carries the mark. A program inherits it, and Segue passes it on to every
/// program that it starts.
pub const MARK: &str = "SEGUE_MARK";

/// How long processes may run after the program that started them has ended.
const EXIT_TIMEOUT: Duration = Duration::from_secs(3);

/// Running processes with this mark, with their command lines.
pub fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // processes of other users and ended processes are not readable
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes()) {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push(format!("{pid}: {line}"));
        }
    }
    found
}

/// Fails if processes with this mark do not end.
pub fn assert_none_left(mark: &str) {
    let started = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < EXIT_TIMEOUT, "processes are left over: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
