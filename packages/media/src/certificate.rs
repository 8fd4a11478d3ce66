//! The seam certificate: the proof, kept with the result, that joining changed nothing.
//!
//! Every claim is checked on the finished file, not on what the join meant to write: its index
//! is read back, and its packets are compared with what the parts owned.

use serde::{Deserialize, Serialize};

use crate::join::DroppedStream;
use crate::mp4::Lost;

/// The picture's and the sound's part of a job's certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whether every check passed.
    pub passed: bool,
    /// One line for each check that failed, with the place.
    pub failures: Vec<String>,
    /// One entry per segment of the picture.
    pub segments: Vec<SegmentProof>,
    /// Every frame owned exactly once.
    pub coverage: Option<Coverage>,
    /// The times of the joined picture.
    pub times: Option<TimesProof>,
    /// One entry per stream that went around the cuts.
    pub around: Vec<StreamProof>,
    /// End of the sound less end of the picture.
    pub av_end: Option<AvEnd>,
    /// Step of loudness at each seam.
    pub loudness: Vec<SeamLoudness>,
    /// Streams that the result does not hold.
    pub dropped: Vec<DroppedStream>,
    /// What a truncated source did not hold any more.
    pub lost: Option<Lost>,
    /// Size of the result.
    pub result_bytes: u64,
    /// SHA-256 of the result.
    pub result_sha256: String,
    /// Version of ffmpeg that joined.
    pub ffmpeg_version: String,
}

/// One segment, as owned and as found in the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentProof {
    /// Number of the segment.
    pub index: u32,
    /// Frames owned.
    pub frames: u64,
    /// Packets of the part and at its place in the result.
    pub packets: [u64; 2],
    /// Whether the packets in the result are the part's.
    pub same: bool,
    /// How that is known.
    pub evidence: Evidence,
}

/// How the bytes of packets were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Evidence {
    /// XXH3-128 of the packets, in hexadecimal.
    Digest {
        /// Of the part.
        part: String,
        /// At its place in the result.
        result: String,
    },
    /// The result is ranges of the source behind a new head, and the table, as read back, has
    /// every packet where its range was put.
    Place {
        /// How it is known that the ranges are the source's.
        compared: Compared,
    },
}

/// How much of a carried file was read back after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// All of it, with the source.
    Whole,
    /// Both ends of each MiB, at once and out of the system's memory; neither file has changed
    /// since, by its inode. For large files, which take longer to read again than to write.
    Writes,
}

/// Frames and packets counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Frames in the source's picture.
    pub source_frames: u64,
    /// Frames owned by all segments together.
    pub owned_frames: u64,
    /// Frames that the result's picture shows.
    pub result_frames: u64,
    /// Whether the segments' ranges follow one another without gap or overlap.
    pub ranges_partition: bool,
}

/// Times of the joined picture against the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimesProof {
    /// Whether decode times never go back.
    pub decode_monotonic: bool,
    /// Largest difference of any frame's time, counted from the first frame, in microseconds.
    pub max_error_us: i64,
    /// What the container's clock allows.
    pub allowed_us: i64,
}

/// One stream that was not cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamProof {
    /// Index in the source.
    pub source: u32,
    /// Index in the result.
    pub result: u32,
    /// Kind and codec in words.
    pub what: String,
    /// Packets in the source and in the result.
    pub packets: [u64; 2],
    /// Whether all packets are the same bytes in the same order.
    pub same: bool,
    /// First packet that differs.
    pub first_difference: Option<u64>,
    /// Largest difference of a packet's time against the picture's, in microseconds.
    pub max_error_us: i64,
    /// Whether it was converted to another codec, so that only the count is compared.
    pub converted: bool,
}

/// Where picture and sound end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvEnd {
    /// End of sound less end of picture in the source, in microseconds.
    pub source_us: i64,
    /// The same in the result.
    pub result_us: i64,
}

/// Loudness around one seam.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeamLoudness {
    /// Number of the segment that begins at the seam.
    pub segment: u32,
    /// The seam, counted from the start of the file, in microseconds.
    pub at_us: i64,
    /// Level after less level before, in dB, in the source.
    pub source_db: f64,
    /// The same in the result.
    pub result_db: f64,
    /// The sound's packets are the source's own: nothing was measured, and nothing differs.
    pub by_identity: bool,
}
