//! The ledger: every call goes to the ledger under test and to the reference model, and both have
//! to return the same.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use segue_domain::{
    Completion, Epoch, HolderId, JobId, JobRecord, Key, OutboxEntry, OutputId, OutputRef, TaskId, Tombstone,
};
use segue_ports::{
    Acquired, Clock, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease,
    LeaseLedger, LeaseName, NewJob, OutboxLedger, OutputChange, PortError, Recorded, TombstonePage,
};

use crate::model::is_open;
use crate::op::Op;
use crate::oracle::Invariant;
use crate::port::Port;
use crate::world::{State, World};

/// The answer of the ledger under test, which never waits.
fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("a ledger in memory answers at once")
}

fn agree<T: Debug + PartialEq>(world: &World, state: &mut State, op: Op, got: &T, wanted: &T) {
    if got != wanted {
        let what = format!("{} returns {got:?}, the model {wanted:?}", op.as_str());
        world.violate(state, Invariant::Model, what);
    }
}

fn op_of(change: &JobChange) -> Op {
    match change {
        JobChange::Seal(_) => Op::Seal,
        JobChange::Output { change, .. } => match change {
            OutputChange::Assemble => Op::Assemble,
            OutputChange::Commit(_) => Op::Commit,
            OutputChange::Complete => Op::Complete,
            OutputChange::Fail(_) => Op::Fail,
            OutputChange::Cancel => Op::CancelOutput,
            OutputChange::Retry => Op::Retry,
        },
        JobChange::Add { .. } => Op::Add,
        JobChange::Cancel => Op::Cancel,
        JobChange::Delete { .. } => Op::MarkDeleting,
        JobChange::Confirm | JobChange::Expire => unreachable!("no job of a history awaits an upload"),
    }
}

#[async_trait]
impl JobLedger for Port {
    async fn create_job(&self, job: NewJob) -> Result<CreatedJob, PortError> {
        self.call(Op::CreateJob, job.id.to_string(), move |state, world, _| {
            let got = now(world.ledger.create_job(job.clone()))?;
            let wanted = state.model.create(&job, world.clock.now_ms());
            agree(world, state, Op::CreateJob, &got, &wanted);
            if got.created {
                let public = Key::published_prefix(&got.job.id);
                let left = state.objects.keys(&public, None).map(|(key, _)| key.to_owned()).collect();
                state.oracle.created(&got.job.id, left);
            }
            Ok(got)
        })
        .await
    }

