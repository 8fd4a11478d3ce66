//! One suite per port, run by every adapter: what the contracts say, as code.
//!
//! A clause is a function that takes the port and panics when its contract does not hold;
//! `run` goes through all of them, each on a subject of its own. What an adapter cannot do
//! is an argument ([`Capabilities`]), not a fork. Subjects may share one table or bucket,
//! where ids are fresh; a queue must begin empty.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use segue_domain::{HolderId, JobId};
use tokio::task::JoinSet;

pub mod dead;
pub mod ledger;
pub mod queue;
pub mod store;

/// What an adapter is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The shortest ttl, delay and visibility that it keeps to; a call must take far less.
    pub short: Duration,
    /// How late the effect of a deadline or of a call may be seen.
    pub settle: Duration,
    /// Whether it knows that a receipt is void; SQS says yes to everything.
    pub tells_void_receipts: bool,
    /// How many callers at once the clauses on concurrency start.
    pub callers: usize,
    /// How many clauses run concurrently. More than one where they mostly wait for a server.
    pub clauses_at_once: usize,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities {
            short: Duration::from_millis(400),
            settle: Duration::from_millis(150),
            tells_void_receipts: true,
            callers: 12,
            clauses_at_once: 1,
        }
    }
}

impl Capabilities {
    /// Longer than any clause takes.
    pub fn long(&self) -> Duration {
        self.short * 100
    }

    /// Waits until what was set to end after [`Capabilities::short`] has ended.
    pub async fn outlast_short(&self) {
        tokio::time::sleep(self.short + self.settle).await;
    }
}

/// An adapter to be tested, and what must live as long as it.
pub struct Subject<P: ?Sized> {
    /// The adapter.
    pub port: Arc<P>,
    /// A temporary folder, a server: dropped after the clause.
    pub guard: Box<dyn Any + Send>,
}

impl<P: ?Sized> Subject<P> {
    /// An adapter that needs nothing to live.
    pub fn new(port: Arc<P>) -> Subject<P> {
        Subject { port, guard: Box::new(()) }
    }

    /// An adapter that needs `guard`.
    pub fn guarded(port: Arc<P>, guard: impl Any + Send) -> Subject<P> {
        Subject { port, guard: Box::new(guard) }
    }
}

/// Runs each clause on a fresh subject, [`Capabilities::clauses_at_once`] of them concurrently in
/// the order given, and names the one that panics.
macro_rules! run_clauses {
    ($factory:expr, $caps:expr; $($clause:path),+ $(,)?) => {{
        let turns = tokio::sync::Semaphore::new($caps.clauses_at_once);
        tokio::join!($(
            $crate::conformance::NamedClause::new(stringify!($clause), async {
                let _turn = turns.acquire().await.expect("the semaphore is never closed");
                let subject = $factory().await;
                $clause(subject.port.clone(), $caps).await;
                drop(subject);
            })
        ),+);
    }};
}
pub(crate) use run_clauses;

/// A clause that prints its name when it panics. Only while it is polled: when another one
/// panics, it is dropped without a word.
pub(crate) struct NamedClause<F> {
    name: &'static str,
    clause: Pin<Box<F>>,
}

impl<F> NamedClause<F> {
    pub(crate) fn new(name: &'static str, clause: F) -> NamedClause<F> {
        NamedClause { name, clause: Box::pin(clause) }
    }
}

impl<F: Future<Output = ()>> Future for NamedClause<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let on_panic = NameOnPanic(self.name);
        let polled = self.clause.as_mut().poll(context);
        std::mem::forget(on_panic);
        polled
    }
}

struct NameOnPanic(&'static str);

impl Drop for NameOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("conformance clause broken: {}", self.0);
        }
    }
}

/// Text that was never used before, also not by an earlier run on the same table.
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

/// Starts all of them at once and gives their results, in no order.
async fn all_at_once<T, F>(calls: impl IntoIterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    calls.into_iter().collect::<JoinSet<T>>().join_all().await
}
