//! Durations in the format of recipes and flags.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DomainError;

/// A duration in a recipe or a flag: `300s`, `1.5s`, `250ms`, `5m`, `2h`, `300`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "SpanText", into = "String")]
pub struct Span {
    millis: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SpanText {
    Seconds(u64),
    Text(String),
}

impl TryFrom<SpanText> for Span {
    type Error = DomainError;

    fn try_from(text: SpanText) -> Result<Span, DomainError> {
        match text {
            SpanText::Seconds(seconds) => seconds.to_string().parse(),
            SpanText::Text(text) => text.parse(),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl Span {
    /// A duration of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Span {
        Span { millis }
    }

    /// The duration in milliseconds.
    pub const fn millis(self) -> u64 {
        self.millis
    }

    /// The duration in microseconds.
    pub const fn micros(self) -> i64 {
        (self.millis * 1000) as i64
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis.is_multiple_of(1000) {
            write!(f, "{}s", self.millis / 1000)
        } else {
            write!(f, "{}ms", self.millis)
        }
    }
}

impl FromStr for Span {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Span, DomainError> {
        let bad = || DomainError::Invalid {
            document: "length of time",
            why: format!(
                "{text:?} is not one between 1ms and 1000h; write it as 300s, 1.5s, 250ms, 5m or 2h"
            ),
        };
        let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let scale = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return Err(bad()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |s: &str| !s.is_empty() && s.len() <= 9 && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let fraction: u64 = part.parse().map_err(|_| bad())?;
        let millis = whole * scale + fraction * scale / 10u64.pow(part.len() as u32);
        if (1..=3_600_000_000).contains(&millis) { Ok(Span { millis }) } else { Err(bad()) }
    }
}