    async fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        let (id, life) = (id.clone(), Arc::clone(&self.life));
        self.call(Op::Job, id.to_string(), move |state, world, _| {
            life.asks(&id);
            let got = now(world.ledger.job(&id))?;
            let wanted = state.model.jobs.get(&id).cloned();
            agree(world, state, Op::Job, &got, &wanted);
            Ok(got)
        })
        .await
    }

    /// Roles list no jobs, so no fault can occur here.
    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        now(self.world.ledger.jobs(filter, from, max))
    }

    async fn open_jobs(
        &self,
        updated_before_ms: i64,
        from: Option<&str>,
        max: usize,
    ) -> Result<JobPage, PortError> {
        let (from, max, life) =
            (from.map(str::to_owned), max.min(self.world.params.page), Arc::clone(&self.life));
        self.call(Op::OpenJobs, String::new(), move |state, world, _| {
            let got = now(world.ledger.open_jobs(updated_before_ms, from.as_deref(), max))?;
            let fits = |job: &&JobRecord| {
                is_open(job)
                    && job.updated_at_ms < updated_before_ms
                    && from.as_deref().is_none_or(|from| job.id.as_str() > from)
            };
            let all: Vec<JobRecord> = state.model.jobs.values().filter(fits).cloned().collect();
            let page: Vec<JobRecord> = all.iter().take(max).cloned().collect();
            agree(world, state, Op::OpenJobs, &got.jobs, &page);
            agree(world, state, Op::OpenJobs, &got.next.is_some(), &(all.len() > max));
            got.jobs.iter().for_each(|job| life.asks(&job.id));
            Ok(got)
        })
        .await
    }

    async fn change(
        &self,
        id: &JobId,
        change: JobChange,
        fence: Option<&Lease>,
    ) -> Result<Option<JobRecord>, PortError> {
        let (id, fence, op) = (id.clone(), fence.cloned(), op_of(&change));
        let what = match (&change, &fence) {
            (JobChange::Output { output, .. }, None) => format!("{id} {output}"),
            (_, Some(lease)) => format!("{id} under {} term {}", lease.name.as_str(), lease.term),
            (_, None) => id.to_string(),
        };
        self.call(op, what, move |state, world, by| {
            let before = state.model.jobs.get(&id).cloned();
            let got = now(world.ledger.change(&id, change.clone(), fence.as_ref()))?;
            let wanted = state.model.change(&id, &change, fence.as_ref(), world.clock.now_ms());
            agree(world, state, op, &got, &wanted);
            if let (Some(before), Some(after)) = (&before, &got) {
                world.judge_change(state, by, &change, before, after);
            }
            Ok(got)
        })
        .await
    }

    async fn delete_job(&self, read: &JobRecord) -> Result<bool, PortError> {
        let read = read.clone();
        let what = format!("{} epoch {}", read.id, read.epoch);
        self.call(Op::DeleteJob, what, move |state, world, _| {
            let was_there = state.model.jobs.contains_key(&read.id);
            let got = now(world.ledger.delete_job(&read))?;
            let wanted = state.model.delete(&read);
            agree(world, state, Op::DeleteJob, &got, &wanted);
            if got && was_there {
                state.oracle.deleted(&read.id);
            }
            Ok(got)
        })
        .await
    }

    async fn tombstones(&self, from: Option<&str>, max: usize) -> Result<TombstonePage, PortError> {
        let (from, max) = (from.map(str::to_owned), max.min(self.world.params.page));
        self.call(Op::Tombstones, String::new(), move |state, world, _| {
            let got = now(world.ledger.tombstones(from.as_deref(), max))?;
            let is_after = |job: &JobId| from.as_deref().is_none_or(|from| job.as_str() > from);
            let all: Vec<(JobId, Epoch)> =
                state.model.gone.clone().into_iter().filter(|g| is_after(&g.0)).collect();
            let page: Vec<(JobId, Epoch)> =
                got.tombstones.iter().map(|found| (found.job.clone(), found.epoch.clone())).collect();
            agree(world, state, Op::Tombstones, &page, &all.iter().take(max).cloned().collect());
            agree(world, state, Op::Tombstones, &got.next.is_some(), &(all.len() > max));
            Ok(got)
        })
        .await
    }

    /// A history is shorter than a tombstone's life, so no fault can occur here.
    async fn remove_tombstone(&self, read: &Tombstone) -> Result<bool, PortError> {
        let removed = now(self.world.ledger.remove_tombstone(read))?;
        if removed {
            self.world.lock().model.gone.remove(&read.job);
        }
        Ok(removed)
    }
}

/// Roles record no notices yet, so no fault can occur here.
#[async_trait]
impl OutboxLedger for Port {
    async fn outbox(&self, max: usize) -> Result<Vec<OutboxEntry>, PortError> {
        now(self.world.ledger.outbox(max))
    }

    async fn remove_from_outbox(&self, id: &str) -> Result<(), PortError> {
        now(self.world.ledger.remove_from_outbox(id))
    }
}

