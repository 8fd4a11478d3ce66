//! Test media, generated with ffmpeg when first needed and kept in the target folder.
//!
//! Each has one property that is hard for splitters. A file gets its name only when it is
//! complete, so that tests in several processes may generate it concurrently.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// A test file, named by its special property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fixture {
    /// H.264, closed GOPs, sound.
    H264Closed,
    /// H.264, open GOPs, three B-frames.
    H264Open,
    /// HEVC, open GOPs.
    HevcOpen,
    /// VP9 and Opus in Matroska.
    Vp9Opus,
    /// A transport stream whose clock begins at 100 s.
    OffsetTs,
    /// Variable frame rate.
    Vfr,
    /// A rotation in the metadata.
    Rotated,
    /// Sound that starts 2.5 s after the picture.
    LateSound,
    /// Three audio streams in three languages, the second one the default, in Matroska.
    ManySounds,
    /// Subtitles, chapters and a title, in MP4.
    Chapters,
    /// A cover picture beside the video.
    Cover,
    /// MPEG-2 in a program stream, with late sound.
    Mpeg2Ps,
    /// The same without the offset; only one picture per GOP has a timestamp.
    ProgramStream,
    /// MPEG-4 Part 2 and MP3 in AVI.
    Avi,
    /// The last GOP is one frame.
    OneFrameTail,
    /// A single frame.
    OneFrame,
    /// Sound only.
    SoundOnly,
    /// Picture only.
    PictureOnly,
    /// Fragmented MP4.
    Fragmented,
    /// An edit list that hides the beginning.
    Edited,
    /// 16 s in eight GOPs of 2 s, long enough to be interrupted.
    Long,
    /// One colour in each frame that identifies it (see [`counted_colour`]), for 12 s.
    Counting,
    /// The same in a transport stream whose clock begins at 100 s.
    CountingTs,
    /// The same with frames only in the first second of every five.
    CountingGaps,
    /// 4 s each of black, a blurred picture, a sharp one, and white.
    Looks,
    /// A picture that is 16 pixels on each side.
    Tiny,
    /// A cover beside sound, and no video.
    CoverOnly,
    /// Pink noise in two channels, quieter in the second half.
    QuietStereo,
    /// Sound in six channels.
    Surround,
    /// AAC with packets that a decoder reports as damaged.
    DamagedSound,
    /// Digital silence.
    Silence,
    /// A sine.
    Tone,
    /// White noise.
    Noise,
    /// Synthetic speech of two sentences.
    MachineVoice,
}

/// Whether this ffmpeg has an encoder; prints a note if not.
pub fn has_encoder(name: &str) -> bool {
    let listed = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output().expect("ffmpeg starts");
    let found = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(name));
    if !found {
        println!("note: this ffmpeg has no encoder {name}, which is not tested");
    }
    found
}

/// Red, green and blue of frame `number` of [`Fixture::Counting`].
pub fn counted_colour(number: u32) -> [u8; 3] {
    [23, 37, 71].map(|step| (number * step % 200 + 25) as u8)
}

/// The path of a fixture, which is generated if it does not exist.
pub fn fixture(which: Fixture) -> PathBuf {
    // a hash of the arguments is part of the name, so that a changed recipe generates a new file
    let (extension, recipes) = recipes(which);
    let print = recipes
        .iter()
        .flatten()
        .flat_map(|word| word.bytes())
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let folder = program::target().join("tmp").join("fixtures");
    std::fs::create_dir_all(&folder).expect("a folder for fixtures");
    let path = folder.join(format!("{which:?}-{print:016x}.{extension}"));
    if !path.is_file() {
        let own = tempfile::tempdir_in(&folder).expect("a folder for a fixture");
        let partial = own.path().join(format!("fixture.{extension}"));
        let errors: Vec<_> =
            recipes.iter().map_while(|recipe| make(recipe, &partial, own.path()).err()).collect();
        assert!(errors.len() < recipes.len(), "{which:?} cannot be generated: {errors:#?}");
        // another test may have generated it meanwhile, and be using it
        match std::fs::hard_link(&partial, &path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                panic!("a fixture gets its name: {error}")
            }
            _ => {}
        }
    }
    path
}

fn make(recipe: &[String], out: &Path, folder: &Path) -> Result<(), String> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.current_dir(folder).args(["-nostdin", "-v", "error", "-y"]);
    for word in recipe {
        match word.strip_prefix('@') {
            Some(name) => ffmpeg.arg(input(name, folder)),
            None => ffmpeg.arg(word),
        };
    }
    let made = ffmpeg.arg(out).output().expect("ffmpeg starts");
    if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
}

