//! Publishing: the commit chooses one manifest, and giving its files their public names
//! can then be done by anybody, any number of times.

use std::collections::HashSet;

use anyhow::{Context, bail};
use segue_domain::{JobId, JobRecord, JobState, Key, Manifest};
use segue_ports::{Event, JobChange, Stage};

use crate::deps::Deps;
use crate::progress::PAGE;

/// Largest manifest that is read, bytes.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// Public name of the manifest.
const MANIFEST: &str = "manifest.json";

/// Finishes a job whose manifest is committed, and removes what was only needed on the way.
///
/// # Errors
/// The ledger's and the store's; a repeat goes on where this one stopped.
pub async fn publish(deps: &Deps, record: &JobRecord) -> anyhow::Result<()> {
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
    // after a crash the attempt's manifest may have been swept already
    let read_from =
        if deps.store.head(&public_manifest).await?.is_some() { &public_manifest } else { &manifest_key };
    let manifest = Manifest::decode(&deps.store.get_bytes(read_from, MANIFEST_LIMIT).await?)?;
    for output in &manifest.outputs {
        let to = Key::published(job, &output.name)?;
        deps.store.promote(&output.work_key.parse()?, &to).await?;
        let size = deps.store.head(&to).await?.map(|object| object.bytes);
        if size != Some(output.bytes) {
            bail!("{to} has {size:?} bytes, the manifest says {}", output.bytes);
        }
    }
    deps.store.promote(&manifest_key, &public_manifest).await?;
    if let Some(done) = deps.ledger.change(job, JobChange::Complete, None).await? {
        deps.reporter.report(Event::StageEnded { job: job.clone(), stage: Stage::Publish });
        deps.reporter.report(Event::State { job: job.clone(), state: done.state });
    }
    clean(deps, job, JobState::Completed).await
}

/// Removes what a job that has ended does not need: everything on the way when it is
/// completed; otherwise only what no completion names, so that it can be driven on.
///
/// # Errors
/// The ledger's and the store's.
pub async fn clean(deps: &Deps, job: &JobId, state: JobState) -> anyhow::Result<()> {
    if state == JobState::Completed {
        delete_prefix(deps, &Key::work_prefix(job)).await?;
        return delete_prefix(deps, &Key::segment_prefix(job)).await;
    }
    let mut wanted = HashSet::new();
    let mut after = None;
    loop {
        let page = deps.ledger.completions(job, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.task.clone());
        wanted.extend(page.into_iter().flat_map(|c| c.files).map(|file| file.key));
    }
    delete_unwanted(deps, &Key::work_prefix(job), &wanted).await
}

/// Removes every object whose key begins with `prefix`.
///
/// # Errors
/// The store's.
pub async fn delete_prefix(deps: &Deps, prefix: &str) -> anyhow::Result<()> {
    delete_unwanted(deps, prefix, &HashSet::new()).await
}

async fn delete_unwanted(deps: &Deps, prefix: &str, wanted: &HashSet<String>) -> anyhow::Result<()> {
    let mut from: Option<String> = None;
    loop {
        let page = deps.store.list(prefix, from.as_deref(), 1000).await?;
        for object in page.objects {
            if !wanted.contains(&object.key) {
                deps.store.delete(&object.key.parse()?).await?;
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}
