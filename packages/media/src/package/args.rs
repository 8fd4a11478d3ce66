//! The arguments that encode one part in all renditions, as a pure function.

use std::ffi::OsString;
use std::path::Path;

use segue_domain::TickRange;
use segue_domain::recipe::{EncodeRecipe, Span};

use super::ladder::Rung;
use crate::bounds::{self, Demuxers};
use crate::encode::{NominalRate, PictureEncoder, keyframe_times, settings};

/// How the bits of a rendition are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Constant quality, with the limits of the rung.
    Capped {
        /// `-crf`.
        crf: u8,
    },
    /// A mean bit rate in bits per second that was asked for.
    Rate(u64),
}

/// One output of the encoder.
#[derive(Debug, Clone)]
pub struct EncodedRendition<'a> {
    /// Size and limit.
    pub rung: Rung,
    /// How its bits are spent.
    pub quality: Quality,
    /// Path of the fragmented MP4.
    pub out: &'a Path,
}

/// All inputs of the argument list.
#[derive(Debug, Clone)]
pub struct PartArgs<'a> {
    /// Input of ffmpeg, as a URL; its packets have their own times, and no display matrix is applied.
    pub input: OsString,
    /// Options that name the codec of the input, if its header does not.
    pub decoder: Vec<OsString>,
    /// The renditions, each encoded once from the same decoded pictures.
    pub renditions: &'a [EncodedRendition<'a>],
    /// Rotation as ffprobe states it: degrees counterclockwise.
    pub rotation: i32,
    /// Whether interlaced pictures are to be deinterlaced, one picture for each.
    pub deinterlace: bool,
    /// Transfer characteristics of the pictures by ffprobe's name; those of high dynamic range are mapped to BT.709.
    pub transfer: Option<&'a str>,
    /// Frame rate of the whole video, the same for every part.
    pub rate: NominalRate,
    /// Timescale of the input and of the outputs, ticks per second.
    pub timescale: u32,
    /// The owned times, in ticks of the input; pictures outside of it are dropped.
    pub range: TickRange,
    /// Twice the ticks before which a fragment starts after the first one: the next picture becomes a keyframe.
    /// All other keyframes are at the start of the part.
    pub keyframes: &'a [i64],
    /// The encoder's preset; its usual one if absent.
    pub preset: Option<&'a str>,
    /// The encoder.
    pub encoder: PictureEncoder,
    /// Threads for the decoder and for each encoder.
    pub threads: u32,
}

/// The arguments that decode the part once and encode every rendition.
pub fn part_args(with: &PartArgs<'_>) -> Vec<OsString> {
    let threads = with.threads.max(1).to_string();
    let mut args = words(&["-v", "error", "-nostdin", "-y", "-nostats", "-progress", "pipe:1"]);
    args.extend(words(&["-copyts", "-noautorotate", "-flags:v", "+output_corrupt", "-threads", &threads]));
    args.extend(with.decoder.iter().cloned());
    args.extend(bounds::input("file,concat", Demuxers::Only("mov"), with.input.clone()));
    args.extend(words(&["-filter_complex", &filters(with)]));
    let (clock, timescale) = (format!("1:{}", with.timescale), with.timescale.to_string());
    let keyframes = keyframe_times(with.keyframes, with.timescale);
    for (i, rendition) in with.renditions.iter().enumerate() {
        args.extend(words(&["-map", &format!("[v{i}]"), "-map_metadata", "-1", "-map_chapters", "-1"]));
        args.extend(words(&["-fps_mode", "passthrough", "-enc_time_base", &clock]));
        args.extend(encoder(with, rendition, &threads));
        if !keyframes.is_empty() {
            args.extend(words(&["-force_key_frames", &keyframes]));
        }
        // no dates, encoder names or bit rates: the same part has the same bytes
        args.extend(words(&["-fflags", "+bitexact", "-flags:v", "+bitexact", "-write_btrt", "0"]));
        args.extend(words(&["-video_track_timescale", &timescale]));
        // written as it is encoded, with memory for one fragment only
        args.extend(words(&["-movflags", "+frag_keyframe+empty_moov+default_base_moof+skip_trailer"]));
        args.extend(words(&["-f", "mp4"]));
        args.push(rendition.out.into());
    }
    args
}

