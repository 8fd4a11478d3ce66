//! In-memory adapters for protocol tests.
