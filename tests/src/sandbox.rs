//! Sandbox of one test: folders, a mark for processes, and the check that nothing is left behind.

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

/// Prefixes of the names of published files.
const PUBLIC: [&str; 4] = ["final.", "transcript.", "thumbnail.", "manifest."];
/// End of the names of certificates.
const CERTIFICATE: &str = ".certificate.json";
/// Timeout of a single command.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Folders and a mark.
pub struct Sandbox {
    dir: tempfile::TempDir,
    /// Mark of the processes of this test.
    pub mark: String,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
    /// Wall time.
    pub took: Duration,
}

impl Sandbox {
    /// An empty sandbox.
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

    /// A path in the sandbox.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The output folder, not created.
    pub fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// Temporary folder of the programs of this test.
    pub fn tmp(&self) -> PathBuf {
        self.path("tmp")
    }

    /// Writes a file.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Writes an executable shell script.
    pub fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the mode can be set");
        path
    }

    /// A command in the sandbox: marked, with its own temporary folder, and without settings from the
    /// environment.
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

    /// `segue run SOURCE --out OUT --progress none`, with further arguments.
    pub fn run(&self, source: &Path, args: &[&str]) -> Command {
        let mut command = self.segue(["run"]);
        command.arg(source).arg("--out").arg(self.out()).args(["--progress", "none"]).args(args);
        command
    }

    /// Runs a command; returns its exit status and output.
    pub fn end(&self, command: &mut Command) -> Ended {
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        self.end_of(child)
    }

    /// Waits for a child whose output is piped.
    pub fn end_of(&self, child: Child) -> Ended {
        let started = Instant::now();
        let (send, receive) = std::sync::mpsc::channel();
        let pid = child.id();
        std::thread::spawn(move || send.send(child.wait_with_output()));
        let output: Output = receive
            .recv_timeout(TIMEOUT)
            .unwrap_or_else(|_| {
                let left = processes::marked(&self.mark);
                let _ =
                    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::SIGKILL);
                panic!("timeout; processes: {left:#?}")
            })
            .expect("its output can be read");
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        }
    }

    /// Runs a job that must succeed and leave nothing behind.
    pub fn done(&self, source: &Path, args: &[&str]) -> Ended {
        let ended = self.end(&mut self.run(source, args));
        assert_eq!(ended.code, Some(0), "{}: {args:?}: {ended:#?}", source.display());
        self.assert_published();
        ended
    }

    /// Fails unless the output folder contains exactly the files of the manifest, with their sizes and
    /// hashes, and a certificate for each output.
    pub fn assert_published(&self) {
        let manifest = self.document("manifest.json");
        let mut named = vec!["manifest.json".to_owned()];
        for (output, made) in manifest["outputs"].as_object().expect("a manifest has outputs") {
            let files = made["files"].as_array().expect("an output has files");
            named.extend(files.iter().map(|file| self.assert_file(file)));
            // nothing to make it from, which is said
            if files.is_empty() && made["reason"].is_string() {
                continue;
            }
            let certificate = format!("{output}{CERTIFICATE}");
            assert!(named.contains(&certificate), "output {output} has no certificate: {named:?}");
        }
        named.sort();
        assert_eq!(tree(&self.out()), named, "the output folder differs from the manifest");
        self.assert_nothing_left();
    }

    /// Fails unless a file is as the manifest says; returns its name.
    fn assert_file(&self, file: &Value) -> String {
        let name = file["name"].as_str().expect("a file has a name");
        let (bytes, hash) = sha256(&self.out().join(name));
        assert_eq!(file["bytes"].as_u64(), Some(bytes), "{name}");
        assert_eq!(file["sha256"].as_str(), Some(hash.as_str()), "{name}");
        let made = file["made"].as_str().unwrap_or_default();
        assert!(!made.is_empty(), "{name} has no description of how it was made");
        name.to_owned()
    }

    /// A JSON document in the output folder.
    pub fn document(&self, name: &str) -> Value {
        let path = self.out().join(name);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name} is not JSON: {error}"))
    }

    /// An output in the manifest.
    pub fn output(&self, output: &str) -> Value {
        let found = self.document("manifest.json")["outputs"][output].take();
        assert!(found.is_object(), "the manifest has no output {output}");
        found
    }

    /// The certificate of an output.
    pub fn certificate(&self, output: &str) -> Value {
        self.document(&format!("{output}{CERTIFICATE}"))
    }

    /// The notes of an output in the manifest, as JSON.
    pub fn notes(&self, output: &str) -> String {
        self.output(output)["notes"].to_string()
    }

    /// The joined media file.
    pub fn joined(&self) -> PathBuf {
        let found = names(&self.out()).into_iter().find(|name| name.starts_with("final."));
        self.out().join(found.expect("there is a joined file"))
    }

    /// Fails unless the program ended with this exit code and a one-line error with all these words,
    /// and left nothing behind.
    pub fn assert_refused(&self, ended: &Ended, code: i32, words: &[&str]) {
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        ended.assert_one_line(words);
        self.assert_nothing_published();
        self.assert_nothing_left();
    }

    /// Fails if any result has a public name, or if the output folder contains more of a failed job
    /// than its record.
    pub fn assert_nothing_published(&self) {
        let found = names(&self.out());
        let public = |name: &&String| {
            PUBLIC.iter().any(|start| name.starts_with(start)) || name.ends_with(CERTIFICATE)
        };
        assert!(!found.iter().any(|name| public(&name)), "results of a failed job: {found:?}");
        let others: Vec<_> = found.iter().filter(|name| *name != ".segue").collect();
        assert!(others.is_empty(), "left in the output folder: {others:?}");
        let state = names(&self.out().join(".segue"));
        let extra: Vec<_> = state.iter().filter(|name| *name != "job.json" && *name != "lock").collect();
        assert!(extra.is_empty(), "left of a failed job: {extra:?}");
        if let Ok(record) = fs::read(self.out().join(".segue/job.json")) {
            let record: Value = serde_json::from_slice(&record).expect("job.json is JSON");
            for output in record["record"]["outputs"].as_array().expect("a job has outputs") {
                let tail = output["failure"]["stderr_tail"].as_array().map_or(0, Vec::len);
                assert!(tail <= 10, "{tail} lines of stderr in the record");
            }
        }
    }

    /// Fails if processes or temporary files of this test are left.
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
    /// Fails unless stderr is exactly one line with all these words, ignoring case.
    pub fn assert_one_line(&self, words: &[&str]) {
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "not one line on stderr: {self:#?}");
        assert!(!self.stderr.trim_end().contains(|c: char| c.is_control()), "control characters: {self:#?}");
        let line = lines[0].to_lowercase();
        for word in words {
            assert!(line.contains(&word.to_lowercase()), "{word:?} is missing: {self:#?}");
        }
    }
}

/// Names in a folder, sorted; empty if it does not exist.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Relative paths of the files in a folder and its subfolders, sorted; an empty subfolder has a `/` at
/// the end.
fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            let below = tree(&path);
            found.extend(below.iter().map(|file| format!("{name}/{file}")));
            found.extend(below.is_empty().then(|| format!("{name}/")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// The first failure in a job document.
pub fn failure_of(job: &Value) -> &Value {
    let outputs = job["outputs"].as_array().expect("a job has outputs");
    let failed = outputs.iter().find(|output| !output["failure"].is_null());
    &failed.unwrap_or_else(|| panic!("no output failed: {job:#}"))["failure"]
}

/// Size and hash of a file.
pub fn sha256(path: &Path) -> (u64, String) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let hash = Sha256::digest(&bytes);
    (bytes.len() as u64, hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Waits until `holds` returns true; fails after a minute.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(60), "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
