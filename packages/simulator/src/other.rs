//! Another method, for comparison: the one that most pipelines begin with, and how it loses
//! jobs.
//!
//! One status field; the last worker in asks for the join, if the status says that the
//! chunking is complete; a row keeps two from asking, and a flag in that row, which never
//! expires, keeps two from joining. Row and message are two writes. Each step looks right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::queue::Messages;
use crate::rng::Rng;

/// Its name on the command line.
pub const NAME: &str = "seed-002";

/// How long a received message stays hidden.
const VISIBILITY: Duration = Duration::from_secs(60);

/// Nothing more happens after this.
const END: Duration = Duration::from_secs(1200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Created,
    ChunkingInProgress,
    ChunkingComplete,
    Completed,
}

struct State {
    log: String,
    started: Instant,
    rng: Rng,
    crashes_left: u32,
    status: Status,
    total: Option<u32>,
    completions: BTreeSet<u32>,
    trigger_row: bool,
    locked: bool,
    asked: bool,
    chunk: Messages,
    segments: Messages,
    reassembly: Messages,
}

/// A role died in the middle of its work.
struct Died;

#[derive(Clone)]
struct Role {
    name: &'static str,
    state: Arc<Mutex<State>>,
    segments: u32,
}

impl Role {
    fn with<T>(&self, does: impl FnOnce(&mut State) -> T) -> T {
        does(&mut self.state.lock().expect("no role panics"))
    }

    /// Something that takes a while, after which the role may be dead.
    async fn step(&self, what: &str, longest_ms: u64) -> Result<(), Died> {
        let (ms, dies) = self.with(|state| {
            let ms = state.rng.below(longest_ms);
            let dies = state.crashes_left > 0 && state.rng.chance(40);
            state.crashes_left -= u32::from(dies);
            (ms, dies)
        });
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.with(|state| {
            let at = state.started.elapsed().as_millis();
            let end = if dies { " … and DIES before it" } else { "" };
            let _ = writeln!(state.log, "{:>6}.{:03} {:<13} {what}{end}", at / 1000, at % 1000, self.name);
        });
        if dies { Err(Died) } else { Ok(()) }
    }

    /// Handles messages of one queue for ever; whoever dies leaves the message to come again.
    async fn serve<F: Future<Output = Result<(), Died>>>(
        self,
        lane: fn(&mut State) -> &mut Messages,
        handle: impl Fn(Role, String) -> F,
    ) {
        loop {
            let taken = self.with(|state| {
                let mut rng = Rng::new(state.rng.draw());
                lane(state).take(1, VISIBILITY, &mut rng).pop()
            });
            let Some(delivery) = taken else {
                tokio::time::sleep(Duration::from_millis(900)).await;
                continue;
            };
            match handle(self.clone(), delivery.body).await {
                Ok(()) => self.with(|state| {
                    let id = lane(state).of(&delivery.receipt).map(|message| message.id);
                    id.into_iter().for_each(|id| lane(state).remove(id));
                }),
                Err(Died) => tokio::time::sleep(Duration::from_secs(5)).await,
            }
        }
    }

    async fn chunk(self, _: String) -> Result<(), Died> {
        if self.with(|state| state.status) != Status::Created {
            return self.step("is past chunking: skip, delete the message", 20).await;
        }
        self.step("set chunking_in_progress", 20).await?;
        self.with(|state| state.status = Status::ChunkingInProgress);
        for index in 0..self.segments {
            self.step(&format!("upload segment {index}, which is announced at once"), 8_000).await?;
            self.with(|state| state.segments.send(index.to_string(), Duration::ZERO));
        }
        self.step("set chunking_complete and the total", 3_000).await?;
        self.with(|state| {
            state.status = Status::ChunkingComplete;
            state.total = Some(self.segments);
        });
        self.step("delete the message", 20).await
    }

