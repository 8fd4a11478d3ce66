//! Playlists of a stream: HLS (RFC 8216) and DASH (ISO/IEC 23009-1) over the same bytes.
//!
//! A part is one file of a rendition; its fragments are addressed by byte ranges. Every playlist is a function
//! of the renditions and of the parts that were recorded: the same parts give the same text, and a
//! longer prefix of parts gives a text that begins with that of the shorter one.

mod bandwidth;
mod dash;
mod growth;
mod master;
mod media;
mod model;

pub use bandwidth::{Bandwidth, measure, measure_keyframes};
pub use dash::write_mpd;
pub use growth::{
    FIRST_OFFER, PlaylistFile, Playlists, Prefix, Recorded, available, playlists, vod_playlists,
};
pub use master::write_master;
pub use media::{PlaylistKind, write_keyframe_playlist, write_media_playlist};
pub use model::{Fragment, FrameRate, Part, Rendition, RenditionKind, Stream};

/// Media type of HLS playlists.
pub const HLS_MEDIA_TYPE: &str = "application/vnd.apple.mpegurl";
/// Media type of a DASH manifest.
pub const DASH_MEDIA_TYPE: &str = "application/dash+xml";

/// Why parts do not form a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaylistError {
    /// A name or URI that a playlist cannot hold.
    #[error("{0:?} cannot be written into a playlist")]
    Text(String),
    /// A stream without a rendition of picture or sound, or two renditions with one name.
    #[error("the renditions do not form a stream: {0}")]
    Renditions(String),
    /// A part that does not continue the one before it.
    #[error("part {part} of {rendition}: {message}")]
    Part {
        /// Id of the rendition.
        rendition: String,
        /// Index of the part.
        part: u32,
        /// What is wrong with it.
        message: String,
    },
}
