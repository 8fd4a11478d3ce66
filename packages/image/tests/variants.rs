//! Variants of images that the tests write: orientation, colours, metadata, sizes, animations.

mod common;

use common::{
    GifFrame, Shown, chunks, exif, exif_segment, extended, from_display_p3, gif, jpeg, png, png_with_profile,
    profile_segment, request, rgb, riff,
};
use moxcms::ColorProfile;
use segue_image::{Fit, ImageErrorKind, ImageFormat, Limits, Request, Variant, describe, variants};

const RED: [u8; 3] = [220, 30, 30];
const GREEN: [u8; 3] = [30, 200, 30];
const BLUE: [u8; 3] = [30, 30, 220];
const WHITE: [u8; 3] = [240, 240, 240];

fn inside(side: u32) -> Variant {
    Variant { width: side, height: side, fit: Fit::Inside }
}

fn cover(width: u32, height: u32) -> Variant {
    Variant { width, height, fit: Fit::Cover }
}

/// Quarters of 96x64 pixels: red and green above, blue and white below.
fn quarters(x: u32, y: u32) -> [u8; 3] {
    match (x < 48, y < 32) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => WHITE,
    }
}

#[test]
fn each_orientation_of_exif_is_applied() {
    // colours at top left, top right, bottom left, bottom right
    let expected = [
        (1, [RED, GREEN, BLUE, WHITE]),
        (2, [GREEN, RED, WHITE, BLUE]),
        (3, [WHITE, BLUE, GREEN, RED]),
        (4, [BLUE, WHITE, RED, GREEN]),
        (5, [RED, BLUE, GREEN, WHITE]),
        (6, [BLUE, RED, WHITE, GREEN]),
        (7, [WHITE, GREEN, BLUE, RED]),
        (8, [GREEN, WHITE, RED, BLUE]),
    ];
    let pixels = rgb((96, 64), &quarters);
    let still = webp::Encoder::from_rgb(&pixels, 96, 64).encode_simple(false, 95.0).unwrap();
    for (number, colours) in expected {
        let little = number % 2 == 0;
        let vp8 = chunks(&still)[0].1.clone();
        for (format, bytes) in [
            ("jpeg", jpeg((96, 64), &quarters, &[exif_segment(number, little)], false)),
            ("png", png((96, 64), 3, &pixels, &[(b"eXIf", exif(number, little))])),
            (
                "webp",
                riff(&[(b"VP8X", extended(8, (96, 64))), (b"VP8 ", vp8), (b"EXIF", exif(number, little))]),
            ),
        ] {
            for variant in [inside(48), inside(1200), cover(24, 24), cover(30, 20)] {
                let what = format!("{format} of orientation {number} as {variant:?}");
                let made = variants(&bytes, &request(variant)).expect(&what);
                let size = if number >= 5 { (64, 96) } else { (96, 64) };
                assert_eq!((made.facts.width, made.facts.height), size, "{what}");
                let shown = Shown::new(&made.files[0]);
                if variant == inside(48) {
                    assert_eq!(shown.size, (size.0 / 2, size.1 / 2), "{what}");
                }
                let (right, below) = (shown.size.0 - 4, shown.size.1 - 4);
                for (place, colour) in
                    [(3, 3), (right, 3), (3, below), (right, below)].into_iter().zip(colours)
                {
                    shown.assert_at(place, &colour, &what);
                }
            }
        }
    }
}

