//! Real `segue` processes on an AWS emulator.

mod arrival;
mod commands;
mod load;
mod oracle;
mod outage;
