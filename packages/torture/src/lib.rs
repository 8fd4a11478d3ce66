//! Real `segue` processes on real files, killed, stopped and starved at random; after each
//! life, and at the end of each job, the promises are checked from outside.
//!
//! A *job* is one command that is given again and again until it ends. A *life* is one
//! process of it. All that is done to a job follows from the seed and the job's number;
//! when exactly it happens is up to the machine.

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

/// What jobs run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnWhat {
    /// `segue run`: each process is a whole job, over a database in a folder
    Embedded,
    /// Many `segue worker` processes over one folder
    Fleet,
    /// Many `segue worker` processes over an AWS emulator
    Aws,
}

impl OnWhat {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            OnWhat::Embedded => "embedded",
            OnWhat::Fleet => "fleet",
            OnWhat::Aws => "aws",
        }
    }
}

/// What to do, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program.
    pub segue: PathBuf,
    /// Folder for sources, jobs and logs.
    pub work: PathBuf,
    /// Where the random numbers begin.
    pub seed: u64,
    /// New jobs are started for so long.
    pub time: Duration,
    /// Only this job.
    pub job: Option<u64>,
    /// Jobs at the same time.
    pub at_once: usize,
    /// A deliberate break.
    pub sabotage: Option<Sabotage>,
    /// What the jobs run on.
    pub backend: OnWhat,
    /// The program `segue-fleet`, for the AWS backend.
    pub helper: Option<PathBuf>,
}

/// A bout in which there is time for stops that are longer than a lease.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// What is expected of one kind of job, once it is known.
type Slot = Arc<Mutex<Option<Expected>>>;

/// What all jobs share.
pub(crate) struct World {
    segue: PathBuf,
    sources: PathBuf,
    making: Mutex<()>,
    /// Whether there is one job only, which has all the time that it takes.
    alone: bool,
    work: PathBuf,
    seed: u64,
    able: Able,
    backend: Box<dyn Backend>,
    /// What asks for each kind of work.
    recipes: Arc<Embedded>,
    sabotage: Option<Sabotage>,
    expected: Mutex<HashMap<(Source, Work), Slot>>,
}

/// Runs jobs until the time is over; says on stderr how it goes on.
///
/// # Errors
/// What keeps the harness itself from working: no ffmpeg, no folder, a reference that fails.
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
            let mut patience = Patience::of(plan.time);
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
                        if let Err(error) = world.one(number, &stop, &tally) {
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
            (able.small_disk, "no small disk can be mounted (that takes root): no disk gets full"),
            (able.model, "SEGUE_MODEL_DIR names no folder with base.en: nothing is transcribed"),
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

    /// Runs the job of that number.
    fn one(&self, number: u64, stop: &AtomicBool, tally: &Mutex<Tally>) -> Result<()> {
        let script = match self.sabotage {
            Some(sabotage) => sabotage.script(),
            None => Script::of(self.seed, number, self.able),
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
        let well = end.findings.is_empty();
        own.completed = u64::from(well && end.code == Some(0));
        own.refused = u64::from(well && end.code == Some(3));
        own.add_findings(&end.findings);
        if end.findings.is_empty() {
            place.remove()?;
        } else {
            self.keep(number, &script, &place, &mut end)?;
        }
        locked(tally).add(own);
        Ok(())
    }

    /// Says what was found, and keeps what is left of the job.
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

    /// What an undisturbed run of the same command comes to.
    fn expected(&self, script: &Script) -> Result<Expected> {
        // each task has one thread, so that the number of workers does not matter
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
        let good = if script.source.is_good() { 0 } else { 3 };
        ensure!(code == good, "an undisturbed run on {:?} ended with {code}", script.source);
        let source = script.source.path(&self.sources);
        let verified = code == 0
            && script.work.copies()
            && job::verify(&self.segue, &source, &place.out, &place.tmp)?.is_none();
        place.remove()?;
        let expected = Expected { code, fixed: end.fixed, verified, times: end.times };
        *slot = Some(expected.clone());
        Ok(expected)
    }

    /// The path of its source, which is made if it is not there.
    fn source(&self, script: &Script) -> Result<PathBuf> {
        let _one_at_a_time = locked(&self.making);
        source::made(script.source, &self.sources)
    }

    fn source_bytes(&self, script: &Script) -> Result<u64> {
        Ok(script.source.path(&self.sources).metadata()?.len())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
