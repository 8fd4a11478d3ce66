//! Media types by file extension.

/// Media types of the pipeline's inputs and outputs, by extension.
const BY_EXTENSION: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("avi", "video/x-msvideo"),
    ("csv", "text/csv; charset=utf-8"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("html", "text/html; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4s", "video/iso.segment"),
    ("m4v", "video/mp4"),
    ("md", "text/markdown; charset=utf-8"),
    ("mka", "audio/x-matroska"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("srt", "application/x-subrip"),
    ("svg", "image/svg+xml"),
    ("toml", "application/toml"),
    ("ts", "video/mp2t"),
    ("txt", "text/plain; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// Media type of a file or key of this name, by its extension in any case;
/// `application/octet-stream` where the extension is unknown or absent.
pub fn media_type_of(name: &str) -> &'static str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let found = BY_EXTENSION.binary_search_by_key(&extension.as_str(), |(known, _)| known);
    found.map_or("application/octet-stream", |at| BY_EXTENSION[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_has_its_media_type() {
        assert!(BY_EXTENSION.is_sorted(), "it is searched by halves");
        for (name, expected) in [
            ("jobs/j/hls/main.m3u8", "application/vnd.apple.mpegurl"),
            ("jobs/j/Final.MP4", "video/mp4"),
            ("a.tar.zip", "application/zip"),
            ("jobs/a.mp4/name", "application/octet-stream"),
            ("name.nut", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(media_type_of(name), expected, "{name}");
        }
    }
}
