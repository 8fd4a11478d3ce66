//! How each fault comes about.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::Signal;
use segue_domain::{JobId, JobRecord, Message, OutputRecord, OutputState};
use segue_ports::{JobLedger, Lane, WorkQueue};

use super::Crew;
use crate::fleet::Fleet;
use crate::proxy::Weather;

/// How long nobody answers in [`Fault::Outage`], [`Fault::Stopped`] and [`Fault::Frozen`].
const OUTAGE: Duration = Duration::from_secs(20);

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// `kill -9` of any role at any moment; another comes in its place.
    Kill,
    /// Several assemblers are asked for the same output.
    TwoAssemblers,
    /// Every message is delivered twice.
    Doubled,
    /// Messages become visible while the work on them goes on.
    ShortVisibility,
    /// A worker stands still until its lease is another's, and then goes on.
    StaleWorker,
    /// Nobody answers for 20 s: the line is cut.
    Outage,
    /// The emulator's process ends, and 20 s later another goes on with what it knew.
    Stopped,
    /// The emulator's process stands still for 20 s: calls are neither answered nor refused,
    /// and are done when nobody waits for them any more.
    Frozen,
    /// Every tenth request is refused.
    Throttled,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 9] = [
        Fault::Kill,
        Fault::TwoAssemblers,
        Fault::Doubled,
        Fault::ShortVisibility,
        Fault::StaleWorker,
        Fault::Outage,
        Fault::Stopped,
        Fault::Frozen,
        Fault::Throttled,
    ];

    /// In the table.
    pub fn words(self) -> &'static str {
        match self {
            Fault::Kill => "kill -9 of any role at a random moment",
            Fault::TwoAssemblers => "two assemblers at once",
            Fault::Doubled => "every message sent twice",
            Fault::ShortVisibility => "visibility shorter than the work",
            Fault::StaleWorker => "a stale worker wakes after its lease is gone",
            Fault::Outage => "the line to the emulator cut for 20 s",
            Fault::Stopped => "the emulator stopped for 20 s and started again",
            Fault::Frozen => "the emulator stands still for 20 s",
            Fault::Throttled => "every tenth call throttled",
        }
    }
}

/// Lets the fault happen while `jobs` are on their way; how often it did.
pub async fn happen(fault: Fault, fleet: &Fleet, crew: &mut Crew, jobs: &[JobId]) -> Result<u64> {
    match fault {
        Fault::Kill => kill_some(fleet, crew, jobs).await,
        Fault::TwoAssemblers => ask_twice(fleet, jobs).await,
        Fault::Doubled => under(fleet, Weather::Doubled, jobs).await,
        Fault::ShortVisibility => under(fleet, Weather::Restless, jobs).await,
        Fault::Throttled => under(fleet, Weather::Throttled, jobs).await,
        Fault::StaleWorker => stop_and_go(fleet, crew, jobs).await,
        Fault::Outage => {
            let (cut, mend) = (|| fleet.proxy.set(Weather::Down), || fleet.proxy.set(Weather::Fair));
            gone(fleet, crew, jobs, cut, mend).await
        }
        Fault::Stopped => {
            let emulator = fleet.emulator();
            gone(fleet, crew, jobs, || emulator.stop(), || emulator.start_again()).await
        }
        Fault::Frozen => {
            let emulator = fleet.emulator();
            gone(fleet, crew, jobs, || emulator.freeze(), || emulator.thaw()).await
        }
    }
}

/// The services are gone in the midst of it, and there again 20 s later.
async fn gone(fleet: &Fleet, crew: &mut Crew, jobs: &[JobId], go: impl Fn(), come: impl Fn()) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(100 + crew.random.below(1500))).await;
    let too_late = all_ended(fleet, jobs).await?;
    go();
    tokio::time::sleep(OUTAGE).await;
    come();
    Ok(u64::from(!too_late))
}

async fn record(fleet: &Fleet, job: &JobId) -> Result<Option<JobRecord>> {
    Ok(fleet.backend.ledger.job(job).await?)
}

async fn all_ended(fleet: &Fleet, jobs: &[JobId]) -> Result<bool> {
    for job in jobs {
        if !record(fleet, job).await?.is_some_and(|record| record.state().is_terminal()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The weather holds from before the jobs are done until they are.
async fn under(fleet: &Fleet, weather: Weather, jobs: &[JobId]) -> Result<u64> {
    let (_, refused, doubled) = fleet.proxy.counts();
    fleet.proxy.set(weather);
    let begun = Instant::now();
    while !all_ended(fleet, jobs).await? && begun.elapsed() < super::PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (_, refused_now, doubled_now) = fleet.proxy.counts();
    Ok(refused_now - refused + doubled_now - doubled)
}

/// One kill for each job, at moments spread over the time that the jobs take.
async fn kill_some(fleet: &Fleet, crew: &mut Crew, jobs: &[JobId]) -> Result<u64> {
    let mut killed = 0;
    for _ in jobs {
        tokio::time::sleep(Duration::from_millis(crew.random.below(1200))).await;
        if all_ended(fleet, jobs).await? {
            break;
        }
        let victim = crew.random.below(crew.processes.len() as u64) as usize;
        crew.processes[victim].replace()?;
        killed += 1;
    }
    Ok(killed)
}

/// Asks for the join of each job over and over while it goes on.
async fn ask_twice(fleet: &Fleet, jobs: &[JobId]) -> Result<u64> {
    let (begun, mut asked) = (Instant::now(), 0);
    while !all_ended(fleet, jobs).await? && begun.elapsed() < super::PATIENCE {
        for job in jobs {
            let Some(record) = record(fleet, job).await? else { continue };
            let joining = |output: &&OutputRecord| {
                use OutputState::{Assembling, Mapping, Publishing};
                matches!(output.state, Mapping | Assembling | Publishing)
            };
            for output in record.outputs.iter().filter(joining) {
                let message = Message::Assemble { job: job.clone(), output: output.id().clone() };
                let bodies = [message.encode(), message.encode()];
                fleet.backend.queue.send(Lane::Assemble, &bodies, Duration::ZERO).await?;
                asked += 2;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(asked)
}

/// Stops a process that does tasks or joins for longer than its lease, and lets it go on.
async fn stop_and_go(fleet: &Fleet, crew: &mut Crew, jobs: &[JobId]) -> Result<u64> {
    let (begun, mut woken) = (Instant::now(), 0);
    while woken < jobs.len() as u64 && begun.elapsed() < super::PATIENCE {
        tokio::time::sleep(Duration::from_millis(200 + crew.random.below(1500))).await;
        if all_ended(fleet, jobs).await? {
            break;
        }
        let holders: Vec<usize> = (0..crew.processes.len())
            .filter(|at| matches!(crew.processes[*at].start.roles.as_str(), "worker" | "assembler"))
            .collect();
        let victim = holders[crew.random.below(holders.len() as u64) as usize];
        crew.processes[victim].signal(Signal::SIGSTOP)?;
        // the lease is 2 s; the other one takes it meanwhile
        tokio::time::sleep(Duration::from_millis(3500)).await;
        crew.processes[victim].signal(Signal::SIGCONT)?;
        woken += 1;
    }
    Ok(woken)
}
