//! Damaged images give an error or a picture, and never end the process.

mod common;

use common::{GifFrame, chunks, extended, gif, jpeg, png, riff};
use segue_image::{ImageErrorKind, Request, variants};

fn sources() -> Vec<(&'static str, Vec<u8>)> {
    let paint = |x: u32, y: u32| [(x * 5 % 251) as u8, (y * 7 % 241) as u8, ((x * y) % 239) as u8];
    let pixels = common::rgb((64, 48), &paint);
    let lossy = webp::Encoder::from_rgb(&pixels, 64, 48).encode_simple(false, 80.0).unwrap();
    let lossless = webp::Encoder::from_rgb(&pixels, 64, 48).encode_simple(true, 80.0).unwrap();
    let still = chunks(&lossy)[0].1.clone();
    let frame = |colour| GifFrame { place: (0, 0), size: (64, 48), colour };
    vec![
        ("jpeg", jpeg((64, 48), &paint, &[], false)),
        ("progressive jpeg", jpeg((64, 48), &paint, &[], true)),
        ("png", png((64, 48), 3, &pixels, &[])),
        ("webp", lossy.to_vec()),
        ("lossless webp", lossless.to_vec()),
        ("extended webp", riff(&[(b"VP8X", extended(0, (64, 48))), (b"VP8 ", still)])),
        ("gif", gif((64, 48), &[frame(0), frame(1)])),
    ]
}

#[test]
fn a_file_that_is_cut_off_is_an_error_of_the_source() {
    for (name, bytes) in sources() {
        variants(&bytes, &Request::default()).expect(name);
        // of a GIF only the first frame is needed
        let most = if name == "gif" { bytes.len() / 3 } else { bytes.len() - 3 };
        for length in (0..most).step_by(most / 60 + 1) {
            let error = variants(&bytes[..length], &Request::default());
            let error = error.expect_err(&format!("{name}, {length} of {} bytes", bytes.len()));
            assert_eq!(error.kind(), ImageErrorKind::Source, "{name}, {length} bytes: {error}");
        }
    }
}

#[test]
fn flipped_bits_are_survived() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize
    };
    for (name, bytes) in sources() {
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + next() % 3 {
                let at = next() % damaged.len();
                damaged[at] ^= 1 << (next() % 8);
            }
            if let Err(error) = variants(&damaged, &Request::default()) {
                assert_eq!(error.kind(), ImageErrorKind::Source, "{name}: {error}");
            }
        }
    }
}
