//! Supervised, sandboxed child processes.
//!
//! Every program that Segue starts is started here: in a process group of its own that is killed
//! with this process, with an environment that holds only listed variables, with limits on time, memory and
//! files, and, where the kernel supports it, with rules on files, network and system calls.
//! [`Invocation`] describes a command and the files it may use, [`run`] and [`output`] run it
//! under [`Limits`], and [`Policy`] holds what the operator set for all children.

mod environment;
mod error;
mod guard;
mod invocation;
mod outcome;
mod policy;
mod sandbox;
mod spawner;
mod supervise;
mod tail;

pub use environment::is_allowed;
pub use error::{ProcessError, ProcessErrorKind};
pub use invocation::{Invocation, Profile};
pub use policy::{MapAccess, Policy, SandboxMode, policy, set_policy};
pub use sandbox::{Support, machine_memory, support};
pub use supervise::{Finished, Heard, Limits, kill_all, output, run};
pub use tail::Tail;
