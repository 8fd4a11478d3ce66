//! AWS Lambda function that creates jobs for uploads.
//!
//! S3 calls it directly, or a queue does with up to ten notices per call. It creates the job with
//! the outputs of the deployment's recipe and sends a message to the lane `plan`. It reads no media, so it links no engine and does not use the
//! runtime.
//!
//! Architecture invariant: this crate depends on no engine, no database and no local files.

mod handler;
mod recipe;

pub use handler::{Handler, Response};
pub use recipe::{RECIPE_VARIABLES, recipe};
