//! Moves published files to their names in the output folder.
//!
//! Each file is complete under its name or absent; the manifest is renamed last, so that a
//! folder with a manifest is complete (after a power cut: with `fsync`). Every step can be repeated.

use std::fs::File;
use std::path::{Path, PathBuf};

use segue_domain::{
    DomainError, Failure, JobId, JobRecord, Key, Manifest, OutputIndex, OutputRecord, OutputState,
};
use segue_pipeline::Deps;
use segue_ports::{PortError, PortErrorKind};

use super::published::MANIFEST;
use crate::{failure, models};

const MANIFEST_LIMIT: u64 = 16 << 20;

/// The first result of `record`, assembled by an earlier process, whose file does not have the size and
/// hash of its index: it may not have been flushed when the machine stopped.
///
/// # Errors
/// A store that cannot be read.
pub async fn lost(deps: &Deps, record: &JobRecord, state: &Path) -> Result<Option<String>, Failure> {
    let assembled =
        |output: &&OutputRecord| matches!(output.state, OutputState::Publishing | OutputState::Completed);
    for output in record.outputs.iter().filter(assembled) {
        let lost = lost_of(deps, record, output, state).await?;
        if lost.is_some() {
            return Ok(lost);
        }
    }
    Ok(None)
}

async fn lost_of(
    deps: &Deps,
    record: &JobRecord,
    output: &OutputRecord,
    state: &Path,
) -> Result<Option<String>, Failure> {
    let public = Key::index(&record.id, output.id());
    let name = format!("outputs/{}.json", output.id());
    let committed = output.index.as_ref().map(|index| work_key(&index.key)).transpose()?;
    // a published object is no longer under the name of the attempt, and not yet public before that
    let index =
        first_of(committed, public, async |key| deps.store.get_bytes(key, MANIFEST_LIMIT).await).await?;
    let Some(Ok(index)) = index.map(|bytes| OutputIndex::decode(&bytes)) else { return Ok(Some(name)) };
    let passage = state.join("out");
    std::fs::create_dir_all(&passage)
        .map_err(|error| failure::io(format!("state folder {}", state.display()), &error))?;
    for file in index.files {
        let (work, public) = (Some(work_key(&file.work_key)?), key(&record.id, &file.name)?);
        let found = first_of(work, public, async |key| deps.store.get_file(key, &passage).await).await?;
        let Some(found) = found else { return Ok(Some(file.name)) };
        let hashed = tokio::task::spawn_blocking(move || models::sha256_of(&found)).await;
        let hashed = hashed.map_err(|error| failure::internal(error.to_string()))?;
        // one that cannot be parsed counts as absent
        if !hashed.is_ok_and(|found| found == (file.bytes, file.sha256)) {
            return Ok(Some(file.name));
        }
    }
    Ok(None)
}

/// Reads the object under the first name, else under the second.
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

/// Delivers the published files of `job` to `dir`; partial copies are kept in `state`. With `fsync`
/// each file is flushed before it is renamed to its name.
///
/// # Errors
/// A file that does not match the manifest, or a folder that cannot be written.
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
    let failed = |error: std::io::Error| failure::io(format!("output folder {}", dir.display()), &error);
    std::fs::create_dir_all(&passage).map_err(failed)?;
    // the manifest of an earlier run, whose files are about to be replaced
    remove_if_there(&dir.join(MANIFEST)).map_err(failed)?;
    for file in manifest.files() {
        let from = deps
            .store
            .get_file(&key(job, &file.name)?, &passage)
            .await
            .map_err(|error| failure::port(&error))?;
        let size = from.metadata().map_err(failed)?.len();
        if size != file.bytes {
            return Err(failure::internal(format!(
                "{} has {size} bytes, the manifest says {}",
                file.name, file.bytes
            )));
        }
        let to = dir.join(&file.name);
        place(from, passage.join("file"), to, fsync).await.map_err(failed)?;
    }
    let written = passage.join("file");
    std::fs::write(&written, &bytes).map_err(failed)?;
    File::open(&written).and_then(|file| file.sync_all()).map_err(failed)?;
    sync_folders(&manifest, dir).map_err(failed)?;
    std::fs::rename(&written, dir.join(MANIFEST)).map_err(failed)?;
    sync_folder(dir).map_err(failed)?;
    Ok(manifest)
}

/// Flushes the delivered files to the disk.
///
/// # Errors
/// A file that is missing or a disk that fails.
pub fn flush(manifest: &Manifest, dir: &Path) -> Result<(), Failure> {
    for file in manifest.files() {
        let path = dir.join(&file.name);
        let flushed = File::open(&path).and_then(|file| file.sync_all());
        flushed.map_err(|error| failure::io(path.display(), &error))?;
    }
    sync_folders(manifest, dir)
        .map_err(|error| failure::io(format!("output folder {}", dir.display()), &error))
}

