//! `segue plan`: the segments and tasks of a job.

use std::collections::BTreeMap;
use std::process::ExitCode;

use segue_domain::{Failure, Plan, TaskKind};
use segue_ports::Planned;
use segue_runtime::preview::preview;
use segue_runtime::run::SourceFile;
use segue_runtime::{AllowMap, Settings, failure, shutdown, wiring};

use crate::args::PlanArgs;
use crate::output;
use crate::progress::name_of;
use crate::run::{OwnPrograms, recipe_of};

/// Longest speech window, for an estimate of their number.
const WINDOW_MS: u64 = 30_000;

/// Prints the plan of a source.
pub async fn plan(args: &PlanArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    let recipe = recipe_of(&args.settings.given, settings, OwnPrograms::default())?;
    let source = SourceFile::look(&args.source)?;
    let engines = wiring::engines(settings, AllowMap::Any).await?;
    let stop = shutdown::listen(|| {})?;
    let planned = match preview(&source, recipe, &engines.planner, settings.threads, stop.clone()).await {
        Err(_) if stop.is_cancelled() => return Ok(ExitCode::from(failure::EXIT_INTERRUPTED)),
        other => other?,
    };
    let plans = plans_of(&planned)?;
    if args.json {
        let by_output: BTreeMap<&str, &Plan> =
            plans.iter().map(|plan| (plan.output.as_str(), *plan)).collect();
        output::json(&serde_json::json!({ "plans": by_output, "warnings": planned.warnings }));
    } else {
        output::text(tables(&plans, &planned.warnings));
    }
    Ok(ExitCode::SUCCESS)
}

/// The plans of all outputs.
///
/// # Errors
/// The failure of the first output that cannot be planned.
fn plans_of(planned: &Planned) -> Result<Vec<&Plan>, Failure> {
    planned
        .outputs
        .values()
        .map(|planned| match planned {
            Ok(planned) => Ok(&planned.plan),
            Err(error) => Err(error.clone().into_failure(None)),
        })
        .collect()
}

/// One table for each output.
fn tables(plans: &[&Plan], warnings: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for plan in plans {
        lines.extend(table(plan));
    }
    lines.extend(warnings.iter().map(|warning| format!("note: {}", output::one_line(warning))));
    lines.push(String::new());
    lines.join("\n")
}

fn table(plan: &Plan) -> Vec<String> {
    let mut lines = vec![heading(plan)];
    lines.extend(plan.reason.clone());
    if !plan.segments.is_empty() {
        lines.push(format!(
            "{:>7}  {:>12}  {:>10}  {:>8}  {:>10}",
            "segment", "starts at", "length", "frames", "bytes"
        ));
    }
    for segment in &plan.segments {
        let start = plan.timebase.seconds(segment.range.start);
        let length = plan.timebase.seconds(segment.range.len());
        lines.push(format!(
            "{:>7}  {start:>11.3}s  {length:>9.3}s  {:>8}  {:>10}",
            segment.index,
            segment.frames,
            output::bytes(segment.bytes)
        ));
    }
    lines.extend(work(plan));
    if plan.tasks.iter().any(|task| task.kind == TaskKind::Transcribe) {
        let windows = media_ms(plan).div_ceil(WINDOW_MS).max(1);
        lines.push(format!(
            "speech windows are cut in pauses while the job runs: {windows} or more, at most 30 s each"
        ));
    }
    lines
}

fn heading(plan: &Plan) -> String {
    format!(
        "{} ({}), {} of {}, {} segments, {} tasks",
        plan.output,
        plan.spec.make.kind(),
        output::duration(plan.duration_ms.unwrap_or_else(|| media_ms(plan))),
        output::bytes(plan.source_bytes),
        plan.segments.len(),
        plan.tasks.len()
    )
}

fn media_ms(plan: &Plan) -> u64 {
    let ticks = match (plan.segments.first(), plan.segments.last()) {
        (Some(first), Some(last)) => last.range.end - first.range.start,
        _ => 0,
    };
    u64::try_from(plan.timebase.to_micros(ticks) / 1000).unwrap_or(0)
}

/// Predicted work by kind, in the order in which it starts.
fn work(plan: &Plan) -> Vec<String> {
    let mut kinds = BTreeMap::<TaskKind, (usize, u64)>::new();
    for task in &plan.tasks {
        let (count, work_ms) = kinds.entry(task.kind).or_default();
        *count += 1;
        *work_ms += task.work_ms;
    }
    let line = |(kind, (count, work_ms)): (TaskKind, (usize, u64))| {
        let name = name_of(segue_ports::Stage::Task(kind));
        format!("{name:<10} {count} tasks, about {} on one core", output::duration(work_ms))
    };
    kinds.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_domain::{Recipe, Segment, Task, TaskId, TickRange, Timebase};

    #[test]
    fn a_plan_reads_as_a_table() {
        let segment = |index: u32, start, end| Segment {
            index,
            range: TickRange { start, end },
            frames: 50,
            bytes: 1_500_000,
        };
        let plan = Plan {
            version: 1,
            job: "j".parse().unwrap(),
            output: "transcript".parse().unwrap(),
            recipe: "transcript".into(),
            spec: Recipe::built_in("transcript").unwrap().outputs.into_values().next().unwrap(),
            source_key: "input/j/source.mp4".into(),
            source_bytes: 3_000_000,
            duration_ms: Some(62_000),
            timebase: Timebase { num: 1, den: 1000 },
            segments: vec![segment(0, 500, 2_500), segment(1, 2_500, 62_500)],
            tasks: (0..2)
                .map(|index| Task {
                    id: TaskId::of(TaskKind::Transcribe, index),
                    kind: TaskKind::Transcribe,
                    segment: Some(index),
                    work_ms: 4_000,
                    attempts: None,
                })
                .collect(),
            reason: None,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: BTreeMap::new(),
            engine: serde_json::Value::Null,
        };
        insta::assert_snapshot!(tables(&[&plan], &["no\nindex".to_owned()]));
    }
}
