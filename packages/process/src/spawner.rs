//! One thread that starts all children.
//!
//! A child asks the kernel to kill it when its parent is gone (PR_SET_PDEATHSIG), so that
//! `kill -9` of this process leaves no orphan. The kernel refers to the parent *thread*. The threads
//! of an async runtime start and end; this one stays.

use std::io;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::sandbox::Jail;

struct Order {
    command: Command,
    runtime: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// Starts `command` in `jail` on the spawner's thread.
pub(crate) async fn spawn(mut command: Command, jail: Jail) -> io::Result<Child> {
    restrict(&mut command, jail);
    let (reply, answer) = oneshot::channel();
    let order = Order { command, runtime: Handle::current(), reply };
    spawner()?.send(order).map_err(|_| io::Error::other("the thread that starts programs has ended"))?;
    answer.await.map_err(|_| io::Error::other("the thread that starts programs has ended"))?
}

/// The thread's queue. The first order starts the thread; if the machine refuses another
/// thread, a later order tries again.
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
            // a cancelled caller has dropped its receiver: the child is dropped here, and so killed
            drop(order.reply.send(child));
        }
    })?;
    *spawner = Some(orders.clone());
    Ok(orders)
}

/// Lets the child restrict itself between fork and exec. Everything was prepared before the fork;
/// this code only makes system calls and allocates nothing.
fn restrict(command: &mut Command, jail: Jail) {
    #[expect(
        unsafe_code,
        reason = "runs between fork and exec, and makes only async-signal-safe system calls"
    )]
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(io::Error::from)?;
            jail.enter()
        });
    }
}
