//! The roles of a pipeline: planner, worker, assembler, sweeper and ingester.
//!
//! Each is a loop over one lane of the work queue. The ledger is authoritative; a message
//! only names the work. The argument that no work is lost is in `design.md` beside this crate.
//!
//! Architecture invariant: this crate names no adapter and no engine, reads no file format,
//! and starts no process.

mod attempts;
mod cleanup;
mod config;
pub mod control;
mod delete;
mod inputs;
mod lease_guard;
pub mod progress;
mod publish;
mod receive;
pub mod roles;
mod stragglers;
mod submit;
mod task_reporter;
mod tombstones;
mod wake;

pub use config::{Deps, LateRule, RoleConfig};
pub use delete::delete;
pub use receive::Outcome;
pub use roles::{assembler, ingester, planner, sweeper, worker};
pub use stragglers::Pace;
pub use submit::{new_job, submit};
