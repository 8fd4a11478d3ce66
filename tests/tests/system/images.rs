//! Outputs of kind `image`: sizes, colours and documents of photos, and sources that are no image.

use std::path::{Path, PathBuf};
use std::process::Command;

use segue_tests::{Ended, Fixture, Sandbox, fixture, streams};

const IMAGE: &str = "[outputs.image]\nkind = \"image\"\n";

fn run(sandbox: &Sandbox, source: &Path, outputs: &str) -> Ended {
    let text = format!("version = 2\nname = \"mine\"\n{outputs}\n");
    let recipe = sandbox.file("recipe.toml", text).display().to_string();
    sandbox.end(&mut sandbox.run(source, &["--recipe", &recipe]))
}

fn published(sandbox: &Sandbox, source: &Path, outputs: &str) {
    let ended = run(sandbox, source, outputs);
    assert_eq!(ended.code, Some(0), "{}: {ended:#?}", source.display());
    sandbox.assert_published();
}

/// A picture of ffmpeg's test source: colours in bars, 1600x1000.
fn photo(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.path(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "smptebars=s=1600x1000"]);
    let ended = ffmpeg.args(["-frames:v", "1", "-q:v", "2"]).arg(&path).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    path
}

fn encoded(sandbox: &Sandbox, program: &str, args: &[&str]) {
    let ended = Command::new(program).current_dir(sandbox.path("")).args(args).output();
    let ended = ended
        .unwrap_or_else(|e| panic!("{program} cannot be started: {e}; scripts/setup --test installs it"));
    assert!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn size(path: &Path) -> (u64, u64) {
    let found = streams(path).remove(0);
    (found["width"].as_u64().unwrap(), found["height"].as_u64().unwrap())
}

/// Mean colour of a picture by ffmpeg.
fn colour(path: &Path, crop: &str) -> [u8; 3] {
    let filter = format!("{crop},scale=1:1:flags=area,format=rgb24");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-vf", &filter, "-frames:v", "1"]);
    let pixels = ffmpeg.args(["-f", "rawvideo", "-"]).output().unwrap().stdout;
    [pixels[0], pixels[1], pixels[2]]
}

#[test]
fn a_photo_has_three_sizes_and_a_document() {
    let sandbox = Sandbox::new();
    let source = photo(&sandbox, "photo.jpg");
    let outputs = format!("{IMAGE}[outputs.thumbnail]\nkind = \"thumbnail\"\n");
    published(&sandbox, &source, &outputs);
    for (side, expected) in [("150", (150, 150)), ("600", (600, 375)), ("1200", (1200, 750))] {
        assert_eq!(size(&sandbox.out().join(format!("image-{side}.webp"))), expected);
    }
    // the first bar of seven
    let crop = "crop=iw/9:ih/2:0:0";
    let (a, b) = (colour(&source, crop), colour(&sandbox.out().join("image-1200.webp"), crop));
    assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 6), "{a:?} {b:?}");
    let document = sandbox.document("image.json");
    assert_eq!((document["width"].as_u64(), document["height"].as_u64()), (Some(1600), Some(1000)));
    assert_eq!(document["format"], "jpeg");
    assert_eq!(document["blurhash"].as_str().unwrap().len(), 4 + 2 * 4 * 3);
    assert_eq!(document["files"].as_array().unwrap().len(), 3, "{document:#}");
    assert_eq!(document["files"][1]["bytes"], sandbox.out().join("image-600.webp").metadata().unwrap().len());
    // it is no film
    let output = sandbox.output("thumbnail");
    assert!(output["reason"].as_str().unwrap().contains("no picture"), "{output:#}");
}

#[test]
fn position_and_device_of_a_turned_photo_do_not_leave() {
    let sandbox = Sandbox::new();
    let plain = std::fs::read(photo(&sandbox, "plain.jpg")).unwrap();
    // EXIF with the maker's name and orientation 6, before all other segments
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x0f\0\x02\0\0\0\x08\0\0\0\x26".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0SECRETS\0");
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = [b"\xff\xd8\xff\xe1".as_slice(), &length, &exif, &plain[2..]].concat();
    let source = sandbox.file("turned.jpg", turned);
    published(&sandbox, &source, &IMAGE.replace("outputs.image", "outputs.photo"));
    for (name, expected) in
        [("image-150", (150, 150)), ("image-600", (375, 600)), ("image-1200", (750, 1200))]
    {
        let path = sandbox.out().join(format!("photo/{name}.webp"));
        assert_eq!(size(&path), expected);
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"SECRETS") && !bytes.windows(4).any(|w| w == b"EXIF"));
    }
}

#[test]
fn heic_and_avif_are_decoded_in_the_sandbox() {
    let sandbox = Sandbox::new();
    photo(&sandbox, "photo.png");
    encoded(&sandbox, "heif-enc", &["-o", "photo.heic", "photo.png"]);
    encoded(&sandbox, "heif-enc", &["-A", "-o", "photo.avif", "photo.png"]);
    for format in ["heic", "avif"] {
        let here = Sandbox::new();
        published(&here, &sandbox.path(&format!("photo.{format}")), IMAGE);
        assert_eq!(size(&here.out().join("image-1200.webp")), (1200, 750), "{format}");
        assert_eq!(here.document("image.json")["format"], format);
        let crop = "crop=iw/9:ih/2:0:0";
        let (a, b) =
            (colour(&sandbox.path("photo.png"), crop), colour(&here.out().join("image-600.webp"), crop));
        assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) < 12), "{format}: {a:?} {b:?}");
    }
}

#[test]
fn an_image_above_a_limit_or_cut_off_fails_with_the_reason() {
    let sandbox = Sandbox::new();
    let source = photo(&sandbox, "photo.jpg");
    let ended = run(&sandbox, &source, &format!("{IMAGE}max_megapixels = 1\n"));
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("1600x1000 pixels, 1.6 megapixels; the limit is 1.0"), "{ended:#?}");
    let bytes = std::fs::read(&source).unwrap();
    let source = sandbox.file("half.jpg", &bytes[..bytes.len() / 2]);
    let ended = run(&sandbox, &source, IMAGE);
    assert!(ended.code != Some(0) && ended.stderr.contains("its end is missing"), "{ended:#?}");
}

#[test]
fn a_source_that_is_no_image_has_no_files() {
    let sandbox = Sandbox::new();
    published(&sandbox, &fixture(Fixture::SoundOnly), IMAGE);
    let output = sandbox.output("image");
    assert_eq!(output["files"].as_array().unwrap().len(), 0, "{output:#}");
    assert!(output["reason"].as_str().unwrap().contains("not an image"), "{output:#}");
}
