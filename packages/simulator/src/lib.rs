//! A simulator for the whole protocol: the production roles over simulated services, in
//! virtual time, on one thread, with every fault drawn from one seed.
//!
//! The same seed gives the same history, byte for byte. The invariants are in [`oracle`];
//! `docs/simulator.md` describes how to read a history that violates one.

mod chaos;
mod engines;
pub mod event;
pub mod fault;
pub mod history;
mod life;
mod model;
pub mod mutants;
pub mod op;
pub mod oracle;
pub mod other;
pub mod params;
mod port;
mod process;
mod queue;
pub mod record;
mod rng;
pub mod scale;
pub mod scenario;
pub mod shrink;
mod store;
pub mod sweep;
pub mod switch;
mod user;
mod world;

pub use history::{Outcome, run};
pub use params::Params;
pub use scenario::Scenario;