    async fn segment(self, body: String) -> Result<(), Died> {
        let index: u32 = body.parse().expect("a number was sent");
        self.step(&format!("process segment {index}"), 9_000).await?;
        self.step(&format!("record the completion of {index}"), 20).await?;
        self.with(|state| state.completions.insert(index));
        let last = self.with(|state| {
            state.status == Status::ChunkingComplete && state.total == Some(state.completions.len() as u32)
        });
        if last {
            self.step("all are in: write the trigger row, if it is not there", 20).await?;
            let first = self.with(|state| !std::mem::replace(&mut state.trigger_row, true));
            if first {
                self.step("send the message for the join", 20).await?;
                self.with(|state| {
                    state.asked = true;
                    state.reassembly.send(String::new(), Duration::ZERO);
                });
            }
        }
        self.step("delete the message", 20).await
    }

    async fn join(self, _: String) -> Result<(), Died> {
        self.step("take the lock in the trigger row", 20).await?;
        if self.with(|state| std::mem::replace(&mut state.locked, true)) {
            return self.step("it is locked: somebody joins, delete the message", 20).await;
        }
        self.step("join and upload", 20_000).await?;
        self.step("set completed", 20).await?;
        self.with(|state| state.status = Status::Completed);
        self.step("delete the message", 20).await
    }
}

/// What one history came to.
#[derive(Debug)]
pub struct Outcome {
    /// The readable log.
    pub log: String,
    /// Why the job will never be completed, if so.
    pub lost: Option<&'static str>,
}

/// Runs one history: one job, 1 to 6 segments, at most one crash.
pub fn run(seed: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without input and output needs nothing").block_on(async {
        let mut rng = Rng::of(seed, &[2]);
        let (segments, crashes_left) = (rng.within(1, 6) as u32, rng.below(2) as u32);
        let mut chunk = Messages::default();
        chunk.send("job".into(), Duration::ZERO);
        let state = Arc::new(Mutex::new(State {
            log: String::new(),
            started: Instant::now(),
            rng,
            crashes_left,
            status: Status::Created,
            total: None,
            completions: BTreeSet::new(),
            trigger_row: false,
            locked: false,
            asked: false,
            chunk,
            segments: Messages::default(),
            reassembly: Messages::default(),
        }));
        let role = |name| Role { name, state: Arc::clone(&state), segments };
        tokio::spawn(role("chunker").serve(|state| &mut state.chunk, Role::chunk));
        tokio::spawn(role("worker-a").serve(|state| &mut state.segments, Role::segment));
        tokio::spawn(role("worker-b").serve(|state| &mut state.segments, Role::segment));
        tokio::spawn(role("reassembler").serve(|state| &mut state.reassembly, Role::join));
        let limit = Instant::now() + END;
        while Instant::now() < limit && state.lock().expect("no role panics").status != Status::Completed {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let state = &mut *state.lock().expect("no role panics");
        Outcome { lost: why_lost(state), log: std::mem::take(&mut state.log) }
    })
}

fn why_lost(state: &State) -> Option<&'static str> {
    match state.status {
        Status::Completed => None,
        Status::Created => Some("the job was never begun"),
        Status::ChunkingInProgress => {
            Some("the chunker died after chunking_in_progress; its message came again and was skipped")
        }
        Status::ChunkingComplete if state.locked => Some(
            "the reassembler died under a lock that never expires; its message came again and was deleted",
        ),
        Status::ChunkingComplete if state.trigger_row && !state.asked => {
            Some("the worker died between the trigger row and its message; the row keeps others from asking")
        }
        Status::ChunkingComplete => {
            Some("the last completion came before chunking_complete; nobody asks any more")
        }
    }
}

/// Jobs that were lost, by cause: how many, and a seed.
#[derive(Debug, Default)]
pub struct Losses {
    /// By cause.
    pub causes: BTreeMap<&'static str, (u64, u64)>,
}

impl Losses {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.causes.values().map(|(count, _)| count).sum()
    }
}

/// Runs many histories.
pub fn sweep(seeds: Range<u64>) -> Losses {
    let mut losses = Losses::default();
    for seed in seeds {
        if let Some(why) = run(seed).lost {
            losses.causes.entry(why).or_insert((0, seed)).0 += 1;
        }
    }
    losses
}
