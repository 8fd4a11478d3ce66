//! The database's own thread: SQLite blocks, and the executor must not.
//!
//! One connection and one thread give each process one writer; SQLite itself waits for writers
//! of other processes.

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use segue_ports::{PortError, PortErrorKind};
use tokio::sync::oneshot;

use crate::error::{self, say};

type Task = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection on a thread of its own.
#[derive(Debug)]
pub struct Db {
    /// Absent only during drop.
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Db {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // queued work is still executed: its caller may rely on it
            let _ = thread.join();
        }
    }
}

/// A result in transit to a future; if that is dropped first, the work is
/// undone.
struct Awaited<'a, T, U>
where
    T: Send + 'static,
    U: FnOnce(&mut Connection, T) + Send + 'static,
{
    result: oneshot::Receiver<Result<T, PortError>>,
    undo: Option<U>,
    db: &'a Db,
}

impl<T, U> Drop for Awaited<'_, T, U>
where
    T: Send + 'static,
    U: FnOnce(&mut Connection, T) + Send + 'static,
{
    fn drop(&mut self) {
        self.result.close();
        if let (Ok(Ok(done)), Some(undo)) = (self.result.try_recv(), self.undo.take()) {
            self.db.submit(Box::new(move |connection| undo(connection, done)));
        }
    }
}

impl Db {
    /// Starts the thread of the connection.
    pub fn start(mut connection: Connection) -> Result<Db, PortError> {
        let (tasks, todo) = channel::<Task>();
        let work = move || {
            for task in todo {
                task(&mut connection);
            }
        };
        let thread = std::thread::Builder::new()
            .name("segue-db".to_owned())
            .spawn(work)
            .map_err(|e| PortError::io("cannot start the database thread", e))?;
        Ok(Db { tasks: Some(tasks), thread: Some(thread) })
    }

    fn submit(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // fails only after a panic of the thread; the caller detects it by the missing result
            let _ = tasks.send(task);
        }
    }

    /// Runs `work` and waits for it. The work is done even if the future is dropped.
    pub async fn call<T, F>(&self, work: F) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, PortError> + Send + 'static,
    {
        self.call_or_undo(work, |_, _| ()).await
    }

    /// Runs `work` and waits for it. If the future is dropped before it has the result,
    /// `undo` gets the result.
    pub async fn call_or_undo<T, F, U>(&self, work: F, undo: U) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, PortError> + Send + 'static,
        U: FnOnce(&mut Connection, T) + Clone + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let undo_here = undo.clone();
        self.submit(Box::new(move |connection| {
            if let Err(Ok(done)) = reply.send(work(connection)) {
                undo_here(connection, done);
            }
        }));
        let mut awaited = Awaited { result, undo: Some(undo), db: self };
        match (&mut awaited.result).await {
            Ok(result) => result,
            Err(_) => Err(say(
                PortErrorKind::Environment,
                "the database thread has ended, start segue again; see the log for its last words",
            )),
        }
    }
}

/// A write transaction. IMMEDIATE, so that it waits for other writers at its start and
/// never fails later because its reads are outdated.
pub fn writing<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, PortError>,
) -> Result<T, PortError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error::sql)?;
    let result = work(&transaction)?;
    transaction.commit().map_err(error::sql)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn what_was_done_for_a_dropped_future_is_undone() {
        let db = Db::start(Connection::open_in_memory().unwrap()).unwrap();
        let (done, undone) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        for pause in [0, 1, 3, 10] {
            let (done, undone) = (Arc::clone(&done), Arc::clone(&undone));
            let call = db.call_or_undo(
                move |_| {
                    std::thread::sleep(Duration::from_millis(2));
                    Ok(done.fetch_add(1, Ordering::SeqCst))
                },
                move |_, _| {
                    undone.fetch_add(1, Ordering::SeqCst);
                },
            );
            let mut call = Box::pin(call);
            // started and never polled again
            assert!(futures_poll_once(call.as_mut()).await);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        drop(db);
        assert_eq!((done.load(Ordering::SeqCst), undone.load(Ordering::SeqCst)), (4, 4));
    }

    /// Polls once; whether it is still pending.
    async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> bool {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut future).poll(cx).is_pending())
        })
        .await
    }
}
