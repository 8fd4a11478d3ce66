//! Workers, segments and what happens to them, event by event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use segue_domain::{Task, TaskId, TaskKind};
use segue_pipeline::Pace;

use super::{Fleets, Ran, measured};
use crate::rng::Rng;

/// Milliseconds of virtual time.
type Ms = u64;

/// Seconds after which a worker that was interrupted is replaced.
const REPLACED_MS: Ms = 120_000;

/// Calls of the ledger for one task: job, completion, acquire, job again, record, job, release.
const LEDGER_PER_TASK: u64 = 7;

/// Spare attempts at one task: as many as it has names for.
const MOST_SPARES: u8 = 2;

/// Calls of the queue for one task: receive, acknowledge; and its share of a send of 100.
const QUEUE_PER_TASK: f64 = 2.01;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// An attempt of a worker ends; void when its number is not the worker's any more.
    Ends(u32, u64),
    /// The leases and messages of an attempt are renewed.
    Beats(u32, u64),
    /// An attempt is looked at.
    Looks(u32, u64),
    /// A worker is interrupted.
    Dies(u32),
    /// A worker comes back.
    Comes(u32),
    /// A message is to be received again.
    Shown(u32, u8),
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    segment: u32,
    /// Which spare attempt it is; 0 for a task's own.
    spare: u8,
    number: u64,
    begun: Ms,
    /// What such a task usually takes, where the worker knew.
    usual: Option<Duration>,
    has_asked: bool,
}

impl Attempt {
    fn has_company(&self) -> bool {
        self.spare > 0 || self.has_asked
    }
}

#[derive(Debug, Default)]
struct Worker {
    at: Option<Attempt>,
    pace: Pace,
    is_there: bool,
}

/// One run.
pub struct Fleet<'a> {
    what: &'a Fleets,
    rng: Rng,
    now: Ms,
    events: BinaryHeap<Reverse<(Ms, Event)>>,
    queue: VecDeque<(u32, u8)>,
    idle: Vec<u32>,
    workers: Vec<Worker>,
    work_ms: Vec<u32>,
    done: Vec<bool>,
    tries: Vec<u8>,
    /// Of each job: segments that are in, and when the last of them came.
    jobs: Vec<(u32, Ms)>,
    left: u32,
    attempts: u64,
    ledger_by_ten: Vec<u64>,
    queue_calls: f64,
    ran: Ran,
}

