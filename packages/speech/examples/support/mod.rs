//! Shared by the examples: WAV files and command-line flags.

use std::path::{Path, PathBuf};

/// Reads a 16 kHz mono 16 bit WAV file.
pub fn read_wav(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let spec = reader.spec();
    assert!(
        spec.sample_rate == 16_000 && spec.channels == 1 && spec.bits_per_sample == 16,
        "{}: not 16 kHz mono 16 bit",
        path.display()
    );
    reader.samples::<i16>().map(|s| s.expect("a sample")).collect()
}

/// Parses the value after the flag `name`.
pub fn flag<T: std::str::FromStr>(args: &[String], name: &str) -> Option<T> {
    let at = args.iter().position(|a| a == name)?;
    let text = args.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value"));
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: invalid value {text}")))
}

/// Folder of the models: `SEGUE_MODEL_DIR`.
pub fn model_dir() -> PathBuf {
    PathBuf::from(
        std::env::var_os("SEGUE_MODEL_DIR").expect("SEGUE_MODEL_DIR must name the folder of the models"),
    )
}
