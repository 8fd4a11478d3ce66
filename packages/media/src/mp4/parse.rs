//! What an index says about one track.

use super::edits::Edit;

/// The two dialects of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brand {
    /// ISO media, MP4 and its kin.
    Mp4,
    /// QuickTime.
    QuickTime,
}

/// The index of one track of a file.
#[derive(Debug, Clone)]
pub struct Index {
    /// Dialect of the file.
    pub brand: Brand,
    /// Ticks a second of the movie's clock.
    pub movie_timescale: u32,
    /// The track.
    pub track: Track,
    /// What the index names and the file does not hold any more.
    pub lost: Option<Lost>,
}

/// The end of a truncated file: in the index, and not in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lost {
    /// Samples of the track that are missing.
    pub samples: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their length, in ticks of the track.
    pub ticks: i64,
    /// Bytes that the whole file is short of.
    pub file_bytes: u64,
}

/// One track.
#[derive(Debug, Clone)]
pub struct Track {
    /// Number of the track in its file.
    pub id: u32,
    /// Ticks a second of the track's clock.
    pub timescale: u32,
    /// Packed language code.
    pub language: u16,
    /// The display matrix (rotation), as it stands in the file.
    pub matrix: [u8; 36],
    /// Display width as 16.16.
    pub width: u32,
    /// Display height as 16.16.
    pub height: u32,
    /// The sample description box, whole, as it stands in the file.
    pub stsd: Vec<u8>,
    /// The edit list.
    pub edits: Vec<Edit>,
    /// Length of the last sample in ticks.
    pub last_duration: u32,
    /// The samples in decode order.
    pub samples: Vec<Sample>,
}

impl Track {
    /// The same track, and nothing in it.
    pub fn without_samples(&self) -> Track {
        let Track { id, timescale, language, matrix, width, height, last_duration, .. } = *self;
        let (stsd, edits, samples) = (self.stsd.clone(), self.edits.clone(), Vec::new());
        Track { id, timescale, language, matrix, width, height, stsd, edits, last_duration, samples }
    }
}

/// One sample: where it lies and when it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// First byte in the file.
    pub offset: u64,
    /// Decode time in ticks of the track's own clock.
    pub dts: i64,
    /// Number of bytes.
    pub size: u32,
    /// Presentation time less decode time.
    pub composition: i32,
    /// Which sample description it uses, from 1.
    pub description: u16,
    /// Whether decoding may start here.
    pub keyframe: bool,
    /// Whether the edit list hides it: decoded and not shown.
    pub hidden: bool,
}

impl Sample {
    /// Presentation time in ticks of the track's own clock.
    pub fn pts(&self) -> i64 {
        self.dts + i64::from(self.composition)
    }
}

impl Track {
    /// Bytes of all samples.
    pub fn bytes(&self) -> u64 {
        self.samples.iter().map(|s| u64::from(s.size)).sum()
    }

    /// Number of samples that are shown.
    pub fn frames(&self) -> u64 {
        self.samples.iter().filter(|s| !s.hidden).count() as u64
    }

    /// The four letters of the first sample description.
    pub fn fourcc(&self) -> [u8; 4] {
        let mut name = [0; 4];
        if let Some(found) = self.stsd.get(20..24) {
            name.copy_from_slice(found);
        }
        name
    }
}