#[test]
fn colours_of_a_profile_are_converted() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    for colour in [[200, 100, 80], [90, 180, 100], [128, 128, 128]] {
        let expected = from_display_p3(colour);
        let moves = expected.iter().zip(colour).any(|(a, b)| a.abs_diff(b) > 10);
        assert!(moves || colour[0] == colour[1], "{expected:?} differs from {colour:?}");
        let pixels = rgb((32, 32), &|_, _| colour);
        for bytes in [
            jpeg((32, 32), &|_, _| colour, &[profile_segment(&profile)], false),
            png_with_profile((32, 32), png::ColorType::Rgb, &pixels, &profile),
        ] {
            let made = variants(&bytes, &request(inside(16))).unwrap();
            assert!(made.facts.has_profile && made.notes.is_empty(), "{:?}", made.notes);
            Shown::new(&made.files[0]).assert_at((8, 8), &expected, "Display P3");
        }
    }
    // grey with a gamma of 1.0: half of the light is 188 in sRGB
    let grey = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let bytes = png_with_profile((16, 16), png::ColorType::Grayscale, &[128; 256], &grey);
    let made = variants(&bytes, &request(inside(16))).unwrap();
    Shown::new(&made.files[0]).assert_at((8, 8), &[188; 3], "linear grey");
}

#[test]
fn a_damaged_profile_is_ignored_with_a_note() {
    let bytes = jpeg((32, 32), &|_, _| RED, &[profile_segment(&[7; 300])], false);
    let made = variants(&bytes, &request(inside(16))).unwrap();
    assert!(made.notes[0].contains("colour profile cannot be used"), "{:?}", made.notes);
    Shown::new(&made.files[0]).assert_at((8, 8), &RED, "without its profile");
}

#[test]
fn no_metadata_reaches_a_variant() {
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>PRIVATE-XMP</x:xmpmeta>".to_vec();
    let iptc = b"Photoshop 3.0\08BIMPRIVATE-IPTC".to_vec();
    let profile = profile_segment(&ColorProfile::new_display_p3().encode().unwrap());
    let segments = [exif_segment(1, true), (1, xmp.clone()), profile, (13, iptc)];
    let pixels = rgb((96, 64), &quarters);
    let still = webp::Encoder::from_rgb(&pixels, 96, 64).encode_simple(false, 95.0).unwrap();
    let sources = [
        jpeg((96, 64), &quarters, &segments, false),
        png((96, 64), 3, &pixels, &[(b"eXIf", exif(1, false)), (b"tEXt", b"Comment\0PRIVATE-TEXT".to_vec())]),
        riff(&[
            (b"VP8X", extended(0x0c, (96, 64))),
            (b"VP8 ", chunks(&still)[0].1.clone()),
            (b"EXIF", exif(1, true)),
            (b"XMP ", xmp),
        ]),
    ];
    let is_private = |bytes: &[u8]| bytes.windows(8).any(|w| w == b"PRIVATE-");
    for source in sources {
        assert!(is_private(&source));
        let made = variants(&source, &Request::default()).unwrap();
        assert_eq!(made.files.len(), 3);
        for file in &made.files {
            let kinds: Vec<_> = chunks(&file.bytes).into_iter().map(|(kind, _)| kind).collect();
            assert_eq!(kinds, [*b"VP8 "]);
            assert!(!is_private(&file.bytes));
        }
        let facts = serde_json::to_vec(&made.facts).unwrap();
        assert!(!is_private(&facts));
    }
}

#[test]
fn sizes_of_the_default_variants() {
    for (source, expected) in [
        ((1600, 900), [(150, 150), (600, 338), (1200, 675)]),
        ((900, 1600), [(150, 150), (338, 600), (675, 1200)]),
        ((700, 500), [(150, 150), (600, 429), (700, 500)]),
        ((2000, 7), [(7, 7), (600, 2), (1200, 4)]),
        ((3, 1500), [(3, 3), (1, 600), (2, 1200)]),
        ((100, 200), [(100, 100), (100, 200), (100, 200)]),
        ((1, 1), [(1, 1), (1, 1), (1, 1)]),
    ] {
        let bytes = jpeg(source, &|x, y| [(x % 200) as u8, (y % 200) as u8, 90], &[], false);
        let made = variants(&bytes, &Request::default()).unwrap();
        let sizes: Vec<_> = made.files.iter().map(|file| Shown::new(file).size).collect();
        assert_eq!(sizes, expected, "{source:?}");
    }
}

