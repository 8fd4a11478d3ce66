//! The crate against real files, real programs and real damage.

mod bad_input;
mod codecs;
mod common;
mod rejoin;
