//! For tests: an emulator as a child process, and its provisioning.
//!
//! `SEGUE_TEST_MINISTACK` names a Python interpreter with MiniStack, `.venv/bin/python` of the
//! repository if it is not set; `scripts/setup --test` installs it there. A test that finds
//! none fails. `SEGUE_TEST_EMULATOR=localstack` starts LocalStack instead, which
//! `SEGUE_TEST_LOCALSTACK` names (`.tools` of the repository if it is not set), in a network
//! namespace of its own. `SEGUE_TEST_AWS_ENDPOINT` names a running emulator that is
//! used instead of either, by any number of processes: every deployment has names of its own.
//! `scripts/ministack` starts one for a command.

mod child;
mod emulator;
mod provision;

pub use emulator::{Emulator, Kind, emulator};
pub use provision::{Provisioned, provision, provision_lanes};
