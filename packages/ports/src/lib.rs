//! What the roles need from the world, with in-memory adapters and conformance suites.
