//! Gives published files their names in the output folder.
//!
//! Each file is whole under its name or not there; the manifest comes last, so that a
//! folder with a manifest is complete (after a power cut: with `fsync`). Any step may be repeated.

use std::fs::File;
use std::path::{Path, PathBuf};

use segue_domain::{DomainError, Failure, JobId, JobRecord, Key, Manifest};
use segue_pipeline::Deps;
use segue_ports::{PortError, PortErrorKind};

use super::published::MANIFEST;
use crate::{failure, models};

const MANIFEST_LIMIT: u64 = 16 << 20;

/// The first result of `record`, which an earlier process has joined, that is not there as the
/// manifest says, by its hash: it need not have been on the disk when the machine stopped.
///
/// # Errors
/// A store that cannot be asked.
pub async fn lost(deps: &Deps, record: &JobRecord, state: &Path) -> Result<Option<String>, Failure> {
    let public = |name: &str| key(&record.id, name);
    let committed = record.manifest_key.as_deref().map(work_key).transpose()?;
    // what was published is no longer under the name of the attempt, and before that not public
    let Some(manifest) =
        first_of(committed, public(MANIFEST)?, async |key| deps.store.get_bytes(key, MANIFEST_LIMIT).await)
            .await?
    else {
        return Ok(Some(MANIFEST.to_owned()));
    };
    let Ok(manifest) = Manifest::decode(&manifest) else { return Ok(Some(MANIFEST.to_owned())) };
    let passage = state.join("out");
    std::fs::create_dir_all(&passage)
        .map_err(|error| failure::io(format!("state folder {}", state.display()), &error))?;
    for output in manifest.outputs {
        let (work, public) = (Some(work_key(&output.work_key)?), public(&output.name)?);
        let file = first_of(work, public, async |key| deps.store.get_file(key, &passage).await).await?;
        let Some(file) = file else { return Ok(Some(output.name)) };
        let hashed = tokio::task::spawn_blocking(move || models::sha256_of(&file)).await;
        let hashed = hashed.map_err(|error| failure::internal(error.to_string()))?;
        // one that cannot be read is as good as none
        if !hashed.is_ok_and(|found| found == (output.bytes, output.sha256)) {
            return Ok(Some(output.name));
        }
    }
    Ok(None)
}

/// What `get` finds under the one name, else under the other.
async fn first_of<T>(
    one: Option<Key>,
    other: Key,
    get: impl AsyncFn(&Key) -> Result<T, PortError>,
) -> Result<Option<T>, Failure> {
    for key in one.into_iter().chain([other]) {
        match get(&key).await {
            Err(error) if error.kind == PortErrorKind::NotFound => {}
            found => return found.map(Some).map_err(|error| failure::port(&error)),
        }
    }
    Ok(None)
}

fn key(job: &JobId, name: &str) -> Result<Key, Failure> {
    Key::published(job, name).map_err(|error| failure::internal(error.to_string()))
}

fn work_key(key: &str) -> Result<Key, Failure> {
    key.parse().map_err(|error: DomainError| failure::internal(error.to_string()))
}

/// Delivers what `job` published to `dir`; files on their way are kept in `state`. With `fsync`
/// each is on the disk before it has its name.
///
/// # Errors
/// A file that is not what the manifest says, or a folder that cannot be written.
pub async fn deliver(
    deps: &Deps,
    job: &JobId,
    dir: &Path,
    state: &Path,
    fsync: bool,
) -> Result<Manifest, Failure> {
    let bytes = deps.store.get_bytes(&key(job, MANIFEST)?, MANIFEST_LIMIT).await;
    let bytes = bytes.map_err(|error| failure::port(&error))?;
    let manifest = Manifest::decode(&bytes).map_err(|error| failure::internal(error.to_string()))?;
    let passage = state.join("out");
    let said = |error: std::io::Error| failure::io(format!("output folder {}", dir.display()), &error);
    std::fs::create_dir_all(&passage).map_err(said)?;
    // one of an earlier run, whose files are about to be replaced
    remove_if_there(&dir.join(MANIFEST)).map_err(said)?;
    for output in &manifest.outputs {
        let from = deps
            .store
            .get_file(&key(job, &output.name)?, &passage)
            .await
            .map_err(|error| failure::port(&error))?;
        let size = from.metadata().map_err(said)?.len();
        if size != output.bytes {
            return Err(failure::internal(format!(
                "{} has {size} bytes, the manifest says {}",
                output.name, output.bytes
            )));
        }
        let to = dir.join(&output.name);
        place(from, passage.join("file"), to, fsync).await.map_err(said)?;
    }
    let written = passage.join("file");
    std::fs::write(&written, &bytes).map_err(said)?;
    File::open(&written).and_then(|file| file.sync_all()).map_err(said)?;
    sync_folder(dir).map_err(said)?;
    std::fs::rename(&written, dir.join(MANIFEST)).map_err(said)?;
    sync_folder(dir).map_err(said)?;
    Ok(manifest)
}

/// Waits until what was delivered is on the disk.
///
/// # Errors
/// A file that is not there or a disk that fails.
pub fn flush(manifest: &Manifest, dir: &Path) -> Result<(), Failure> {
    for output in &manifest.outputs {
        let path = dir.join(&output.name);
        let flushed = File::open(&path).and_then(|file| file.sync_all());
        flushed.map_err(|error| failure::io(path.display(), &error))?;
    }
    sync_folder(dir).map_err(|error| failure::io(format!("output folder {}", dir.display()), &error))
}

