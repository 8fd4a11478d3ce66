//! One job from its first life to its last, with checks after each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use segue_domain::Manifest;

use crate::World;
use crate::fault::{Fault, Planned, Stage, Times};
use crate::finding::{Broken, Finding};
use crate::life::{Life, LifeEnd};
use crate::place::Place;
use crate::processes::{MARK, Process, none_left};
use crate::program::{Ended, Role};
use crate::result::{Fixed, chosen, complete, everything, incomplete};
use crate::sabotage::Sabotage;
use crate::script::{Script, Work};
use crate::snapshot::Snapshot;
use crate::tally::Tally;

/// Result of a job.
pub struct JobEnd {
    /// The findings; empty if all checks passed.
    pub findings: Vec<Finding>,
    /// Log lines.
    pub log: Vec<String>,
    /// The published result, without what differs between runs.
    pub fixed: Option<Fixed>,
    /// The exit code of its last life.
    pub code: Option<i32>,
    /// Duration of each stage of the first life.
    pub times: Times,
}

/// Expected result of a job.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The exit code.
    pub code: i32,
    /// The published result, if any.
    pub fixed: Option<Fixed>,
    /// Whether `segue verify` finds the undisturbed result equal to the source.
    pub verified: bool,
    /// Duration of each stage.
    pub times: Times,
}

/// A running job.
pub(crate) struct Job<'a> {
    world: &'a World,
    script: &'a Script,
    place: &'a Place,
    expected: Option<&'a Expected>,
    source: PathBuf,
    mark: String,
    /// Deliberate damage.
    pub sabotage: Option<Sabotage>,
    before: Option<Snapshot>,
    lives: usize,
    started: Instant,
    times: Times,
    /// Log lines so far.
    pub log: Vec<String>,
}

