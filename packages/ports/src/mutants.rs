//! Deliberate protocol bugs, one at a time, for the simulator to find.
//!
//! Without the feature `mutants` a [`mutant!`](crate::mutant) is the constant `false`, and
//! nothing of this is in a product.

/// Whether the deliberate bug of this name is on; the constant `false` in every product.
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_on($name)
    };
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_on};

/// No mutant is on in a build that has none.
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

    /// Chooses the mutant that is on for what runs on this thread from here on.
    pub fn choose(name: Option<&'static str>) {
        CHOSEN.set(name);
    }

    /// Whether a mutant is on.
    pub fn is_on(name: &str) -> bool {
        CHOSEN.get() == Some(name)
    }
}
