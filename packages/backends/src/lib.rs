//! Backends: the URLs of ledger, queue and store become open ports.
//!
//! A [`Backend`] is a struct of capabilities. Each part has a URL of its own, and one file per
//! scheme opens it: [`folder`](mod@folder) for paths and `file://`, `aws` for `aws://`,
//! `dynamodb://`, `sqs://` and `s3://`. To add a scheme, write such a file and list it in
//! `provider.rs`.
//!
//! *Architecture invariant:* this is the only crate that names adapters; it knows no engine and no
//! role. No message contains more of a URL than its scheme: the rest may hold a password.

#[cfg(feature = "aws")]
mod aws;
mod backend;
mod failure;
mod folder;
mod provider;
mod sources;
mod url;
mod variables;

pub use backend::{Backend, DeadLane};
pub use failure::port;
pub use folder::folder_of;
pub use sources::Sources;
pub use url::{BackendUrl, BackendUrls, Part, PartUrls};
pub use variables::{Variable, variables};
