//! The AWS adapter against a real emulator.

mod catalogue;
mod conformance;
mod emulator;
mod errors;
mod event;
mod faults;
mod ledger;
mod queue;
mod store;
mod support;
