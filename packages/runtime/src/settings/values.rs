//! Types of single settings.

use serde::Deserialize;

/// Mode of progress display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum ProgressMode {
    /// Bars on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A line every few seconds.
    Plain,
    /// Events, one JSON document a line, on stdout.
    Json,
    /// Nothing.
    None,
}

/// Log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum LogFormat {
    /// Plain text.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
}

impl TryFrom<String> for ProgressMode {
    type Error = String;

    fn try_from(text: String) -> Result<ProgressMode, String> {
        match text.as_str() {
            "auto" => Ok(ProgressMode::Auto),
            "plain" => Ok(ProgressMode::Plain),
            "json" => Ok(ProgressMode::Json),
            "none" => Ok(ProgressMode::None),
            _ => Err(format!("{text:?} is none of auto, plain, json, none")),
        }
    }
}

impl TryFrom<String> for LogFormat {
    type Error = String;

    fn try_from(text: String) -> Result<LogFormat, String> {
        match text.as_str() {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("{text:?} is neither text nor json")),
        }
    }
}

/// When an attempt at a task counts as late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Late {
    /// Never.
    Off,
    /// When it has taken this percentage of the usual time of such a task.
    Percent(u32),
}

/// Smallest and largest factor that may be set.
const LATE: std::ops::RangeInclusive<f64> = 1.1..=1000.0;

impl TryFrom<String> for Late {
    type Error = String;

    fn try_from(text: String) -> Result<Late, String> {
        if text == "off" {
            return Ok(Late::Off);
        }
        match text.parse::<f64>() {
            Ok(times) if LATE.contains(&times) => Ok(Late::Percent((times * 100.0).round() as u32)),
            _ => Err(format!("{text:?} is neither off nor a number from {} to {}", LATE.start(), LATE.end())),
        }
    }
}
