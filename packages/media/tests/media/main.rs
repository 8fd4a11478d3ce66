//! The crate against real files, real programs and real damage.

mod bad_input;
mod common;
mod rejoin;