#[test]
fn cover_is_cut_from_the_middle() {
    // a third each of red, green and blue
    let thirds = |x: u32, _: u32| [RED, GREEN, BLUE][(x / 100) as usize];
    let bytes = jpeg((300, 100), &thirds, &[], true);
    let made = variants(&bytes, &request(cover(50, 50))).unwrap();
    let shown = Shown::new(&made.files[0]);
    for x in [3, 25, 46] {
        shown.assert_at((x, 25), &GREEN, "the middle");
    }
    let shares: f64 = made.summary.colours[..3].iter().map(|colour| colour.share).sum();
    assert!(made.summary.colours[..3].iter().all(|colour| colour.share > 0.25), "{:?}", made.summary);
    assert!(shares > 0.8 && shares <= 1.0, "{:?}", made.summary);
}

#[test]
fn transparency_is_kept() {
    let pixels: Vec<u8> =
        (0..64 * 64).flat_map(|i| if i % 64 < 32 { [200, 40, 40, 255] } else { [0, 0, 0, 0] }).collect();
    let made = variants(&png((64, 64), 4, &pixels, &[]), &request(inside(32))).unwrap();
    assert!(made.facts.has_alpha);
    let shown = Shown::new(&made.files[0]);
    shown.assert_at((6, 16), &[200, 40, 40, 255], "opaque");
    assert_eq!(shown.at(26, 16)[3], 0);
    // no dark seam: colours are weighted by their opacity
    let edge = shown.at(15, 16);
    assert!(edge[3] > 200 && edge[0] > 180, "{edge:?}");
}

#[test]
fn an_animation_gives_its_first_frame_with_a_note() {
    let frame = |place, size, colour| GifFrame { place, size, colour };
    let whole = gif((40, 20), &[frame((0, 0), (40, 20), 0), frame((0, 0), (40, 20), 1)]);
    let made = variants(&whole, &request(inside(20))).unwrap();
    assert_eq!((made.facts.format, made.facts.frames), (ImageFormat::Gif, 2));
    assert!(made.notes[0].contains("first of its 2 frames"), "{:?}", made.notes);
    Shown::new(&made.files[0]).assert_at((10, 5), &[255, 0, 0], "the first frame");
    // a frame that covers a part, and one that reaches past the image
    let part = gif((40, 20), &[frame((20, 10), (60, 60), 2)]);
    let made = variants(&part, &request(inside(40))).unwrap();
    assert!(made.facts.has_alpha && made.notes.is_empty());
    let shown = Shown::new(&made.files[0]);
    assert_eq!(shown.at(5, 5)[3], 0);
    shown.assert_at((32, 16), &[0, 0, 255, 255], "the covered part");
}

#[test]
fn the_summary_describes_the_image_as_displayed() {
    let bytes = jpeg((96, 64), &|x, _| if x < 72 { RED } else { BLUE }, &[exif_segment(6, true)], false);
    let summary = variants(&bytes, &Request::default()).unwrap().summary;
    // 3 by 4 components: it is shown upright
    assert_eq!(&summary.blurhash[..1], "T");
    assert!((summary.colours[0].share - 0.75).abs() < 0.05, "{summary:?}");
    let red = u32::from_str_radix(&summary.colours[0].colour[1..], 16).unwrap();
    assert!((red >> 16).abs_diff(u32::from(RED[0])) < 8, "{summary:?}");
}

#[test]
fn what_is_no_image_is_refused() {
    for bytes in [b"".as_slice(), b"hello", b"\xff\xd8", b"%PDF-1.7", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1"] {
        let error = describe(bytes, &Limits::default()).unwrap_err();
        assert_eq!(error.kind(), ImageErrorKind::Source);
        assert!(error.to_string().contains("no image in JPEG, PNG"), "{error}");
    }
}
