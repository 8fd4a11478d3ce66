//! The certificate of audio files: each is decoded, and is as long as the source's track.

use std::path::Path;

use segue_domain::recipe::AudioFormat;
use serde::{Deserialize, Serialize};

use super::measure::{FILL, Loudness, Measured, Timeline, measure};
use super::{AudioFile, AudioFiles};
use crate::error::Result;
use crate::process::Limits;
use crate::tools::Tools;

/// The certificate of the audio files of an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioProof {
    /// Whether every check passed.
    pub passed: bool,
    /// One line for each failed check.
    pub failures: Vec<String>,
    /// Index of the stream in the source.
    pub stream: u32,
    /// Duration of the source's track, gaps included, microseconds.
    pub source_us: i64,
    /// Loudness of the source's track.
    pub source_loudness: Loudness,
    /// The files as measured.
    pub files: Vec<AudioFileProof>,
}

/// One audio file, decoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioFileProof {
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: AudioFormat,
    /// Whether it has the source's own packets.
    pub copied: bool,
    /// Duration in microseconds.
    pub length_us: i64,
    /// Tolerance for the duration, one codec frame, in microseconds.
    pub allowed_us: i64,
    /// Target of the normalisation, LUFS, if it was normalised.
    pub target_lufs: Option<f64>,
    /// Its loudness.
    pub loudness: Loudness,
    /// The checks that failed.
    pub failures: Vec<String>,
}

/// Decodes each file of `folder` and compares it with the source's track.
///
/// # Errors
/// A file that cannot be decoded at all.
pub async fn certify(tools: &Tools, folder: &Path, made: &AudioFiles, limits: &Limits) -> Result<AudioProof> {
    let mut files = Vec::new();
    for file in &made.files {
        files.push(check(tools, &folder.join(&file.name), &made.source, file, limits).await?);
    }
    let failures: Vec<String> = files.iter().flat_map(|file| file.failures.clone()).collect();
    Ok(AudioProof {
        passed: failures.is_empty(),
        failures,
        stream: made.stream,
        source_us: made.source.length_us(),
        source_loudness: made.source.loudness,
        files,
    })
}

/// Decodes one file.
pub(super) async fn check(
    tools: &Tools,
    path: &Path,
    source: &Measured,
    file: &AudioFile,
    limits: &Limits,
) -> Result<AudioFileProof> {
    // an MP4 can start late; the other formats have no times of their own
    let (timeline, filters) = match file.format {
        AudioFormat::M4a => (Timeline::From(0), FILL),
        _ => (Timeline::Packed, "anull"),
    };
    let measured = measure(tools, path, 0, timeline, filters, file.shape, limits).await?;
    let (length_us, source_us) = (measured.length_us(), source.length_us());
    let allowed_us = (file.frame * 1_000_000).div_ceil(u64::from(file.shape.rate)) as i64;
    let mut failures = Vec::new();
    if (length_us - source_us).abs() > allowed_us {
        failures.push(format!(
            "{} is {length_us} us long, the source's sound {source_us} us; {allowed_us} us are allowed",
            file.name
        ));
    }
    failures.extend(measured.error.map(|error| format!("{} does not decode: {error}", file.name)));
    Ok(AudioFileProof {
        name: file.name.clone(),
        format: file.format,
        copied: file.copied,
        length_us,
        allowed_us,
        target_lufs: file.target_lufs,
        loudness: measured.loudness,
        failures,
    })
}
