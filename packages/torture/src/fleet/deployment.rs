//! Deployments: the services of a fleet, and their inspection from outside.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use rusqlite::Connection;
use serde_json::Value;

use crate::result::files;

/// Queue, ledger and store that several processes share.
pub trait Deployment: Send + Sync {
    /// The value of `--backend`.
    fn url(&self) -> String;

    /// The environment of every process.
    fn environment(&self) -> Vec<(String, String)>;

    /// Copies the files of a job's manifest, and the manifest itself, to a folder.
    ///
    /// # Errors
    /// A store that cannot be read.
    fn fetch(&self, job: &str, to: &Path) -> Result<()>;

    /// Remaining work files, messages and leases; empty once no work is left.
    ///
    /// # Errors
    /// A service that cannot be reached.
    fn left(&self) -> Result<Vec<String>>;

    /// Starts or ends an outage of the services; returns whether that is supported.
    ///
    /// # Errors
    /// A helper program that does not respond.
    fn outage(&self, on: bool) -> Result<bool>;
}

/// A folder with a database, shared by processes of one machine.
pub struct Folder(pub PathBuf);

impl Deployment for Folder {
    fn url(&self) -> String {
        self.0.display().to_string()
    }

    fn environment(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn fetch(&self, job: &str, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        let from = self.0.join("media/jobs").join(job);
        // an index is for the next roles, the files of the manifest are for people
        for name in files(&from).into_iter().filter(|name| !name.starts_with("outputs/")) {
            let path = to.join(&name);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::copy(from.join(&name), path).with_context(|| name.clone())?;
        }
        Ok(())
    }

    fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for folder in ["work", "segments", ".tmp"] {
            left.extend(
                files(&self.0.join("media").join(folder)).iter().map(|name| format!("{folder}/{name}")),
            );
        }
        // the fleet is running, so that the database may be locked
        let db = Connection::open(self.0.join("segue.db"))?;
        db.busy_timeout(std::time::Duration::from_secs(30))?;
        for (what, sql) in [
            ("messages", "SELECT count(*) FROM messages"),
            ("dead letters", "SELECT count(*) FROM dead_letters"),
            ("held leases", "SELECT count(*) FROM leases WHERE holder IS NOT NULL AND name <> 'sweep'"),
        ] {
            let count: i64 = db.query_row(sql, [], |row| row.get(0))?;
            if count > 0 {
                left.push(format!("{count} {what}"));
            }
        }
        let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        ensure!(verdict == "ok", "the state database: {verdict}");
        Ok(left)
    }

    fn outage(&self, _on: bool) -> Result<bool> {
        Ok(false)
    }
}

/// A deployment on an AWS emulator, run by a helper program with a line protocol.
pub struct Emulated {
    environment: Vec<(String, String)>,
    program: Mutex<LineProtocol>,
    _child: KilledOnDrop,
}

struct LineProtocol(ChildStdin, BufReader<ChildStdout>);

/// Killed when dropped.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl LineProtocol {
    fn read_answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.1.read_line(&mut line)? > 0, "the deployment has ended");
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            Some(error) => bail!("the deployment: {error}"),
            None => Ok(answer),
        }
    }

    fn request(&mut self, line: &str) -> Result<Value> {
        writeln!(self.0, "{line}")?;
        self.0.flush()?;
        self.read_answer()
    }
}

impl Emulated {
    /// Starts `program deployment`.
    ///
    /// # Errors
    /// A program or an emulator that does not start.
    pub fn start(program: &Path) -> Result<Emulated> {
        let mut command = Command::new(program);
        command.arg("deployment").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let (stdin, stdout) = (child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?);
        let child = KilledOnDrop(child);
        let mut connection = LineProtocol(stdin, BufReader::new(stdout));
        let answer = connection.read_answer()?;
        let pairs = answer["environment"].as_object().context("no environment")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let environment = pairs.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        Ok(Emulated { environment, program: Mutex::new(connection), _child: child })
    }

    fn request(&self, line: &str) -> Result<Value> {
        crate::locked(&self.program).request(line)
    }
}

impl Deployment for Emulated {
    fn url(&self) -> String {
        "aws://".to_owned()
    }

    fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    fn fetch(&self, job: &str, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        self.request(&format!("fetch {job} {}", to.display())).map(drop)
    }

    fn left(&self) -> Result<Vec<String>> {
        let answer = self.request("left")?;
        let left = answer["left"].as_array().context("no list")?;
        Ok(left.iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect())
    }

    fn outage(&self, on: bool) -> Result<bool> {
        self.request(if on { "down" } else { "up" }).map(|_| true)
    }
}
