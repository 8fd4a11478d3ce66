//! Removal of files that are no longer needed, output by output.
//!
//! A request can reach the store long after its sender gave up, so an emptied folder may
//! get files again: the sweeper repeats the cleanup. Files are listed *before* the ledger is read. Keys carry
//! terms, terms are never repeated, and so a file listed before the ledger reported the end of an output
//! was not written by a later job with that id.

use std::collections::BTreeMap;
use std::time::Duration;

use segue_domain::{HolderId, JobId, Key, OutputId, OutputRef, OutputState, TaskId};
use segue_ports::{Acquired, LeaseName};

use crate::config::Deps;

/// Page size of listings.
const PAGE: usize = 1000;

/// Which files of an output may be removed.
enum Removable {
    /// All that are not public.
    Everything,
    /// All that no completion references.
    Unnamed(OutputRef),
    /// None.
    Nothing,
}

async fn removable(deps: &Deps, job: &JobId, output: &OutputId) -> anyhow::Result<Removable> {
    let Some(record) = deps.ledger.job(job).await? else { return Ok(Removable::Everything) };
    let Some(found) = record.output(output) else { return Ok(Removable::Everything) };
    Ok(match found.state {
        _ if record.deleting => Removable::Everything,
        OutputState::Completed => Removable::Everything,
        OutputState::Failed | OutputState::Cancelled => Removable::Unnamed(record.output_ref(output)),
        _ => Removable::Nothing,
    })
}

/// Removes every object whose key begins with `prefix`.
///
/// # Errors
/// Errors of the store.
pub async fn delete_prefix(deps: &Deps, prefix: &str) -> anyhow::Result<()> {
    let mut from: Option<String> = None;
    loop {
        let page = deps.store.list(prefix, from.as_deref(), PAGE).await?;
        let keys: Result<Vec<Key>, _> = page.objects.iter().map(|object| object.key.parse()).collect();
        deps.store.delete_many(&keys?).await?;
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(()),
        }
    }
}

/// Removes the intermediate files of a completed output.
///
/// # Errors
/// Errors of the ledger and the store.
pub async fn cleanup_completed(deps: &Deps, job: &JobId, output: &OutputId) -> anyhow::Result<()> {
    let prefixes = [Key::output_work_prefix(job, output), Key::output_segment_prefix(job, output)];
    for prefix in prefixes {
        let mut from: Option<String> = None;
        loop {
            let page = deps.store.list(&prefix, from.as_deref(), PAGE).await?;
            if page.objects.is_empty() {
                break;
            }
            let is_completed = matches!(removable(deps, job, output).await?, Removable::Everything);
            if !is_completed {
                return Ok(());
            }
            let keys: Result<Vec<Key>, _> = page.objects.iter().map(|object| object.key.parse()).collect();
            deps.store.delete_many(&keys?).await?;
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

/// Removes unneeded files from the whole store: all intermediate files of outputs that are
/// completed or missing, and of failed or cancelled outputs the files that no completion
/// references.
///
/// # Errors
/// Errors of the ledger and the store.
pub async fn cleanup_store(deps: &Deps, holder: &HolderId, ttl: Duration) -> anyhow::Result<()> {
    for prefix in [Key::WORK, Key::SEGMENTS] {
        let mut from: Option<String> = None;
        loop {
            let page = deps.store.list(prefix, from.as_deref(), PAGE).await?;
            let mut outputs = BTreeMap::<(JobId, OutputId), Vec<Key>>::new();
            for object in page.objects {
                // an object of a newer build or of another program is left unchanged
                let Ok(key) = object.key.parse::<Key>() else { continue };
                if let Key::Work { job, output, .. } | Key::Segment { job, output, .. } = &key {
                    outputs.entry((job.clone(), output.clone())).or_default().push(key);
                }
            }
            for ((job, output), keys) in outputs {
                cleanup_output(deps, holder, ttl, &job, &output, keys).await?;
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

async fn cleanup_output(
    deps: &Deps,
    holder: &HolderId,
    ttl: Duration,
    job: &JobId,
    output: &OutputId,
    keys: Vec<Key>,
) -> anyhow::Result<()> {
    match removable(deps, job, output).await? {
        Removable::Everything => deps.store.delete_many(&keys).await?,
        Removable::Nothing => {}
        Removable::Unnamed(output) => {
            let mut tasks = BTreeMap::<TaskId, Vec<Key>>::new();
            for key in keys {
                if let Key::Work { task, .. } = &key {
                    tasks.entry(task.clone()).or_default().push(key);
                }
            }
            for (task, keys) in tasks {
                cleanup_task(deps, holder, ttl, &output, &task, keys).await?;
            }
        }
    }
    Ok(())
}

/// Removes the files of attempts at a task of a failed or cancelled output. The task's lease is
/// acquired first: a running attempt could record a file that is about to be removed.
async fn cleanup_task(
    deps: &Deps,
    holder: &HolderId,
    ttl: Duration,
    output: &OutputRef,
    task: &TaskId,
    keys: Vec<Key>,
) -> anyhow::Result<()> {
    let unnamed = |keys: &[Key], done: Option<segue_domain::Completion>| -> Vec<Key> {
        let files = done.map(|done| done.files).unwrap_or_default();
        let is_named = |key: &Key| files.iter().any(|file| file.key == key.to_string());
        keys.iter().filter(|key| !is_named(key)).cloned().collect()
    };
    // the completion of a task references the files of its spare attempt
    let done = task.of_spare().unwrap_or_else(|| task.clone());
    if unnamed(&keys, deps.ledger.completion(output, &done).await?).is_empty() {
        return Ok(());
    }
    let name = if *task == TaskId::assembly() {
        LeaseName::assemble(&output.job, &output.output)
    } else {
        LeaseName::task(&output.job, &output.output, task)
    };
    let Acquired::Held(lease) = deps.ledger.acquire(&name, holder, ttl).await? else { return Ok(()) };
    // from here on no earlier attempt can record or commit
    if matches!(removable(deps, &output.job, &output.output).await?, Removable::Unnamed(now) if now == *output)
    {
        let keys = unnamed(&keys, deps.ledger.completion(output, &done).await?);
        deps.store.delete_many(&keys).await?;
    }
    deps.ledger.release(&lease).await?;
    Ok(())
}