impl<'a> Job<'a> {
    /// A job in its folders. Without an expected result it is the undisturbed run.
    pub(crate) fn new(
        world: &'a World,
        script: &'a Script,
        place: &'a Place,
        expected: Option<&'a Expected>,
    ) -> Job<'a> {
        let source = script.source.path(&world.sources);
        let mark = format!("{}-{}", std::process::id(), place.root.display());
        let sabotage = world.sabotage;
        Job {
            world,
            script,
            place,
            expected,
            source,
            mark,
            sabotage,
            before: None,
            lives: 0,
            started: Instant::now(),
            times: Times::default(),
            log: Vec::new(),
        }
    }

    /// Runs all lives; once `is_over` returns true, no more faults are injected.
    ///
    /// # Errors
    /// Errors of the harness itself.
    pub fn run(mut self, is_over: &dyn Fn() -> bool, tally: &mut Tally) -> Result<JobEnd> {
        let mut rng = self.script.rng.clone();
        for planned in self.script.lives.iter().map(Vec::as_slice).chain([&[][..]]) {
            let planned = if is_over() { &[] } else { planned };
            let last = planned.is_empty();
            let end = self.run_life(planned, &mut rng, tally)?;
            let mut findings = self.after_life(&end);
            if let Some(sabotage) = self.sabotage
                && self.lives == 1
            {
                sabotage.after_a_life(&self);
                findings.extend(self.after_life(&end));
            }
            if !findings.is_empty() {
                return Ok(self.ended(findings, None, None));
            }
            let done = end.ended.iter().find(|ended| self.is_final(ended));
            if let Some(done) = done {
                return self.finish(done.clone(), tally);
            }
            if last {
                let what = format!("undisturbed it ended with {}", end.ended[0].describe());
                return Ok(self.ended(vec![Finding::new(Broken::Lost, what)], None, None));
            }
        }
        unreachable!("the last life is always undisturbed")
    }

    fn run_life(
        &mut self,
        planned: &[Planned],
        rng: &mut fastrand::Rng,
        tally: &mut Tally,
    ) -> Result<LifeEnd> {
        self.place.free_disk();
        self.lives += 1;
        let prior = self.before.as_ref().and_then(Snapshot::stage).unwrap_or(Stage::Starting);
        self.log.push(format!("life {}: {planned:?}", self.lives));
        let mut log = std::mem::take(&mut self.log);
        let command = || self.command(self.script);
        let other_script = Script { work: Work::Encode, source: self.script.source, ..self.script.clone() };
        let other_script = match self.script.work {
            Work::Encode => Script { work: Work::Rejoin, ..other_script },
            _ => other_script,
        };
        let other = || self.command(&other_script);
        let life = Life {
            command: &command,
            other: &other,
            place: self.place,
            mark: &self.mark,
            prior,
            times: self.expected.map_or_else(Times::default, |expected| expected.times),
            number: self.lives,
        };
        let mut end = life.run(planned, rng, &mut log)?;
        self.log = log;
        if self.lives == 1 {
            self.times = end.times;
        }
        // the ledger is more exact than the last event
        if let Ok(Some(now)) = self.world.backend.snapshot(self.place)
            && let Some(stage) = now.stage()
        {
            for met in end.met.iter_mut().filter(|met| met.fault == Fault::Kill) {
                met.stage = stage;
            }
        }
        tally.lives += end.ended.len() as u64;
        tally.add_met(&end.met);
        for ended in &end.ended {
            tally.add_end(match (ended.code, ended.signal) {
                (Some(code), _) => format!("exit {code}"),
                (None, signal) => format!("signal {}", signal.unwrap_or(0)),
            });
        }
        Ok(end)
    }

    fn command(&self, script: &Script) -> Command {
        let mut command = self.world.backend.command(script, &self.source, self.place);
        clean_environment(&mut command);
        command.env(MARK, &self.mark).env("TMPDIR", &self.place.tmp).current_dir(&self.place.root);
        command
    }

    /// Checks after a life, when all of its processes have ended.
    fn after_life(&mut self, end: &LifeEnd) -> Vec<Finding> {
        let mut findings = Vec::new();
        if end.hung {
            findings.push(Finding::new(Broken::Lost, "it does not end"));
        }
        findings.extend(end.ended.iter().filter_map(|ended| self.bad_end(ended, end)));
        findings.extend(self.orphans());
        let kept = !end
            .ended
            .iter()
            .any(|ended| ended.code.is_some_and(|code| code == 0 || (3..=5).contains(&code)));
        let before = self.before.clone();
        findings.extend(self.inspect());
        // a failed or completed job may have been removing its state
        let ending = self.expected.is_none_or(|expected| expected.code != 0)
            || end.met(|fault| fault.starves() || fault == Fault::KillChild)
            || self.place.out.join("manifest.json").exists();
        if kept
            && !ending
            && let (Some(before), None) = (&before, &self.before)
        {
            let what = format!("the job was {} and its state is gone", before.state);
            findings.push(Finding::new(Broken::Lost, what));
        }
        findings
    }

    /// Checks the ledger and the output folder.
    pub fn inspect(&mut self) -> Vec<Finding> {
        let now = match self.world.backend.snapshot(self.place) {
            Ok(now) => now,
            Err(finding) => return vec![finding],
        };
        let mut findings = Vec::new();
        if let Some(now) = &now {
            findings.extend(now.findings(self.lives as i64 * 2, self.started.elapsed().as_secs()));
            if let Some(before) =
                self.before.as_ref().filter(|b| (&b.job, &b.epoch) == (&now.job, &now.epoch))
            {
                findings.extend(now.findings_since(before));
            }
        }
        if !self.place.out.join("manifest.json").exists() {
            let state = self.place.state.clone().unwrap_or_else(|| self.place.out.join(".segue"));
            let folders = std::fs::read_dir(&state).into_iter().flatten().flatten().map(|entry| entry.path());
            let chosen: Option<Manifest> =
                std::iter::once(state.clone()).chain(folders).find_map(|f| chosen(&f));
            findings.extend(incomplete(&self.place.out, chosen.as_ref()));
        }
        self.before = now;
        findings
    }

    /// Whether this end completes the job.
    fn is_final(&self, ended: &Ended) -> bool {
        if ended.role == Role::Intruder {
            return false;
        }
        match self.expected {
            Some(expected) => ended.code == Some(expected.code),
            None => matches!(ended.code, Some(0 | 3)),
        }
    }

    fn bad_end(&self, ended: &Ended, end: &LifeEnd) -> Option<Finding> {
        let starved = end.met(Fault::starves);
        let allowed = match (ended.role, ended.code, ended.signal) {
            (Role::Intruder, code, _) => code == Some(2),
            _ if self.is_final(ended) => true,
            (_, Some(2), _) => {
                ended.was_turned_away() && end.met(|f| matches!(f, Fault::Twin | Fault::TwinAtOnce))
            }
            (_, Some(4), _) => starved || end.met(|f| f == Fault::KillChild),
            (_, Some(130), _) => {
                end.met(|f| matches!(f, Fault::Interrupt | Fault::Terminate | Fault::InterruptTwice(_)))
            }
            (_, None, Some(libc_signal::KILL)) => end.met(|f| f == Fault::Kill) || end.hung,
            // signalled before it has installed its handler, which is the first thing it does
            (_, None, Some(libc_signal::INT | libc_signal::TERM)) => end.met.iter().any(|met| {
                let asks =
                    matches!(met.fault, Fault::Interrupt | Fault::Terminate | Fault::InterruptTwice(_));
                asks && met.stage == Stage::Starting
            }),
            // the program's allocator aborts; whisper.cpp dereferences a null pointer
            (_, None, Some(libc_signal::ABRT)) => end.met(|f| matches!(f, Fault::Memory(_))),
            (_, None, Some(libc_signal::SEGV)) => {
                end.met(|f| matches!(f, Fault::Memory(_))) && self.script.work.needs_model()
            }
            _ => false,
        };
        (!allowed).then(|| {
            Finding::new(Broken::BadEnd, format!("{:?} ended with {}", ended.role, ended.describe()))
        })
    }

    fn orphans(&self) -> Vec<Finding> {
        let orphan = |process: Process| {
            Finding::new(Broken::Orphan, format!("process {}: {}", process.pid, process.line))
        };
        none_left(&self.mark).into_iter().map(orphan).collect()
    }

    /// Checks at the end of the job.
    fn finish(mut self, done: Ended, tally: &mut Tally) -> Result<JobEnd> {
        if let Some(sabotage) = self.sabotage {
            sabotage.at_the_end(&self.place.out, &self.place.tmp, &self.mark);
        }
        let mut findings = self.orphans();
        let left = everything(&self.place.tmp);
        let temporary =
            |path: PathBuf| Finding::new(Broken::Orphan, format!("temporary file {}", path.display()));
        findings.extend(left.into_iter().map(temporary));
        if done.code != Some(0) {
            findings.extend(incomplete(&self.place.out, None));
            return Ok(self.ended(findings, None, done.code));
        }
        findings.extend(self.world.backend.leftovers(self.place));
        let fixed = match complete(&self.place.out) {
            Ok((_, fixed)) => Some(fixed),
            Err(more) => {
                findings.extend(more);
                None
            }
        };
        if let (Some(expected), Some(fixed)) = (self.expected.and_then(|e| e.fixed.as_ref()), &fixed)
            && let Some(what) = expected.difference(fixed)
        {
            findings.push(Finding::new(Broken::Different, what));
        }
        if self.expected.is_some_and(|expected| expected.verified) && findings.is_empty() {
            findings.extend(verify(&self.world.segue, &self.source, &self.place.out, &self.place.tmp)?);
        }
        if findings.is_empty() {
            findings.extend(self.repeat_completed(&done, tally)?);
        }
        Ok(self.ended(findings, fixed, done.code))
    }

    /// Checks that the same command on a completed job does nothing.
    fn repeat_completed(&mut self, done: &Ended, tally: &mut Tally) -> Result<Vec<Finding>> {
        let listing = |out: &Path| -> Vec<_> {
            let times = |name: String| std::fs::metadata(out.join(&name)).and_then(|f| f.modified()).ok();
            crate::result::files(out).into_iter().map(|name| (name.clone(), times(name))).collect()
        };
        let before = listing(&self.place.out);
        let mut rng = fastrand::Rng::with_seed(0);
        let end = self.run_life(&[], &mut rng, tally)?;
        let again = &end.ended[0];
        let mut findings = self.orphans();
        if again.code != Some(0) || !again.already || listing(&self.place.out) != before {
            let what = format!("a completed job was done again: {}", again.describe());
            findings.push(Finding::new(Broken::Doubled, what));
        }
        if let (Some(before), Some(now)) = (&done.finished, &again.finished)
            && before != now
        {
            findings.push(Finding::new(Broken::Doubled, "two different manifests were reported".to_owned()));
        }
        findings.extend(self.world.backend.leftovers(self.place));
        Ok(findings)
    }

    fn ended(self, findings: Vec<Finding>, fixed: Option<Fixed>, code: Option<i32>) -> JobEnd {
        let mut log = self.log;
        log.extend(findings.iter().map(|finding| format!("FOUND {finding}")));
        JobEnd { findings, log, fixed, code, times: self.times }
    }

    /// Its folders.
    pub fn place(&self) -> &Place {
        self.place
    }
}

