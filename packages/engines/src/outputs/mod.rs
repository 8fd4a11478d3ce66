//! Outputs: one file for each kind, with its plan and its assembly.

pub mod audio;
pub mod image;
pub mod limits;
pub mod player;
pub mod poster;
pub mod progressive;
pub mod storyboard;
pub mod stream;
pub mod thumbnail;
pub mod transcript;
pub mod video;

use segue_domain::recipe::default_map_attempts;
use segue_domain::{
    OutputId, OutputSpec, Plan, Recipe, Segment, Task, TaskId, TaskKind, TickRange, Timebase,
};
use segue_media::SourceFacts;
use segue_ports::{EngineError, ProducedFile, WorkContext};

use crate::media_plan::MediaPlan;

/// A request to plan one output; the source was probed for all of them.
pub struct OutputRequest<'a> {
    /// The context of the planning.
    pub run: &'a WorkContext,
    /// The output.
    pub output: &'a OutputId,
    /// Its specification.
    pub spec: &'a OutputSpec,
    /// Maximum distance of cuts, microseconds.
    pub segment_us: i64,
    /// Whether the job has other outputs too.
    pub has_others: bool,
    /// The recipe of the job.
    pub recipe: &'a Recipe,
    /// Streams, sizes and times of the source.
    pub facts: &'a SourceFacts,
    /// Notes on the source, common to all outputs.
    pub warnings: &'a [String],
}

/// The parts of a plan that depend on the kind of output.
pub struct Tasks {
    /// Facts for the engines.
    pub media: MediaPlan,
    /// Duration of a tick of the segments' ranges.
    pub timebase: Timebase,
    /// The segments.
    pub segments: Vec<Segment>,
    /// The tasks, in the order in which to start them.
    pub tasks: Vec<Task>,
    /// Files for the workers.
    pub files: Vec<ProducedFile>,
    /// Why there are no tasks.
    pub reason: Option<String>,
}

impl Tasks {
    /// A plan without tasks for an output that cannot be made from this source, which is not a failure.
    pub fn none(request: &OutputRequest<'_>, reason: &str) -> Tasks {
        Tasks {
            media: MediaPlan::new(request.facts.clone(), None, None),
            timebase: Timebase::MICROS,
            segments: Vec::new(),
            tasks: Vec::new(),
            files: Vec::new(),
            reason: Some(reason.to_owned()),
        }
    }
}

/// A task on a segment, or on the whole duration.
pub fn task(kind: TaskKind, segment: Option<u32>, work_ms: u64) -> Task {
    let id = TaskId::of(kind, segment.unwrap_or(0));
    Task { id, kind, segment, work_ms: work_ms.max(1), attempts: None }
}

/// Number of attempts of a map command.
pub fn own_attempts(spec: &OutputSpec) -> u32 {
    let map = spec.video().and_then(|video| video.map.as_ref());
    map.map_or_else(default_map_attempts, |map| map.attempts)
}

/// Segments of equal duration, for outputs that are not cut at keyframes.
///
/// # Errors
/// More segments than an output may have tasks.
pub fn segments_in_time(facts: &SourceFacts, every_us: i64) -> Result<Vec<Segment>, EngineError> {
    let start = facts.start_time_us;
    let length = facts.duration_us.unwrap_or(0).max(1);
    // a tail shorter than half a segment is merged into the one before
    let count = ((length + every_us / 2) / every_us).max(1);
    limits::check_tasks(every_us, usize::try_from(count).unwrap_or(usize::MAX))?;
    let segment = |i: i64| {
        let is_last = i + 1 == count;
        let end = if is_last { start + length.max(i * every_us + 1) } else { start + (i + 1) * every_us };
        Segment {
            index: i as u32,
            range: TickRange { start: start + i * every_us, end },
            frames: 0,
            bytes: 0,
        }
    };
    Ok((0..count).map(segment).collect())
}

/// The public name of an output's file: at the top level if the output is named like its kind, else in a
/// folder with the output's name.
pub fn public_name(plan: &Plan, name: &str) -> String {
    public_name_of(&plan.output, &plan.spec, name)
}

/// The same of an output of the recipe.
pub fn public_name_of(output: &OutputId, spec: &OutputSpec, name: &str) -> String {
    if output.as_str() == spec.make.kind() { name.to_owned() } else { format!("{output}/{name}") }
}

/// A source error.
pub fn source_error(why: &str) -> EngineError {
    EngineError::new(segue_domain::FaultKind::Source, why)
}
