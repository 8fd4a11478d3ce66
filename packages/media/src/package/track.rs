//! The track of an encoded part, from a fragmented or a plain MP4.

use super::codecs::codec_string;
use super::sample_entry::SampleEntry;
use crate::error::{MediaError, Result};
use crate::mp4::{self, ByteSource, IndexError, Sample, TrackChoice};

/// A track to be packaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagedTrack {
    /// Whether it holds pictures; otherwise sound.
    pub is_picture: bool,
    /// Ticks per second.
    pub timescale: u32,
    /// Sample description box without what depends on the content or on the version of a muxer.
    pub stsd: Vec<u8>,
    /// Width and height in pixels; 0 for sound.
    pub size: (u16, u16),
    /// Codec by RFC 6381.
    pub codec: String,
    /// Ticks by which presentation times in the files are later than those of the stream; the edit list of the
    /// initialisation segment subtracts them. For sound the priming of the encoder, which is decoded and not presented;
    /// for pictures [`presentation_lead`](super::presentation_lead).
    pub lead: u32,
    /// Its samples in decode order.
    pub samples: Vec<Sample>,
    /// Duration of the last sample in ticks.
    pub last_duration: u32,
}

/// Reads the one track of an encoded part.
///
/// # Errors
/// A file that cannot be read, that has not exactly one track of picture or sound, or a codec without a known name.
pub fn read_track(src: &impl ByteSource, lead: u32) -> Result<PackagedTrack> {
    let (stsd, timescale, samples, last_duration) = match mp4::read_fragmented_track(src) {
        Ok(t) => (t.stsd, t.fragments.timescale, t.fragments.samples, t.fragments.last_duration),
        // a plain file has no mvex box
        Err(IndexError::Broken(_)) => {
            let track = mp4::read_index(src, TrackChoice::Any).map_err(refused)?.track;
            (track.stsd, track.timescale, track.samples, track.last_duration)
        }
        Err(error) => return Err(refused(error)),
    };
    let entry = SampleEntry::read(&stsd).map_err(refused)?;
    let codec = codec_string(&entry).map_err(refused)?;
    if samples.is_empty() {
        return Err(MediaError::source("an encoded part has no samples"));
    }
    Ok(PackagedTrack {
        is_picture: entry.is_picture,
        timescale,
        stsd: entry.canonical(),
        size: entry.size(),
        codec,
        lead,
        samples,
        last_duration,
    })
}

pub(super) fn refused(error: IndexError) -> MediaError {
    MediaError::internal(format!("reading an encoded part: {error}"))
}
