//! Torture test: real `segue` processes on real files are killed, stopped and limited in their
//! resources at random; the results are checked after each life and at the end of each job.
//!
//! A *job* is one command, repeated until it succeeds. A *life* is one process of it. The seed
//! and the job's number determine the faults; their exact moments depend on the machine.

mod backend;
mod embedded;
mod fault;
mod finding;
mod fleet;
mod job;
mod life;
mod patience;
mod place;
mod processes;
mod program;
mod result;
mod sabotage;
mod script;
mod snapshot;
mod source;
mod tally;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use fault::{Fault, Stage};
pub use finding::{Broken, Finding};
pub use sabotage::Sabotage;
pub use tally::Tally;

use backend::Backend;
use embedded::Embedded;
use job::{Expected, Job, JobEnd};
use patience::Patience;
use place::Place;
use script::{Able, Script, Work};
use source::Source;

/// The backend of the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnWhat {
    /// `segue run`: each process runs a whole job, with a database in a folder
    Embedded,
    /// Many `segue worker` processes on one folder
    Fleet,
    /// Many `segue worker` processes on an AWS emulator
    Aws,
}

impl OnWhat {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            OnWhat::Embedded => "embedded",
            OnWhat::Fleet => "fleet",
            OnWhat::Aws => "aws",
        }
    }
}

/// Settings of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program `segue`.
    pub segue: PathBuf,
    /// Folder for sources, jobs and logs.
    pub work: PathBuf,
    /// Seed of the random numbers.
    pub seed: u64,
    /// How long new jobs are started.
    pub time: Duration,
    /// Run only this job.
    pub job: Option<u64>,
    /// Concurrent jobs.
    pub at_once: usize,
    /// Deliberate damage.
    pub sabotage: Option<Sabotage>,
    /// The backend of the jobs.
    pub backend: OnWhat,
    /// The program `segue-fleet`, for the AWS backend.
    pub helper: Option<PathBuf>,
}

/// Shortest run that includes stops longer than a lease.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// The expected result of one kind of job, once it is computed.
type Slot = Arc<Mutex<Option<Expected>>>;

/// State shared by all jobs.
pub(crate) struct World {
    segue: PathBuf,
    sources: PathBuf,
    making: Mutex<()>,
    /// Whether there is only one job, without a time limit.
    alone: bool,
    work: PathBuf,
    seed: u64,
    able: Able,
    backend: Box<dyn Backend>,
    /// Provides the recipe arguments of each kind of work.
    recipes: Arc<Embedded>,
    sabotage: Option<Sabotage>,
    expected: Mutex<HashMap<(Source, Work), Slot>>,
}

/// Runs jobs until the time is over; reports findings on stderr.
///
/// # Errors
/// Errors of the harness itself: no ffmpeg, no folder, a failing reference run.
pub fn torture(plan: &Plan) -> Result<Tally> {
    let world = World::new(plan)?;
    if plan.backend != OnWhat::Embedded {
        return fleet::torture(plan, &world);
    }
    let tally = Mutex::new(Tally::default());
    let (next, stop) = (AtomicU64::new(plan.job.unwrap_or(0)), AtomicBool::new(false));
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        let at_once = if world.alone { 1 } else { plan.at_once.max(1) };
        let clock = scope.spawn(|| {
            let mut patience = Patience::new(plan.time);
            while !patience.is_over() && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let jobs: Vec<_> = (0..at_once)
            .map(|_| {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if world.alone {
                            stop.store(true, Ordering::Relaxed);
                        }
                        if let Err(error) = world.run_job(number, &stop, &tally) {
                            stop.store(true, Ordering::Relaxed);
                            locked(&failed).get_or_insert(error);
                        }
                    }
                })
            })
            .collect();
        for job in jobs {
            let _ = job.join();
        }
        stop.store(true, Ordering::Relaxed);
        let _ = clock.join();
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

