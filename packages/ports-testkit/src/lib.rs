//! Test support for the ports: in-memory adapters and conformance suites.
//!
//! The adapters in [`memory`] are for protocol tests; they pass the same suites in
//! [`conformance`] as the adapters with durable data.
//!
//! Architecture invariant: tests and test programs depend on this package, products do not.

pub mod conformance;
pub mod memory;
