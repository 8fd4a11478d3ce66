//! Jobs of a backend by their ids: submit, status, watch, add, retry, cancel, delete, dlq.

use std::path::Path;
use std::process::ExitCode;

use segue_domain::{Failure, FaultKind, JobId, JobRecord, JobState};
use segue_runtime::backend::Backend;
use segue_runtime::jobs::JobStatus;
use segue_runtime::recipe::additions;
use segue_runtime::{AllowMap, Settings, failure, jobs};
use serde::Serialize;

use crate::args::{AddArgs, DeleteArgs, DlqArgs, DlqCommand, JobArgs, OutputArgs, StatusArgs, SubmitArgs};
use crate::output;
use crate::run::{OwnPrograms, recipe_of};
use crate::small;

async fn open(settings: &Settings) -> Result<Backend, Failure> {
    Backend::open(&settings.backend()?).await
}

fn id_of(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|error: segue_domain::DomainError| failure::usage(error.to_string()))
}

/// A document in one line.
fn json_line(document: &impl Serialize) {
    match serde_json::to_string(document) {
        Ok(text) => output::line(text),
        Err(error) => output::note(format_args!("cannot write JSON: {error}")),
    }
}

/// A job as printed in JSON: its document, and its state.
#[derive(Serialize)]
struct JobDocument<'a> {
    state: JobState,
    #[serde(flatten)]
    job: &'a JobRecord,
}

impl<'a> From<&'a JobRecord> for JobDocument<'a> {
    fn from(job: &'a JobRecord) -> JobDocument<'a> {
        JobDocument { state: job.state(), job }
    }
}

/// Prints a job in one line.
fn show(job: &JobRecord, json: bool) {
    if json {
        return json_line(&JobDocument::from(job));
    }
    let outputs: Vec<String> =
        job.outputs.iter().map(|output| format!("{}={}", output.id(), output.state)).collect();
    let cause = job.failure().map(|failure| output::one_line(&failure.cause)).unwrap_or_default();
    let line = format!("{}  {}  {}  {cause}", job.id, job.state(), outputs.join(" "));
    output::line(line.trim_end());
}

/// Prints a job, and each of its outputs in a line.
fn show_outputs(status: &JobStatus) {
    let job = &status.job;
    output::line(format_args!("{}  {}", job.id, job.state()));
    for (found, completed) in job.outputs.iter().zip(&status.completed) {
        let tasks = found.plan.as_ref().map_or_else(|| "-".to_owned(), |plan| plan.tasks.to_string());
        let optional = if found.asked.required { "" } else { "optional" };
        let note = match (&found.failure, job.blocked_by(found)) {
            (Some(failure), _) => output::one_line(&failure.cause),
            (None, Some(needed)) => format!("waits for {}, which {}", needed.id(), needed.state),
            (None, None) => String::new(),
        };
        let (id, state) = (found.id().as_str(), found.state.as_str());
        let line = format!("  {id:<16}  {state:<10}  {completed:>6}/{tasks:<6}  {optional:<8}  {note}");
        output::line(line.trim_end());
    }
}

/// The exit code of a job: that of its failure where it has failed or was cancelled.
fn code_of(job: &JobRecord) -> ExitCode {
    match job.state() {
        JobState::Failed => {
            let kind = job.failure().map_or(FaultKind::Internal, |failure| failure.kind);
            ExitCode::from(failure::exit_code(kind))
        }
        JobState::Cancelled => ExitCode::from(failure::exit_code(FaultKind::Usage)),
        _ => ExitCode::SUCCESS,
    }
}

async fn follow(backend: &Backend, id: &JobId, json: bool) -> Result<ExitCode, Failure> {
    let on_change = |status: &JobStatus| {
        if json { json_line(&JobDocument::from(&status.job)) } else { show_outputs(status) }
    };
    let ended = jobs::watch(backend, id, on_change).await?;
    if let Some(failure) = ended.failure().filter(|_| !json) {
        output::failure(failure, true);
    }
    if ended.state() == JobState::Cancelled && !json {
        output::note(format_args!("job {id} was cancelled; segue retry {id} resumes it"));
    }
    Ok(code_of(&ended))
}

/// `segue submit`
pub async fn submit(args: &SubmitArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let own = OwnPrograms::of(&args.job);
    let recipe = recipe_of(&args.job.recipe.given, &settings.of_deployment()?, own)?;
    settings.allow_map.as_ref().unwrap_or(&AllowMap::None).check(&recipe)?;
    let wanted = args.id.as_deref().map(id_of).transpose()?;
    let source = args.source.parse()?;
    let backend = open(settings).await?;
    let job = jobs::submit(&backend, &source, &recipe, wanted.as_ref()).await?;
    if args.watch {
        return follow(&backend, &job.id, args.json).await;
    }
    show(&job, args.json);
    if matches!(job.state(), JobState::Failed | JobState::Cancelled) {
        output::note(format_args!("this job has ended already; segue retry {} runs it again", job.id));
    }
    Ok(ExitCode::SUCCESS)
}