/// One decode, selected by ticks, upright; then each size, with square pixels.
fn filters(with: &PartArgs<'_>) -> String {
    let TickRange { start, end } = with.range;
    let count = with.renditions.len();
    let mut graph = format!("[0:v:0]settb=1/{}", with.timescale);
    if with.deinterlace {
        // before the selection, so that it also has the pictures before the part
        graph.push_str(",bwdif=mode=send_frame:parity=auto:deint=interlaced");
        graph.push_str(&format!(",settb=1/{}", with.timescale));
    }
    graph.push_str(&format!(",trim=start_pts={start}:end_pts={end}"));
    if let Some(curve @ ("smpte2084" | "arib-std-b67")) = with.transfer {
        graph.push_str(&format!(",zscale=tin={curve}:pin=bt2020:min=bt2020nc:rin=tv:t=linear:npl=100"));
        graph.push_str(",format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0");
        graph.push_str(",zscale=t=bt709:m=bt709:r=tv,format=yuv420p");
    }
    graph.push_str(match (-with.rotation).rem_euclid(360) {
        90 => ",transpose=clock",
        180 => ",hflip,vflip",
        270 => ",transpose=cclock",
        _ => "",
    });
    graph.push_str(&format!(",split={count}"));
    (0..count).for_each(|i| graph.push_str(&format!("[s{i}]")));
    for (i, rendition) in with.renditions.iter().enumerate() {
        let Rung { width, height, .. } = rendition.rung;
        graph.push_str(&format!(";[s{i}]scale={width}:{height}:flags=bicubic,setsar=1,format=yuv420p[v{i}]"));
    }
    graph
}

/// Closed groups, keyframes where they are forced and nowhere else, and headers that do not depend on the content.
fn encoder(with: &PartArgs<'_>, rendition: &EncodedRendition<'_>, threads: &str) -> Vec<OsString> {
    let NominalRate { num, den } = with.rate;
    if with.encoder != PictureEncoder::X264 {
        return other_encoder(with, rendition);
    }
    let mut args = words(&["-c:v", "libx264", "-preset", with.preset.unwrap_or("medium")]);
    match rendition.quality {
        Quality::Capped { crf } => {
            let (rate, buffer) = (rendition.rung.max_rate.to_string(), rendition.rung.buffer().to_string());
            args.extend(words(&["-crf", &crf.to_string(), "-maxrate", &rate, "-bufsize", &buffer]));
        }
        Quality::Rate(bits) => args.extend(words(&["-b:v", &bits.to_string()])),
    }
    // the first frame of a part is a later keyframe of the whole, and gets as much as one
    let params =
        format!("fps={num}/{den}:keyint=infinite:scenecut=0:open-gop=0:stitchable=1:zones=0,0,b=1.4");
    args.extend(words(&["-forced-idr", "1", "-x264-params", &params, "-threads", threads]));
    args
}

/// The settings that single segments are encoded with, and the limits of the rung.
fn other_encoder(with: &PartArgs<'_>, rendition: &EncodedRendition<'_>) -> Vec<OsString> {
    let crf = match rendition.quality {
        Quality::Capped { crf } => Some(crf),
        Quality::Rate(_) => None,
    };
    let preset = with.preset.map(str::to_owned);
    // longer than any part: keyframes are where they are forced
    let keyframe_interval = Span::from_millis(3_600_000);
    let recipe = EncodeRecipe { crf, preset, keyframe_interval, ..EncodeRecipe::default() };
    let mut args = settings(with.encoder, &recipe, with.rate, with.threads);
    let (rate, buffer) = (rendition.rung.max_rate.to_string(), rendition.rung.buffer().to_string());
    match rendition.quality {
        Quality::Capped { .. } if with.encoder == PictureEncoder::X265 => {
            args.extend(words(&["-maxrate", &rate, "-bufsize", &buffer]));
        }
        Quality::Capped { .. } => {}
        Quality::Rate(bits) => {
            // a rate instead of the quality
            while let Some(at) = args.iter().position(|word| word == "-crf" || word == "-b:v") {
                args.drain(at..at + 2);
            }
            args.extend(words(&["-b:v", &bits.to_string()]));
        }
    }
    args
}

