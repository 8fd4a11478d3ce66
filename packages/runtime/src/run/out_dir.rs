//! The output folder: which job owns it, and which files it may contain.
//!
//! A job owns its folder by `.segue/job.json`, and works in it under a lock on
//! `.segue/lock`, which the operating system releases when a process dies. When the job is
//! published, `.segue` is removed and `manifest.json` names the owner.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use segue_domain::{Failure, JobId, JobRecord, Manifest, Recipe};
use serde::{Deserialize, Serialize};

use super::lock::{self, take_lock};
use super::published::{MANIFEST, Published, published};
use crate::failure;

/// Name of the folder for unpublished work.
pub const STATE: &str = ".segue";

const MARKER: &str = "job.json";
const MARKER_VERSION: u32 = 1;

/// Names of files that Segue writes to the top of an output folder, whatever the recipe.
const PUBLIC: [&str; 23] = [
    "final.mp4",
    "final.mov",
    "final.mkv",
    "transcript.json",
    "transcript.srt",
    "transcript.vtt",
    "transcript.txt",
    "thumbnail.jpg",
    "audio.m4a",
    "audio.mp3",
    "audio.opus",
    "audio.flac",
    "audio-16k.wav",
    "audio-16k.flac",
    "poster.jpg",
    "poster.webp",
    "poster.json",
    "storyboard.vtt",
    "preview.webp",
    "preview.mp4",
    "progressive.mp4",
    "image.json",
    MANIFEST,
];

/// Marker of a folder's owner while the job is not published; after a failure with the whole record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Document version.
    pub version: u32,
    /// The job.
    pub job: JobId,
    /// Its source.
    pub source: PathBuf,
    /// Name of its recipe.
    pub recipe: String,
    /// Folder of its state.
    pub state: PathBuf,
    /// Folders that were created for it, the innermost first.
    pub made: Vec<PathBuf>,
    /// The failure, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<JobRecord>,
}

impl Marker {
    /// The marker of a job that starts.
    pub fn new(job: &JobId, source: &Path, recipe: &str, state: &Path) -> Marker {
        Marker {
            version: MARKER_VERSION,
            job: job.clone(),
            source: source.to_owned(),
            recipe: recipe.to_owned(),
            state: state.to_owned(),
            made: Vec::new(),
            record: None,
        }
    }
}

/// An output folder that this process has locked.
#[derive(Debug)]
pub struct OutDir {
    dir: PathBuf,
    /// Certificates and folders of the recipe's outputs.
    of_outputs: Vec<String>,
    made: Vec<PathBuf>,
    _lock: File,
}

/// What a locked folder contains.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// No job, or the record of a failed one.
    Nothing,
    /// This job, unfinished.
    Unfinished,
    /// This job, published, every file as the manifest lists it.
    Published(Manifest),
}

