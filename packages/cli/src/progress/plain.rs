//! A line every few seconds on stdout, for logs and pipes; stderr is for errors.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use segue_domain::JobState;
use segue_ports::{Event, Reporter, Stage};

use super::{name_of, rate};
use crate::output;

/// Least time between two lines of one stage.
const QUIET: Duration = Duration::from_secs(5);

/// Plain lines on stdout.
pub struct PlainLines {
    stages: Mutex<BTreeMap<Stage, Shown>>,
    state: Mutex<Option<JobState>>,
}

struct Shown {
    total: u64,
    done: u64,
    at_start: u64,
    unit: String,
    started: Instant,
    last_line: Instant,
    ended: bool,
}

impl PlainLines {
    /// A reporter without stages.
    pub fn new() -> PlainLines {
        PlainLines { stages: Mutex::default(), state: Mutex::default() }
    }

    /// The line to print after an event, if any.
    fn line_after(&self, event: Event, now: Instant) -> Option<String> {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::State { state, .. } => {
                let before = self.state.lock().unwrap_or_else(PoisonError::into_inner).replace(state);
                (before != Some(state)).then(|| format!("job {state}"))
            }
            Event::Output { output, state, .. } => Some(format!("output {output} {state}")),
            Event::Warning { message, .. } => Some(format!("note: {}", output::one_line(&message))),
            Event::StageStarted { stage, total, done, unit, .. } => {
                let shown = Shown {
                    total,
                    done,
                    at_start: done,
                    unit,
                    started: now,
                    last_line: now,
                    ended: total > 0 && done >= total,
                };
                let before = stages.insert(stage, shown);
                let word = if done > 0 { "resumes" } else { "starts" };
                let percent = percent(done, total);
                before.is_none().then(|| format!("{:<10} {word} at {percent}%", name_of(stage)))
            }
            Event::StageAdvanced { stage, done, .. } => {
                let shown = stages.get_mut(&stage)?;
                shown.done = shown.done.saturating_add(done).min(shown.total.max(shown.done));
                if shown.total > 0 && shown.done >= shown.total {
                    return shown.end(stage, now);
                }
                if now.duration_since(shown.last_line) < QUIET {
                    return None;
                }
                shown.last_line = now;
                Some(shown.line(stage, now))
            }
            Event::StageEnded { stage, .. } => stages.get_mut(&stage)?.end(stage, now),
        }
    }
}

impl Shown {
    fn end(&mut self, stage: Stage, now: Instant) -> Option<String> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let took = now.duration_since(self.started).as_secs_f64();
        Some(format!("{:<10} done in {took:.1} s", name_of(stage)))
    }

    fn line(&self, stage: Stage, now: Instant) -> String {
        let took = now.duration_since(self.started).as_secs_f64().max(1e-3);
        let speed = (self.done - self.at_start) as f64 / took;
        let left = if speed > 0.0 { (self.total.saturating_sub(self.done)) as f64 / speed } else { 0.0 };
        format!(
            "{:<10} {:>3}%  {}  about {} left",
            name_of(stage),
            percent(self.done, self.total),
            rate(&self.unit, speed),
            output::duration((left * 1e3) as u64)
        )
    }
}

fn percent(done: u64, total: u64) -> u64 {
    if total == 0 { 0 } else { (u128::from(done) * 100 / u128::from(total)).min(100) as u64 }
}

impl Reporter for PlainLines {
    fn report(&self, event: Event) {
        if let Some(line) = self.line_after(event, Instant::now()) {
            output::line(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segue_domain::TaskKind;

    #[test]
    fn lines_are_rate_limited_and_come_at_both_ends() {
        let lines = PlainLines::new();
        let job: segue_domain::JobId = "j".parse().unwrap();
        let stage = Stage::Task(TaskKind::Encode);
        let zero = Instant::now();
        let at = |s: u64| zero + Duration::from_secs(s);
        let advance =
            |done, s| lines.line_after(Event::StageAdvanced { job: job.clone(), stage, done }, at(s));
        let start =
            Event::StageStarted { job: job.clone(), stage, total: 100_000, done: 0, unit: "ms".into() };

        assert_eq!(lines.line_after(start.clone(), at(0)).unwrap(), "encode     starts at 0%");
        assert_eq!(lines.line_after(start, at(0)), None, "a repeat is not shown");
        assert_eq!(advance(10_000, 1), None);
        assert_eq!(advance(10_000, 10).unwrap(), "encode      20%  2.0x  about 40.0 s left");
        assert_eq!(advance(10_000, 11), None);
        assert_eq!(advance(70_000, 12).unwrap(), "encode     done in 12.0 s");
        let ended = Event::StageEnded { job: job.clone(), stage };
        assert_eq!(lines.line_after(ended, at(13)), None, "it ended before");
    }

    #[test]
    fn a_stage_that_resumes_says_so_and_an_unknown_one_is_ignored() {
        let lines = PlainLines::new();
        let job: segue_domain::JobId = "j".parse().unwrap();
        let start = Event::StageStarted {
            job: job.clone(),
            stage: Stage::Join,
            total: 4,
            done: 1,
            unit: "files".into(),
        };
        assert_eq!(lines.line_after(start, Instant::now()).unwrap(), "join       resumes at 25%");
        let ended = Event::StageEnded { job, stage: Stage::Certify };
        assert_eq!(lines.line_after(ended, Instant::now()), None);
    }
}
