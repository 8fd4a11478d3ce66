//! Publishing: the commit chooses one manifest, and giving its files their public names
//! can then be done by anybody who holds the lease of the join, any number of times.

use std::time::Duration;

use anyhow::{Context, bail};
use segue_domain::{DomainError, JobRecord, JobState, Key, Manifest, TaskId};
use segue_ports::{Event, JobChange, LeaseName, Object, PutOptions, Stage, mutant};
use tokio_util::sync::CancellationToken;

use crate::deps::{Deps, RoleConfig};
use crate::held::{Held, Hold};
use crate::settle::job_under_lease;
use crate::tidy::tidy_completed;

/// Largest manifest that is read, bytes.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// Public name of the manifest.
const MANIFEST: &str = "manifest.json";

/// Finishes a job whose manifest is committed, for whoever comes by. How long to wait where
/// somebody else is at it.
///
/// The job is read again under the lease of its join. Deleting a job ends that lease, so who
/// read of it before, and comes when a later job of its name is being published, can neither
/// publish the files of the earlier one nor say of the later one that it is completed.
///
/// # Errors
/// The ledger's and the store's; a repeat goes on where this one stopped.
pub async fn publish(
    deps: &Deps,
    config: &RoleConfig,
    read: &JobRecord,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Duration>> {
    let name = LeaseName::reassemble(&read.id);
    let held = match Held::acquire(&deps.ledger, config, name, Some(&read.id), stop).await? {
        Hold::Held(held) => held,
        Hold::Busy(left) => return Ok(Some(left)),
    };
    let published = match job_under_lease(deps, read).await {
        Ok(Some(now)) if now.state == JobState::Publishing => publish_held(deps, &now, &held).await,
        // completed by another, or gone
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    };
    held.release().await;
    published.map(|()| None)
}

/// The same under the lease of the join.
///
/// # Errors
/// The ledger's and the store's; a repeat goes on where this one stopped.
pub async fn publish_held(deps: &Deps, record: &JobRecord, held: &Held) -> anyhow::Result<()> {
    let job = &record.id;
    let manifest_key: Key =
        record.manifest_key.as_deref().context("a job is being published without a manifest")?.parse()?;
    let public_manifest = Key::published(job, MANIFEST)?;
    deps.reporter.report(Event::StageStarted {
        job: job.clone(),
        stage: Stage::Publish,
        total: 1,
        done: 0,
        unit: "files".into(),
    });
    if mutant!("manifest-first") {
        deps.store.promote(&manifest_key, &public_manifest, &PutOptions::default()).await?;
    }
    if mutant!("complete-before-publish") {
        deps.ledger.change(job, JobChange::Complete, Some(held.lease())).await?;
    }
    if !is_public(deps, &public_manifest, &manifest_key).await? {
        let manifest = Manifest::decode(&deps.store.get_bytes(&manifest_key, MANIFEST_LIMIT).await?)?;
        for output in &manifest.outputs {
            if held.lost().is_cancelled() {
                bail!("the right to publish {job} is lost");
            }
            let to = Key::published(job, &output.name)?;
            let options = PutOptions::media_type(output.media_type.clone());
            deps.store.promote(&output.work_key.parse()?, &to, &options).await?;
            let size = deps.store.head(&to).await?.map(|object| object.bytes);
            if size != Some(output.bytes) {
                bail!("{to} has {size:?} bytes, the manifest says {}", output.bytes);
            }
        }
        deps.store.promote(&manifest_key, &public_manifest, &PutOptions::default()).await?;
    }
    if let Some(done) = deps.ledger.change(job, JobChange::Complete, Some(held.lease())).await? {
        deps.reporter.report(Event::StageEnded { job: job.clone(), stage: Stage::Publish });
        deps.reporter.report(Event::State { job: job.clone(), state: done.state });
    } else if !mutant!("refused-is-published")
        && deps.ledger.job(job).await?.is_some_and(|job| job.state == JobState::Publishing)
    {
        bail!("the right to publish {job} is lost");
    }
    tidy_completed(deps, job).await
}

/// Whether the public manifest is the one that was committed, and not that of an earlier job of
/// this name which was deleted by half: terms never come twice. It is public after all its files.
async fn is_public(deps: &Deps, public: &Key, committed: &Key) -> anyhow::Result<bool> {
    let Key::Work { term, .. } = committed else { bail!("{committed} is not an attempt's") };
    if deps.store.head(public).await?.is_none() {
        return Ok(false);
    }
    let manifest = Manifest::decode(&deps.store.get_bytes(public, MANIFEST_LIMIT).await?);
    Ok(manifest.is_ok_and(|manifest| manifest.term == *term) || mutant!("leftovers-published"))
}

/// The name under which attempts at joining are stored and counted.
pub fn joining() -> TaskId {
    "reassemble".parse().expect("a plain id")
}

/// Removes every object whose key begins with `prefix`.
///
/// # Errors
/// The store's.
pub async fn delete_prefix(deps: &Deps, prefix: &str) -> anyhow::Result<()> {
    let mut from: Option<String> = None;
    loop {
        let page = deps.store.list(prefix, from.as_deref(), 1000).await?;
        deps.store.delete_many(&keys_of(&page.objects)?).await?;
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// The keys of a page of a listing.
///
/// # Errors
/// What is listed is not a key of ours.
pub fn keys_of(objects: &[Object]) -> Result<Vec<Key>, DomainError> {
    objects.iter().map(|object| object.key.parse()).collect()
}