impl<'a> Fleet<'a> {
    /// A fleet before its first job.
    pub fn new(what: &'a Fleets) -> Fleet<'a> {
        let mut rng = Rng::of(what.seed, &[20]);
        let measured = measured();
        let work = |_| (0..what.length).map(|_| rng.pick(&measured)).sum::<f64>() as u32;
        let work_ms: Vec<u32> = (0..what.segments).map(work).collect();
        Fleet {
            what,
            now: 0,
            events: BinaryHeap::new(),
            queue: (0..what.segments).map(|segment| (segment, 0)).collect(),
            idle: Vec::new(),
            workers: (0..what.workers).map(|_| Worker { is_there: true, ..Worker::default() }).collect(),
            done: vec![false; what.segments as usize],
            tries: vec![0; what.segments as usize],
            jobs: vec![(0, 0); what.jobs as usize],
            left: what.segments,
            attempts: 0,
            ledger_by_ten: Vec::new(),
            queue_calls: 0.0,
            ran: Ran::default(),
            work_ms,
            rng,
        }
    }

    fn at(&mut self, when: Ms, event: Event) {
        self.events.push(Reverse((when, event)));
    }

    fn asks_ledger(&mut self, calls: u64) {
        let place = (self.now / 10_000) as usize;
        if self.ledger_by_ten.len() <= place {
            self.ledger_by_ten.resize(place + 1, 0);
        }
        self.ledger_by_ten[place] += calls;
        self.ran.ledger_calls += calls;
    }

    /// Milliseconds until the next interruption of a worker.
    fn until_interrupted(&mut self) -> Option<Ms> {
        let per_hour = f64::from(self.what.interruptions_per_mille) / 1000.0;
        let dice = (self.rng.below(1 << 53) as f64 + 1.0) / (1u64 << 53) as f64;
        (per_hour > 0.0).then(|| (-dice.ln() / per_hour * 3_600_000.0) as Ms)
    }

    fn task(&self, segment: u32) -> Task {
        // a prediction that knows the length of a segment and nothing of what is in it
        let work_ms = u64::from(self.what.length) * 2_000;
        Task {
            id: TaskId::of(TaskKind::Encode, segment),
            kind: TaskKind::Encode,
            segment: None,
            work_ms,
            attempts: None,
        }
    }

    fn job_of(&self, segment: u32) -> usize {
        (u64::from(segment) * u64::from(self.what.jobs) / u64::from(self.what.segments)) as usize
    }

    fn every(&self) -> Ms {
        (Fleets::config().lease_ttl / 5).as_millis() as Ms
    }

    /// Runs to the end.
    pub fn run(mut self) -> Ran {
        for worker in 0..self.what.workers {
            if let Some(after) = self.until_interrupted() {
                self.at(after, Event::Dies(worker));
            }
            self.take_next(worker);
        }
        while self.left > 0 {
            let Some(Reverse((when, event))) = self.events.pop() else { break };
            self.now = when;
            self.happen(event);
        }
        // each job is planned, joined and published once
        self.asks_ledger(u64::from(self.what.jobs) * 15);
        let mut ran = self.ran;
        ran.makespan_s = self.now as f64 / 1000.0;
        let work: f64 = self.work_ms.iter().map(|ms| f64::from(*ms)).sum();
        ran.ideal_s = work / 1000.0 / f64::from(self.what.workers);
        // a segment that is longer than the share of each worker cannot be shared
        let longest = self.work_ms.iter().max().copied().unwrap_or(0);
        ran.ideal_s = ran.ideal_s.max(f64::from(longest) / 1000.0);
        ran.queue_calls = self.queue_calls as u64;
        ran.ledger_peak = self.ledger_by_ten.iter().max().copied().unwrap_or(0) as f64 / 10.0;
        ran.worker_s = ran.makespan_s * f64::from(self.what.workers);
        ran.attempts = self.attempts;
        ran
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ends(worker, number) => self.ends(worker, number),
            Event::Beats(worker, number) => self.beats(worker, number),
            Event::Looks(worker, number) => self.looks(worker, number),
            Event::Dies(worker) => {
                self.workers[worker as usize].is_there = false;
                self.idle.retain(|idle| *idle != worker);
                if let Some(attempt) = self.workers[worker as usize].at.take() {
                    self.ran.interrupted += 1;
                    // without a warning its message is shown when its visibility is over, and its
                    // lease has run out by then
                    let hidden = match self.what.is_warned {
                        true => Duration::ZERO,
                        false => Fleets::config().visibility,
                    };
                    let shown = Event::Shown(attempt.segment, attempt.spare);
                    self.at(self.now + hidden.as_millis() as Ms, shown);
                }
                self.at(self.now + REPLACED_MS, Event::Comes(worker));
            }
            Event::Comes(worker) => {
                self.workers[worker as usize] = Worker { is_there: true, ..Worker::default() };
                if let Some(after) = self.until_interrupted() {
                    self.at(self.now + after, Event::Dies(worker));
                }
                self.take_next(worker);
            }
            Event::Shown(segment, spare) => self.send(segment, spare),
        }
    }

    fn send(&mut self, segment: u32, spare: u8) {
        self.queue.push_back((segment, spare));
        if let Some(worker) = self.idle.pop() {
            self.take_next(worker);
        }
    }

    /// A worker receives until it has something to do or nothing is there.
    fn take_next(&mut self, worker: u32) {
        while let Some((segment, spare)) = self.queue.pop_front() {
            self.queue_calls += QUEUE_PER_TASK;
            if self.done[segment as usize] {
                self.asks_ledger(3);
                continue;
            }
            return self.begin(worker, segment, spare);
        }
        self.idle.push(worker);
    }

