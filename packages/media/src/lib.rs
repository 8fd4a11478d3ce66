//! ffmpeg and ffprobe under supervision: probe, index, cut, encode, join, verify.
