//! Gives published files their names in the output folder.
//!
//! Each file is whole under its name or not there; the manifest comes last, so that a
//! folder with a manifest is complete. Any step may be repeated.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use segue_domain::{Failure, JobId, Key, Manifest};
use segue_pipeline::Deps;

use super::published::MANIFEST;
use crate::{failure, models};

const MANIFEST_LIMIT: u64 = 16 << 20;

/// The first published file of `job` that is not what the manifest says, by its hash. For files
/// of an earlier process, which need not have been on the disk when the machine stopped.
///
/// # Errors
/// A store that cannot be read.
pub async fn spoilt(deps: &Deps, job: &JobId, state: &Path) -> Result<Option<String>, Failure> {
    let manifest = manifest_of(deps, job).await?.1;
    let passage = state.join("out");
    let said = |error: std::io::Error| failure::io(format!("state folder {}", state.display()), &error);
    std::fs::create_dir_all(&passage).map_err(said)?;
    for output in manifest.outputs {
        let file = deps.store.get_file(&key(job, &output.name)?, &passage).await;
        let file = file.map_err(|error| failure::port(&error))?;
        let hashed = tokio::task::spawn_blocking(move || models::sha256_of(&file)).await;
        let (bytes, sha256) = hashed.map_err(|error| failure::internal(error.to_string()))?.map_err(said)?;
        if (bytes, sha256) != (output.bytes, output.sha256) {
            return Ok(Some(output.name));
        }
    }
    Ok(None)
}

fn key(job: &JobId, name: &str) -> Result<Key, Failure> {
    Key::published(job, name).map_err(|error| failure::internal(error.to_string()))
}

async fn manifest_of(deps: &Deps, job: &JobId) -> Result<(Bytes, Manifest), Failure> {
    let bytes = deps.store.get_bytes(&key(job, MANIFEST)?, MANIFEST_LIMIT).await;
    let bytes = bytes.map_err(|error| failure::port(&error))?;
    let manifest = Manifest::decode(&bytes).map_err(|error| failure::internal(error.to_string()))?;
    Ok((bytes, manifest))
}

/// Delivers what `job` published to `dir`; files on their way are kept in `state`.
///
/// # Errors
/// A file that is not what the manifest says, or a folder that cannot be written.
pub async fn deliver(deps: &Deps, job: &JobId, dir: &Path, state: &Path) -> Result<Manifest, Failure> {
    let (bytes, manifest) = manifest_of(deps, job).await?;
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
        place(from, passage.join("file"), to).await.map_err(said)?;
    }
    let written = passage.join("file");
    std::fs::write(&written, &bytes).map_err(said)?;
    File::open(&written).and_then(|file| file.sync_all()).map_err(said)?;
    sync_folder(dir).map_err(said)?;
    std::fs::rename(&written, dir.join(MANIFEST)).map_err(said)?;
    sync_folder(dir).map_err(said)?;
    Ok(manifest)
}

/// Gives `from` the name `to`: the same file where the file system allows, else a copy.
/// `passage` lies on the file system of `to`.
async fn place(from: PathBuf, passage: PathBuf, to: PathBuf) -> std::io::Result<()> {
    let placed = tokio::task::spawn_blocking(move || {
        remove_if_there(&passage)?;
        if std::fs::hard_link(&from, &passage).is_err() {
            std::fs::copy(&from, &passage)?;
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

    use segue_domain::{Output, OutputKind, PlanHash, Term};
    use segue_ports::memory::{MemoryLedger, MemoryQueue, MemoryStore};
    use segue_ports::{MediaStore, NoReport, PutMode};

    use super::*;

    async fn published(job: &JobId, content: &'static str, bytes: u64) -> Deps {
        let store = Arc::new(MemoryStore::new());
        let output = Output {
            name: "final.mp4".into(),
            kind: OutputKind::Media,
            media_type: "video/mp4".into(),
            bytes,
            // of "abc", FIPS 180-2, B.1
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
            made: String::new(),
            work_key: String::new(),
        };
        let manifest = Manifest {
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
        };
        for (name, bytes) in [("final.mp4", content.into()), (MANIFEST, manifest.encode().into())] {
            let key = Key::published(job, name).unwrap();
            store.put_bytes(&key, bytes, PutMode::CreateOnce).await.unwrap();
        }
        Deps {
            ledger: Arc::new(MemoryLedger::new()),
            queue: Arc::new(MemoryQueue::new()),
            store,
            reporter: Arc::new(NoReport),
        }
    }

    /// What a power cut leaves of a file that was not flushed: its length, and not its content.
    #[tokio::test]
    async fn a_file_that_lost_its_content_is_noticed_by_its_hash() {
        let job: JobId = "j".parse().unwrap();
        let root = tempfile::tempdir().unwrap();
        for (content, expected) in [("abc", None), ("\0\0\0", Some("final.mp4".to_owned()))] {
            let deps = published(&job, content, 3).await;
            assert_eq!(spoilt(&deps, &job, root.path()).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_folder_has_a_manifest_only_when_it_is_complete() {
        let job: JobId = "j".parse().unwrap();
        let root = tempfile::tempdir().unwrap();
        let (dir, state) = (root.path(), root.path().join(".segue"));
        std::fs::write(dir.join(MANIFEST), "of an earlier run").unwrap();

        let wrong = deliver(&published(&job, "abc", 4).await, &job, dir, &state).await.unwrap_err();
        assert!(wrong.cause.contains("has 3 bytes, the manifest says 4"), "{}", wrong.cause);
        assert!(!dir.join(MANIFEST).exists() && !dir.join("final.mp4").exists());

        for _ in 0..2 {
            deliver(&published(&job, "abc", 3).await, &job, dir, &state).await.unwrap();
            assert_eq!(std::fs::read_to_string(dir.join("final.mp4")).unwrap(), "abc");
            assert!(dir.join(MANIFEST).is_file());
        }
    }
}