    fn begin(&mut self, worker: u32, segment: u32, spare: u8) {
        let tries = &mut self.tries[segment as usize];
        *tries = tries.saturating_add(u8::from(spare == 0));
        // what is begun again is counted
        let again = spare == 0 && *tries > 1;
        self.asks_ledger(LEDGER_PER_TASK + u64::from(again));
        self.attempts += 1;
        self.ran.spares += u64::from(spare > 0);
        self.ran.second_spares += u64::from(spare > 1);
        let number = self.attempts;
        let straggles =
            Rng::of(self.what.seed, &[21, number]).chance(u64::from(self.what.stragglers_per_mille));
        let takes = Ms::from(self.work_ms[segment as usize]) * if straggles { 10 } else { 1 };
        let usual = self.workers[worker as usize].pace.usual(&self.task(segment));
        let attempt = Attempt { segment, spare, number, begun: self.now, usual, has_asked: false };
        self.workers[worker as usize].at = Some(attempt);
        self.at(self.now + takes, Event::Ends(worker, number));
        self.at(self.now + self.every(), Event::Beats(worker, number));
        self.looks_next(worker, attempt);
    }

    /// When an attempt is looked at next: as [`segue_pipeline::LateRule`] has its roles do it.
    fn looks_next(&mut self, worker: u32, attempt: Attempt) {
        let Some(rule) = self.what.late else { return };
        let late_at = attempt.usual.map(|usual| attempt.begun + rule.after(usual).as_millis() as Ms + 1);
        let soon = self.now + self.every();
        let when = match late_at.filter(|at| !attempt.has_asked && *at > self.now) {
            Some(late_at) if attempt.has_company() => late_at.min(soon),
            Some(late_at) => late_at,
            None => soon,
        };
        self.at(when, Event::Looks(worker, attempt.number));
    }

    fn ends(&mut self, worker: u32, number: u64) {
        let Some(attempt) = self.workers[worker as usize].at.filter(|at| at.number == number) else { return };
        self.workers[worker as usize].at = None;
        let task = self.task(attempt.segment);
        self.workers[worker as usize].pace.note(&task, Duration::from_millis(self.now - attempt.begun));
        if !std::mem::replace(&mut self.done[attempt.segment as usize], true) {
            self.left -= 1;
            let job = self.job_of(attempt.segment);
            self.jobs[job] = (self.jobs[job].0 + 1, self.now);
        }
        self.take_next(worker);
    }

    /// The lease is renewed and the job asked for; every third time the message is kept hidden.
    fn beats(&mut self, worker: u32, number: u64) {
        if self.workers[worker as usize].at.is_some_and(|at| at.number == number) {
            self.asks_ledger(2);
            self.queue_calls += 0.3;
            self.at(self.now + self.every(), Event::Beats(worker, number));
        }
    }

    /// What becomes of an attempt that is late, or whose task another has done.
    fn looks(&mut self, worker: u32, number: u64) {
        let Some(mut attempt) = self.workers[worker as usize].at.filter(|at| at.number == number) else {
            return;
        };
        if attempt.has_company() {
            self.asks_ledger(1);
            if self.done[attempt.segment as usize] {
                self.workers[worker as usize].at = None;
                return self.take_next(worker);
            }
        }
        if !attempt.has_asked && attempt.spare < MOST_SPARES && self.is_late(attempt) {
            let may_give_back = attempt.spare == 0 && self.tries[attempt.segment as usize] == 1;
            self.queue_calls += f64::from(u8::from(may_give_back));
            if may_give_back && !self.queue.is_empty() {
                self.ran.given_back += 1;
                self.workers[worker as usize].at = None;
                self.send(attempt.segment, 0);
                return self.take_next(worker);
            }
            attempt.has_asked = true;
            self.workers[worker as usize].at = Some(attempt);
            self.queue_calls += 1.0;
            self.send(attempt.segment, attempt.spare + 1);
        }
        self.looks_next(worker, attempt);
    }

    fn is_late(&mut self, attempt: Attempt) -> bool {
        let Some(rule) = self.what.late else { return false };
        let took = Duration::from_millis(self.now - attempt.begun);
        if let Some(usual) = attempt.usual {
            return rule.is_late(took, usual);
        }
        self.asks_ledger(1);
        let (done, last) = self.jobs[self.job_of(attempt.segment)];
        let quiet = Duration::from_millis(self.now - last.max(attempt.begun));
        rule.is_last_and_late(took, quiet, done * 2 >= self.what.segments / self.what.jobs)
    }
}
