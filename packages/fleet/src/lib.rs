//! Real `segue worker` processes on an AWS emulator.
//!
//! [`Fleet`] is a deployment of its own on MiniStack or LocalStack: buckets that tell of uploads, queues,
//! tables, and any number of processes. [`oracle`] says what must be true of a job once all is
//! quiet. [`faults`] lets things go wrong, many times, and counts what was lost or done twice.
//!
//! What is under test is the program; the adapter is named here to look at what it left.

pub mod arrival;
pub mod deployment;
pub mod faults;
mod fleet;
pub mod load;
pub mod network;
pub mod oracle;
mod process;
mod proxy;
pub mod same;

pub use fleet::{Fleet, Tuning, clip};
pub use process::{Process, Start, words};
pub use proxy::{Proxy, Weather};
