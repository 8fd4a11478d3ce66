//! A place of its own for one test: folders, a mark for processes, and the check that
//! nothing is left.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::processes::{self, MARK};
use crate::program::segue;
use crate::surroundings::open_to_all;

/// Names under which results are published, and the beginnings of those of a kind.
const PUBLIC: [&str; 5] = ["final.", "transcript.", "thumbnail.", "certificate.", "manifest."];
/// Longest that any single command of a test may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Folders and a mark.
pub struct Sandbox {
    dir: tempfile::TempDir,
    /// What the processes of this test are known by.
    pub mark: String,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Sandbox {
    /// An empty place.
    pub fn new() -> Sandbox {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let dir = tempfile::Builder::new().prefix("segue-test-").tempdir().expect("a temporary folder");
        open_to_all(dir.path());
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let sandbox = Sandbox { dir, mark };
        fs::create_dir(sandbox.tmp()).expect("a folder for temporary files");
        open_to_all(&sandbox.tmp());
        sandbox
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The output folder, which is not made.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Where programs of this test put their temporary files.
    pub fn tmp(&self) -> PathBuf {
        self.path("tmp")
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Writes a shell script that can be run.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        path
    }

    /// A command in this place: marked, with its own folder for temporary files, and
    /// without settings from outside.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("SEGUE_") && name != "SEGUE_MODEL_DIR" || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.env(MARK, &self.mark).env("TMPDIR", self.tmp()).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.current_dir(self.dir.path());
        command
    }

    /// `segue` with these arguments.
    pub fn segue<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(segue());
        command.args(args);
        command
    }

    /// `segue run SOURCE --out OUT --progress none`, and more.
    pub fn run(&self, source: &Path, args: &[&str]) -> Command {
        let mut command = self.segue(["run"]);
        command.arg(source).arg("--out").arg(self.out()).args(["--progress", "none"]).args(args);
        command
    }

    /// Runs to the end, whatever the end is.
    pub fn end(&self, command: &mut Command) -> Ended {
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        self.end_of(child)
    }

    /// Waits for the end of a child whose output is piped.
    pub fn end_of(&self, child: Child) -> Ended {
        let begun = Instant::now();
        let (send, receive) = std::sync::mpsc::channel();
        let pid = child.id();
        std::thread::spawn(move || send.send(child.wait_with_output()));
        let output: Output = receive
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| {
                let left = processes::marked(&self.mark);
                let _ =
                    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGKILL);
                panic!("it does not end: {left:#?}")
            })
            .expect("its output can be read");
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: begun.elapsed(),
        }
    }

    /// Runs a job that must succeed and leave nothing behind.
    pub fn done(&self, source: &Path, args: &[&str]) -> Ended {
        let ended = self.end(&mut self.run(source, args));
        assert_eq!(ended.code, Some(0), "{}: {args:?}: {ended:#?}", source.display());
        self.assert_published();
        ended
    }

    /// What must hold after a job that was published: everything named in the manifest is
    /// there as it says, and nothing else.
    pub fn assert_published(&self) {
        let manifest = self.document("manifest.json");
        let mut named = vec!["manifest.json".to_owned()];
        for output in manifest["outputs"].as_array().expect("a manifest has outputs") {
            let name = output["name"].as_str().expect("an output has a name");
            let (bytes, hash) = sha256(&self.out().join(name));
            assert_eq!(output["bytes"].as_u64(), Some(bytes), "{name}");
            assert_eq!(output["sha256"].as_str(), Some(hash.as_str()), "{name}");
            assert!(
                !output["made"].as_str().unwrap_or_default().is_empty(),
                "{name} does not say how it was made"
            );
            named.push(name.to_owned());
        }
        named.sort();
        assert_eq!(
            names(&self.out()),
            named,
            "the output folder holds something else than the manifest names"
        );
        assert!(named.iter().any(|name| name == "certificate.json"), "there is no certificate: {named:?}");
        self.assert_nothing_left();
    }

    /// A JSON document in the output folder.
    pub fn document(&self, name: &str) -> Value {
        let path = self.out().join(name);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name} is not JSON: {error}"))
    }

    /// The joined media file.
    pub fn joined(&self) -> PathBuf {
        let found = names(&self.out()).into_iter().find(|name| name.starts_with("final."));
        self.out().join(found.expect("there is a joined file"))
    }

    /// Fails unless the program refused with this exit code and one clear line that has
    /// all these words, and left nothing behind.
    pub fn assert_refused(&self, ended: &Ended, code: i32, words: &[&str]) {
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        ended.assert_one_line(words);
        self.assert_nothing_published();
        self.assert_nothing_left();
    }

    /// Fails when a result, whole or in part, has a public name, or when the output folder
    /// holds more of a failed job than its record.
    pub fn assert_nothing_published(&self) {
        let found = names(&self.out());
        let public = |name: &&String| PUBLIC.iter().any(|start| name.starts_with(start));
        assert!(!found.iter().any(|name| public(&name)), "results of a failed job: {found:?}");
        let others: Vec<_> = found.iter().filter(|name| *name != ".segue").collect();
        assert!(others.is_empty(), "left in the output folder: {others:?}");
        let state = names(&self.out().join(".segue"));
        let extra: Vec<_> = state.iter().filter(|name| *name != "job.json" && *name != "lock").collect();
        assert!(extra.is_empty(), "left of a failed job: {extra:?}");
        if let Ok(record) = fs::read(self.out().join(".segue/job.json")) {
            let record: Value = serde_json::from_slice(&record).expect("job.json is JSON");
            let tail = record["record"]["failure"]["stderr_tail"].as_array().map_or(0, Vec::len);
            assert!(tail <= 10, "{tail} lines of stderr in the record");
        }
    }

    /// Fails when processes or temporary files of this test are left.
    pub fn assert_nothing_left(&self) {
        processes::assert_none_left(&self.mark);
        let left = names(&self.tmp());
        assert!(left.is_empty(), "temporary files are left: {left:?}");
    }
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox::new()
    }
}

impl Ended {
    /// Fails unless stderr is exactly one line that has all these words, in any case.
    pub fn assert_one_line(&self, words: &[&str]) {
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "not one line on stderr: {self:#?}");
        assert!(!self.stderr.trim_end().contains(|c: char| c.is_control()), "control characters: {self:#?}");
        let said = lines[0].to_lowercase();
        for word in words {
            assert!(said.contains(&word.to_lowercase()), "{word:?} is not said: {self:#?}");
        }
    }
}

/// Names in a folder, sorted; none when it is not there.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Size and hash of a file.
pub fn sha256(path: &Path) -> (u64, String) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let hash = Sha256::digest(&bytes);
    (bytes.len() as u64, hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Waits until something holds; fails when it takes too long.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
