//! A backend in a folder of a sandbox, and worker processes on it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::sandbox::{Ended, Sandbox};

/// Name of the folder in the sandbox.
const FOLDER: &str = "jobs";

/// A folder backend in a sandbox of its own.
pub struct FolderBackend {
    /// The sandbox.
    pub sandbox: Sandbox,
    /// Further environment of every command and worker.
    pub environment: Vec<(&'static str, String)>,
}

impl FolderBackend {
    /// An empty backend in a new sandbox, on which every map command is allowed.
    pub fn new() -> FolderBackend {
        let environment = vec![("SEGUE_ALLOW_MAP", "any".to_owned())];
        FolderBackend { sandbox: Sandbox::new(), environment }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.sandbox.segue(args);
        command.args(["--backend", FOLDER]).envs(self.environment.iter().map(|(name, text)| (name, text)));
        command
    }

    /// Runs `segue` with these arguments on the backend.
    pub fn segue(&self, args: &[&str]) -> Ended {
        self.sandbox.end(&mut self.command(args))
    }

    /// Runs a command that must succeed and print one JSON document.
    pub fn json(&self, args: &[&str]) -> Value {
        let ended = self.segue(&[args, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {args:?}: {ended:#?}"))
    }

    /// Runs a worker with all roles until no output of the job is open; the exit code of `segue watch`.
    pub fn work(&self, job: &str) -> Option<i32> {
        self.work_with(job, &[])
    }

    /// The same with more in the worker's environment.
    pub fn work_with(&self, job: &str, more: &[(&str, &str)]) -> Option<i32> {
        let mut worker = self.command(&["worker"]);
        worker.envs(more.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let worker = worker.spawn().expect("the program starts");
        let watched = self.segue(&["watch", job]);
        kill(Pid::from_raw(worker.id() as i32), Signal::SIGTERM).expect("the worker runs");
        let ended = self.sandbox.end_of(worker);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        watched.code
    }

    /// Path of a published file.
    pub fn published(&self, job: &str, name: &str) -> PathBuf {
        self.sandbox.path(FOLDER).join("media/jobs").join(job).join(name)
    }
}

impl Default for FolderBackend {
    fn default() -> FolderBackend {
        FolderBackend::new()
    }
}