/// Input of a recipe: another fixture, or a text file in `folder`.
fn input(name: &str, folder: &Path) -> PathBuf {
    let text = |text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("a text can be written");
        path
    };
    match name {
        "closed" => fixture(Fixture::H264Closed),
        "open" => fixture(Fixture::H264Open),
        "sound" => fixture(Fixture::SoundOnly),
        "counting" => fixture(Fixture::Counting),
        "subtitles.srt" => {
            text("1\n00:00:00,500 --> 00:00:02,400\nfirst\n\n2\n00:00:03,900 --> 00:00:05,200\nover a cut\n")
        }
        "chapters.txt" => text(
            ";FFMETADATA1\ntitle=A talk\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=3000\ntitle=One\n\
             [CHAPTER]\nTIMEBASE=1/1000\nSTART=3000\nEND=6000\ntitle=Two\n",
        ),
        _ => unreachable!("no input {name}"),
    }
}

const X264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -keyint_min 30 -sc_threshold 0";
/// Every frame has the colour of its number.
const COUNTING: &str = "-f lavfi -t 12 -i color=s=64x48:r=25,format=gbrp,\
geq=r='mod(N*23,200)+25':g='mod(N*37,200)+25':b='mod(N*71,200)+25'";
const AAC: &str = "-c:a aac -b:a 64k";

fn picture(seconds: f64) -> String {
    format!("-f lavfi -t {seconds} -i testsrc2=s=160x120:r=30")
}

fn sound(seconds: f64) -> String {
    // a chirp: every sample identifies its position
    format!("-f lavfi -t {seconds} -i aevalsrc=0.3*sin(2*PI*(200+60*t)*t):s=44100")
}