#[async_trait]
impl CompletionLedger for Port {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        let (completion, lease) = (completion.clone(), lease.clone());
        let what = format!("{} under {} term {}", completion.task, lease.name.as_str(), completion.term);
        self.call(Op::Record, what, move |state, world, _| {
            let got = now(world.ledger.record(&completion, &lease))?;
            let wanted = state.model.record(&completion, &lease);
            agree(world, state, Op::Record, &got, &wanted);
            if got == Recorded::Created {
                world.judge_completion(state, &completion);
            }
            Ok(got)
        })
        .await
    }

    async fn completed(&self, output: &OutputRef) -> Result<u64, PortError> {
        let output = output.clone();
        self.call(Op::Completed, output.to_string(), move |state, world, _| {
            let got = now(world.ledger.completed(&output))?;
            let wanted = state.model.completions_of(&output).count() as u64;
            agree(world, state, Op::Completed, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn completion(&self, output: &OutputRef, task: &TaskId) -> Result<Option<Completion>, PortError> {
        let (output, task) = (output.clone(), task.clone());
        self.call(Op::Completion, format!("{output} {task}"), move |state, world, _| {
            let got = now(world.ledger.completion(&output, &task))?;
            let wanted = state.model.completions.get(&(output.clone(), task.clone())).cloned();
            agree(world, state, Op::Completion, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn completions(
        &self,
        output: &OutputRef,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let (output, after, max) = (output.clone(), after.cloned(), max.min(self.world.params.page));
        self.call(Op::Completions, output.to_string(), move |state, world, _| {
            let got = now(world.ledger.completions(&output, after.as_ref(), max))?;
            let rest =
                state.model.completions_of(&output).filter(|c| after.as_ref().is_none_or(|a| c.task > *a));
            let wanted: Vec<Completion> = rest.take(max).cloned().collect();
            agree(world, state, Op::Completions, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn count_failure(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let (output, task) = (output.clone(), task.clone());
        self.call(Op::CountFailure, format!("{output} {task}"), move |state, world, _| {
            let got = now(world.ledger.count_failure(&output, &task));
            let wanted = state.model.count_failure(&output, &task);
            agree(world, state, Op::CountFailure, &got.as_ref().ok().copied(), &wanted);
            world.judge_failures(state, &output, &task, wanted.unwrap_or_default());
            got
        })
        .await
    }

    async fn failures(&self, output: &OutputRef, task: &TaskId) -> Result<u32, PortError> {
        let (output, task) = (output.clone(), task.clone());
        self.call(Op::Failures, format!("{output} {task}"), move |state, world, _| {
            let got = now(world.ledger.failures(&output, &task))?;
            let wanted = state.model.failures(&output, &task);
            agree(world, state, Op::Failures, &got, &wanted);
            Ok(got)
        })
        .await
    }
}

#[async_trait]
impl LeaseLedger for Port {
    async fn leased_tasks(&self, job: &JobId, output: &OutputId) -> Result<Vec<TaskId>, PortError> {
        let (job, output) = (job.clone(), output.clone());
        self.call(Op::LeasedTasks, format!("{job} {output}"), move |state, world, _| {
            let got = now(world.ledger.leased_tasks(&job, &output))?;
            let wanted = state.model.leased(&job, &output, world.clock.now_ms());
            agree(world, state, Op::LeasedTasks, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn acquire(
        &self,
        name: &LeaseName,
        holder: &HolderId,
        ttl: Duration,
    ) -> Result<Acquired, PortError> {
        let (name, holder, ttl) = (name.clone(), holder.clone(), self.true_time(ttl));
        let acquired = self
            .call(Op::Acquire, name.as_str().to_owned(), move |state, world, _| {
                let got = now(world.ledger.acquire(&name, &holder, ttl))?;
                let wanted = state.model.acquire(&name, &holder, ttl, world.clock.now_ms());
                agree(world, state, Op::Acquire, &got, &wanted);
                if matches!(got, Acquired::Held(_)) {
                    world.judge_grant(state, &name);
                }
                Ok(got)
            })
            .await;
        if let Ok(Acquired::Held(lease)) = &acquired {
            self.life.holds(&lease.name);
        }
        acquired
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, PortError> {
        let (lease, ttl) = (lease.clone(), self.true_time(ttl));
        let what = format!("{} term {}", lease.name.as_str(), lease.term);
        self.call(Op::Renew, what, move |state, world, _| {
            let got = now(world.ledger.renew(&lease, ttl))?;
            let wanted = state.model.renew(&lease, ttl, world.clock.now_ms());
            agree(world, state, Op::Renew, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let lease = lease.clone();
        let what = format!("{} term {}", lease.name.as_str(), lease.term);
        self.call(Op::Release, what, move |state, world, _| {
            now(world.ledger.release(&lease))?;
            state.model.release(&lease);
            Ok(())
        })
        .await
    }
}