fn words(all: &[&str]) -> Vec<OsString> {
    all.iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::super::ladder;
    use super::*;

    fn line(rotation: i32, deinterlace: bool, quality: Quality) -> String {
        line_of(PictureEncoder::X264, rotation, deinterlace, quality)
    }

    fn line_of(encoder: PictureEncoder, rotation: i32, deinterlace: bool, quality: Quality) -> String {
        let rungs = ladder(1280, 720, 30);
        let out = [Path::new("720.mp4"), Path::new("480.mp4")];
        let renditions: Vec<EncodedRendition<'_>> =
            rungs.into_iter().zip(out).map(|(rung, out)| EncodedRendition { rung, quality, out }).collect();
        let args = part_args(&PartArgs {
            input: "concat:file:h|file:s".into(),
            decoder: Vec::new(),
            renditions: &renditions,
            rotation,
            deinterlace,
            transfer: deinterlace.then_some("smpte2084"),
            rate: NominalRate { num: 30_000, den: 1001 },
            timescale: 30_000,
            range: TickRange { start: 1001, end: 241_241 },
            keyframes: &[2 * 121_121 - 1001],
            preset: None,
            encoder,
            threads: 2,
        });
        args.into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_line_for_two_renditions() {
        let one = |i: u32, max: u32, name: &str| {
            format!(
                "-map [v{i}] -map_metadata -1 -map_chapters -1 -fps_mode passthrough -enc_time_base 1:30000 \
                 -c:v libx264 -preset medium -crf 23 -maxrate {max} -bufsize {max} -forced-idr 1 -x264-params \
                 fps=30000/1001:keyint=infinite:scenecut=0:open-gop=0:stitchable=1:zones=0,0,b=1.4 -threads 2 \
                 -force_key_frames 4.020684 -fflags +bitexact -flags:v +bitexact -write_btrt 0 \
                 -video_track_timescale 30000 \
                 -movflags +frag_keyframe+empty_moov+default_base_moof+skip_trailer -f mp4 {name}.mp4"
            )
        };
        let expected = format!(
            "-v error -nostdin -y -nostats -progress pipe:1 -copyts -noautorotate -flags:v +output_corrupt \
             -threads 2 -max_pixels 36000000 -protocol_whitelist file,concat -format_whitelist mov -f mov \
             -i concat:file:h|file:s -filter_complex \
             [0:v:0]settb=1/30000,trim=start_pts=1001:end_pts=241241,split=2[s0][s1];\
             [s0]scale=1280:720:flags=bicubic,setsar=1,format=yuv420p[v0];\
             [s1]scale=854:480:flags=bicubic,setsar=1,format=yuv420p[v1] {} {}",
            one(0, 3_500_000, "720"),
            one(1, 1_600_000, "480")
        );
        assert_eq!(line(0, false, Quality::Capped { crf: 23 }), expected);
    }

    #[test]
    fn other_codecs_have_their_own_settings() {
        let capped = Quality::Capped { crf: 28 };
        let hevc = line_of(PictureEncoder::X265, 0, false, capped);
        assert!(hevc.contains("-c:v libx265 -g 107892 -crf 28 -preset medium -forced-idr 1"), "{hevc}");
        assert!(hevc.contains("-tag:v hvc1 -maxrate 3500000 -bufsize 3500000"), "{hevc}");
        let av1 = line_of(PictureEncoder::SvtAv1, 0, false, Quality::Rate(900_000));
        assert!(av1.contains("-b:v 900000") && !av1.contains("-crf"), "{av1}");
        assert!(av1.contains("-force_key_frames 4.020684"), "{av1}");
    }

    #[test]
    fn rotation_and_interlacing_are_removed_and_a_set_rate_is_used_as_it_is() {
        let text = line(-90, true, Quality::Rate(2_000_000));
        let expected = ",bwdif=mode=send_frame:parity=auto:deint=interlaced,settb=1/30000,\
                        trim=start_pts=1001:end_pts=241241,zscale=tin=smpte2084";
        assert!(
            text.contains(expected) && text.contains(",format=yuv420p,transpose=clock,split=2"),
            "{text}"
        );
        assert!(text.contains("-b:v 2000000 -forced-idr") && !text.contains("-maxrate"), "{text}");
        assert!(line(90, false, Quality::Rate(1)).contains(",transpose=cclock,split"));
        assert!(line(180, false, Quality::Rate(1)).contains(",hflip,vflip,split"));
    }
}
