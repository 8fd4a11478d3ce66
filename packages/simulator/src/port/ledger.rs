//! The ledger: every call goes to the ledger under test and to the reference model, and
//! both have to say the same.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use segue_domain::{Completion, HolderId, JobId, JobRecord, Key, TaskId};
use segue_ports::{
    Acquired, Clock, CompletionLedger, CreatedJob, JobChange, JobFilter, JobLedger, JobPage, Lease,
    LeaseLedger, LeaseName, NewJob, PortError, Recorded,
};

use crate::op::Op;
use crate::oracle::Invariant;
use crate::params::Role;
use crate::port::Port;
use crate::world::{State, World};

/// The answer of the ledger under test, which never waits.
fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("a ledger in memory answers at once")
}

fn agree<T: Debug + PartialEq>(world: &World, state: &mut State, op: Op, got: &T, wanted: &T) {
    if got != wanted {
        let what = format!("{} says {got:?}, the model {wanted:?}", op.as_str());
        world.violate(state, Invariant::Model, what);
    }
}

fn op_of(change: &JobChange) -> Op {
    match change {
        JobChange::Seal(_) => Op::Seal,
        JobChange::Reassemble => Op::Reassemble,
        JobChange::Commit { .. } => Op::Commit,
        JobChange::Complete => Op::Complete,
        JobChange::Fail(_) => Op::Fail,
        JobChange::Cancel => Op::Cancel,
        JobChange::Retry => Op::Retry,
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
        self.call(Op::Job, id.to_string(), move |state, world, by| {
            if world.params.processes[by.process].role == Role::User {
                life.asks(&id);
            }
            let got = now(world.ledger.job(&id))?;
            let wanted = state.model.jobs.get(&id).cloned();
            agree(world, state, Op::Job, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn jobs(&self, filter: JobFilter, from: Option<&str>, max: usize) -> Result<JobPage, PortError> {
        let (from, max) = (from.map(str::to_owned), max.min(self.world.params.page));
        let what = filter.state.map_or("all", |state| state.as_str()).to_owned();
        self.call(Op::Jobs, what, move |state, world, _| {
            let got = now(world.ledger.jobs(filter.clone(), from.as_deref(), max))?;
            let fits = |job: &&JobRecord| {
                filter.state.is_none_or(|state| job.state == state)
                    && filter.updated_before_ms.is_none_or(|before| job.updated_at_ms < before)
                    && from.as_deref().is_none_or(|from| job.id.as_str() > from)
            };
            let all: Vec<JobRecord> = state.model.jobs.values().filter(fits).cloned().collect();
            let page: Vec<JobRecord> = all.iter().take(max).cloned().collect();
            agree(world, state, Op::Jobs, &got.jobs, &page);
            agree(world, state, Op::Jobs, &got.next.is_some(), &(all.len() > max));
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
        let what = match &fence {
            Some(lease) => format!("{id} under {} term {}", lease.name.as_str(), lease.term),
            None => id.to_string(),
        };
        self.call(op, what, move |state, world, by| {
            let got = now(world.ledger.change(&id, change.clone(), fence.as_ref()))?;
            let wanted = state.model.change(&id, &change, fence.as_ref(), world.clock.now_ms());
            agree(world, state, op, &got, &wanted);
            if let Some(after) = &got {
                world.judge_change(state, by, &change, after);
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
}

#[async_trait]
impl CompletionLedger for Port {
    async fn record(&self, completion: &Completion, lease: &Lease) -> Result<Recorded, PortError> {
        let (completion, lease) = (completion.clone(), lease.clone());
        let what = format!("{} under {} term {}", completion.task, lease.name.as_str(), completion.term);
        self.call(Op::Record, what, move |state, world, _| {
            let got = now(world.ledger.record(&completion, &lease))?;
            let wanted = state.model.record(&completion, &lease, world.clock.now_ms());
            agree(world, state, Op::Record, &got, &wanted);
            if got == Recorded::Created {
                world.judge_completion(state, &completion);
            }
            Ok(got)
        })
        .await
    }

    async fn completion(&self, job: &JobId, task: &TaskId) -> Result<Option<Completion>, PortError> {
        let (job, task) = (job.clone(), task.clone());
        self.call(Op::Completion, format!("{job} {task}"), move |state, world, _| {
            let got = now(world.ledger.completion(&job, &task))?;
            let wanted = state.model.completions.get(&(job.clone(), task.clone())).cloned();
            agree(world, state, Op::Completion, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn completions(
        &self,
        job: &JobId,
        after: Option<&TaskId>,
        max: usize,
    ) -> Result<Vec<Completion>, PortError> {
        let (job, after, max) = (job.clone(), after.cloned(), max.min(self.world.params.page));
        self.call(Op::Completions, job.to_string(), move |state, world, _| {
            let got = now(world.ledger.completions(&job, after.as_ref(), max))?;
            let rest =
                state.model.completions_of(&job).filter(|c| after.as_ref().is_none_or(|a| c.task > *a));
            let wanted: Vec<Completion> = rest.take(max).cloned().collect();
            agree(world, state, Op::Completions, &got, &wanted);
            Ok(got)
        })
        .await
    }

    async fn count_failure(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let (job, task) = (job.clone(), task.clone());
        self.call(Op::CountFailure, format!("{job} {task}"), move |state, world, _| {
            let got = now(world.ledger.count_failure(&job, &task));
            let wanted = state.model.count_failure(&job, &task);
            agree(world, state, Op::CountFailure, &got.as_ref().ok().copied(), &wanted);
            world.judge_failures(state, &job, &task, wanted.unwrap_or_default());
            got
        })
        .await
    }

    async fn failures(&self, job: &JobId, task: &TaskId) -> Result<u32, PortError> {
        let (job, task) = (job.clone(), task.clone());
        self.call(Op::Failures, format!("{job} {task}"), move |state, world, _| {
            let got = now(world.ledger.failures(&job, &task))?;
            let wanted = state.model.failures(&job, &task);
            agree(world, state, Op::Failures, &got, &wanted);
            Ok(got)
        })
        .await
    }
}

#[async_trait]
impl LeaseLedger for Port {
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
