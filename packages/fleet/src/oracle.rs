//! What must be true of jobs once all is quiet: one published result each, nothing lost, nothing
//! left.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use segue_domain::{JobId, JobRecord, JobState, Key, Manifest, OutputRecord, OutputRef, TaskId};
use segue_ports::{CompletionLedger, JobLedger, Lane, MediaStore, WorkQueue};

use crate::fleet::Fleet;

/// How one job ended.
#[derive(Debug, Default)]
pub struct Verdict {
    /// It has no result.
    pub lost: bool,
    /// It has more than one result, or counted something twice.
    pub doubled: bool,
    /// What is wrong, for people.
    pub wrong: Vec<String>,
}

/// Looks at a job that must be published.
///
/// # Errors
/// The emulator's.
pub async fn judge(fleet: &Fleet, job: &JobId) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let record = fleet.backend.ledger.job(job).await?;
    let Some(record) = record.filter(|record| record.state() == JobState::Completed) else {
        let record = fleet.backend.ledger.job(job).await?;
        verdict.lost = true;
        verdict.wrong.push(format!("{job} is not completed: {record:?}"));
        return Ok(verdict);
    };
    for output in &record.outputs {
        judge_tasks(fleet, &record, output, &mut verdict).await?;
    }
    let found = published(fleet, job).await?;
    let key = Key::manifest(job);
    let manifest = match fleet.backend.store.get_bytes(&key, 16 << 20).await {
        Ok(bytes) => Manifest::decode(&bytes)?,
        Err(error) => {
            verdict.lost = true;
            verdict.wrong.push(format!("{job} has no manifest: {error}"));
            return Ok(verdict);
        }
    };
    let mut named: Vec<(String, Option<u64>)> =
        manifest.files().map(|file| (format!("jobs/{job}/{}", file.name), Some(file.bytes))).collect();
    named.push((key.to_string(), None));
    named.extend(manifest.outputs.keys().map(|output| (Key::index(job, output).to_string(), None)));
    for (name, bytes) in &named {
        match found.iter().find(|(there, _)| there == name) {
            None => {
                verdict.lost = true;
                verdict.wrong.push(format!("{name} is not there"));
            }
            Some((_, size)) if bytes.is_some_and(|bytes| bytes != *size) => {
                verdict.doubled = true;
                verdict.wrong.push(format!("{name} has {size} bytes, the manifest says {bytes:?}"));
            }
            Some(_) => {}
        }
    }
    for (name, _) in found.iter().filter(|(name, _)| !named.iter().any(|(known, _)| known == name)) {
        verdict.doubled = true;
        verdict.wrong.push(format!("{name} is published and no manifest names it"));
    }
    for name in ["/video.certificate.json", "/final.mp4"] {
        if !named.iter().any(|(known, _)| known.ends_with(name)) {
            verdict.lost = true;
            verdict.wrong.push(format!("{job} has no {name}"));
        }
    }
    Ok(verdict)
}

/// Counts the tasks of a published output.
async fn judge_tasks(
    fleet: &Fleet,
    job: &JobRecord,
    output: &OutputRecord,
    verdict: &mut Verdict,
) -> Result<()> {
    let (id, of) = (output.id(), job.output_ref(output.id()));
    let tasks = output.plan.as_ref().with_context(|| format!("{id} is completed without a plan"))?.tasks;
    let counted = fleet.backend.ledger.completed(&of).await?;
    if counted != tasks {
        verdict.doubled = true;
        verdict.wrong.push(format!("{id} of {} counted {counted} of {tasks} tasks", job.id));
    }
    let completions = completions(fleet, &of).await?;
    if completions != tasks {
        verdict.doubled |= completions > tasks;
        verdict.wrong.push(format!("{id} of {} has {completions} completions for {tasks} tasks", job.id));
    }
    Ok(())
}

async fn completions(fleet: &Fleet, of: &OutputRef) -> Result<u64> {
    let (mut count, mut after) = (0, None::<TaskId>);
    loop {
        let page = fleet.backend.ledger.completions(of, after.as_ref(), 500).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.task.clone());
        count += page.len() as u64;
    }
}

async fn published(fleet: &Fleet, job: &JobId) -> Result<Vec<(String, u64)>> {
    let page = fleet.backend.store.list(&Key::published_prefix(job), None, 1000).await?;
    Ok(page.objects.into_iter().map(|object| (object.key, object.bytes)).collect())
}

/// What is left on the way, once the sweeper had its time: objects, messages, dead letters.
///
/// # Errors
/// Something is left when `patience` is over, and what.
pub async fn quiet(fleet: &Fleet, patience: Duration) -> Result<()> {
    let begun = Instant::now();
    loop {
        let left = left(fleet).await?;
        if left.is_empty() {
            return Ok(());
        }
        ensure!(begun.elapsed() < patience, "left after {patience:?}: {left:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What is on its way: objects, messages, dead letters.
///
/// # Errors
/// The emulator's.
pub async fn left(fleet: &Fleet) -> Result<Vec<String>> {
    let mut left = Vec::new();
    for prefix in [Key::WORK, Key::SEGMENTS] {
        let page = fleet.backend.store.list(prefix, None, 100).await?;
        left.extend(page.objects.into_iter().map(|object| object.key));
    }
    let queues = &fleet.deployment.settings.queues;
    for queue in Lane::ALL.into_iter().filter(|lane| queues.own(*lane).is_some()) {
        let depth = fleet.backend.queue.depth(queue).await?;
        if (depth.waiting, depth.in_flight, depth.dead) != (0, 0, 0) {
            left.push(format!("{queue} queue: {depth:?}"));
        }
        if depth.dead > 0 {
            for letter in fleet.backend.queue.dead_letters(queue, 10).await? {
                left.push(format!("dead letter: {letter:?}"));
            }
        }
    }
    Ok(left)
}
