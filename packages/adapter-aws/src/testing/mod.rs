//! For tests: an emulator as a child process, and what has to lie on it.
//!
//! `SEGUE_TEST_MINISTACK` names a Python that has MiniStack, `.venv/bin/python` of the
//! repository where it is not set; `scripts/setup --test` puts it there. A test that finds
//! none fails. `SEGUE_TEST_AWS_ENDPOINT` names an emulator that runs already and is used
//! instead.

mod ministack;
mod provision;

pub use ministack::{Emulator, emulator};
pub use provision::{Provisioned, provision};
