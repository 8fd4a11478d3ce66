//! Progress: bars on a terminal, plain lines elsewhere, events on request.

mod bars;
mod json;
mod plain;

use std::io::IsTerminal;
use std::sync::Arc;

use segue_domain::TaskKind;
use segue_ports::{NoReport, Reporter, Stage};
use segue_runtime::ProgressMode;

pub use bars::Bars;
pub use json::{JsonLines, print_event};
pub use plain::PlainLines;

/// A reporter, and a way to remove it from the screen before the result is printed.
pub struct Screen {
    /// Receives the events.
    pub reporter: Arc<dyn Reporter>,
    bars: Option<Arc<Bars>>,
}

impl Screen {
    /// The reporter of that mode.
    pub fn of(mode: ProgressMode) -> Screen {
        let bars = match mode {
            ProgressMode::Auto if std::io::stderr().is_terminal() => Some(Arc::new(Bars::new())),
            _ => None,
        };
        let reporter: Arc<dyn Reporter> = match (&bars, mode) {
            (Some(bars), _) => Arc::<Bars>::clone(bars),
            (None, ProgressMode::Auto | ProgressMode::Plain) => Arc::new(PlainLines::new()),
            (None, ProgressMode::Json) => Arc::new(JsonLines),
            (None, ProgressMode::None) => Arc::new(NoReport),
        };
        Screen { reporter, bars }
    }

    /// Removes the bars.
    pub fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.clear();
        }
    }
}

/// Display name of a stage.
pub fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Plan => "plan",
        Stage::Task(TaskKind::Digest) => "read",
        Stage::Task(TaskKind::Map) => "map",
        Stage::Task(TaskKind::Encode) => "encode",
        Stage::Task(TaskKind::Sound) => "sound",
        Stage::Task(TaskKind::Transcribe) => "transcribe",
        Stage::Task(TaskKind::Thumbnail) => "thumbnail",
        Stage::Task(TaskKind::Audio) => "audio",
        Stage::Task(TaskKind::Poster) => "poster",
        Stage::Task(TaskKind::Storyboard) => "storyboard",
        Stage::Task(TaskKind::Preview) => "preview",
        Stage::Task(TaskKind::Stream) => "stream",
        Stage::Task(TaskKind::StreamSound) => "stream sound",
        Stage::Task(TaskKind::Image) => "image",
        Stage::Join => "join",
        Stage::Certify => "certify",
        Stage::Publish => "publish",
    }
}

/// Formats a rate of `per_second` units; `ms` are milliseconds of one core, shown as a multiple of
/// real time. Empty for units without a rate.
pub fn rate(unit: &str, per_second: f64) -> String {
    match unit {
        "ms" => format!("{:.1}x", per_second / 1e3),
        "bytes" => format!("{:.0} MB/s", per_second / 1e6),
        _ => String::new(),
    }
}
