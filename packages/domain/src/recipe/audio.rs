//! Settings of an output of kind `audio`: one track of the source as audio files.

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::DomainError;

/// Target of `normalize = true`, LUFS: that of EBU R128.
pub const EBU_R128_LUFS: f64 = -23.0;

/// One track of the source as audio files, with measured loudness.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudioRecipe {
    /// The files to write, one for each format.
    pub formats: Vec<AudioFormat>,
    /// Number of the track among the source's audio tracks, from 0; absent for the primary one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<u32>,
    /// Integrated loudness of the files: `false` leaves it as it is, `true` is
    /// [`EBU_R128_LUFS`], a number is a target in LUFS.
    pub normalize: Normalize,
    /// Bit rates of the lossy formats.
    pub kbps: AudioRates,
}

impl Default for AudioRecipe {
    fn default() -> Self {
        AudioRecipe {
            formats: vec![AudioFormat::M4a],
            track: None,
            normalize: Normalize::Switch(false),
            kbps: AudioRates::default(),
        }
    }
}

/// Format of an audio file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// AAC in MP4: the source's packets where it is AAC and is not normalised, else encoded.
    M4a,
    /// MP3 of constant bit rate.
    Mp3,
    /// Opus in Ogg.
    Opus,
    /// FLAC with the source's sample rate and channels.
    Flac,
    /// WAV for speech recognisers: 16 bit, 16 kHz, mono.
    Wav16k,
    /// FLAC for speech recognisers: 16 bit, 16 kHz, mono.
    Flac16k,
}

impl AudioFormat {
    /// The name in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            AudioFormat::M4a => "m4a",
            AudioFormat::Mp3 => "mp3",
            AudioFormat::Opus => "opus",
            AudioFormat::Flac => "flac",
            AudioFormat::Wav16k => "wav16k",
            AudioFormat::Flac16k => "flac16k",
        }
    }
}

/// Whether and to which loudness an output is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Normalize {
    /// Off, or to the target of EBU R128.
    Switch(bool),
    /// To this integrated loudness, LUFS.
    Target(f64),
}

impl Normalize {
    /// The target in LUFS; `None` if the loudness is left as it is.
    pub fn target(self) -> Option<f64> {
        match self {
            Normalize::Switch(false) => None,
            Normalize::Switch(true) => Some(EBU_R128_LUFS),
            Normalize::Target(lufs) => Some(lufs),
        }
    }
}

/// Bit rates of the lossy formats, kbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AudioRates {
    /// Of `m4a`, where the sound is encoded.
    pub m4a: u32,
    /// Of `mp3`, constant; one of [`MP3_KBPS`].
    pub mp3: u32,
    /// Of `opus`.
    pub opus: u32,
}

/// Bit rates of MPEG-1 Layer III, kbit/s.
pub const MP3_KBPS: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];

impl Default for AudioRates {
    fn default() -> Self {
        AudioRates { m4a: 192, mp3: 192, opus: 128 }
    }
}

impl AudioRecipe {
    pub(super) fn check(&self) -> Result<(), DomainError> {
        if self.formats.is_empty() {
            return Err(invalid("formats is empty; name at least one"));
        }
        for (at, format) in self.formats.iter().enumerate() {
            if self.formats[..at].contains(format) {
                return Err(invalid(format!("formats names {} twice", format.as_str())));
            }
        }
        if self.normalize.target().is_some_and(|lufs| !(-50.0..=-5.0).contains(&lufs)) {
            return Err(invalid("normalize is not between -50 and -5 LUFS"));
        }
        let AudioRates { m4a, mp3, opus } = self.kbps;
        if !(16..=512).contains(&m4a) {
            return Err(invalid("kbps.m4a is not between 16 and 512"));
        }
        if !(6..=510).contains(&opus) {
            return Err(invalid("kbps.opus is not between 6 and 510"));
        }
        if !MP3_KBPS.contains(&mp3) {
            return Err(invalid(format!("kbps.mp3 is none of {MP3_KBPS:?}")));
        }
        Ok(())
    }

    /// A bit rate that differs from its default, of a format that is not written.
    pub(super) fn unused_rate(&self) -> Option<&'static str> {
        let (given, usual) = (self.kbps, AudioRates::default());
        let differs = |format: AudioFormat, differs: bool| {
            (differs && !self.formats.contains(&format)).then_some(format.as_str())
        };
        differs(AudioFormat::M4a, given.m4a != usual.m4a)
            .or_else(|| differs(AudioFormat::Mp3, given.mp3 != usual.mp3))
            .or_else(|| differs(AudioFormat::Opus, given.opus != usual.opus))
    }
}
