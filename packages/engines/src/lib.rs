//! The engines: segue-media and segue-speech behind the engine ports.
//!
//! Only this crate maps outputs of a recipe to tasks, and tasks to calls of ffmpeg and
//! whisper. One file per kind of output in `outputs/`, one per kind of task in `tasks/`.

mod allow_map;
mod assembler;
mod context;
mod errors;
mod files;
mod media_plan;
pub mod models;
mod outputs;
mod picture;
mod planner;
mod source;
mod tasks;
mod work;

use std::sync::Arc;

use segue_ports::{Assembler, MapEngine, Planner};

pub use allow_map::AllowMap;
pub use assembler::Certificate;
pub use context::{EngineContext, SpeechShare};
pub use media_plan::MediaPlan;
pub use models::ModelShelf;

/// A planner, map engines and an assembler for the roles.
#[derive(Clone)]
pub struct Engines {
    /// Plans outputs.
    pub planner: Arc<dyn Planner>,
    /// Run the tasks, each of some kinds.
    pub map: Vec<Arc<dyn MapEngine>>,
    /// Assembles outputs.
    pub assembler: Arc<dyn Assembler>,
}

/// Every engine, sharing one context.
pub fn all(context: Arc<EngineContext>) -> Engines {
    Engines {
        planner: Arc::new(planner::MediaPlanner::new(Arc::clone(&context))),
        map: tasks::all(&context),
        assembler: Arc::new(assembler::MediaAssembler::new(context)),
    }
}
