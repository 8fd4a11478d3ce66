//! Sabotage: deliberate violations, which show that the checks detect them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use serde_json::Value;

use crate::fault::{Fault, Planned, Stage};
use crate::job::Job;
use crate::processes::MARK;
use crate::result::sha256;
use crate::script::{Script, Work};
use crate::source::Source;

/// Name of the certificate of the video.
const CERTIFICATE: &str = "video.certificate.json";

/// Kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sabotage {
    /// None: the run must be clean.
    Nothing,
    /// The final file is changed after publishing.
    TamperedFinal,
    /// The final file is another one, and the manifest matches it.
    OtherFinal,
    /// The manifest names another source.
    OtherManifest,
    /// The certificate is missing, also in the manifest.
    MissingCertificate,
    /// The final file is missing.
    MissingFinal,
    /// The manifest is missing.
    MissingManifest,
    /// There is a second manifest.
    SecondManifest,
    /// The certificate does not pass, and the manifest matches it.
    FailedCertificate,
    /// A process is left.
    OrphanProcess,
    /// A temporary file is left.
    TemporaryFile,
    /// The state is left.
    LeftState,
    /// After a kill, a partial file has a public name.
    PartialFile,
    /// After a kill, the state is missing.
    LostState,
    /// After a kill, a completion is missing.
    LostCompletion,
    /// After a kill, a completion has changed.
    OtherCompletion,
    /// After a kill, a completed task has been started again.
    TaskDoneAgain,
    /// After a kill, the job's count is off by one.
    WrongCount,
    /// After a kill, the database is damaged.
    DamagedDatabase,
    /// After a kill, a task has failed a hundred times.
    TooManyAttempts,
    /// After a kill, there are thousands of messages.
    TooManyMessages,
    /// The program ends with a code that is not documented.
    UnknownExit,
    /// The program reports a source error for a good source.
    WrongBlame,
    /// The program reports success and does nothing.
    NothingDone,
}

impl Sabotage {
    /// Whether it damages the state of a killed process.
    fn needs_a_kill(self) -> bool {
        use Sabotage as S;
        matches!(
            self,
            S::Nothing
                | S::PartialFile
                | S::LostState
                | S::LostCompletion
                | S::OtherCompletion
                | S::TaskDoneAgain
                | S::WrongCount
                | S::DamagedDatabase
                | S::TooManyAttempts
                | S::TooManyMessages
        )
    }

    /// A job that is killed once during its map tasks, where that is needed.
    pub(crate) fn script(self) -> Script {
        let kill = Planned { fault: Fault::Kill, stage: Stage::Mapping, part: 500 };
        Script {
            source: Source::Closed,
            work: if self.needs_a_kill() { Work::MapSlow } else { Work::Rejoin },
            workers: 2,
            own_state: false,
            small_disk: false,
            lives: if self.needs_a_kill() { vec![vec![kill]] } else { Vec::new() },
            rng: fastrand::Rng::with_seed(0),
        }
    }

