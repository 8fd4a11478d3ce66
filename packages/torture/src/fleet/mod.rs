//! A fleet of `segue worker` processes on one backend: members are killed, stopped and starved
//! while they work on many jobs, and others take their place.
//!
//! It goes in *rounds*: some jobs are given, the fleet is disturbed while it works on them, then
//! it is left alone until all of them have ended and nothing is left on its way.

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

/// Roles of the members; two of each that holds leases for long.
const ROLES: [&str; 6] =
    ["chunker", "worker", "worker", "reassembler", "reassembler,sweeper", "worker,sweeper"];
/// How long a lease lasts in a fleet.
const LEASE_S: u64 = 4;
/// What a command says that found the machine busy, and how often it is given again then: a
/// starved fleet keeps its database locked for longer than a command waits.
const TRY_AGAIN: i32 = 4;
const ASK_AGAIN: u32 = 5;
/// How long a member may take to give back what it holds.
const DRAIN_S: u64 = 60;

/// A fleet and what it works on.
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
/// What keeps the harness itself from working.
pub(crate) fn torture(plan: &Plan, world: &World) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut patience = Patience::of(plan.time);
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
                    plan.helper.as_ref().context("the AWS backend takes the program segue-fleet")?;
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
        command
    }

    fn member(&mut self, roles: &'static str) -> Result<Member> {
        let mut command = self.command();
        command.args(["worker", "--backend", &self.deployment.url(), "--roles", roles, "--threads", "1"]);
        command.arg("--scratch").arg(self.folder.join("scratch")).env("SEGUE_LOG", "warn");
        self.count += 1;
        Member::start(command, roles, &self.folder, self.count)
    }

    /// A command of the program, and the document that it prints.
    fn ask(&self, args: &[&str]) -> Result<Value> {
        let mut command = self.command();
        command.args(args).arg("--json").env("SEGUE_BACKEND", self.deployment.url());
        let mut said = command.output()?;
        for _ in 0..ASK_AGAIN {
            if said.status.code() != Some(TRY_AGAIN) {
                break;
            }
            std::thread::sleep(Duration::from_secs(2));
            said = command.output()?;
        }
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        ensure!(said.status.success(), "{args:?}: {} {}", said.status, String::from_utf8_lossy(&said.stderr));
        serde_json::from_str(&text).with_context(|| format!("{args:?} said {text}"))
    }

    fn note(&mut self, words: String) {
        self.log.push(words);
    }

    /// Replaces members that have ended; what was wrong with their ends.
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

    /// Asks all members to end: they give back what they hold and leave nothing.
    fn end(&mut self, tally: &mut Tally) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for member in &mut self.members {
            member.condition = Condition::Asked;
            member.signal(Signal::SIGTERM);
        }
        let mut patience = Patience::of(std::time::Duration::from_secs(DRAIN_S));
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
            // the lock that those who use the folder at the same time share stays
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
