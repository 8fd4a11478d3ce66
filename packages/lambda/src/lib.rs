//! The function that creates a job for each upload.
//!
//! S3 calls it, or a queue between them with up to ten notices at once. It creates the job with the outputs
//! of the deployment's recipe and sends a message to the lane `plan`. It reads no media, so it links no
//! engine and does not use the runtime.
//!
//! Architecture invariant: no engine, no database and no file of this machine is known here.

mod handler;
mod recipe;

pub use handler::{Handler, Response};
pub use recipe::{RECIPE_VARIABLES, recipe};
