//! What each audio format needs of ffmpeg: encoder, sample rate, channels.

use segue_domain::recipe::{AudioFormat, AudioRecipe};

use super::measure::{FILL, Loudness, Shape};
use crate::facts::{SourceFacts, StreamFacts};

/// Maximum true peak of normalised sound, dBTP: that of EBU R128.
const CEILING_DBTP: f64 = -1.0;

/// Channel layouts that libopus encodes.
const OPUS_LAYOUTS: &str = "7.1|6.1|5.1|5.0|quad|3.0|stereo|mono";

/// Sample rates of MPEG-1, 2 and 2.5 Layer III, and of AAC.
const MP3_RATES: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
const AAC_RATES: [u32; 12] =
    [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];

/// Tags of the source that are written to audio files. All others, such as a position, are left out.
const TAGS: [&str; 6] = ["title", "artist", "album", "album_artist", "genre", "track"];

/// Codecs without loss, whose samples may have more than 16 bits.
const LOSSLESS: [&str; 9] = ["flac", "alac", "wavpack", "ape", "tta", "tak", "truehd", "mlp", "dts"];

/// Extension of a format's files.
pub(super) fn file_name(format: AudioFormat) -> &'static str {
    match format {
        AudioFormat::M4a => "audio.m4a",
        AudioFormat::Mp3 => "audio.mp3",
        AudioFormat::Opus => "audio.opus",
        AudioFormat::Flac => "audio.flac",
        AudioFormat::Wav16k => "audio-16k.wav",
        AudioFormat::Flac16k => "audio-16k.flac",
    }
}

/// Sample rate and channels of a format's files.
pub(super) fn shape(format: AudioFormat, stream: &StreamFacts) -> Shape {
    let own = |rates: &[u32]| match stream.sample_rate {
        rate if rates.contains(&rate) => rate,
        rate if rate % 44_100 == 0 => 44_100,
        _ => 48_000,
    };
    let channels = stream.channels.max(1);
    match format {
        AudioFormat::M4a => Shape { rate: own(&AAC_RATES), channels: channels.min(8) },
        AudioFormat::Mp3 => Shape { rate: own(&MP3_RATES), channels: channels.min(2) },
        AudioFormat::Opus => Shape { rate: 48_000, channels: channels.min(8) },
        AudioFormat::Flac => Shape { rate: stream.sample_rate.max(1), channels: channels.min(8) },
        AudioFormat::Wav16k | AudioFormat::Flac16k => Shape { rate: 16_000, channels: 1 },
    }
}

/// Samples of one codec frame at the rate of `shape`, by which the length of a file may differ from
/// the source's; of a format without padding one millisecond, which a resampler may add.
pub(super) fn frame_samples(format: AudioFormat, rate: u32, stream: &StreamFacts) -> u64 {
    let is_he = stream.profile.as_deref().is_some_and(|profile| profile.contains("HE"));
    match format {
        // the source's own packets may be HE-AAC, with two samples for each that is coded
        AudioFormat::M4a if is_he => 2048,
        AudioFormat::M4a => 1024,
        AudioFormat::Mp3 if rate < 32_000 => 576,
        AudioFormat::Mp3 => 1152,
        AudioFormat::Opus => 960,
        AudioFormat::Flac | AudioFormat::Wav16k | AudioFormat::Flac16k => u64::from(rate / 1000).max(1),
    }
}

/// The bit rate of an encoded file, kbit/s, where its format has one.
pub(super) fn kbps(format: AudioFormat, recipe: &AudioRecipe) -> Option<u32> {
    match format {
        AudioFormat::M4a => Some(recipe.kbps.m4a),
        AudioFormat::Mp3 => Some(recipe.kbps.mp3),
        AudioFormat::Opus => Some(recipe.kbps.opus),
        AudioFormat::Flac | AudioFormat::Wav16k | AudioFormat::Flac16k => None,
    }
}

/// A normalisation of one shape of the sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    target: f64,
    loudness: Loudness,
}

impl Gain {
    /// The normalisation to `target` LUFS; `None` for sound without a loudness.
    pub fn to(target: f64, loudness: Loudness) -> Option<Gain> {
        loudness.integrated_lufs.map(|_| Gain { target, loudness })
    }

    /// Whether one gain for the whole length would raise a peak above [`CEILING_DBTP`], so that the
    /// level is changed over time.
    pub fn is_limited(self) -> bool {
        let integrated = self.loudness.integrated_lufs.unwrap_or(0.0);
        self.loudness.true_peak_dbtp.unwrap_or(0.0) + self.target - integrated > CEILING_DBTP
    }

    /// The second pass of ffmpeg's two. A range or threshold at the default reads as not measured.
    fn filter(self, shape: Shape) -> String {
        let Loudness { integrated_lufs, range_lu, true_peak_dbtp, threshold_lufs } = self.loudness;
        let clamped = |value: Option<f64>, range: std::ops::RangeInclusive<f64>| {
            value.unwrap_or(*range.start()).clamp(*range.start(), *range.end())
        };
        format!(
            "loudnorm=I={:.2}:TP={CEILING_DBTP}:LRA=50:linear=true:measured_I={:.2}:measured_TP={:.2}:\
             measured_LRA={:.2}:measured_thresh={:.2},aresample={}",
            self.target,
            clamped(integrated_lufs, -99.0..=-0.01),
            clamped(true_peak_dbtp, -99.0..=98.0),
            clamped(range_lu, 0.01..=99.0),
            clamped(threshold_lufs, -69.99..=-0.01),
            shape.rate
        )
    }
}

