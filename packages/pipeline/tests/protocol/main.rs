//! The roles over the in-memory adapters, on a paused clock: hours of protocol in
//! milliseconds, with crashes, duplicates and losses at named points.

mod deleted;
mod engines;
mod faults;
mod happy;
mod ingest;
mod later;
mod newer;
mod outputs;
mod stale;
mod world;
