//! Audio files from one track of a source: M4A, MP3, Opus, FLAC, and files for speech recognisers.
//!
//! Every file has the source's times: what comes before the first sample is silence, or an edit list
//! where packets are copied. Loudness is measured by EBU R128 on the decoded track; a normalised file
//! is made by ffmpeg's `loudnorm` in two passes, which is one gain for the whole length unless that
//! would raise a peak above -1 dBTP. All encoded files come from one decoder.

mod args;
mod measure;
mod proof;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use segue_domain::recipe::{AudioFormat, AudioRecipe};
use serde::{Deserialize, Serialize};

use self::args::Gain;
use self::measure::{Timeline, measure};
use crate::error::{MediaError, Result};
use crate::facts::{SourceFacts, StreamFacts, StreamKind};
use crate::mux::seconds;
use crate::probe::source_input;
use crate::process::{self, Limits};
use crate::progress::Progress;
use crate::tools::Tools;

pub use measure::{Loudness, Measured, Shape};
pub use proof::{AudioFileProof, AudioProof, certify};

/// The files of a track, and the track itself as it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioFiles {
    /// Index of the stream in the source.
    pub stream: u32,
    /// The track, decoded with its own rate and channels.
    pub source: Measured,
    /// The files, in the order of the recipe.
    pub files: Vec<AudioFile>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// One audio file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AudioFile {
    /// Its name.
    pub name: String,
    /// Its format.
    pub format: AudioFormat,
    /// Whether it has the source's own packets.
    pub copied: bool,
    /// Sample rate and channels when decoded.
    pub shape: Shape,
    /// Bit rate, kbit/s, if it was encoded with one.
    pub kbps: Option<u32>,
    /// Target of the normalisation, LUFS.
    pub target_lufs: Option<f64>,
    /// Samples of a codec frame, by which its length may differ from the source's.
    pub frame: u64,
}

/// The track of a recipe.
///
/// # Errors
/// A number that the source has no track of. `None` for a source without audio.
pub fn track<'a>(facts: &'a SourceFacts, recipe: &AudioRecipe) -> Result<Option<&'a StreamFacts>> {
    let Some(number) = recipe.track else { return Ok(facts.primary_audio()) };
    let count = facts.of(StreamKind::Audio).count();
    if count == 0 {
        return Ok(None);
    }
    let found = facts.of(StreamKind::Audio).nth(number as usize).filter(|stream| stream.codec.is_some());
    found.map(Some).ok_or_else(|| {
        MediaError::source(format!(
            "the source has no audio track {number} that can be decoded; it has {count}, numbered from 0"
        ))
    })
}

/// Writes the files of a recipe into `folder`; the source's packets of the track must be present.
///
/// # Errors
/// A track that cannot be decoded, an error of an encoder.
pub async fn make(
    tools: &Tools,
    source: &Path,
    facts: &SourceFacts,
    stream: &StreamFacts,
    recipe: &AudioRecipe,
    folder: &Path,
    limits: &Limits,
) -> Result<AudioFiles> {
    let making = Making { tools, source, facts, stream, recipe, folder, limits };
    making.run().await
}

struct Making<'a> {
    tools: &'a Tools,
    source: &'a Path,
    facts: &'a SourceFacts,
    stream: &'a StreamFacts,
    recipe: &'a AudioRecipe,
    folder: &'a Path,
    limits: &'a Limits,
}