/// `segue status`: of an output folder where it is one, else of a backend.
pub async fn status(args: &StatusArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    // a path, also where a backend is set: ids of jobs have no slash
    let is_folder = |job: &str| Path::new(job).is_dir() && (job.contains('/') || !settings.names_backend());
    if let Some(job) = &args.job
        && (is_folder(job) || (!settings.names_backend() && settings.backend().is_err()))
    {
        return small::status(Path::new(job), args.json);
    }
    let backend = open(settings).await?;
    let Some(job) = &args.job else { return list(args, &backend).await };
    let status = jobs::status(&backend, &id_of(job)?).await?;
    let manifest = jobs::manifest(&backend, &status.job.id).await?;
    if args.json {
        let document = serde_json::json!({
            "job": status.job,
            "state": status.job.state(),
            "completed_tasks": status.completed,
            "manifest": manifest,
        });
        output::json(&document);
        return Ok(ExitCode::SUCCESS);
    }
    show_outputs(&status);
    for made in manifest.iter().flat_map(|manifest| manifest.files()) {
        output::line(format_args!("{:>9}  jobs/{}/{}", output::bytes(made.bytes), status.job.id, made.name));
    }
    for line in status.job.failure().iter().flat_map(|failure| &failure.stderr_tail) {
        output::line(format_args!("  | {}", output::one_line(line)));
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &StatusArgs, backend: &Backend) -> Result<ExitCode, Failure> {
    let state = args.state.as_deref().map(|name| {
        JobState::parse(name).ok_or_else(|| {
            let known = JobState::ALL.map(JobState::as_str).join(", ");
            failure::usage(format!("there is no state {name:?}; known are {known}"))
        })
    });
    let found = jobs::list(backend, state.transpose()?, args.max).await?;
    if args.json {
        let documents: Vec<JobDocument> = found.iter().map(JobDocument::from).collect();
        output::json(&documents);
    } else {
        found.iter().for_each(|job| show(job, false));
    }
    Ok(ExitCode::SUCCESS)
}

/// `segue watch`
pub async fn watch(args: &JobArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    follow(&open(settings).await?, &id_of(&args.job)?, args.json).await
}

/// `segue retry`
pub async fn retry(args: &OutputArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let id = id_of(&args.job.job)?;
    let job = jobs::retry(&open(settings).await?, &id, args.output.as_deref()).await?;
    show(&job, args.job.json);
    Ok(ExitCode::SUCCESS)
}

/// `segue cancel`
pub async fn cancel(args: &OutputArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let id = id_of(&args.job.job)?;
    let job = jobs::cancel(&open(settings).await?, &id, args.output.as_deref()).await?;
    show(&job, args.job.json);
    Ok(ExitCode::SUCCESS)
}

/// `segue add`
pub async fn add(args: &AddArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let id = id_of(&args.job.job)?;
    let recipe = additions(&args.recipe)?;
    let backend = open(settings).await?;
    let job = jobs::add_outputs(&backend, &id, &recipe).await?;
    if args.watch {
        return follow(&backend, &job.id, args.job.json).await;
    }
    show(&job, args.job.json);
    Ok(ExitCode::SUCCESS)
}

/// `segue delete`
pub async fn delete(args: &DeleteArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let id = id_of(&args.job.job)?;
    let source = if args.with_source { jobs::Source::Delete } else { jobs::Source::Keep };
    jobs::delete(&open(settings).await?, &id, source).await?;
    if args.job.json {
        json_line(&serde_json::json!({ "deleted": id }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Messages of each queue, where no other number is given.
const MAX_MESSAGES: usize = 100;

/// `segue dlq`
pub async fn dlq(args: &DlqArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    if let (DlqCommand::Purge, Some(_)) = (args.command, args.max) {
        return Err(failure::usage(
            "dlq purge deletes every message of a queue; --max is for list and redrive",
        ));
    }
    let max = args.max.unwrap_or(MAX_MESSAGES);
    let backend = open(settings).await?;
    let mut found = serde_json::Map::new();
    for lane in jobs::dead_lanes(&backend, args.queue.as_deref())? {
        let (lines, document) = match args.command {
            DlqCommand::List => {
                let letters = jobs::dead_list(&lane, max).await?;
                let lines = letters.iter().map(|letter| {
                    let reason = letter.reason.as_deref().unwrap_or("received too often");
                    format!("{}  {}  {}", lane.lane, output::one_line(&letter.body), output::one_line(reason))
                });
                (lines.collect(), serde_json::json!(letters))
            }
            DlqCommand::Redrive => {
                let count = jobs::dead_redrive(&lane, max).await?;
                (vec![format!("{}  {count} sent again", lane.lane)], serde_json::json!(count))
            }
            DlqCommand::Purge => {
                let count = jobs::dead_purge(&lane).await?;
                (vec![format!("{}  {count} removed", lane.lane)], serde_json::json!(count))
            }
        };
        if !args.json {
            lines.iter().for_each(output::line);
        }
        found.insert(lane.lane.as_str().to_owned(), document);
    }
    if args.json {
        output::json(&found);
    }
    Ok(ExitCode::SUCCESS)
}
