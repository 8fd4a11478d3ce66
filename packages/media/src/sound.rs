//! Sound for the result: encoded once, for the whole length, and never cut.