impl OutDir {
    /// Creates the folder for the results of `recipe` if it is missing, and takes its lock.
    ///
    /// # Errors
    /// A path that is not a folder, no permission, or another process that holds the lock.
    pub fn open(path: &Path, recipe: &Recipe) -> Result<OutDir, Failure> {
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
                failure::usage(format!("output folder {}: there is a file of that name", path.display()))
            }
            _ => failure::io(format!("output folder {}", path.display()), &error),
        };
        let mut made: Vec<PathBuf> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
            .map(Path::to_owned)
            .collect();
        std::fs::create_dir_all(path).map_err(failed)?;
        let dir = path.canonicalize().map_err(failed)?;
        for folder in &mut made {
            *folder = folder.canonicalize().map_err(failed)?;
        }
        match take_lock(&dir.join(STATE), &dir) {
            Ok(lock) => Ok(OutDir { dir, of_outputs: of_outputs(recipe), made, _lock: lock }),
            Err(failure) => {
                remove_empty(&made);
                Err(failure)
            }
        }
    }

    /// The canonical path of the folder.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The folder of unpublished work.
    pub fn state(&self) -> PathBuf {
        self.dir.join(STATE)
    }

    /// Determines whether the folder is free for the job `job`.
    ///
    /// # Errors
    /// A usage failure when it holds another job, or files that no job owns.
    pub fn find(&mut self, job: &JobId) -> Result<Found, Failure> {
        let dir = self.dir.clone();
        if let Some(marker) = self.marker()? {
            // the document may be of another origin: only this folder and its parents may be removed
            self.made = marker.made.iter().filter(|made| dir.starts_with(made)).cloned().collect();
            let failed = marker.record.is_some();
            if marker.job == *job && !failed {
                return match published(&dir, job)? {
                    Published::Whole(manifest) => Ok(Found::Published(manifest)),
                    // delivered files may be damaged by a power cut
                    Published::None | Published::Part | Published::Changed(_) => Ok(Found::Unfinished),
                };
            }
            if !failed {
                return Err(failure::usage(format!(
                    "output folder {} holds an unfinished job (recipe {} from {}, or a source that changed since); \
                     repeat its command to finish it, choose another --out, or discard it: remove {}/{STATE} and any results",
                    dir.display(),
                    marker.recipe,
                    marker.source.display(),
                    dir.display()
                )));
            }
        }
        match published(&dir, job)? {
            Published::Whole(manifest) => Ok(Found::Published(manifest)),
            Published::Part => Ok(Found::Nothing),
            Published::Changed(name) => Err(failure::usage(format!(
                "output folder {} holds the results of this job, but {name} is not what was written: \
                 changed afterwards, or lost in a power cut; remove it to produce it again, or choose another --out",
                dir.display()
            ))),
            Published::None => match self.foreign()? {
                Some(name) => Err(failure::usage(format!(
                    "output folder {} has a {name} that Segue did not write; \
                     move it away or choose another --out",
                    dir.display()
                ))),
                None => Ok(Found::Nothing),
            },
        }
    }

    /// The first file or folder that has a name of the job's results.
    fn foreign(&self) -> Result<Option<String>, Failure> {
        let fixed = PUBLIC.iter().copied().chain(self.of_outputs.iter().map(String::as_str));
        if let Some(name) = fixed.into_iter().find(|name| self.dir.join(name).symlink_metadata().is_ok()) {
            return Ok(Some(name.to_owned()));
        }
        let failed = |error: std::io::Error| failure::io(self.dir.display(), &error);
        for entry in std::fs::read_dir(&self.dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
            let of =
                |prefix: &str, ext: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.ends_with(ext));
            if of("storyboard-", ".jpg") || of("image-", ".webp") {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Whether the folder has work of this job: it is unfinished, or outputs of it failed.
    pub fn is_claimed(&self, job: &JobId) -> bool {
        self.marker().ok().flatten().is_some_and(|marker| marker.job == *job && marker.record.is_none())
    }

    fn marker(&self) -> Result<Option<Marker>, Failure> {
        let path = self.state().join(MARKER);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failure::io(path.display(), &error)),
        };
        let marker = serde_json::from_slice::<Marker>(&bytes).ok().filter(|m| m.version == MARKER_VERSION);
        marker.map(Some).ok_or_else(|| {
            failure::usage(format!(
                "{} was not written by this version of segue; remove the folder {} to discard that job",
                path.display(),
                self.state().display()
            ))
        })
    }

    /// Removes the work of an earlier job, except the lock, and writes this job's marker.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn claim(&self, marker: Marker) -> Result<(), Failure> {
        self.clear()?;
        self.write_marker(&Marker { made: self.made.clone(), ..marker })
    }

    /// Removes results that were delivered already. Only for a folder that this job owns by its
    /// marker.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn withdraw(&self) -> Result<(), Failure> {
        let manifest = std::fs::read(self.dir.join(MANIFEST)).ok();
        let manifest = manifest.and_then(|bytes| Manifest::decode(&bytes).ok());
        let is_inside = |name: &&str| {
            Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
        };
        let listed =
            manifest.iter().flat_map(Manifest::files).map(|file| file.name.as_str()).filter(is_inside);
        let certificates = self.of_outputs.iter().map(String::as_str).filter(|name| name.ends_with(".json"));
        // the manifest last: it names the others
        for path in listed.chain(certificates).chain(PUBLIC).map(|name| self.dir.join(name)) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failure::io(format!("removing {}", path.display()), &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), Failure> {
        let state = self.state();
        let failed = |error: std::io::Error| failure::io(format!("emptying {}", state.display()), &error);
        for entry in std::fs::read_dir(&state).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.file_name().is_some_and(|name| name == lock::NAME) {
                continue;
            }
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) }
                .map_err(failed)?;
        }
        Ok(())
    }

    fn write_marker(&self, marker: &Marker) -> Result<(), Failure> {
        let path = self.state().join(MARKER);
        let failed = |error: std::io::Error| failure::io(format!("writing {}", path.display()), &error);
        let text = serde_json::to_vec_pretty(marker)
            .map_err(|error| failure::internal(format!("job.json: {error}")))?;
        let mut file = tempfile::NamedTempFile::new_in(self.state()).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map(|_| ()).map_err(|error| failed(error.error))
    }

    /// Cleans up after a failed job: removes its work. Its record stays in `.segue/job.json` where
    /// it holds more than one line; else nothing stays, and the folder is removed too if
    /// it was created for this job.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn abandon(self, marker: Marker, record: Option<JobRecord>) -> Result<(), Failure> {
        let worth_keeping = |record: &JobRecord| record.failure().is_some_and(|f| !f.stderr_tail.is_empty());
        match record.filter(worth_keeping) {
            Some(record) => {
                self.clear()?;
                self.write_marker(&Marker { made: self.made.clone(), record: Some(record), ..marker })
            }
            None => self.remove_state().map(|made| remove_empty(&made)),
        }
    }

    /// Removes unpublished work.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn finish(self) -> Result<(), Failure> {
        self.remove_state().map(|_| ())
    }

    /// The lock is removed last: from then on another process may own the folder, and this one no
    /// longer has files in it.
    fn remove_state(self) -> Result<Vec<PathBuf>, Failure> {
        self.clear()?;
        let state = self.state();
        let removed = std::fs::remove_file(state.join(lock::NAME)).and_then(|()| std::fs::remove_dir(&state));
        match removed {
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
                Err(failure::io(format!("removing {}", state.display()), &error))
            }
            _ => Ok(self.made),
        }
    }

    /// Restores the folder: `.segue` and the folder itself are removed if they hold
    /// nothing but the lock.
    pub fn leave(self) {
        let alone = std::fs::read_dir(self.state()).is_ok_and(|entries| entries.count() <= 1);
        if alone && let Ok(made) = self.remove_state() {
            remove_empty(&made);
        }
    }
}

/// The record of an ended or running job in the folder `dir`, from `.segue/job.json`.
///
/// # Errors
/// No such document.
pub fn read_marker(dir: &Path) -> Result<Marker, Failure> {
    let path = dir.join(STATE).join(MARKER);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => failure::usage(format!(
            "{} holds no job that is unfinished or that failed; a finished one is described in manifest.json",
            dir.display()
        )),
        _ => failure::io(path.display(), &error),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| failure::usage(format!("{}: {error}", path.display())))
}

/// Names of the certificates, and of the folders of outputs that are not named like their kind.
fn of_outputs(recipe: &Recipe) -> Vec<String> {
    let certificates = recipe.outputs.keys().map(|output| format!("{output}.certificate.json"));
    let named = recipe
        .outputs
        .iter()
        .filter(|(output, spec)| output.as_str() != spec.make.kind() || spec.stream().is_some());
    certificates.chain(named.map(|(output, _)| output.to_string())).collect()
}

fn remove_empty(folders: &[PathBuf]) {
    for folder in folders {
        if std::fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

#[cfg(test)]
#[path = "out_dir_tests.rs"]
mod tests;
