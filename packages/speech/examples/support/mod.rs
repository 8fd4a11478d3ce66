//! What the examples share: reading a WAV file and the command line.

use std::path::{Path, PathBuf};

/// The samples of a 16 kHz mono 16 bit WAV file.
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

/// The value after `--name`, parsed.
pub fn flag<T: std::str::FromStr>(args: &[String], name: &str) -> Option<T> {
    let at = args.iter().position(|a| a == name)?;
    let text = args.get(at + 1).unwrap_or_else(|| panic!("{name} needs a value"));
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: cannot read {text}")))
}

/// Where the weights lie: `SEGUE_MODEL_DIR`.
pub fn model_dir() -> PathBuf {
    PathBuf::from(
        std::env::var_os("SEGUE_MODEL_DIR").expect("SEGUE_MODEL_DIR names the folder of the weights"),
    )
}
