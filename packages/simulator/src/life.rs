//! The life of a process: polled while it lives, not at all while it stands still, dropped
//! where it is when it dies.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use segue_domain::JobId;
use segue_ports::LeaseName;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One life of a process, from its start to its death; its holder id is never used again.
#[derive(Debug)]
pub struct Life {
    /// Which process.
    pub process: usize,
    /// Who it is in leases.
    pub holder: segue_domain::HolderId,
    /// Asks the role to stop.
    pub shutdown: CancellationToken,
    dead: AtomicBool,
    frozen: AtomicBool,
    polls: AtomicU32,
    dies_at: AtomicU32,
    /// The event that is to end it at `dies_at`.
    dies_by: AtomicU32,
    fell: AtomicBool,
    waker: Mutex<Option<Waker>>,
    last_lease: Mutex<Option<LeaseName>>,
    asked: Mutex<BTreeMap<JobId, Instant>>,
    thaw: Notify,
}

impl Life {
    /// The life number `generation` of a process.
    pub fn new(process: usize, name: &str, generation: u32, shutdown: CancellationToken) -> Life {
        Life {
            process,
            holder: format!("{name}-{generation}").parse().expect("a plain id"),
            shutdown,
            dead: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            polls: AtomicU32::new(0),
            dies_at: AtomicU32::new(u32::MAX),
            dies_by: AtomicU32::new(0),
            fell: AtomicBool::new(false),
            waker: Mutex::new(None),
            last_lease: Mutex::new(None),
            asked: Mutex::default(),
            thaw: Notify::new(),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Notes the lease that it was given last: engines are not told under which they work.
    pub fn holds(&self, lease: &LeaseName) {
        *self.last_lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease.clone());
    }

    /// The lease that it was given last.
    pub fn last_lease(&self) -> Option<LeaseName> {
        self.last_lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the ledger answers now what it knows of a job.
    pub fn asks(&self, job: &JobId) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone(), Instant::now());
    }

    /// When the ledger last answered what it knows of a job.
    pub fn asked(&self, job: &JobId) -> Option<Instant> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(job).copied()
    }

    /// Ends it where it is.
    pub fn kill(&self) {
        self.dead.store(true, Relaxed);
        self.wake();
    }

    /// Ends it when it was polled `more` times from now on; `event` is the number of the
    /// event that does.
    pub fn kill_after(&self, more: u32, event: u32) {
        self.dies_by.store(event, Relaxed);
        self.dies_at.store(self.polls.load(Relaxed) + more + 1, Relaxed);
    }

    /// Takes [`Life::kill_after`] back.
    pub fn disarm(&self) {
        self.dies_at.store(u32::MAX, Relaxed);
    }

    /// The event that ended it at one of its awaits, if one did.
    pub fn fell_by(&self) -> Option<u32> {
        self.fell.load(Relaxed).then(|| self.dies_by.load(Relaxed))
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Relaxed)
    }

    /// Stops it without ending it.
    pub fn freeze(&self) {
        self.frozen.store(true, Relaxed);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.frozen.store(false, Relaxed);
        self.thaw.notify_waiters();
        self.wake();
    }

    /// Returns when it can act; never when it is dead.
    pub async fn ready(&self) {
        loop {
            if self.is_dead() {
                return std::future::pending().await;
            }
            if !self.is_frozen() {
                return;
            }
            self.thaw.notified().await;
        }
    }

    /// Runs `role` as this life. `None` when it died.
    pub async fn live<T>(&self, role: impl Future<Output = T>) -> Option<T> {
        let mut role = Box::pin(role);
        std::future::poll_fn(|context| self.poll(role.as_mut(), context)).await
    }

    fn poll<T>(&self, role: Pin<&mut impl Future<Output = T>>, context: &mut Context<'_>) -> Poll<Option<T>> {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        if self.is_dead() {
            return Poll::Ready(None);
        }
        if self.is_frozen() {
            return Poll::Pending;
        }
        let polled = role.poll(context);
        let polls = self.polls.fetch_add(1, Relaxed) + 1;
        // a role that has ended or died of something else meanwhile does not die of this
        if polls >= self.dies_at.load(Relaxed) && polled.is_pending() && !self.is_dead() {
            self.fell.store(true, Relaxed);
            self.dead.store(true, Relaxed);
        }
        if self.is_dead() {
            return Poll::Ready(None);
        }
        polled.map(Some)
    }
}
