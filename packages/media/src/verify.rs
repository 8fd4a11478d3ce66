//! Verifies a result against its source: decodes both and compares every frame's pixels and time
//! and every sample of audio, of all streams.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::facts::{SourceFacts, StreamFacts, StreamKind};
use crate::probe;
use crate::process::Limits;
use crate::rows::{self, Depth, Rows};
use crate::tools::Tools;

/// Tolerance of times: Matroska's timescale has a tick of 1 ms.
const TOLERANCE_MS: f64 = 1.0;

/// The comparison of two files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The verdict.
    pub verdict: Verdict,
    /// Every decodable stream of the source.
    pub streams: Vec<StreamReport>,
    /// One line for each difference.
    pub differences: Vec<String>,
}

/// Verdict of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All streams are the same.
    Same,
    /// At least one difference.
    Differs,
    /// The source has no decodable stream.
    SourceDoesNotDecode,
}

/// The comparison of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// Index in the source.
    pub source: u32,
    /// Index in the result; `None` if it has no such stream.
    pub result: Option<u32>,
    /// Kind.
    pub kind: StreamKind,
    /// Codec in the source.
    pub codec: String,
    /// Frames (audio: pieces of 1024 samples) in the source and in the result.
    pub frames: [u64; 2],
    /// Bytes of the decoded content in the source and in the result.
    pub decoded_bytes: [u64; 2],
    /// Whether all content is the same.
    pub same: bool,
    /// First frame whose content differs.
    pub first_difference: Option<u64>,
    /// Largest error of a frame's time, relative to the stream's first frame.
    pub max_drift_ms: f64,
    /// Shift of the stream relative to the first stream.
    pub offset_ms: f64,
}

/// Compares.
pub async fn verify(tools: &Tools, source: &Path, result: &Path, limits: &Limits) -> Result<VerifyReport> {
    let (a, b) = (probe::probe(tools, source).await?, probe::probe(tools, result).await?);
    let pairs = pair(&a, &b);
    let left: Vec<&StreamFacts> = pairs.iter().map(|(s, _)| *s).collect();
    let right: Vec<&StreamFacts> = pairs.iter().filter_map(|(_, r)| *r).collect();
    let (before, after) = tokio::join!(
        rows::rows(tools, source, &a, &left, Depth::Decoded, limits),
        rows::rows(tools, result, &b, &right, Depth::Decoded, limits),
    );
    let (before, mut after) = (before?, after?.into_iter());
    let mut streams = Vec::new();
    let mut reference = None;
    for ((s, r), x) in pairs.iter().zip(&before) {
        let y = if r.is_some() { after.next() } else { None }.unwrap_or_default();
        let shift = x.micros(0).zip(y.micros(0)).map(|(x, y)| y - x);
        let base = *reference.get_or_insert(shift.unwrap_or(0));
        streams.push(compare(s, *r, x, &y, shift.map_or(0, |s| s - base)));
    }
    Ok(judge(streams))
}

/// The k-th stream of a kind belongs to the k-th of that kind.
fn pair<'a>(a: &'a SourceFacts, b: &'a SourceFacts) -> Vec<(&'a StreamFacts, Option<&'a StreamFacts>)> {
    [StreamKind::Video, StreamKind::Audio, StreamKind::Picture]
        .into_iter()
        .flat_map(|kind| {
            let mut theirs = b.of(kind).filter(|s| s.codec.is_some());
            let ours: Vec<_> = a.of(kind).filter(|s| s.codec.is_some()).collect();
            ours.into_iter().map(move |s| (s, theirs.next())).collect::<Vec<_>>()
        })
        .collect()
}

fn compare(s: &StreamFacts, r: Option<&StreamFacts>, x: &Rows, y: &Rows, offset_us: i64) -> StreamReport {
    let differs = |i: &usize| x.rows[*i].hash != y.rows[*i].hash;
    let common = x.rows.len().min(y.rows.len());
    let first = (0..common).find(differs);
    let same_length = x.rows.len() == y.rows.len();
    let first_difference = first.or((!same_length).then_some(common)).map(|i| i as u64);
    let (x0, y0) = (x.micros(0).unwrap_or(0), y.micros(0).unwrap_or(0));
    let drift = (0..common)
        .filter_map(|i| Some(((y.micros(i)? - y0) - (x.micros(i)? - x0)).abs()))
        .max()
        .unwrap_or(0);
    let bytes = |rows: &Rows| rows.rows.iter().map(|r| r.size).sum();
    // a still has no time of its own
    let still = s.kind == StreamKind::Picture;
    StreamReport {
        source: s.index,
        result: r.map(|r| r.index),
        kind: s.kind,
        codec: s.codec.clone().unwrap_or_default(),
        frames: [x.rows.len() as u64, y.rows.len() as u64],
        decoded_bytes: [bytes(x), bytes(y)],
        same: first_difference.is_none(),
        first_difference,
        max_drift_ms: if still { 0.0 } else { drift as f64 / 1000.0 },
        offset_ms: if still { 0.0 } else { offset_us as f64 / 1000.0 },
    }
}

fn judge(streams: Vec<StreamReport>) -> VerifyReport {
    let mut differences = Vec::new();
    for s in &streams {
        let name = format!("stream {} ({:?}, {})", s.source, s.kind, s.codec).to_lowercase();
        match (s.result, s.first_difference) {
            (None, _) => differences.push(format!("{name}: is not in the result")),
            (_, Some(at)) => differences.push(format!(
                "{name}: content differs from frame {at} on ({} frames before, {} after)",
                s.frames[0], s.frames[1]
            )),
            _ => {}
        }
        if s.result.is_some() && s.max_drift_ms > TOLERANCE_MS {
            differences.push(format!("{name}: times drift by {:.3} ms", s.max_drift_ms));
        }
        if s.result.is_some() && s.offset_ms.abs() > TOLERANCE_MS {
            differences.push(format!("{name}: shifted by {:.3} ms", s.offset_ms));
        }
    }
    let verdict = if streams.iter().all(|s| s.frames[0] == 0) {
        Verdict::SourceDoesNotDecode
    } else if differences.is_empty() {
        Verdict::Same
    } else {
        Verdict::Differs
    };
    VerifyReport { verdict, streams, differences }
}
