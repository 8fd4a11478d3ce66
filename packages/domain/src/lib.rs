//! The words and rules of Segue: pure and synchronous.
//!
//! Nothing here knows a file system, a clock, a network or a process. Everything that
//! crosses a queue, a table or a bucket is a versioned document of this crate.

pub mod time;
pub mod transcript;

pub use time::{TickRange, Timebase};