impl World {
    fn new(plan: &Plan) -> Result<World> {
        std::fs::create_dir_all(&plan.work).with_context(|| format!("{}", plan.work.display()))?;
        let work = plan.work.canonicalize()?;
        let sources = work.join("sources");
        let segue = match plan.sabotage {
            Some(sabotage) => sabotage.program(&plan.segue, &work)?,
            None => plan.segue.clone(),
        };
        let model = std::env::var_os("SEGUE_MODEL_DIR")
            .is_some_and(|folder| Path::new(&folder).join("ggml-base.en.bin").is_file());
        let long_stops = plan.time >= LONG_ENOUGH;
        let able = Able { small_disk: place::can_mount(&work), model, long_stops };
        for (able, what) in [
            (able.small_disk, "no small disk can be mounted (that needs root): full disks are not tested"),
            (able.model, "SEGUE_MODEL_DIR contains no base.en: transcription is not tested"),
        ] {
            if !able {
                eprintln!("note: {what}");
            }
        }
        let recipes = Arc::new(Embedded::new(&segue, &work)?);
        let backend = Box::new(Arc::clone(&recipes));
        let (seed, sabotage) = (plan.seed, plan.sabotage);
        let making = Mutex::new(());
        let alone = plan.job.is_some() || plan.sabotage.is_some();
        Ok(World {
            segue,
            sources,
            making,
            alone,
            work,
            seed,
            able,
            backend,
            recipes,
            sabotage,
            expected: Mutex::default(),
        })
    }

    /// Runs the job with this number.
    fn run_job(&self, number: u64, stop: &AtomicBool, tally: &Mutex<Tally>) -> Result<()> {
        let script = match self.sabotage {
            Some(sabotage) => sabotage.script(),
            None => Script::new(self.seed, number, self.able),
        };
        self.source(&script)?;
        let expected = self.expected(&script)?;
        let disk = script.small_disk.then(|| self.source_bytes(&script)).transpose()?;
        let folder = self.work.join(format!("seed-{}-job-{number}", self.seed));
        let place = Place::make(&folder, script.own_state, disk)?;
        let mut own = Tally::default();
        let job = Job::new(self, &script, &place, Some(&expected));
        let over = || !self.alone && stop.load(Ordering::Relaxed);
        let mut end = job.run(&over, &mut own)?;
        own.jobs = 1;
        let ok = end.findings.is_empty();
        own.completed = u64::from(ok && end.code == Some(0));
        own.refused = u64::from(ok && end.code == Some(3));
        own.add_findings(&end.findings);
        if end.findings.is_empty() {
            place.remove()?;
        } else {
            self.keep(number, &script, &place, &mut end)?;
        }
        locked(tally).add(own);
        Ok(())
    }

    /// Reports the findings, and keeps the files of the job.
    fn keep(&self, number: u64, script: &Script, place: &Place, end: &mut JobEnd) -> Result<()> {
        let replay = format!("cargo xtask torture --seed {} --job {number}", self.seed);
        let first = format!("{script:?}\nreplay: {replay}");
        end.log.insert(0, first);
        std::fs::write(place.root.join("log.txt"), end.log.join("\n"))?;
        place.keep()?;
        for finding in &end.findings {
            eprintln!("seed {} job {number}: {finding}", self.seed);
        }
        eprintln!("  kept in {}; replay with: {replay}", place.root.display());
        Ok(())
    }

    /// The result of an undisturbed run of the same command.
    fn expected(&self, script: &Script) -> Result<Expected> {
        // each task has one thread, so that the result does not depend on the number of workers
        let key = (script.source, script.work);
        let slot = Arc::clone(locked(&self.expected).entry(key).or_default());
        let mut slot = locked(&slot);
        if let Some(expected) = &*slot {
            return Ok(expected.clone());
        }
        let quiet = Script { lives: Vec::new(), small_disk: false, own_state: false, ..script.clone() };
        let name = format!("undisturbed-{:?}-{:?}", key.0, key.1);
        let place = Place::make(&self.work.join(name), false, None)?;
        let mut job = Job::new(self, &quiet, &place, None);
        job.sabotage = None;
        let end = job.run(&|| false, &mut Tally::default())?;
        ensure!(end.findings.is_empty(), "an undisturbed run: {}", end.log.join("\n"));
        let code = end.code.context("an undisturbed run without an end")?;
        let wanted = if script.source.is_good() { 0 } else { 3 };
        ensure!(code == wanted, "an undisturbed run on {:?} ended with {code}", script.source);
        let source = script.source.path(&self.sources);
        let verified = code == 0
            && script.work.copies()
            && job::verify(&self.segue, &source, &place.out, &place.tmp)?.is_none();
        place.remove()?;
        let expected = Expected { code, fixed: end.fixed, verified, times: end.times };
        *slot = Some(expected.clone());
        Ok(expected)
    }

    /// The path of its source, which is generated if it does not exist.
    fn source(&self, script: &Script) -> Result<PathBuf> {
        let _one_at_a_time = locked(&self.making);
        source::generated(script.source, &self.sources)
    }

    fn source_bytes(&self, script: &Script) -> Result<u64> {
        Ok(script.source.path(&self.sources).metadata()?.len())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
