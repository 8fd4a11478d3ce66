//! Publishing: the commit selects one index; copying its files to their public names can then be
//! repeated by any holder of the assembly lease.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use segue_domain::{JobRecord, Key, Manifest, OutputIndex, OutputRecord, OutputState};
use segue_ports::{DocumentWrite, Event, Expected, JobChange, LeaseName, OutputChange, PutOptions, Stage};
use tokio_util::sync::CancellationToken;

use crate::attempts::{job_under_lease, report_state};
use crate::cleanup::cleanup_completed;
use crate::config::{Deps, RoleConfig};
use crate::inputs::INDEX_LIMIT;
use crate::lease_guard::{Hold, LeaseGuard, WorkFor};
use crate::wake::wake_dependents;

/// Number of tries to write a manifest that other outputs of the job update concurrently.
const MANIFEST_TRIES: u32 = 64;

/// Publishes an output whose index is committed. Returns a wait if another holder does it.
///
/// The job is read again under the assembly lease. Deleting a job ends that lease, so a caller
/// that read the job before, and continues when a later job with its id is published, can neither
/// publish the files of the earlier one nor complete the later one.
///
/// # Errors
/// Errors of the ledger and the store; a repeat continues where this one stopped.
pub async fn publish(
    deps: &Deps,
    config: &RoleConfig,
    read: &JobRecord,
    output: &OutputRecord,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Duration>> {
    let name = LeaseName::assemble(&read.id, output.id());
    let work_for = WorkFor::Output(read.output_ref(output.id()));
    let held = match LeaseGuard::acquire(&deps.ledger, config, name, work_for, stop).await? {
        Hold::Held(held) => held,
        Hold::Busy(left) => return Ok(Some(left)),
    };
    let published = match job_under_lease(deps, read).await {
        Ok(Some(now)) if !now.deleting => match now.output(output.id()) {
            Some(output) if output.state == OutputState::Publishing => {
                publish_held(deps, &now, output, &held).await
            }
            // completed by another holder
            _ => Ok(()),
        },
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    };
    held.release().await;
    published.map(|()| None)
}

/// Publishes under the assembly lease.
///
/// # Errors
/// Errors of the ledger and the store; a repeat continues where this one stopped.
pub async fn publish_held(
    deps: &Deps,
    job: &JobRecord,
    output: &OutputRecord,
    held: &LeaseGuard,
) -> anyhow::Result<()> {
    let id = output.id();
    let stage = Stage::Publish;
    let started = Event::StageStarted { job: job.id.clone(), stage, total: 1, done: 0, unit: "files".into() };
    deps.reporter.report(started);
    let complete = JobChange::output(id, OutputChange::Complete);
    let index = publish_files(deps, job, output, held).await?;
    add_to_manifest(deps, &index.0, &index.1).await?;
    let Some(done) = deps.ledger.change(&job.id, complete, Some(held.lease())).await? else {
        let now = deps.ledger.job(&job.id).await?;
        let still = now.as_ref().and_then(|now| now.output(id)).map(|output| output.state);
        if still == Some(OutputState::Publishing) {
            bail!("the lease to publish {} is lost", job.output_ref(id));
        }
        if let Some(now) = now.filter(|now| now.epoch == job.epoch && still == Some(OutputState::Completed)) {
            wake_dependents(deps, &now, id).await?;
        }
        return cleanup_completed(deps, &job.id, id).await;
    };
    deps.reporter.report(Event::StageEnded { job: job.id.clone(), stage });
    report_state(deps, &done, id);
    wake_dependents(deps, &done, id).await?;
    cleanup_completed(deps, &job.id, id).await
}

/// Copies the files of the committed index to their public names, the index last; returns the index and its
/// hash.
async fn publish_files(
    deps: &Deps,
    job: &JobRecord,
    output: &OutputRecord,
    held: &LeaseGuard,
) -> anyhow::Result<(OutputIndex, String)> {
    let committed = output.index.as_ref().context("an output is published without an index")?;
    let (from, public) = (committed.key.parse::<Key>()?, Key::index(&job.id, output.id()));
    // an index is public after all its files, and its hash differs from that of an earlier job
    if deps.store.head(&public).await?.is_some() {
        let bytes = deps.store.get_bytes(&public, INDEX_LIMIT).await?;
        if OutputIndex::hash_of(&bytes) == committed.hash {
            return Ok((OutputIndex::decode(&bytes)?, committed.hash.clone()));
        }
    }
    let bytes = deps.store.get_bytes(&from, INDEX_LIMIT).await?;
    if OutputIndex::hash_of(&bytes) != committed.hash {
        bail!("{from} is not the index that was committed");
    }
    let index = OutputIndex::decode(&bytes)?;
    for file in &index.files {
        if held.lost().is_cancelled() {
            bail!("the lease to publish {} is lost", job.output_ref(output.id()));
        }
        let to = Key::published(&job.id, &file.name)?;
        deps.store.promote(&file.work_key.parse()?, &to, &PutOptions::media_type(&file.media_type)).await?;
        let size = deps.store.head(&to).await?.map(|object| object.bytes);
        if size != Some(file.bytes) {
            bail!("{to} has {size:?} bytes, the index says {}", file.bytes);
        }
    }
    deps.store.promote(&from, &public, &PutOptions::media_type("application/json")).await?;
    Ok((index, committed.hash.clone()))
}

/// Whether the job of the index exists and is not being deleted.
async fn is_there(deps: &Deps, index: &OutputIndex) -> anyhow::Result<bool> {
    let job = deps.ledger.job(&index.job).await?;
    Ok(job.is_some_and(|job| job.epoch == index.epoch && !job.deleting))
}

/// Adds a published output to the manifest of its job by compare-and-swap, so that outputs that are
/// published concurrently are all listed. The manifest of an earlier job with this id is replaced, that of
/// a later one is not.
async fn add_to_manifest(deps: &Deps, index: &OutputIndex, hash: &str) -> anyhow::Result<()> {
    let key = Key::manifest(&index.job);
    let options = PutOptions::media_type("application/json");
    for _ in 0..MANIFEST_TRIES {
        let found = deps.documents.get_document(&key, INDEX_LIMIT).await?;
        let expected = match &found {
            Some(found) => Expected::Version(found.version.clone()),
            None => Expected::Absent,
        };
        let stands = match &found {
            Some(found) => Some(Manifest::decode(&found.bytes)?),
            None => None,
        };
        let manifest = match stands.filter(|m| m.epoch == index.epoch) {
            Some(mut manifest) => {
                if manifest.outputs.get(&index.output).is_some_and(|output| output.index_hash == hash) {
                    return Ok(());
                }
                manifest.add(index, hash);
                manifest
            }
            // of an earlier job, of none, or of a later one; the ledger decides: a document that
            // was read before the ledger answered is older than this job
            None if is_there(deps, index).await? => Manifest::new(index, hash),
            None => bail!("job {} is being deleted, or a later one by now", index.job),
        };
        let bytes = Bytes::from(manifest.encode());
        if let DocumentWrite::Written(_) =
            deps.documents.put_document(&key, bytes, &expected, &options).await?
        {
            return Ok(());
        }
    }
    bail!("the manifest of {} has too many concurrent writers", index.job)
}
