//! Voice activity, speech windows, whisper engines, subtitle formats.
