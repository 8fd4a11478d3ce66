//! For tests: an emulator as a child process, and what has to lie on it.
//!
//! `SEGUE_TEST_MINISTACK` names a Python that has MiniStack, `.venv/bin/python` of the
//! repository where it is not set; `scripts/setup --test` puts it there. A test that finds
//! none fails. `SEGUE_TEST_EMULATOR=localstack` starts LocalStack instead, which
//! `SEGUE_TEST_LOCALSTACK` names (`.tools` of the repository where it is not set), in a network
//! with nothing else in it. `SEGUE_TEST_AWS_ENDPOINT` names an emulator that runs already and is
//! used instead of either, by any number of processes: every deployment has names of its own.
//! `scripts/ministack` starts one for a command.

mod child;
mod emulator;
mod provision;

pub use emulator::{Emulator, Kind, emulator};
pub use provision::{Provisioned, provision, provision_lanes};