/// The filters that fill gaps and mix a track to `shape`. ffmpeg scales a mix to avoid clipping only
/// where its result is of integers.
pub(super) fn mix(stream: &StreamFacts, shape: Shape) -> String {
    let layout = match shape.channels {
        _ if shape.channels == stream.channels => String::new(),
        1 => ",aformat=sample_fmts=s32:channel_layouts=mono".to_owned(),
        2 => ",aformat=sample_fmts=s32:channel_layouts=stereo".to_owned(),
        _ => ",aformat=sample_fmts=s32:channel_layouts=7.1".to_owned(),
    };
    format!("{FILL}{layout},aresample={}", shape.rate)
}

/// The filters of one file: mixed to its rate and channels, normalised.
pub(super) fn filters(format: AudioFormat, stream: &StreamFacts, shape: Shape, gain: Option<Gain>) -> String {
    let mut filters = mix(stream, shape);
    if format == AudioFormat::Opus && shape.channels > 2 {
        filters.push_str(",aformat=channel_layouts=");
        filters.push_str(OPUS_LAYOUTS);
    }
    if let Some(gain) = gain {
        filters.push(',');
        filters.push_str(&gain.filter(shape));
    }
    filters
}

/// The options of one encoded file, without its path.
pub(super) fn encoded(format: AudioFormat, stream: &StreamFacts, kbps: Option<u32>) -> Vec<String> {
    let codec = stream.codec.as_deref().unwrap_or_default();
    let is_lossless = codec.starts_with("pcm_") || LOSSLESS.contains(&codec);
    let mut options: Vec<&str> = match format {
        AudioFormat::M4a => vec!["-c:a", "aac", "-movflags", "+faststart", "-f", "mp4"],
        AudioFormat::Mp3 => vec!["-c:a", "libmp3lame", "-id3v2_version", "3", "-f", "mp3"],
        AudioFormat::Opus => vec!["-c:a", "libopus", "-f", "ogg"],
        // the samples of a lossy decoder have no more than 16 bits of the sound
        AudioFormat::Flac if !is_lossless => vec!["-c:a", "flac", "-sample_fmt", "s16", "-f", "flac"],
        AudioFormat::Flac => vec!["-c:a", "flac", "-f", "flac"],
        AudioFormat::Wav16k => vec!["-c:a", "pcm_s16le", "-rf64", "auto", "-f", "wav"],
        AudioFormat::Flac16k => vec!["-c:a", "flac", "-sample_fmt", "s16", "-f", "flac"],
    };
    let rate = kbps.map(|kbps| format!("{kbps}k"));
    options.extend(rate.iter().flat_map(|rate| ["-b:a", rate.as_str()]));
    options.into_iter().map(str::to_owned).collect()
}

/// The options of a file with the source's own packets.
pub(super) fn copied() -> Vec<String> {
    ["-c:a", "copy", "-movflags", "+faststart", "-f", "mp4"].map(str::to_owned).to_vec()
}

/// The tags of every file: a few of the source's, without control characters.
pub(super) fn tags(facts: &SourceFacts, stream: &StreamFacts) -> Vec<String> {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(1000).collect::<String>();
    let mut options: Vec<String> = ["-map_metadata", "-1", "-map_chapters", "-1"].map(str::to_owned).to_vec();
    for tag in TAGS {
        let value = facts.tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(tag));
        options.extend(
            value
                .into_iter()
                .flat_map(|(_, value)| ["-metadata".to_owned(), format!("{tag}={}", plain(value))]),
        );
    }
    let language = stream.language.as_deref().map(plain);
    options.extend(
        language
            .into_iter()
            .flat_map(|language| ["-metadata:s:a:0".to_owned(), format!("language={language}")]),
    );
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loudness(integrated: f64, peak: f64) -> Loudness {
        Loudness {
            integrated_lufs: Some(integrated),
            range_lu: Some(0.0),
            true_peak_dbtp: Some(peak),
            threshold_lufs: Some(-70.0),
        }
    }

    /// ffmpeg takes a range of 0 and a threshold of -70 as not measured, and then does not work linearly.
    #[test]
    fn the_second_pass_knows_the_first() {
        let facts = serde_json::json!({
            "index": 0, "kind": "audio", "codec": "aac", "tag": "mp4a", "dispositions": [],
            "timebase": { "num": 1, "den": 48000 }, "width": 0, "height": 0, "sample_rate": 48000,
            "channels": 6, "tags": {}
        });
        let stream: StreamFacts = serde_json::from_value(facts).unwrap();
        let gain = Gain::to(-23.0, loudness(-30.0, -20.0)).unwrap();
        assert!(!gain.is_limited());
        let filters = filters(AudioFormat::Mp3, &stream, Shape { rate: 44_100, channels: 2 }, Some(gain));
        assert_eq!(
            filters,
            "aresample=async=1:min_hard_comp=0.1:first_pts=0,aformat=sample_fmts=s32:channel_layouts=stereo,aresample=44100,\
             loudnorm=I=-23.00:TP=-1:LRA=50:linear=true:measured_I=-30.00:measured_TP=-20.00:measured_LRA=0.01:\
             measured_thresh=-69.99,aresample=44100"
        );
        assert!(Gain::to(-23.0, loudness(-30.0, -7.9)).unwrap().is_limited());
        let silence = Loudness { integrated_lufs: None, ..loudness(0.0, 0.0) };
        assert_eq!(Gain::to(-23.0, silence), None);
    }
}
