//! The roles: ingest, chunker, worker, reassembler and sweeper.
//!
//! Each is a loop over one queue. What is to be done stands in the ledger; a message only
//! says where to look. Why nothing is lost is written in `design.md` beside this crate.
//!
//! Architecture invariant: no adapter and no engine is named here, no file format is read,
//! and no process is started.

pub mod chunker;
pub mod control;
mod delete;
mod deps;
mod held;
pub mod ingest;
mod late;
pub mod progress;
mod publish;
pub mod reassembler;
mod receive;
mod settle;
mod submit;
pub mod sweeper;
mod task_reporter;
mod tidy;
pub mod worker;

pub use delete::delete;
pub use deps::{Deps, LateRule, RoleConfig};
pub use late::Pace;
pub use receive::Outcome;
pub use submit::submit;
