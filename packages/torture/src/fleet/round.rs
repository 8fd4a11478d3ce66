//! One round: jobs are submitted, faults are injected, then the fleet runs undisturbed and is checked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;
use rustix::process::Resource;
use segue_domain::{FaultKind, JobRecord, JobState};

use super::member::Condition;
use super::{Fleet, LEASE_S};
use crate::fault::{Fault, Stage};
use crate::finding::{Broken, Finding};
use crate::job::Expected;
use crate::life::{Met, limit};
use crate::patience::Patience;
use crate::processes::{address_space, file_table, send};
use crate::result::complete;
use crate::script::Script;
use crate::tally::Tally;

/// Jobs per round.
const JOBS: u64 = 4;
/// Longest time with faults per round.
const FAULTS_FOR: Duration = Duration::from_secs(25);
/// Timeout of the jobs without faults.
const JOBS_TIMEOUT: Duration = Duration::from_secs(300);
/// Timeout of the sweeper's cleanup.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(50);
/// Interval of status requests.
const STATUS_EVERY: Duration = Duration::from_millis(700);

/// A submitted job.
struct Submitted {
    id: String,
    script: Script,
    expected: Expected,
}

/// The end of a fault.
enum Later {
    Continue(i32),
    EndOutage,
}

impl Fleet<'_> {
    /// Runs one round; adds its findings to the tally.
    pub(super) fn round(&mut self, number: u64, tally: &mut Tally, time: &mut Patience) -> Result<()> {
        let jobs = self.submit(number)?;
        self.note(format!("round {number}: {:?}", jobs.iter().map(|job| &job.id).collect::<Vec<_>>()));
        let mut findings = self.inject_faults(tally, time)?;
        findings.extend(self.await_jobs(&jobs, tally, time)?);
        for job in &jobs {
            let of_job = self.check_job(job)?;
            tally.jobs += 1;
            tally.completed += u64::from(of_job.is_empty() && job.expected.code == 0);
            tally.refused += u64::from(of_job.is_empty() && job.expected.code == 3);
            findings.extend(of_job);
        }
        findings.extend(self.await_cleanup(tally, time)?);
        tally.add_findings(&findings);
        for finding in &findings {
            eprintln!("round {number}: {finding}");
            self.note(format!("FOUND {finding}"));
        }
        Ok(())
    }

    fn submit(&mut self, number: u64) -> Result<Vec<Submitted>> {
        let mut jobs = Vec::new();
        for place in 0..if self.world.sabotage.is_some() { 1 } else { JOBS } {
            let mut script = match self.world.sabotage {
                Some(sabotage) => sabotage.script(),
                None => Script::new(self.world.seed, number * JOBS + place, self.world.able),
            };
            // each member has one thread
            script.workers = 1;
            let source = self.world.source(&script)?;
            let expected = self.world.expected(&script)?;
            let id = format!("job-{number}-{place}");
            let source = source.display().to_string();
            let mut args = vec!["submit".to_owned(), source, "--job".to_owned(), id.clone()];
            args.extend(self.world.recipes.recipe(script.work));
            self.segue(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
            jobs.push(Submitted { id, script, expected });
        }
        Ok(jobs)
    }

    /// The state of every job with an open output.
    fn unfinished(&self) -> Result<BTreeMap<String, JobState>> {
        let listed: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_value(self.segue(&["status"])?)?;
        let mut open = BTreeMap::new();
        for mut document in listed {
            // a listing adds the state, which is no field of the document
            document.remove("state");
            let job: JobRecord = serde_json::from_value(document.into())?;
            if job.is_open_job() {
                open.insert(job.id.to_string(), job.state());
            }
        }
        Ok(open)
    }

    /// A job, and how many tasks of each of its outputs are counted.
    fn job(&self, id: &str) -> Result<(JobRecord, Vec<u64>)> {
        let mut status = self.segue(&["status", id])?;
        let job = serde_json::from_value(status["job"].take())?;
        Ok((job, serde_json::from_value(status["completed_tasks"].take())?))
    }

    fn inject_faults(&mut self, tally: &mut Tally, time: &mut Patience) -> Result<Vec<Finding>> {
        let (started, mut checked, mut next) = (Instant::now(), Instant::now(), Instant::now());
        let (mut findings, mut later) = (Vec::new(), Vec::<(Instant, Later)>::new());
        let (mut stage, mut out) = (Stage::Planning, false);
        while started.elapsed() < FAULTS_FOR {
            time.is_over();
            findings.extend(self.replace_ended(tally)?);
            if !out && checked.elapsed() > STATUS_EVERY {
                checked = Instant::now();
                let unfinished = self.unfinished()?;
                let Some(state) = unfinished.values().next() else { break };
                stage = Stage::of_state(state.as_str()).unwrap_or(Stage::Planning);
            }
            if next <= Instant::now() {
                next = Instant::now() + Duration::from_millis(self.rng.u64(100..1_500));
                if let Some(fault) = self.inject_fault(&mut later, out)? {
                    out |= fault == Fault::Outage;
                    self.note(format!(
                        "+{:.3} s {fault:?} while {}",
                        started.elapsed().as_secs_f64(),
                        stage.name()
                    ));
                    tally.add_met(&[Met { fault, stage }]);
                }
            }
            let (due, rest) = later.into_iter().partition(|(at, _)| *at <= Instant::now());
            later = rest;
            let due: Vec<(Instant, Later)> = due;
            for (_, what) in due {
                out &= !matches!(what, Later::EndOutage);
                self.undo(what)?;
            }
            std::thread::sleep(POLL_EVERY);
        }
        for (_, what) in later {
            self.undo(what)?;
        }
        Ok(findings)
    }

    fn undo(&mut self, what: Later) -> Result<()> {
        match what {
            Later::Continue(pid) => match self.members.iter_mut().find(|member| member.pid == pid) {
                Some(member) => member.signal(Signal::SIGCONT),
                None => drop(send(pid, Signal::SIGCONT)),
            },
            Later::EndOutage => drop(self.deployment.outage(false)?),
        }
        Ok(())
    }

    /// Injects a random fault, if possible, and returns it.
    fn inject_fault(&mut self, later: &mut Vec<(Instant, Later)>, out: bool) -> Result<Option<Fault>> {
        let index = self.rng.usize(0..self.members.len());
        let kind = self.rng.u32(0..24);
        let ms = self.rng.u64(50..1_500);
        let room = self.rng.u64(0..64 << 20);
        let after = |ms: u64| Instant::now() + Duration::from_millis(ms);
        if kind >= 22 {
            let up_again = after(2_000 + ms * 4);
            if out || !self.deployment.outage(true)? {
                return Ok(None);
            }
            later.push((up_again, Later::EndOutage));
            return Ok(Some(Fault::Outage));
        }
        if (12..16).contains(&kind) {
            let children = self.children();
            if children.is_empty() {
                return Ok(None);
            }
            let pid = children[self.rng.usize(0..children.len())].pid;
            if kind < 14 {
                return Ok(send(pid, Signal::SIGKILL).then_some(Fault::KillChild));
            }
            later.push((after(ms), Later::Continue(pid)));
            return Ok(send(pid, Signal::SIGSTOP).then_some(Fault::StopChild(Duration::from_millis(ms))));
        }
        let member = &mut self.members[index];
        if member.stopped || member.condition != Condition::Running {
            return Ok(None);
        }
        let fault = match kind {
            0..8 => {
                member.condition = Condition::Killed;
                member.signal(Signal::SIGKILL);
                Fault::Kill
            }
            8..10 => {
                member.signal(Signal::SIGSTOP);
                later.push((after(ms), Later::Continue(member.pid)));
                Fault::Stop(Duration::from_millis(ms))
            }
            10..12 => {
                member.signal(Signal::SIGSTOP);
                later.push((after(LEASE_S * 1_000 + ms), Later::Continue(member.pid)));
                Fault::Stop(crate::fault::LONGER_THAN_A_LEASE)
            }
            16..19 => {
                member.condition = Condition::Terminated;
                member.signal(Signal::SIGTERM);
                Fault::Terminate
            }
            19 | 20 => {
                let most = address_space(member.pid).unwrap_or(0) + room;
                member.condition = Condition::Starved;
                limit(member.pid, Resource::As, most);
                Fault::Memory(most)
            }
            _ => {
                let most = file_table(member.pid).unwrap_or(8) + ms % 12;
                member.condition = Condition::Starved;
                limit(member.pid, Resource::Nofile, most);
                Fault::Files(ms % 12)
            }
        };
        Ok(Some(fault))
    }

    /// Waits until all jobs have ended. Terminates the members with resource limits, and retries the
    /// jobs that failed because of them.
    fn await_jobs(
        &mut self,
        jobs: &[Submitted],
        tally: &mut Tally,
        time: &mut Patience,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for member in &mut self.members {
            if member.condition == Condition::Starved {
                member.signal(Signal::SIGTERM);
            }
        }
        let mut patience = Patience::new(JOBS_TIMEOUT);
        loop {
            for _ in 0..10 {
                time.is_over();
                findings.extend(self.replace_ended(tally)?);
                std::thread::sleep(POLL_EVERY);
            }
            let unfinished = self.unfinished()?;
            if unfinished.is_empty() && !self.retry_failed(jobs)? {
                return Ok(findings);
            }
            if patience.is_over() {
                let what = format!("jobs that do not end: {unfinished:?}");
                findings.push(Finding::new(Broken::Lost, what));
                return Ok(findings);
            }
        }
    }

    /// Retries the jobs that failed because of a fault; returns whether there were any.
    fn retry_failed(&mut self, jobs: &[Submitted]) -> Result<bool> {
        let mut any = false;
        for job in jobs {
            let (record, _) = self.job(&job.id)?;
            if let Some(failure) = record.failure()
                && failure.kind == FaultKind::Environment
                && job.expected.code == 0
            {
                self.note(format!("{} failed: {}", job.id, failure.cause));
                self.segue(&["retry", &job.id])?;
                // the dead letters of the failed attempt are expected
                self.segue(&["dlq", "purge"])?;
                any = true;
            }
        }
        Ok(any)
    }

    fn check_job(&self, job: &Submitted) -> Result<Vec<Finding>> {
        let (record, completed) = self.job(&job.id)?;
        let (state, failure) = (record.state(), record.failure());
        let as_wanted = match job.expected.code {
            0 => state == JobState::Completed,
            _ => state == JobState::Failed && failure.is_some_and(|found| found.kind == FaultKind::Source),
        };
        if !as_wanted {
            let what = format!("{} {:?} is {state}: {failure:?}", job.id, job.script.work);
            return Ok(vec![Finding::new(Broken::Lost, what)]);
        }
        let results = self.folder.join(&job.id);
        self.deployment.fetch(&job.id, &results)?;
        if let Some(sabotage) = self.world.sabotage {
            sabotage.at_the_end(&results, &self.folder.join("tmp"), &self.mark);
        }
        if job.expected.code != 0 {
            let public = crate::result::files(&results);
            let partial = |name: String| Finding::new(Broken::Partial, format!("{name} of a failed job"));
            return Ok(public.into_iter().map(partial).collect());
        }
        let mut findings = Vec::new();
        for (output, counted) in record.outputs.iter().zip(completed) {
            let planned = output.plan.as_ref().map(|plan| plan.tasks);
            if planned != Some(counted) {
                let what = format!("{} of {} counted {counted} of {planned:?} tasks", output.id(), job.id);
                findings.push(Finding::new(Broken::Doubled, what));
            }
        }
        match complete(&results) {
            Err(more) => findings.extend(more),
            Ok((_, fixed)) => {
                let other = job.expected.fixed.as_ref().and_then(|expected| expected.difference(&fixed));
                findings
                    .extend(other.map(|what| Finding::new(Broken::Different, format!("{}: {what}", job.id))));
            }
        }
        if findings.is_empty() {
            if job.expected.verified {
                let source = self.world.source(&job.script)?;
                findings.extend(crate::job::verify(
                    &self.world.segue,
                    &source,
                    &results,
                    &self.folder.join("tmp"),
                )?);
            }
            std::fs::remove_dir_all(&results)?;
        }
        Ok(findings)
    }

    /// Waits until no work is left. Terminated members are still replaced, because the remaining messages
    /// need consumers.
    fn await_cleanup(&mut self, tally: &mut Tally, time: &mut Patience) -> Result<Vec<Finding>> {
        let (mut patience, mut findings) = (Patience::new(CLEANUP_TIMEOUT), Vec::new());
        loop {
            let left = self.deployment.left()?;
            if left.is_empty() {
                return Ok(findings);
            }
            if patience.is_over() {
                findings.push(Finding::new(Broken::Orphan, format!("after {CLEANUP_TIMEOUT:?}: {left:?}")));
                return Ok(findings);
            }
            for _ in 0..6 {
                time.is_over();
                findings.extend(self.replace_ended(tally)?);
                std::thread::sleep(POLL_EVERY);
                patience.is_over();
            }
        }
    }
}
