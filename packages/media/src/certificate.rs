//! The seam certificate: evidence, stored with the result, that joining changed nothing.
//!
//! Every claim is checked on the finished file, not on the input of the join: its index
//! is parsed again, and its packets are compared with those that the parts owned.

use serde::{Deserialize, Serialize};

use crate::join::DroppedStream;
use crate::mp4::Lost;

/// Video and audio part of a job's certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whether every check passed.
    pub passed: bool,
    /// One line for each failed check, with the position.
    pub failures: Vec<String>,
    /// One entry per segment of the video.
    pub segments: Vec<SegmentProof>,
    /// Every frame owned exactly once.
    pub coverage: Option<Coverage>,
    /// The timestamps of the joined video.
    pub times: Option<TimesProof>,
    /// One entry per stream that was not segmented.
    pub around: Vec<StreamProof>,
    /// End of the audio minus end of the video.
    pub av_end: Option<AvEnd>,
    /// Loudness step at each seam.
    pub loudness: Vec<SeamLoudness>,
    /// Streams that are not in the result.
    pub dropped: Vec<DroppedStream>,
    /// What is missing from a truncated source.
    pub lost: Option<Lost>,
    /// Size of the result in bytes.
    pub result_bytes: u64,
    /// SHA-256 of the result.
    pub result_sha256: String,
    /// Version of the ffmpeg that joined.
    pub ffmpeg_version: String,
}

/// One segment, as planned and as found in the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentProof {
    /// Index of the segment.
    pub index: u32,
    /// Owned frames.
    pub frames: u64,
    /// Packets of the part, and packets at its position in the result.
    pub packets: [u64; 2],
    /// Whether the packets in the result are those of the part.
    pub same: bool,
    /// Method of comparison.
    pub evidence: Evidence,
}

/// Method by which the bytes of packets were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Evidence {
    /// XXH3-128 of the packets, in hexadecimal.
    Digest {
        /// Of the part.
        part: String,
        /// At its position in the result.
        result: String,
    },
    /// The result is a new header before ranges of the source, and the table, as parsed from the result,
    /// has every packet at the new offset of its range.
    Place {
        /// How the ranges were compared with the source.
        compared: Compared,
    },
}

/// How much of a copied file was read back after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// All of it, compared with the source.
    Whole,
    /// Both ends of each MiB, directly after the write and from the page cache; neither file has changed
    /// since, by its inode. For large files, which take longer to read again than to write.
    Writes,
}

/// Counts of frames and packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Frames in the source's video.
    pub source_frames: u64,
    /// Frames owned by all segments together.
    pub owned_frames: u64,
    /// Frames that the result's video presents.
    pub result_frames: u64,
    /// Whether the segments' ranges are contiguous, without gap or overlap.
    pub ranges_partition: bool,
}

/// Timestamps of the joined video compared with the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimesProof {
    /// Whether decode times never decrease.
    pub decode_monotonic: bool,
    /// Largest error of a frame's time, relative to the first frame, in microseconds.
    pub max_error_us: i64,
    /// Tolerance from the container's timescale, in microseconds.
    pub allowed_us: i64,
}

/// One stream that was not segmented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamProof {
    /// Index in the source.
    pub source: u32,
    /// Index in the result.
    pub result: u32,
    /// Kind and codec as text.
    pub what: String,
    /// Packets in the source and in the result.
    pub packets: [u64; 2],
    /// Whether all packets have the same bytes in the same order.
    pub same: bool,
    /// First packet that differs.
    pub first_difference: Option<u64>,
    /// Largest error of a packet's time relative to the video, in microseconds.
    pub max_error_us: i64,
    /// Whether it was converted to another codec, so that only the packet counts are compared.
    pub converted: bool,
}

/// Ends of video and audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvEnd {
    /// End of audio minus end of video in the source, in microseconds.
    pub source_us: i64,
    /// The same in the result.
    pub result_us: i64,
}

/// Loudness at one seam.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SeamLoudness {
    /// Index of the segment that starts at the seam.
    pub segment: u32,
    /// Time of the seam from the start of the file, in microseconds.
    pub at_us: i64,
    /// Level after minus level before the seam, in dB, in the source.
    pub source_db: f64,
    /// The same in the result.
    pub result_db: f64,
    /// The audio packets are the source's own: measurement is not needed.
    pub by_identity: bool,
}