/// Gives `from` the name `to`: the same file where the file system allows, else a copy.
/// `passage` lies on the file system of `to`.
async fn place(from: PathBuf, passage: PathBuf, to: PathBuf, fsync: bool) -> std::io::Result<()> {
    let placed = tokio::task::spawn_blocking(move || {
        remove_if_there(&passage)?;
        if std::fs::hard_link(&from, &passage).is_err() {
            std::fs::copy(&from, &passage)?;
        }
        if fsync {
            File::open(&passage)?.sync_all()?;
        }
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        // a rename onto another name of the same file would do nothing and leave both
        remove_if_same(&passage, &to)?;
        std::fs::rename(&passage, &to)
    });
    placed.await.map_err(std::io::Error::other)?
}

fn remove_if_same(one: &Path, other: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()) => std::fs::remove_file(other),
        _ => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use segue_domain::{JobState, Output, OutputKind, PlanHash, Term};
    use segue_ports::memory::{MemoryLedger, MemoryQueue, MemoryStore};
    use segue_ports::{MediaStore, NoReport, PutOptions};

    use super::*;

    /// SHA-256 of "abc", FIPS 180-2, B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn of_attempt(job: &JobId, name: &str) -> Key {
        Key::work(job, &"reassemble".parse().unwrap(), Term(1), name).unwrap()
    }

    fn manifest(job: &JobId, bytes: u64) -> Manifest {
        let output = Output {
            name: "final.mp4".into(),
            kind: OutputKind::Media,
            media_type: "video/mp4".into(),
            bytes,
            sha256: ABC.into(),
            made: String::new(),
            work_key: of_attempt(job, "final.mp4").to_string(),
        };
        Manifest {
            version: 1,
            job: job.clone(),
            recipe: "rejoin".into(),
            plan: PlanHash("h".into()),
            term: Term(1),
            source_bytes: 3,
            segments: 1,
            tools: BTreeMap::new(),
            notes: Vec::new(),
            outputs: vec![output],
        }
    }

    async fn storing(objects: impl IntoIterator<Item = (Key, Vec<u8>)>) -> Deps {
        let store = Arc::new(MemoryStore::new());
        for (key, bytes) in objects {
            store.put_bytes(&key, bytes.into(), &PutOptions::default()).await.unwrap();
        }
        Deps {
            ledger: Arc::new(MemoryLedger::new()),
            queue: Arc::new(MemoryQueue::new()),
            store,
            reporter: Arc::new(NoReport),
        }
    }

    async fn published(job: &JobId, content: &str, bytes: u64) -> Deps {
        let public = |name| Key::published(job, name).unwrap();
        let files = [("final.mp4", content.into()), (MANIFEST, manifest(job, bytes).encode())];
        storing(files.map(|(name, bytes)| (public(name), bytes))).await
    }

    /// Committed and not yet published, and the machine stopped: nobody could publish a file that
    /// is short, and would try for ever.
    #[tokio::test]
    async fn a_joined_result_is_looked_at_where_the_attempt_left_it() {
        let job: JobId = "j".parse().unwrap();
        let state = tempfile::tempdir().unwrap();
        let record = JobRecord {
            id: job.clone(),
            epoch: "1".parse().unwrap(),
            state: JobState::Publishing,
            source_key: String::new(),
            recipe: String::new(),
            plan: None,
            completed_tasks: 0,
            manifest_key: Some(of_attempt(&job, MANIFEST).to_string()),
            failure: None,
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        for content in [Some("abc"), Some("ab"), Some("\0\0\0"), None] {
            let manifest = (of_attempt(&job, MANIFEST), manifest(&job, 3).encode());
            let file = content.map(|content| (of_attempt(&job, "final.mp4"), content.into()));
            let deps = storing(file.into_iter().chain([manifest])).await;
            let expected = (content != Some("abc")).then(|| "final.mp4".to_owned());
            assert_eq!(lost(&deps, &record, state.path()).await.unwrap(), expected, "{content:?}");
        }
        let deps = storing([]).await;
        assert_eq!(lost(&deps, &record, state.path()).await.unwrap().as_deref(), Some(MANIFEST));
    }

    #[tokio::test]
    async fn a_folder_has_a_manifest_only_when_it_is_complete() {
        let job: JobId = "j".parse().unwrap();
        let root = tempfile::tempdir().unwrap();
        let (dir, state) = (root.path(), root.path().join(".segue"));
        std::fs::write(dir.join(MANIFEST), "of an earlier run").unwrap();

        let wrong = deliver(&published(&job, "abc", 4).await, &job, dir, &state, false).await.unwrap_err();
        assert!(wrong.cause.contains("has 3 bytes, the manifest says 4"), "{}", wrong.cause);
        assert!(!dir.join(MANIFEST).exists() && !dir.join("final.mp4").exists());

        for _ in 0..2 {
            deliver(&published(&job, "abc", 3).await, &job, dir, &state, false).await.unwrap();
            assert_eq!(std::fs::read_to_string(dir.join("final.mp4")).unwrap(), "abc");
            assert!(dir.join(MANIFEST).is_file());
        }
    }
}