/// Removes settings from the environment of a command, except for the model folder.
pub fn clean_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SEGUE_") && name != "SEGUE_MODEL_DIR" || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
}

/// Runs `segue verify` on the result in `out`; a finding if it differs from the source.
///
/// # Errors
/// A program that cannot be started.
pub fn verify(segue: &Path, source: &Path, out: &Path, tmp: &Path) -> Result<Option<Finding>> {
    let joined = crate::result::files(out).into_iter().find(|name| name.starts_with("final."));
    let Some(joined) = joined else { return Ok(None) };
    let mut verify = Command::new(segue);
    verify.arg("verify").arg(source).arg(out.join(joined)).env("TMPDIR", tmp);
    let output = verify.output()?;
    Ok((!output.status.success()).then(|| {
        let words = String::from_utf8_lossy(&output.stdout).trim().replace('\n', " / ");
        Finding::new(Broken::Uncertified, format!("segue verify: {} {words}", output.status))
    }))
}

/// Signal numbers as in an exit status.
mod libc_signal {
    use nix::sys::signal::Signal;
    pub const INT: i32 = Signal::SIGINT as i32;
    pub const TERM: i32 = Signal::SIGTERM as i32;
    pub const KILL: i32 = Signal::SIGKILL as i32;
    pub const SEGV: i32 = Signal::SIGSEGV as i32;
    pub const ABRT: i32 = Signal::SIGABRT as i32;
}
