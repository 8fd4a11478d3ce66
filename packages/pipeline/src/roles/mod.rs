//! The roles: each is a loop over one lane; the ledger knows what is to be done.

pub mod assembler;
pub mod ingester;
pub mod planner;
pub mod sweeper;
pub mod worker;
