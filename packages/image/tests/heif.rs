//! HEIC and AVIF, which `heif-enc` writes and `vipsthumbnail` decodes in a sandbox.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Shown, from_display_p3, png, png_with_profile, rgb};
use moxcms::ColorProfile;
use segue_image::{
    ImageErrorKind, ImageFormat, ImageSet, Limits, Request, describe, heif, variants, variants_of_converted,
};

const SIZE: (u32, u32) = (640, 400);

fn halves(x: u32, _: u32) -> [u8; 3] {
    if x < 320 { [200, 60, 40] } else { [40, 80, 200] }
}

/// A file with brackets in its name, which vips would take for options.
fn encoded(folder: &Path, format: ImageFormat) -> PathBuf {
    let (picture, made) = (folder.join("picture.png"), folder.join(format!("a[page=9].{format}")));
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let pixels = rgb(SIZE, &halves);
    let source = match format {
        ImageFormat::Heic => png_with_profile(SIZE, png::ColorType::Rgb, &pixels, &profile),
        _ => png(SIZE, 3, &pixels, &[]),
    };
    std::fs::write(&picture, source).unwrap();
    let mut encoder = Command::new("heif-enc");
    if format == ImageFormat::Avif {
        encoder.arg("-A");
    }
    let ended =
        encoder.args(["-q", "90", "-o"]).arg(&made).arg(&picture).output().expect("heif-enc is installed");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    made
}

async fn make(path: &Path, program: &str, request: &Request) -> segue_image::Result<ImageSet> {
    let facts = describe(&std::fs::read(path).unwrap(), &request.limits)?;
    let folder = tempfile::tempdir().unwrap();
    let limits = segue_process::Limits::default();
    let made =
        heif::convert(Path::new(program), path, &facts, &request.variants, folder.path(), &limits).await?;
    assert!(made.starts_with(folder.path()));
    variants_of_converted(&std::fs::read(made).unwrap(), &facts, request)
}

#[tokio::test]
async fn both_formats_have_variants() {
    let dir = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Heic, ImageFormat::Avif] {
        let path = encoded(dir.path(), format);
        let bytes = std::fs::read(&path).unwrap();
        let facts = describe(&bytes, &Limits::default()).unwrap();
        assert_eq!((facts.format, facts.width, facts.height, facts.frames), (format, 640, 400, 1));
        let made = make(&path, heif::PROGRAM, &Request::default()).await.unwrap();
        let sizes: Vec<_> = made.files.iter().map(|file| Shown::new(file).size).collect();
        assert_eq!(sizes, [(150, 150), (600, 375), (640, 400)], "{format}");
        let shown = Shown::new(&made.files[1]);
        assert_eq!(facts.has_profile, format == ImageFormat::Heic);
        let expected = |x| if facts.has_profile { from_display_p3(halves(x, 0)) } else { halves(x, 0) };
        shown.assert_at((100, 200), &expected(0), format.as_str());
        shown.assert_at((500, 200), &expected(639), format.as_str());
        // not in this process
        assert_eq!(variants(&bytes, &Request::default()).unwrap_err().kind(), ImageErrorKind::Internal);
    }
}

#[tokio::test]
async fn damage_and_a_missing_program_are_errors_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = encoded(dir.path(), ImageFormat::Heic);
    let error = make(&path, "/nowhere/vipsthumbnail", &Request::default()).await.unwrap_err();
    assert_eq!(error.kind(), ImageErrorKind::Environment);
    assert!(error.to_string().contains("libvips-tools") && !error.is_retryable(), "{error}");
    let whole = std::fs::read(&path).unwrap();
    // the header is whole, the pixels are not
    std::fs::write(&path, &whole[..whole.len() - 60]).unwrap();
    let error = make(&path, heif::PROGRAM, &Request::default()).await.unwrap_err();
    assert_eq!(error.kind(), ImageErrorKind::Source, "{error}");
    assert!(error.to_string().contains("export it again"), "{error}");
    let limits = Limits { pixels: 640 * 400 - 1, ..Limits::default() };
    assert!(describe(&whole, &limits).unwrap_err().to_string().contains("640x400"));
    for length in (0..whole.len().min(600)).step_by(7) {
        let _ = describe(&whole[..length], &Limits::default());
    }
}
