//! Plans a source without creating a job.

use std::sync::Arc;

use segue_domain::{Failure, JobId, Recipe};
use segue_ports::{NoReport, PlanRequest, Planned, Planner, Source, WorkContext};
use tokio_util::sync::CancellationToken;

use crate::failure;
use crate::run::SourceFile;

/// The plans that a job with this source and recipe would have, one for each output.
///
/// # Errors
/// Errors of the planner.
pub async fn preview(
    source: &SourceFile,
    recipe: Recipe,
    planner: &Arc<dyn Planner>,
    threads: usize,
    cancel: CancellationToken,
) -> Result<Planned, Failure> {
    let job: JobId = "preview".parse().map_err(|error| failure::internal(format!("job id: {error}")))?;
    let scratch = tempfile::tempdir().map_err(|error| failure::io("scratch folder", &error))?;
    let run = WorkContext {
        job: job.clone(),
        cancel,
        reporter: Arc::new(NoReport),
        threads,
        scratch: scratch.path().to_owned(),
    };
    let source_key = segue_domain::Key::source(&job, &source.extension()).to_string();
    let outputs = recipe.new_outputs().into_iter().map(|output| output.id).collect();
    let (source, needs) = (Source::whole(source.path.clone()), std::collections::BTreeMap::new());
    let request = PlanRequest { run, source, source_key, recipe, outputs, needs };
    planner.plan(request).await.map_err(|error| error.into_failure(None))
}
