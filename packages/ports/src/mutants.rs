//! Deliberate protocol bugs, one at a time, for the simulator to find.
//!
//! Without the feature `mutants` a [`mutant!`](crate::mutant) is the constant `false`, and
//! nothing of this is in a product.

#[cfg(feature = "mutants")]
pub use chosen::{choose, is_on};

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

/// Whether the deliberate bug of this name is on; the constant `false` in every product.
#[cfg(feature = "mutants")]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_on($name)
    };
}

/// Whether the deliberate bug of this name is on; the constant `false` in every product.
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}
