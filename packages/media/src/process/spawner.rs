//! One thread that starts all children.
//!
//! A child asks the kernel to be killed when its parent is gone, so that `kill -9` leaves no
//! orphan. The kernel means the parent *thread*; the threads of an async runtime come and go,
//! and this one stays.

use std::io;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts `command` on the spawner's thread.
pub(super) async fn spawn(mut command: Command) -> io::Result<Child> {
    die_with_parent(&mut command);
    let (reply, answer) = oneshot::channel();
    let order = Order { command, runtime: Handle::current(), reply };
    spawner()?.send(order).map_err(|_| io::Error::other("the spawner is gone"))?;
    answer.await.map_err(|_| io::Error::other("the spawner is gone"))?
}

/// The thread's inbox; it is started with the first order. A machine that has no room for
/// another thread now may have it later.
fn spawner() -> io::Result<mpsc::Sender<Order>> {
    static SPAWNER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(orders) = &*spawner {
        return Ok(orders.clone());
    }
    let (orders, inbox) = mpsc::channel::<Order>();
    std::thread::Builder::new().name("segue-spawner".to_owned()).spawn(move || {
        for mut order in inbox {
            let _runtime = order.runtime.enter();
            let child = order.command.spawn();
            // nobody waits any more: the child is dropped, and so killed
            drop(order.reply.send(child));
        }
    })?;
    *spawner = Some(orders.clone());
    Ok(orders)
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    #[expect(unsafe_code, reason = "runs between fork and exec, and does one system call that is safe there")]
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(io::Error::from)
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}