/// Extension, and alternative ffmpeg arguments, of which the first that works is used.
fn recipes(which: Fixture) -> (&'static str, Vec<Vec<String>>) {
    let (p, s) = (picture(6.0), sound(6.0));
    let av = format!("{p} {s}");
    let (extension, lines) = match which {
        Fixture::H264Closed => ("mp4", vec![format!("{av} {X264} -x264-params open-gop=0 -bf 2 {AAC}")]),
        Fixture::H264Open => {
            let x264 = X264.replace("ultrafast", "veryfast");
            let open = "-bf 3 -x264-params open-gop=1:b-adapt=0:b-pyramid=normal";
            ("mp4", vec![format!("{av} {x264} {open} {AAC}")])
        }
        Fixture::HevcOpen => {
            let x265 = "-x265-params log-level=error:keyint=30:min-keyint=30:scenecut=0:open-gop=1:bframes=3:b-adapt=0";
            ("mp4", vec![format!("{av} -c:v libx265 -preset ultrafast {x265} -tag:v hvc1 {AAC}")])
        }
        Fixture::Vp9Opus => {
            let vp9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -b:v 150k";
            ("mkv", vec![format!("{av} {vp9} -c:a libopus -ar 48000 -b:a 32k")])
        }
        Fixture::OffsetTs => ("ts", vec![format!("{av} {X264} -bf 2 {AAC} -output_ts_offset 100")]),
        Fixture::Vfr => {
            let some = "-vf select='not(eq(mod(n,7),3))*not(eq(mod(n,11),5))' -fps_mode vfr";
            ("mp4", vec![format!("{av} {some} {X264} -bf 2 {AAC}")])
        }
        Fixture::Rotated => (
            "mp4",
            vec![
                "-display_rotation 90 -i @closed -map 0 -c copy".to_owned(),
                "-i @closed -map 0 -c copy -metadata:s:v:0 rotate=90".to_owned(),
            ],
        ),
        Fixture::LateSound => {
            ("mp4", vec![format!("{p} -itsoffset 2.5 {} -map 0 -map 1 {X264} {AAC}", sound(3.5))])
        }
        Fixture::ManySounds => {
            let more = "-f lavfi -t 6 -i sine=f=500 -f lavfi -t 6 -i sine=f=900";
            let maps = "-map 0:v -map 1:a -map 2:a -map 3:a";
            let each = "-c:a:0 aac -c:a:1 libmp3lame -c:a:2 flac -metadata:s:a:0 language=eng -metadata:s:a:1 language=deu -metadata:s:a:2 language=fra";
            let default = "-disposition:a:0 0 -disposition:a:1 default";
            ("mkv", vec![format!("{av} {more} {maps} {X264} -bf 2 {each} {default}")])
        }
        Fixture::Chapters => {
            let maps = "-map 0:v -map 1:a -map 2:s -map_metadata 3 -map_chapters 3";
            let more = "-i @subtitles.srt -f ffmetadata -i @chapters.txt";
            (
                "mp4",
                vec![format!(
                    "{av} {more} {maps} {X264} -bf 2 {AAC} -c:s mov_text -metadata:s:s:0 language=eng"
                )],
            )
        }
        Fixture::Cover => {
            let cover = "-f lavfi -i color=red:s=64x64:d=1 -map 0:v -map 1:a -map 2:v -frames:v:1 1";
            (
                "mp4",
                vec![format!(
                    "{av} {cover} {X264} {AAC} -c:v:1 mjpeg -pix_fmt:v:1 yuvj420p -disposition:v:1 attached_pic"
                )],
            )
        }
        Fixture::Mpeg2Ps => (
            "mpg",
            vec![format!(
                "{av} -c:v mpeg2video -g 15 -bf 1 -b:v 600k -c:a mp2 -ar 48000 -b:a 128k -af atrim=start=0.1 -f mpeg"
            )],
        ),
        Fixture::ProgramStream => (
            "vob",
            vec![format!("{av} -c:v mpeg2video -g 15 -bf 2 -b:v 600k -c:a mp2 -ar 48000 -b:a 128k -f vob")],
        ),
        Fixture::Avi => {
            ("avi", vec![format!("{av} -c:v mpeg4 -vtag xvid -g 30 -b:v 300k -c:a libmp3lame -b:a 64k")])
        }
        Fixture::OneFrameTail => {
            ("mp4", vec![format!("{} {} {X264} -frames:v 121 {AAC}", picture(5.0), sound(4.03))])
        }
        Fixture::OneFrame => ("mp4", vec![format!("{p} -frames:v 1 {X264}")]),
        Fixture::SoundOnly => ("m4a", vec![format!("{s} {AAC}")]),
        Fixture::PictureOnly => ("mp4", vec![format!("{p} {X264} -bf 2")]),
        Fixture::Fragmented => {
            ("mp4", vec!["-i @closed -map 0 -c copy -movflags +frag_keyframe+empty_moov".to_owned()])
        }
        Fixture::Edited => ("mp4", vec!["-ss 1.3 -i @open -map 0 -c copy".to_owned()]),
        Fixture::Long => {
            let long = format!("{} {}", picture(16.0), sound(16.0));
            ("mp4", vec![format!("{long} {X264} -g 60 -keyint_min 60 -bf 2 {AAC}")])
        }
        Fixture::Counting => ("mp4", vec![format!("{COUNTING} {X264} -bf 2")]),
        Fixture::CountingTs => ("ts", vec!["-i @counting -map 0 -c copy -output_ts_offset 100".to_owned()]),
        Fixture::CountingGaps => {
            let gaps = "select='lt(mod(t,5),1)'";
            ("mp4", vec![format!("{COUNTING},{gaps} -fps_mode vfr {X264} -bf 2")])
        }
        Fixture::Looks => {
            let sharp = "testsrc2=s=320x240:r=10:d=4,format=yuv420p,setsar=1";
            let plain = |colour| format!("color={colour}:s=320x240:r=10:d=4,format=yuv420p,setsar=1");
            let graph = format!(
                "{}[a];{sharp},boxblur=12[b];{sharp}[c];{}[d];[a][b][c][d]concat=n=4",
                plain("black"),
                plain("white")
            );
            ("mp4", vec![format!("-f lavfi -i {graph} {X264}")])
        }
        Fixture::Tiny => ("mp4", vec![format!("-f lavfi -t 3 -i testsrc2=s=16x16:r=10 {X264}")]),
        Fixture::CoverOnly => {
            let cover = "-f lavfi -i testsrc2=s=96x64:r=1:d=1 -map 0 -map 1 -frames:v 1 -c:v mjpeg \
                         -pix_fmt yuvj420p -disposition:v attached_pic";
            ("m4a", vec![format!("{} {cover} {AAC}", sound(2.0))])
        }
        Fixture::QuietStereo => {
            let noise = "anoisesrc=c=pink:r=44100:a=0.2:seed=3:d=12,volume='if(lt(t,6),1,0.3)':eval=frame";
            (
                "mka",
                vec![format!(
                    "-f lavfi -i {noise},aformat=channel_layouts=mono,pan=stereo|c0=c0|c1=0.7*c0 -c:a flac"
                )],
            )
        }
        Fixture::Surround => {
            let pan = "pan=5.1(side)|c0=c0|c1=0.5*c0|c2=0.3*c0|c3=0.1*c0|c4=0.2*c0|c5=0.2*c0";
            (
                "mka",
                vec![format!("-f lavfi -t 6 -i anoisesrc=c=pink:r=48000:a=0.2:seed=5,{pan} -c:a pcm_s24le")],
            )
        }
        Fixture::DamagedSound => ("m4a", vec!["-i @sound -c copy -bsf:a noise=amount=200".to_owned()]),
        Fixture::Silence => ("wav", vec!["-f lavfi -t 20 -i anullsrc=r=16000:cl=mono".to_owned()]),
        Fixture::Tone => ("wav", vec!["-f lavfi -t 20 -i sine=f=440:r=16000".to_owned()]),
        Fixture::Noise => ("wav", vec!["-f lavfi -t 20 -i anoisesrc=r=16000:a=0.1:seed=7".to_owned()]),
        Fixture::MachineVoice => {
            let text = "Ask not what your country can do for you. Ask what you can do for your country.";
            let mut words: Vec<String> = ["-f", "lavfi", "-i"].map(str::to_owned).to_vec();
            words.push(format!("flite=voice=slt:text='{text}'"));
            words.extend(["-ar", "16000"].map(str::to_owned));
            return ("wav", vec![words]);
        }
    };
    (extension, lines.iter().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect())
}
