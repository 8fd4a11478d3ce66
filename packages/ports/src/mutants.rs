//! Deliberate protocol bugs, one at a time, which the simulator must detect.
//!
//! Without the feature `mutants` a [`mutant!`](crate::mutant) is the constant `false`, and
//! no release contains any of this.

/// Whether the deliberate bug with this name is enabled; the constant `false` in every release.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_on($name)
    };
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_on};

/// No mutant is enabled in a build without the feature.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub const fn is_on(_name: &str) -> bool {
    false
}

#[cfg(feature = "mutants")]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Selects the mutant that is enabled for this thread from here on.
    pub fn choose(name: Option<&'static str>) {
        CHOSEN.set(name);
    }

    /// Whether a mutant is enabled.
    pub fn is_on(name: &str) -> bool {
        CHOSEN.get() == Some(name)
    }
}
