//! The database's own thread: SQLite blocks, the executor must not.
//!
//! One connection and one thread give each process one writer; writers of other processes
//! are waited for inside SQLite, not here.

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
    /// Absent only while it is being dropped.
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Db {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            // what is queued is still done: somebody may have been told so
            let _ = thread.join();
        }
    }
}

/// A result that is on its way to a future; when that is dropped first, what was done
/// for it is undone.
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
    /// Gives the connection its thread.
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
            // fails only when the thread has panicked; the caller sees that by its result
            let _ = tasks.send(task);
        }
    }

    /// Runs `work` and waits for it. It is done also when the future is dropped.
    pub async fn call<T, F>(&self, work: F) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, PortError> + Send + 'static,
    {
        self.call_or_undo(work, |_, _| ()).await
    }

    /// Runs `work` and waits for it. When the future is dropped before it has the result,
    /// `undo` gets it.
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

/// A write transaction. IMMEDIATE, so that it waits for other writers where it begins and
/// never finds out in the middle that what it read is old.
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
            // started and never looked at again
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
