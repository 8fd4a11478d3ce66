//! The function that makes jobs of uploads.
//!
//! S3 calls it, or a queue between them does with up to ten notices at once. It creates the
//! job and asks a chunker for the plan; it reads no media, so it has no engine in it and does
//! not go through the runtime.
//!
//! Architecture invariant: no engine, no database and no file of this machine is known here.

mod handler;
mod recipe;

pub use handler::{Handler, Response};
pub use recipe::{RECIPE_VARIABLES, recipe_document};
