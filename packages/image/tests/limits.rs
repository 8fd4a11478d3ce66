//! Limits are checked on headers: what is above them allocates next to nothing.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{GifFrame, extended, gif, jpeg, png, riff};
use segue_image::{ImageErrorKind, Limits, Request, describe, variants};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait; it hands every call on unchanged")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a header may cost.
const SMALL: usize = 64 << 10;

#[track_caller]
fn assert_refused(bytes: &[u8], request: &Request, expected: &str) {
    ALLOCATED.set(0);
    let error = variants(bytes, request).expect_err(expected);
    let allocated = ALLOCATED.get();
    assert_eq!(error.kind(), ImageErrorKind::Source);
    assert!(error.to_string().contains(expected), "{error}");
    assert!(allocated < SMALL, "{expected}: {allocated} bytes were allocated");
    assert_eq!(describe(bytes, &request.limits).unwrap_err().to_string(), error.to_string());
}

fn replaced(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn too_many_pixels_are_refused_before_decoding() {
    let request = Request::default();
    let small = jpeg((64, 48), &|_, _| [9; 3], &[], false);
    let frame = small.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let huge = replaced(small, frame + 5, &[0xea, 0x60, 0xea, 0x60]);
    assert_refused(&huge, &request, "60000x60000 pixels, 3600.0 megapixels; the limit is 100.0");
    let huge = replaced(png((1, 1), 3, &[0; 3], &[]), 16, &[0, 1, 0, 0, 0, 1, 0, 0]);
    assert_refused(&huge, &request, "65536x65536 pixels");
    let huge = riff(&[(b"VP8X", extended(0, (1 << 24, 1 << 24)))]);
    assert_refused(&huge, &request, "16777216x16777216 pixels");
    let frame = |size| GifFrame { place: (0, 0), size, colour: 0 };
    let huge = replaced(gif((9, 9), &[frame((9, 9))]), 6, &[0xff, 0xff, 0xff, 0xff]);
    assert_refused(&huge, &request, "65535x65535 pixels");
    // a frame that is larger than the image
    let bytes = gif((9, 9), &[frame((9, 9))]);
    let at = bytes.iter().rposition(|byte| *byte == 0x2c).unwrap();
    assert_refused(&replaced(bytes, at + 5, &[0xff; 4]), &request, "65535x65535 pixels");
}

#[test]
fn the_limit_on_pixels_is_a_setting() {
    let limits = Limits { pixels: 64 * 48 - 1, ..Limits::default() };
    let bytes = jpeg((64, 48), &|_, _| [9; 3], &[], false);
    assert_refused(&bytes, &Request { limits, ..Request::default() }, "64x48 pixels");
    let limits = Limits { pixels: 64 * 48, ..Limits::default() };
    variants(&bytes, &Request { limits, ..Request::default() }).unwrap();
}

#[test]
fn too_many_frames_are_refused_before_decoding() {
    let frame = || GifFrame { place: (0, 0), size: (2, 2), colour: 0 };
    let frames = |count: usize| gif((2, 2), &(0..count).map(|_| frame()).collect::<Vec<_>>());
    assert_refused(&frames(501), &Request::default(), "more than 500 frames");
    assert_eq!(describe(&frames(500), &Limits::default()).unwrap().frames, 500);
    let mut chunks: Vec<(&[u8; 4], Vec<u8>)> = vec![(b"VP8X", extended(2, (9, 9)))];
    chunks.extend((0..501).map(|_| (b"ANMF", vec![0; 16])));
    assert_refused(&riff(&chunks), &Request::default(), "more than 500 frames");
    let animated = png((1, 1), 3, &[0; 3], &[(b"acTL", vec![0, 0, 2, 0, 0, 0, 0, 0])]);
    assert_refused(&animated, &Request::default(), "more than 500 frames");
}