/// Flushes the names of the delivered files: those of every folder that has one, the output folder last.
fn sync_folders(manifest: &Manifest, dir: &Path) -> std::io::Result<()> {
    let parents = manifest.files().filter_map(|file| Path::new(&file.name).parent());
    let folders: std::collections::BTreeSet<&Path> =
        parents.flat_map(Path::ancestors).filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.into_iter().rev().try_for_each(|folder| sync_folder(&dir.join(folder)))?;
    sync_folder(dir)
}

/// Gives `from` the name `to`: a hard link where the file system allows it, else a copy.
/// `passage` is on the file system of `to`.
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
        // a rename onto another hard link of the same file does nothing and leaves both
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

    use bytes::Bytes;
    use segue_domain::manifest::INDEX_VERSION;
    use segue_domain::{CommittedIndex, FileKind, NewOutput, PlanHash, PublishedFile, Recipe, TaskId, Term};
    use segue_pipeline::new_job;
    use segue_ports::{MediaStore, NoReport, PutOptions};
    use segue_ports_testkit::memory::{MemoryLedger, MemoryQueue, MemoryStore};

    use super::*;

    /// SHA-256 of "abc", FIPS 180-2, B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn of_attempt(job: &JobId, name: &str) -> Key {
        Key::work(job, &"video".parse().unwrap(), &TaskId::assembly(), Term(1), name).unwrap()
    }

    fn index(job: &JobId, bytes: u64) -> OutputIndex {
        let file = PublishedFile {
            name: "final.mp4".into(),
            kind: FileKind::Media,
            media_type: "video/mp4".into(),
            bytes,
            sha256: ABC.into(),
            made: String::new(),
            work_key: of_attempt(job, "final.mp4").to_string(),
        };
        OutputIndex {
            version: INDEX_VERSION,
            job: job.clone(),
            epoch: "1".parse().unwrap(),
            output: "video".parse().unwrap(),
            kind: "video".into(),
            recipe: "rejoin".into(),
            plan: PlanHash("h".into()),
            term: Term(1),
            needs: BTreeMap::new(),
            source_bytes: 3,
            duration_ms: None,
            segments: 1,
            tools: BTreeMap::new(),
            notes: Vec::new(),
            reason: None,
            files: vec![file],
        }
    }

    async fn storing(objects: impl IntoIterator<Item = (Key, Vec<u8>)>) -> Deps {
        let store = Arc::new(MemoryStore::new());
        for (key, bytes) in objects {
            store.put_bytes(&key, Bytes::from(bytes), &PutOptions::default()).await.unwrap();
        }
        Deps {
            ledger: Arc::new(MemoryLedger::new()),
            queue: Arc::new(MemoryQueue::new()),
            documents: store.clone(),
            store,
            reporter: Arc::new(NoReport),
            gpu_tasks: Arc::new([]),
        }
    }

    async fn published(job: &JobId, content: &str, bytes: u64) -> Deps {
        let public = |name| Key::published(job, name).unwrap();
        let manifest = Manifest::new(&index(job, bytes), "hash").encode();
        let files = [("final.mp4", content.into()), (MANIFEST, manifest)];
        storing(files.map(|(name, bytes)| (public(name), bytes))).await
    }

    /// Committed and not yet published, and the machine stopped: a file that is short could never be
    /// published.
    #[tokio::test]
    async fn a_result_is_checked_where_the_attempt_left_it() {
        let job: JobId = "j".parse().unwrap();
        let state = tempfile::tempdir().unwrap();
        let new = new_job(&job, String::new(), &Recipe::built_in("rejoin").unwrap());
        let mut record = new.into_record("1".parse().unwrap(), 0).unwrap();
        let NewOutput { id, .. } = record.outputs[0].asked.clone();
        let output = record.output_mut(&id).unwrap();
        output.state = OutputState::Publishing;
        let key = of_attempt(&job, "index.json");
        output.index = Some(CommittedIndex { key: key.to_string(), hash: String::new() });
        for content in [Some("abc"), Some("ab"), Some("\0\0\0"), None] {
            let index = (key.clone(), index(&job, 3).encode().0);
            let file = content.map(|content| (of_attempt(&job, "final.mp4"), content.into()));
            let deps = storing(file.into_iter().chain([index])).await;
            let expected = (content != Some("abc")).then(|| "final.mp4".to_owned());
            assert_eq!(lost(&deps, &record, state.path()).await.unwrap(), expected, "{content:?}");
        }
        let deps = storing([]).await;
        let expected = Some("outputs/video.json");
        assert_eq!(lost(&deps, &record, state.path()).await.unwrap().as_deref(), expected);
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