impl Making<'_> {
    async fn run(&self) -> Result<AudioFiles> {
        let own = Shape { rate: self.stream.sample_rate, channels: self.stream.channels };
        if own.rate == 0 || own.channels == 0 {
            return Err(MediaError::source(format!("{} cannot be decoded", self.stream.label())));
        }
        let measured = self.measure(own).await?;
        if measured.samples == 0 {
            let why = format!("{}: no sample of it can be decoded", self.stream.label());
            return Err(MediaError::source(why));
        }
        let mut notes = Vec::new();
        notes.extend(measured.error.as_ref().map(|error| {
            format!("the source's {} is damaged; its decoder reported: {error}", self.stream.label())
        }));
        let copied = self.copied(&measured).await?;
        let others =
            self.recipe.formats.iter().filter(|format| copied.is_none() || **format != AudioFormat::M4a);
        let others: Vec<AudioFormat> = others.copied().collect();
        let encoded = self.encode(&others, &measured, &mut notes).await?;
        let mut files: Vec<AudioFile> = copied.into_iter().chain(encoded).collect();
        files.sort_by_key(|file| self.recipe.formats.iter().position(|format| *format == file.format));
        Ok(AudioFiles { stream: self.stream.index, source: measured, files, notes })
    }

    async fn measure(&self, shape: Shape) -> Result<Measured> {
        let timeline = Timeline::From(self.facts.start_time_us);
        let filters = args::mix(self.stream, shape);
        let (tools, stream) = (self.tools, self.stream.index);
        measure(tools, self.source, stream, timeline, &filters, shape, self.limits).await
    }

    /// An M4A with the source's packets, if it is wanted, possible, and as long as the track: a cut
    /// inside a packet, or packets that a decoder refuses, cannot be copied.
    async fn copied(&self, measured: &Measured) -> Result<Option<AudioFile>> {
        let wanted = self.recipe.formats.contains(&AudioFormat::M4a)
            && self.recipe.normalize.target().is_none()
            && self.stream.codec.as_deref() == Some("aac")
            && measured.error.is_none();
        if !wanted {
            return Ok(None);
        }
        let file = self.file(AudioFormat::M4a, measured.shape, None, None);
        let file = AudioFile { copied: true, ..file };
        let out = self.folder.join(&file.name);
        let options = [args::copied(), args::tags(self.facts, self.stream)].concat();
        let made = self.write(&[(options, &file)]).await;
        let proven = match made {
            Ok(()) => proof::check(self.tools, &out, measured, &file, self.limits).await,
            Err(e) => Err(e),
        };
        match proven {
            Ok(proof) if proof.failures.is_empty() => Ok(Some(file)),
            Err(e) if e.kind() == crate::MediaErrorKind::Cancelled => Err(e),
            _ => {
                fs::remove_file(&out).or_else(|e| match e.kind() {
                    std::io::ErrorKind::NotFound => Ok(()),
                    _ => Err(MediaError::io(out.display(), &e)),
                })?;
                Ok(None)
            }
        }
    }

    fn file(&self, format: AudioFormat, shape: Shape, kbps: Option<u32>, gain: Option<Gain>) -> AudioFile {
        AudioFile {
            name: args::file_name(format).to_owned(),
            format,
            copied: false,
            shape,
            kbps,
            target_lufs: gain.and(self.recipe.normalize.target()),
            frame: args::frame_samples(format, shape.rate, self.stream),
        }
    }

    /// All files that are encoded, from one decoder.
    async fn encode(
        &self,
        formats: &[AudioFormat],
        measured: &Measured,
        notes: &mut Vec<String>,
    ) -> Result<Vec<AudioFile>> {
        if formats.is_empty() {
            return Ok(Vec::new());
        }
        // a mix of channels has another loudness, so each shape is measured
        let mut known = vec![measured.clone()];
        let (mut files, mut all) = (Vec::new(), Vec::new());
        for &format in formats {
            let shape = args::shape(format, self.stream);
            let mut gain = None;
            if let Some(target) = self.recipe.normalize.target() {
                if !known.iter().any(|known| known.shape == shape) {
                    known.push(self.measure(shape).await?);
                }
                let of_shape = known.iter().find(|known| known.shape == shape);
                gain = of_shape.and_then(|known| Gain::to(target, known.loudness));
                notes.extend(note(args::file_name(format), gain).filter(|note| !notes.contains(note)));
            }
            let kbps = args::kbps(format, self.recipe);
            let filters = vec!["-af".to_owned(), args::filters(format, self.stream, shape, gain)];
            let encoder = args::encoded(format, self.stream, kbps);
            all.push([filters, encoder, args::tags(self.facts, self.stream)].concat());
            files.push(self.file(format, shape, kbps, gain));
        }
        let outputs: Vec<(Vec<String>, &AudioFile)> = all.into_iter().zip(&files).collect();
        self.write(&outputs).await?;
        Ok(files)
    }

    async fn write(&self, outputs: &[(Vec<String>, &AudioFile)]) -> Result<()> {
        let mut args: Vec<OsString> =
            ["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1", "-copyts", "-itsoffset"]
                .map(OsString::from)
                .to_vec();
        args.push(seconds(-self.facts.start_time_us).into());
        args.extend(source_input(self.source));
        for (options, file) in outputs {
            args.extend(["-map".into(), format!("0:{}", self.stream.index).into()]);
            args.extend(options.iter().map(OsString::from));
            args.push(self.folder.join(&file.name).into());
        }
        let call = self.tools.ffmpeg(format!("encoding {}", self.stream.label()), args).with_growing_lists();
        let call = call.reading(self.source).writing(self.folder);
        let mut progress = Progress::default();
        process::run(&call, self.limits, |piece| progress.push(piece)).await?;
        Ok(())
    }
}

/// What the user should know about a normalisation.
fn note(name: &str, gain: Option<Gain>) -> Option<String> {
    match gain {
        None => Some("not normalised: the sound is silent or too short to have a loudness".to_owned()),
        Some(gain) if gain.is_limited() => Some(format!(
            "{name}: one gain would raise a peak above -1 dBTP, so the level was changed over time"
        )),
        Some(_) => None,
    }
}
