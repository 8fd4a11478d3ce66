//! The roles: each is a loop over one lane; the ledger is authoritative.

pub mod assembler;
pub mod ingester;
pub mod planner;
pub mod sweeper;
pub mod worker;
