//! A fleet of `segue worker` processes on one backend: members are killed, stopped and limited in
//! their resources while they work on many jobs, and replaced.
//!
//! In each *round* jobs are submitted and faults injected; then the fleet runs undisturbed until all
//! jobs have ended and no work is left.

mod deployment;
mod member;
mod round;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::finding::{Broken, Finding};
use crate::patience::Patience;
use crate::processes::{MARK, marked};
use crate::tally::Tally;
use crate::{OnWhat, Plan, World};

use deployment::{Deployment, Emulated, Folder};
use member::{Condition, Member};

/// Roles of the members; two of each role that holds long leases.
const ROLES: [&str; 6] = ["planner", "worker", "worker", "assembler", "assembler,sweeper", "worker,sweeper"];
/// Lease duration of a fleet, seconds.
const LEASE_S: u64 = 4;
/// Exit code of a retryable error, and the number of retries: a fleet with resource limits may lock its
/// database for longer than the timeout of a command.
const RETRYABLE: i32 = 4;
const RETRIES: u32 = 5;
/// Timeout for a member to return its work, seconds.
const DRAIN_S: u64 = 60;

/// A fleet and its deployment.
pub(crate) struct Fleet<'a> {
    world: &'a World,
    deployment: Box<dyn Deployment>,
    folder: PathBuf,
    mark: String,
    members: Vec<Member>,
    count: u64,
    rng: Rng,
    log: Vec<String>,
}

/// Runs rounds until the time is over.
///
/// # Errors
/// Errors of the harness itself.
pub(crate) fn torture(plan: &Plan, world: &World) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut patience = Patience::new(plan.time);
    let mut fleet = Fleet::start(plan, world)?;
    let mut number = 0;
    while !patience.is_over() && tally.is_clean() {
        fleet.round(number, &mut tally, &mut patience)?;
        number += 1;
        if plan.sabotage.is_some() {
            break;
        }
    }
    let findings = fleet.end(&mut tally)?;
    tally.add_findings(&findings);
    for finding in &findings {
        eprintln!("seed {}: {finding}", plan.seed);
    }
    if tally.is_clean() {
        std::fs::remove_dir_all(&fleet.folder)?;
    } else {
        std::fs::write(fleet.folder.join("log.txt"), fleet.log.join("\n"))?;
        eprintln!(
            "  kept in {}; replay with: cargo xtask torture --backend {} --seed {}",
            fleet.folder.display(),
            plan.backend.name(),
            plan.seed
        );
    }
    Ok(tally)
}

impl<'a> Fleet<'a> {
    fn start(plan: &Plan, world: &'a World) -> Result<Fleet<'a>> {
        let folder = world.work.join(format!("{}-seed-{}", plan.backend.name(), plan.seed));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(folder.join("tmp"))?;
        let deployment: Box<dyn Deployment> = match plan.backend {
            OnWhat::Aws => {
                let program =
                    plan.helper.as_ref().context("the AWS backend needs the program segue-fleet")?;
                Box::new(Emulated::start(program)?)
            }
            _ => Box::new(Folder(folder.join("state"))),
        };
        let mark = format!("{}-{}", std::process::id(), folder.display());
        let mut fleet = Fleet {
            world,
            deployment,
            folder,
            mark,
            members: Vec::new(),
            count: 0,
            rng: Rng::with_seed(plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            log: Vec::new(),
        };
        for roles in ROLES {
            let member = fleet.member(roles)?;
            fleet.members.push(member);
        }
        Ok(fleet)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.world.segue);
        crate::job::clean_environment(&mut command);
        command.env(MARK, &self.mark).env("TMPDIR", self.folder.join("tmp")).current_dir(&self.folder);
        command.env("SEGUE_SANDBOX_READ", self.world.recipes.map_script());
        command.envs(self.deployment.environment());
        for (name, seconds) in
            [("SEGUE_LEASE", LEASE_S), ("SEGUE_VISIBILITY", LEASE_S), ("SEGUE_SWEEP_EVERY", 3)]
        {
            command.env(name, format!("{seconds}s"));
        }
        command.env("SEGUE_ALLOW_MAP", "any");
        command
    }

    fn member(&mut self, roles: &'static str) -> Result<Member> {
        let mut command = self.command();
        command.args(["worker", "--backend", &self.deployment.url(), "--roles", roles, "--threads", "1"]);
        command.arg("--scratch").arg(self.folder.join("scratch")).env("SEGUE_LOG", "warn");
        self.count += 1;
        Member::start(command, roles, &self.folder, self.count)
    }

    /// Runs a command of the program; returns the JSON that it prints.
    fn segue(&self, args: &[&str]) -> Result<Value> {
        let mut command = self.command();
        command.args(args).arg("--json").env("SEGUE_BACKEND", self.deployment.url());
        let mut output = command.output()?;
        for _ in 0..RETRIES {
            if output.status.code() != Some(RETRYABLE) {
                break;
            }
            std::thread::sleep(Duration::from_secs(2));
            output = command.output()?;
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{args:?}: {} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&text).with_context(|| format!("{args:?} printed {text}"))
    }

    fn note(&mut self, line: String) {
        self.log.push(line);
    }

    /// Replaces ended members; returns findings for unexpected ends.
    fn replace_ended(&mut self, tally: &mut Tally) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        for index in 0..self.members.len() {
            let Some((words, finding)) = self.members[index].ended()? else { continue };
            let roles = self.members[index].roles;
            self.log.push(format!("{roles} ended with {words}"));
            tally.add_end(words);
            found.extend(finding);
            self.members[index] = self.member(roles)?;
            tally.lives += 1;
        }
        Ok(found)
    }

    /// Terminates all members, which must return their work and leave nothing behind.
    fn end(&mut self, tally: &mut Tally) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for member in &mut self.members {
            member.condition = Condition::Terminated;
            member.signal(Signal::SIGTERM);
        }
        let mut patience = Patience::new(std::time::Duration::from_secs(DRAIN_S));
        let mut running: Vec<usize> = (0..self.members.len()).collect();
        while !running.is_empty() && !patience.is_over() {
            let mut still = Vec::new();
            for index in running {
                match self.members[index].ended()? {
                    Some((words, finding)) => {
                        tally.add_end(words);
                        findings.extend(finding);
                    }
                    None => still.push(index),
                }
            }
            running = still;
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        for index in running {
            let what =
                format!("{} does not give back what it holds within {DRAIN_S} s", self.members[index].roles);
            findings.push(Finding::new(Broken::Lost, what));
        }
        self.members.clear();
        for process in crate::processes::none_left(&self.mark) {
            findings.push(Finding::new(Broken::Orphan, format!("process {}: {}", process.pid, process.line)));
        }
        for folder in ["tmp", "scratch"] {
            let left = crate::result::everything(&self.folder.join(folder));
            // the lock file shared by the users of the folder stays
            let left = left.into_iter().filter(|path| !path.ends_with("scratch/lock"));
            let orphan = |path: PathBuf| Finding::new(Broken::Orphan, format!("file {}", path.display()));
            findings.extend(left.map(orphan));
        }
        Ok(findings)
    }

    /// Processes that members started.
    fn children(&self) -> Vec<crate::processes::Process> {
        let own = |pid: i32| self.members.iter().any(|member| member.pid == pid);
        marked(&self.mark).into_iter().filter(|process| !own(process.pid)).collect()
    }
}
