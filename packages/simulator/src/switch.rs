//! Which mutant is enabled on this thread.
//!
//! Only the code of the copy that `cargo xtask mutants` builds asks for it: there this file is a module of
//! `segue-ports`, which this module re-exports.

use std::cell::Cell;

thread_local! {
    static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Whether the roles and the in-memory ledger of this build contain the mutants.
pub fn is_in_build() -> bool {
    false
}

/// Selects the mutant that is enabled on this thread from here on.
pub fn choose(name: Option<&'static str>) {
    CHOSEN.set(name);
}

/// Whether a mutant is enabled.
pub fn is_on(name: &str) -> bool {
    CHOSEN.get() == Some(name)
}
