//! `segue worker` as a process of the harness: started, stopped, killed, and never left behind.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its roles.
    pub roles: String,
    /// Its environment, beside `PATH` and the like.
    pub environment: Vec<(String, String)>,
    /// Where its last words go.
    pub log: PathBuf,
}

/// A running `segue worker`; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// What it was started with.
    pub start: Start,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(start: Start) -> Result<Process> {
        let log = std::fs::File::options().create(true).append(true).open(&start.log).context("a log")?;
        let mut command = Command::new(segue_tests::segue());
        command
            .args(["worker", "--backend", "aws://", "--roles", &start.roles])
            .envs(start.environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().context("starting segue worker")?;
        Ok(Process { child, start })
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// A process that is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("{signal} to {}", self.child.id()))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Ends it at once, as a machine that goes away does, and starts another of the same kind.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn replace(&mut self) -> Result<()> {
        let _ = self.child.kill();
        self.child.wait().context("a killed process")?;
        let other = Process::start(self.start.clone())?;
        *self = other;
        Ok(())
    }

    /// Asks it to end and says how long that took.
    ///
    /// # Errors
    /// One that does not end within 40 s.
    pub async fn drain(&mut self) -> Result<(ExitStatus, Duration)> {
        let asked = Instant::now();
        self.signal(Signal::SIGTERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((status, asked.elapsed()));
            }
            if asked.elapsed() > Duration::from_secs(40) {
                bail!("{} does not end", self.start.roles);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it runs still.
    ///
    /// # Errors
    /// The system's.
    pub fn is_alive(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its last words.
    pub fn words(&self) -> String {
        words(&self.start.log)
    }
}

/// The end of a log.
pub fn words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let from = text.lines().count().saturating_sub(40);
    text.lines().skip(from).collect::<Vec<_>>().join("\n")
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::SIGCONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
