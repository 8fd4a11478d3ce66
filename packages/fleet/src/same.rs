//! The same file through the fleet and through one process: the same results, byte by byte, and
//! the same documents but for ids and times.

use std::fmt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use segue_domain::{JobId, JobState, Key};
use segue_ports::MediaStore;
use serde_json::Value;

use crate::fleet::{Fleet, Tuning};
use crate::process::Process;

/// The ways of the table: no map step, a plain copy, a remux.
pub const MAPS: [(&str, Option<&str>); 3] = [
    ("plain", None),
    ("cp", Some("cp {input} {output}")),
    ("remux", Some("ffmpeg -v error -i {input} -map 0 -c copy {output}")),
];

/// How long one file may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// End of the names of certificates.
const CERTIFICATE: &str = ".certificate.json";

/// Most bytes of a document.
const DOCUMENT: u64 = 64 << 20;

/// What came of one file in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Both made the same: so many results.
    Same(usize),
    /// Both refused it for the same reason.
    BothRefuse(String),
    /// They differ in this.
    Differ(String),
}

impl Said {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        !matches!(self, Said::Differ(_))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Same(results) => write!(f, "same, {results} results"),
            Said::BothRefuse(why) => write!(f, "both refuse: {why}"),
            Said::Differ(why) => write!(f, "DIFFER: {why}"),
        }
    }
}

/// A fleet that files are put through.
pub struct Comparison {
    fleet: Fleet,
    segment_duration: String,
    _crew: Process,
}

impl Comparison {
    /// Starts it.
    ///
    /// # Errors
    /// As [`Fleet::new`].
    pub async fn begin(segment_duration: &str) -> Result<Comparison> {
        let tuning = Tuning {
            lease: Duration::from_secs(30),
            visibility: Duration::from_secs(30),
            ..Tuning::default()
        };
        let fleet = Fleet::new(tuning).await?;
        let crew = fleet.start("planner,worker=2,assembler,sweeper")?;
        Ok(Comparison { fleet, segment_duration: segment_duration.to_owned(), _crew: crew })
    }

    fn args(&self, map: Option<&str>) -> Vec<String> {
        let mut args = vec!["--recipe".to_owned(), "rejoin".to_owned()];
        args.extend(["--segment-duration".to_owned(), self.segment_duration.clone()]);
        args.extend(map.iter().flat_map(|map| ["--map".to_owned(), (*map).to_owned()]));
        args
    }

    /// Puts a file through both.
    ///
    /// # Errors
    /// The emulator's, or a program that cannot be started.
    pub async fn of(&self, file: &Path, map: Option<&str>) -> Result<Said> {
        let dir = tempfile::Builder::new().prefix("segue-same-").tempdir()?;
        let out = dir.path().join("out");
        let mut embedded = self.fleet.segue(["run"]);
        embedded.arg(file).args(self.args(map)).args(["--progress", "none", "--out"]).arg(&out);
        let embedded = embedded.output()?;
        let job: JobId = format!("same-{}", uuid::Uuid::new_v4().simple()).parse()?;
        let mut submit = self.fleet.segue(["submit"]);
        submit.arg(file).args(self.args(map)).args(["--job", job.as_str()]);
        let submitted = submit.output()?;
        ensure!(submitted.status.success(), "submit: {}", last_line(&submitted));
        let record = self.fleet.ended(&job, PATIENCE).await?;
        let cause = record.failure().map(|failure| failure.cause.clone()).unwrap_or_default();
        let said = match (embedded.status.success(), record.state() == JobState::Completed) {
            (true, true) => self.compare(&job, &out, dir.path()).await?,
            (false, false) => both_refuse(&last_line(&embedded), &cause),
            (true, false) => Said::Differ(format!("the fleet refuses: {cause:?}")),
            (false, true) => Said::Differ(format!("one process refuses: {}", last_line(&embedded))),
        };
        let removed = self.fleet.segue(["delete", job.as_str()]).output()?;
        ensure!(removed.status.success(), "delete: {}", last_line(&removed));
        Ok(said)
    }

    async fn compare(&self, job: &JobId, out: &Path, dir: &Path) -> Result<Said> {
        let ours = self.document(job, "manifest.json").await?;
        let theirs: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json"))?)?;
        let (one, other) = (without_ids(&ours), without_ids(&theirs));
        if one != other {
            return Ok(Said::Differ(format!("manifests {one} and {other}")));
        }
        let names = file_names(&ours)?;
        for name in &names {
            if name.ends_with(CERTIFICATE) {
                let theirs: Value = serde_json::from_slice(&std::fs::read(out.join(name))?)?;
                if without_ids(&self.document(job, name).await?) != without_ids(&theirs) {
                    return Ok(Said::Differ(name.clone()));
                }
                continue;
            }
            let got = self.fleet.backend.store.get_file(&Key::published(job, name)?, dir).await?;
            let theirs = out.join(name);
            let same = match has_random_ids(name) {
                true => packets(&got)? == packets(&theirs)?,
                false => segue_tests::sha256(&got) == segue_tests::sha256(&theirs),
            };
            std::fs::remove_file(&got)?;
            if !same {
                return Ok(Said::Differ(name.clone()));
            }
        }
        Ok(Said::Same(names.len()))
    }

    async fn document(&self, job: &JobId, name: &str) -> Result<Value> {
        let bytes = self.fleet.backend.store.get_bytes(&Key::published(job, name)?, DOCUMENT).await?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// The names of all files of a manifest.
fn file_names(manifest: &Value) -> Result<Vec<String>> {
    let outputs = manifest["outputs"].as_object().context("a manifest has outputs")?;
    let files = outputs.values().filter_map(|output| output["files"].as_array()).flatten();
    Ok(files.filter_map(|file| file["name"].as_str()).map(str::to_owned).collect())
}

/// Matroska's muxer draws an id for every file that it writes.
fn has_random_ids(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ext| ext == "mkv")
}

/// Every packet of every stream: its times, its size, and a hash of its bytes.
fn packets(file: &Path) -> Result<String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(file);
    let output = ffmpeg.args(["-map", "0", "-c", "copy", "-f", "framehash", "-"]).output()?;
    ensure!(output.status.success(), "ffmpeg: {}", last_line(&output));
    Ok(String::from_utf8(output.stdout)?)
}

/// A document without what names a job, an attempt or a plan, which names its job, and without
/// the hashes of the certificate, which names a plan, and of files with random ids. The result's
/// own bytes or packets are compared by themselves.
fn without_ids(document: &Value) -> Value {
    let mut document = document.clone();
    strip(&mut document);
    document
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let name = map.get("name").and_then(Value::as_str).unwrap_or_default();
            let drawn = name.ends_with(CERTIFICATE) || has_random_ids(name);
            for key in ["job", "epoch", "term", "plan", "index_hash", "work_key", "result_sha256"] {
                map.remove(key);
            }
            if drawn {
                map.remove("sha256");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(all) => all.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Reasons name paths, which differ; the words around them do not.
fn both_refuse(one: &str, other: &str) -> Said {
    let words = |text: &str| -> Vec<String> {
        let text = text.trim_start_matches("segue: ");
        text.split_whitespace().filter(|word| !word.contains('/')).map(str::to_owned).collect()
    };
    if words(one) == words(other) {
        Said::BothRefuse(words(one).join(" "))
    } else {
        Said::Differ(format!("reasons {one:?} and {other:?}"))
    }
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().last().unwrap_or_default().to_owned()
}
