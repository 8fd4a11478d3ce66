//! The parsed index of one track.

use super::edits::Edit;

/// The two dialects of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// ISO base media: MP4 and related formats.
    Mp4,
    /// QuickTime.
    QuickTime,
}

/// The index of one track of a file.
#[derive(Debug, Clone)]
pub struct Index {
    /// Dialect of the file.
    pub brand: Brand,
    /// Timescale of the movie, ticks per second.
    pub movie_timescale: u32,
    /// The track.
    pub track: Track,
    /// What the index lists and the file no longer contains.
    pub lost: Option<Lost>,
}

/// The missing end of a truncated file: in the index, and not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lost {
    /// Number of missing samples of the track.
    pub samples: u64,
    /// Size of the missing samples in bytes.
    pub bytes: u64,
    /// Their duration, in ticks of the track.
    pub ticks: i64,
    /// Number of bytes by which the whole file is short.
    pub file_bytes: u64,
}

/// One track.
#[derive(Debug, Clone)]
pub struct Track {
    /// Track id in its file.
    pub id: u32,
    /// Timescale of the track, ticks per second.
    pub timescale: u32,
    /// Packed language code.
    pub language: u16,
    /// The display matrix (rotation), as in the file.
    pub matrix: [u8; 36],
    /// Display width as 16.16.
    pub width: u32,
    /// Display height as 16.16.
    pub height: u32,
    /// The complete sample description box, as in the file.
    pub stsd: Vec<u8>,
    /// The edit list.
    pub edits: Vec<Edit>,
    /// Duration of the last sample in ticks.
    pub last_duration: u32,
    /// The samples in decode order.
    pub samples: Vec<Sample>,
}

impl Track {
    /// The same track without samples.
    pub fn without_samples(&self) -> Track {
        let Track { id, timescale, language, matrix, width, height, last_duration, .. } = *self;
        let (stsd, edits, samples) = (self.stsd.clone(), self.edits.clone(), Vec::new());
        Track { id, timescale, language, matrix, width, height, stsd, edits, last_duration, samples }
    }
}

/// One sample: its position and its times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Offset in the file.
    pub offset: u64,
    /// Decode time in ticks of the track.
    pub dts: i64,
    /// Size in bytes.
    pub size: u32,
    /// Presentation time minus decode time.
    pub composition: i32,
    /// Index of its sample description, from 1.
    pub description: u16,
    /// Whether it is a sync sample: decoding may start here.
    pub keyframe: bool,
    /// Whether the edit list hides it: decoded and not presented.
    pub hidden: bool,
}

impl Sample {
    /// Presentation time in ticks of the track.
    pub fn pts(&self) -> i64 {
        self.dts + i64::from(self.composition)
    }
}

impl Track {
    /// Size of all samples in bytes.
    pub fn bytes(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size)).sum()
    }

    /// Number of presented samples.
    pub fn frames(&self) -> u64 {
        self.samples.iter().filter(|s| !s.hidden).count() as u64
    }

    /// The FourCC of the first sample description.
    pub fn fourcc(&self) -> [u8; 4] {
        let mut name = [0; 4];
        if let Some(found) = self.stsd.get(20..24) {
            name.copy_from_slice(found);
        }
        name
    }
}