    /// The program, or a misbehaving wrapper.
    ///
    /// # Errors
    /// A script that cannot be written.
    pub(crate) fn program(self, segue: &Path, work: &Path) -> std::io::Result<PathBuf> {
        let code = match self {
            Sabotage::UnknownExit => 77,
            Sabotage::WrongBlame => 3,
            Sabotage::NothingDone => 0,
            _ => return Ok(segue.to_owned()),
        };
        let path = work.join("worse");
        // the first two runs, the undisturbed one and its repetition, are not changed
        let runs = work.join("worse-runs");
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = run ]; then\n    echo >>{runs}\n    \
             [ $(wc -l <{runs}) -gt 2 ] && exit {code}\nfi\nexec {segue} \"$@\"\n",
            runs = runs.display(),
            segue = segue.display()
        );
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Damages the state after the first life.
    pub(crate) fn after_a_life(self, job: &Job<'_>) {
        let out = &job.place().out;
        let sql = match self {
            Sabotage::PartialFile => return write(&out.join("final.mp4"), b"half"),
            Sabotage::LostState => return drop(fs::remove_dir_all(out.join(".segue"))),
            Sabotage::DamagedDatabase => return damage(&out.join(".segue/segue.db")),
            Sabotage::LostCompletion => "DELETE FROM completions; UPDATE counters SET completed = 0",
            Sabotage::OtherCompletion => "UPDATE completions SET document = document || ' '",
            Sabotage::TaskDoneAgain => "UPDATE leases SET term = term + 1",
            Sabotage::WrongCount => "UPDATE counters SET completed = completed + 1",
            Sabotage::TooManyAttempts => {
                "INSERT OR REPLACE INTO failures SELECT job, epoch, output, 'map-00000', 100 FROM counters"
            }
            Sabotage::TooManyMessages => {
                "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5000) \
                 INSERT INTO messages (queue, body, visible_at_ms) SELECT 'task-cpu', '', 0 FROM n"
            }
            _ => return,
        };
        let database = rusqlite::Connection::open(out.join(".segue/segue.db"));
        database.and_then(|db| db.execute_batch(sql)).expect("the state can be changed");
    }

    /// Damages the finished job: its results, its temporary files, or the processes with its mark.
    pub(crate) fn at_the_end(self, out: &Path, tmp: &Path, mark: &str) {
        match self {
            Sabotage::TamperedFinal => flip(&out.join("final.mp4")),
            Sabotage::OtherFinal => {
                flip(&out.join("final.mp4"));
                rewrite_manifest(out, "final.mp4");
            }
            Sabotage::OtherManifest => edit_manifest(out, |manifest| manifest["source_bytes"] = 1.into()),
            Sabotage::MissingCertificate => {
                fs::remove_file(out.join(CERTIFICATE)).expect("there is a certificate");
                edit_manifest(out, |manifest| {
                    for files in files_of(manifest) {
                        files.retain(|file| file["kind"] != "certificate");
                    }
                });
            }
            Sabotage::MissingFinal => drop(fs::remove_file(out.join("final.mp4"))),
            Sabotage::MissingManifest => drop(fs::remove_file(out.join("manifest.json"))),
            Sabotage::SecondManifest => write(&out.join("manifest-2.json"), b"{}"),
            Sabotage::FailedCertificate => {
                let path = out.join(CERTIFICATE);
                let text = fs::read_to_string(&path).expect("there is a certificate");
                write(&path, text.replacen("\"passed\": true", "\"passed\": false", 1).as_bytes());
                rewrite_manifest(out, CERTIFICATE);
            }
            Sabotage::OrphanProcess => {
                let mut sleep = Command::new("sleep");
                let sleep = sleep.arg("60").env(MARK, mark).stdin(Stdio::null());
                drop(sleep.spawn().expect("a process starts"));
            }
            Sabotage::TemporaryFile => write(&tmp.join("left"), b"left"),
            Sabotage::LeftState => drop(fs::create_dir(out.join(".segue"))),
            _ => {}
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a file can be written");
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("the file is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    write(path, &bytes);
}

fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("the database is there");
    // the write-ahead log would repair it
    let _ = fs::remove_file(path.with_extension("db-wal"));
    bytes.truncate(bytes.len().max(4096));
    bytes[100..200].fill(0xff);
    write(path, &bytes);
}

/// Updates the manifest for a changed file.
fn rewrite_manifest(out: &Path, name: &str) {
    let (bytes, hash) = sha256(&out.join(name)).expect("the file is there");
    edit_manifest(out, |manifest| {
        for file in files_of(manifest).flatten().filter(|file| file["name"] == name) {
            file["bytes"] = bytes.into();
            file["sha256"] = hash.clone().into();
        }
    });
}

/// The files of each output of a manifest.
fn files_of(manifest: &mut Value) -> impl Iterator<Item = &mut Vec<Value>> {
    let outputs = manifest["outputs"].as_object_mut().expect("outputs");
    outputs.values_mut().map(|output| output["files"].as_array_mut().expect("files"))
}

fn edit_manifest(out: &Path, edit: impl FnOnce(&mut Value)) {
    let path = out.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).expect("a manifest")).expect("JSON");
    edit(&mut manifest);
    write(&path, &serde_json::to_vec_pretty(&manifest).expect("JSON"));
}
