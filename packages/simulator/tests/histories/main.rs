//! Simulated histories: reproducible, without violations, and able to find deliberate bugs.

mod determinism;
mod faults;
mod mutants;
mod regressions;
mod spares;
mod sweep;
