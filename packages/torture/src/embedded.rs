//! The embedded backend: `segue run`, and a database in the job's state folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, Row};
use serde_json::Value;

use crate::backend::Backend;
use crate::finding::{Broken, Finding};
use crate::place::Place;
use crate::script::{Script, Work};
use crate::snapshot::Snapshot;

/// Each process runs a whole job; the database is a file.
pub struct Embedded {
    segue: PathBuf,
    /// A map command that starts further programs.
    script: PathBuf,
}

impl Embedded {
    /// A backend with this program; `work` is a folder for map commands.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn new(segue: &Path, work: &Path) -> std::io::Result<Embedded> {
        let script = work.join("map.sh");
        fs::write(&script, "sleep 0.2\nsh -c 'sleep 0.1; cp \"$0\" \"$1\"' \"$1\" \"$2\"\n")?;
        Ok(Embedded { segue: segue.to_owned(), script })
    }

    /// The script of map commands, which a sandboxed worker must be allowed to read.
    pub fn map_script(&self) -> &Path {
        &self.script
    }

    /// The arguments of a kind of work: recipe, map command, segment length.
    pub fn recipe(&self, work: Work) -> Vec<String> {
        let recipe = match work {
            Work::Rejoin | Work::MapCopy | Work::MapSlow | Work::MapScript => "rejoin",
            Work::Encode => "mp4",
            Work::Transcript => "transcript",
            Work::Standard => "standard",
        };
        let segment = if work.needs_model() { "2500ms" } else { "1s" };
        let mut args: Vec<String> =
            ["--recipe", recipe, "--segment-duration", segment].map(str::to_owned).to_vec();
        let map = match work {
            Work::MapCopy => Some("cp {input} {output}".to_owned()),
            Work::MapSlow => {
                Some("ffmpeg -nostdin -v error -readrate 6 -i {input} -c copy {output}".to_owned())
            }
            Work::MapScript => Some(format!("sh {} {{input}} {{output}}", self.script.display())),
            Work::Rejoin | Work::Encode | Work::Transcript | Work::Standard => None,
        };
        args.extend(map.into_iter().flat_map(|map| ["--map".to_owned(), map]));
        args
    }
}

impl Backend for Embedded {
    fn command(&self, script: &Script, source: &Path, place: &Place) -> Command {
        let mut command = Command::new(&self.segue);
        command.arg("run").arg(source).arg("--out").arg(&place.out);
        let workers = script.workers.to_string();
        // one thread each: x264 with more threads does not always produce the same bytes
        command.args(["--progress", "json", "--threads", &workers, "--workers", &workers]);
        command.args(self.recipe(script.work));
        if let Some(state) = &place.state {
            command.arg("--state").arg(state);
        }
        command
    }

    fn snapshot(&self, place: &Place) -> Result<Option<Snapshot>, Finding> {
        let Some(folder) = state_folder(place) else { return Ok(None) };
        let database = folder.join("segue.db");
        if fs::metadata(&database).map_or(0, |found| found.len()) == 0 {
            return Ok(None);
        }
        let bad = |what: String| Finding::new(Broken::BadState, what);
        // a copy: opening the database itself would run its recovery before the next life does
        let copy = tempfile::tempdir().map_err(|e| bad(format!("copying the state: {e}")))?;
        for name in ["segue.db", "segue.db-wal"] {
            let from = folder.join(name);
            if from.exists() {
                fs::copy(&from, copy.path().join(name))
                    .map_err(|e| bad(format!("{}: {e}", from.display())))?;
            }
        }
        read(&copy.path().join("segue.db")).map_err(|error| bad(format!("the state database: {error}")))?
    }

    fn leftovers(&self, place: &Place) -> Vec<Finding> {
        let mut left = Vec::new();
        if place.out.join(".segue").exists() {
            left.push(place.out.join(".segue"));
        }
        if let Some(state) = &place.state {
            left.extend(fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        let orphan = |path: PathBuf| {
            Finding::new(Broken::Orphan, format!("state of a completed job: {}", path.display()))
        };
        left.into_iter().map(orphan).collect()
    }
}

/// The folder of the database, from the job's marker file.
fn state_folder(place: &Place) -> Option<PathBuf> {
    let marker = fs::read(place.out.join(".segue/job.json")).ok()?;
    let marker: Value = serde_json::from_slice(&marker).ok()?;
    Some(marker["state"].as_str()?.into())
}

type Read<T> = rusqlite::Result<T>;

/// Checks the database and reads the one job in it.
fn read(path: &Path) -> Read<Result<Option<Snapshot>, Finding>> {
    let db = Connection::open(path)?;
    for pragma in ["integrity_check", "foreign_key_check"] {
        let output: Vec<String> = rows(&db, &format!("PRAGMA {pragma}"), |row| row.get::<_, String>(0))?;
        if output.iter().any(|line| line != "ok") {
            let what = format!("{pragma} returned {}", output.join("; "));
            return Ok(Err(Finding::new(Broken::BadState, what)));
        }
    }
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Ok(None));
    }
    let mut jobs = rows(&db, "SELECT id, epoch, state FROM jobs", |row| {
        let (job, epoch, state) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Snapshot { job, epoch, state, ..Snapshot::default() })
    })?;
    if jobs.len() > 1 {
        let what = format!("{} jobs in the state of one", jobs.len());
        return Ok(Err(Finding::new(Broken::Doubled, what)));
    }
    let Some(mut job) = jobs.pop() else { return Ok(Ok(None)) };
    job.counted = pairs(&db, "SELECT output, completed FROM counters")?.into_iter().collect();
    let completions = "SELECT output || '/' || task, document FROM completions";
    job.completions = pairs(&db, completions)?.into_iter().collect();
    job.terms = pairs(&db, "SELECT name, term FROM leases")?.into_iter().collect();
    job.failures = pairs(&db, "SELECT output || '/' || task, count FROM failures")?.into_iter().collect();
    job.messages = db.query_row("SELECT count(*) FROM messages", [], |row| row.get(0))?;
    job.dead_letters = db.query_row("SELECT count(*) FROM dead_letters", [], |row| row.get(0))?;
    Ok(Ok(Some(job)))
}

fn pairs<T: rusqlite::types::FromSql>(db: &Connection, sql: &str) -> Read<Vec<(String, T)>> {
    rows(db, sql, |row| Ok((row.get(0)?, row.get(1)?)))
}

fn rows<T>(db: &Connection, sql: &str, map: impl FnMut(&Row<'_>) -> Read<T>) -> Read<Vec<T>> {
    db.prepare(sql)?.query_map([], map)?.collect()
}
