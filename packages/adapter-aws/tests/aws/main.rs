//! The AWS adapter against an emulator that really answers.

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
