//! Simulated histories: reproducible, without violations, and able to find deliberate bugs.

mod additions;
mod determinism;
mod faults;
mod mutants;
mod spares;
mod sweep;
