//! One bar for each stage, on a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use segue_ports::{Event, Reporter, Stage};

use super::{name_of, rate};
use crate::output::one_line;

/// Bars on stderr.
pub struct Bars {
    screen: MultiProgress,
    stages: Mutex<BTreeMap<Stage, ProgressBar>>,
}

impl Bars {
    /// Creates a display without bars.
    pub fn new() -> Bars {
        Bars { screen: MultiProgress::new(), stages: Mutex::default() }
    }

    /// Removes all bars.
    pub fn clear(&self) {
        for bar in self.locked().values() {
            bar.finish();
        }
        let _ = self.screen.clear();
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<Stage, ProgressBar>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, stage: Stage, total: u64, done: u64, unit: String) {
        let mut stages = self.locked();
        let bar = stages.entry(stage).or_insert_with(|| {
            let bar = self.screen.add(ProgressBar::no_length());
            bar.set_style(style(unit));
            bar.set_prefix(name_of(stage));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        bar.set_length(total);
        bar.set_position(done);
        bar.reset_eta();
    }
}

fn style(unit: String) -> ProgressStyle {
    let template = "{prefix:>10} {bar:30} {percent:>3}%  {rate:>9}  {eta_or_done}";
    let speed = move |state: &ProgressState, out: &mut dyn Write| {
        let _ = out.write_str(&rate(&unit, state.per_sec()));
    };
    let eta = |state: &ProgressState, out: &mut dyn Write| {
        let left = state.eta().as_secs();
        let _ = if state.is_finished() {
            write!(out, "done in {:.1} s", state.elapsed().as_secs_f64())
        } else if left == 0 {
            write!(out, "")
        } else {
            write!(out, "{}:{:02} left", left / 60, left % 60)
        };
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
        .with_key("rate", speed)
        .with_key("eta_or_done", eta)
}

impl Reporter for Bars {
    fn report(&self, event: Event) {
        match event {
            Event::State { .. } | Event::Output { .. } => {}
            Event::StageStarted { stage, total, done, unit, .. } => self.start(stage, total, done, unit),
            Event::StageAdvanced { stage, done, .. } => {
                if let Some(bar) = self.locked().get(&stage) {
                    bar.inc(done);
                    if bar.length().is_some_and(|all| bar.position() >= all) {
                        bar.finish();
                    }
                }
            }
            Event::StageEnded { stage, .. } => {
                if let Some(bar) = self.locked().get(&stage) {
                    bar.set_position(bar.length().unwrap_or_default());
                    bar.finish();
                }
            }
            Event::Warning { message, .. } => {
                let _ = self.screen.println(format!("note: {}", one_line(&message)));
            }
        }
    }
}
