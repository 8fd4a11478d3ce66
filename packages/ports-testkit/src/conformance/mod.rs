//! Conformance suites: one per port, run by every adapter.
//!
//! A clause is a function that takes the port and panics when its contract does not hold;
//! `run` executes all of them concurrently, each on a subject of its own. A missing
//! capability is an argument ([`Capabilities`]), not a fork. Subjects may share one table or bucket,
//! where ids are unique; a queue must start empty and be used by one subject only.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use segue_domain::{HolderId, JobId};
use tokio::task::{Id, JoinError, JoinSet};

pub mod catalogue;
pub mod dead;
pub mod documents;
pub mod ledger;
pub mod links;
pub mod queue;
pub mod store;

/// Limits and capabilities of the adapter under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The shortest ttl, delay and visibility that it supports; a call must take far less.
    pub short: Duration,
    /// Maximum latency until the effect of a deadline or of a call is visible.
    pub settle: Duration,
    /// Whether it reports void receipts; SQS accepts every receipt.
    pub tells_void_receipts: bool,
    /// Number of callers in the clauses on concurrency.
    pub callers: usize,
    /// Whether a store keeps media type and cache control. Otherwise it derives the media
    /// type from the key.
    pub keeps_put_options: bool,
    /// Maximum number of concurrent clauses: more than 1 where they mostly wait and no subject shares a queue.
    pub clauses_at_once: usize,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities {
            short: Duration::from_millis(400),
            settle: Duration::from_millis(150),
            tells_void_receipts: true,
            callers: 12,
            keeps_put_options: true,
            clauses_at_once: 1,
        }
    }
}

impl Capabilities {
    /// Timeout of a clause.
    pub fn long(&self) -> Duration {
        self.short * 100
    }

    /// Waits until a deadline of [`Capabilities::short`] has passed.
    pub async fn outlast_short(&self) {
        tokio::time::sleep(self.short + self.settle).await;
    }
}

/// An adapter under test, and a guard with the same lifetime.
pub struct Subject<P: ?Sized> {
    /// The adapter.
    pub port: Arc<P>,
    /// A temporary folder or a server: dropped after the clause.
    pub guard: Box<dyn Any + Send>,
}

impl<P: ?Sized> Subject<P> {
    /// An adapter without a guard.
    pub fn new(port: Arc<P>) -> Subject<P> {
        Subject { port, guard: Box::new(()) }
    }

    /// An adapter with `guard`.
    pub fn guarded(port: Arc<P>, guard: impl Any + Send) -> Subject<P> {
        Subject { port, guard: Box::new(guard) }
    }
}

/// Runs each clause on a fresh subject, several at once, and prints the names of those that panic.
macro_rules! run_clauses {
    ($factory:expr, $caps:expr; $($clause:path),+ $(,)?) => {{
        let caps: &$crate::conformance::Capabilities = $caps;
        let mut clauses = $crate::conformance::Clauses::default();
        $(
            clauses.wait_for_room(caps.clauses_at_once).await;
            let (subject, caps_of_clause) = ($factory().await, caps.clone());
            clauses.start(stringify!($clause), async move {
                $clause(subject.port.clone(), &caps_of_clause).await;
                drop(subject);
            });
        )+
        clauses.finish().await;
    }};
}
pub(crate) use run_clauses;

/// Clauses that are running, and those that failed.
#[derive(Default)]
pub(crate) struct Clauses {
    running: JoinSet<()>,
    /// In the order in which they were started.
    started: Vec<(Id, &'static str)>,
    failed: HashMap<Id, JoinError>,
}

impl Clauses {
    /// Waits until fewer than `max` are running.
    pub(crate) async fn wait_for_room(&mut self, max: usize) {
        while self.running.len() >= max.max(1) {
            let Some(ended) = self.running.join_next().await else { return };
            self.failed.extend(ended.err().map(|error| (error.id(), error)));
        }
    }

    pub(crate) fn start(&mut self, name: &'static str, clause: impl Future<Output = ()> + Send + 'static) {
        self.started.push((self.running.spawn(clause).id(), name));
    }

    /// Waits for all, prints the names of those that failed, and resumes the panic of the first.
    pub(crate) async fn finish(mut self) {
        self.wait_for_room(1).await;
        let mut first = None;
        for (id, name) in self.started {
            if let Some(error) = self.failed.remove(&id) {
                eprintln!("conformance clause broken: {name}");
                first = first.or(Some(error));
            }
        }
        if let Some(error) = first {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// A unique text, also across earlier runs on the same table.
fn fresh(stem: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{stem}-{:x}-{}", since.as_nanos(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn fresh_job() -> JobId {
    fresh("job").parse().expect("a plain id")
}

fn holder(name: &str) -> HolderId {
    name.parse().expect("a plain id")
}

/// Starts all of them at once and returns their results, unordered.
async fn all_at_once<T, F>(calls: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    calls.into_iter().collect::<JoinSet<T>>().join_all().await
}
