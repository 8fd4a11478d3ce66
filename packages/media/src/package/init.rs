//! The initialisation segment of a rendition: a function of the decoder configuration, the timescale and the lead.

use super::track::PackagedTrack;

const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// Language `und`, packed.
const UNDETERMINED: u16 = 0x55c4;

/// Writes the initialisation segment of a track; parts with the same decoder configuration have the same one.
pub fn write_init(track: &PackagedTrack) -> Vec<u8> {
    let mut out = boxed(b"ftyp", &[b"iso6", &[0; 4], b"iso6", b"cmfc", b"mp41"]);
    out.extend(boxed(b"moov", &[&movie(track.timescale), &trak(track), &mvex()]));
    out
}

/// A box of these pieces.
pub(super) fn boxed(kind: &[u8; 4], pieces: &[&[u8]]) -> Vec<u8> {
    let size: usize = 8 + pieces.iter().map(|p| p.len()).sum::<usize>();
    let mut out = Vec::with_capacity(size);
    out.extend((size as u32).to_be_bytes());
    out.extend(kind);
    pieces.iter().for_each(|p| out.extend(*p));
    out
}

/// Big-endian 32-bit numbers.
pub(super) fn words(all: &[u32]) -> Vec<u8> {
    all.iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn movie(timescale: u32) -> Vec<u8> {
    let mut body = words(&[0, 0, 0, timescale, 0, 0x1_0000, 0x0100_0000, 0, 0]);
    body.extend(words(&UNITY));
    body.extend(words(&[0, 0, 0, 0, 0, 0, 2]));
    boxed(b"mvhd", &[&body])
}

fn trak(track: &PackagedTrack) -> Vec<u8> {
    let volume = if track.is_picture { 0 } else { 0x0100_0000 };
    let mut head = words(&[3, 0, 0, 1, 0, 0, 0, 0, 0, volume]);
    head.extend(words(&UNITY));
    head.extend(words(&[u32::from(track.size.0) << 16, u32::from(track.size.1) << 16]));
    let (handler, media): (&[u8; 4], Vec<u8>) = if track.is_picture {
        (b"vide", boxed(b"vmhd", &[&words(&[1, 0, 0])]))
    } else {
        (b"soun", boxed(b"smhd", &[&words(&[0, 0])]))
    };
    let clock = words(&[0, 0, 0, track.timescale, 0, u32::from(UNDETERMINED) << 16]);
    let mdia = boxed(
        b"mdia",
        &[
            &boxed(b"mdhd", &[&clock]),
            &boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]),
            &boxed(b"minf", &[&media, &data_here(), &empty_tables(&track.stsd)]),
        ],
    );
    let edits = match track.lead {
        0 => Vec::new(),
        skipped => boxed(b"edts", &[&boxed(b"elst", &[&words(&[0, 1, 0, skipped, 0x1_0000])])]),
    };
    boxed(b"trak", &[&boxed(b"tkhd", &[&head]), &edits, &mdia])
}

fn data_here() -> Vec<u8> {
    let url = boxed(b"url ", &[&words(&[1])]);
    boxed(b"dinf", &[&boxed(b"dref", &[&words(&[0, 1]), &url])])
}

fn empty_tables(stsd: &[u8]) -> Vec<u8> {
    let empty = |kind: &[u8; 4]| boxed(kind, &[&words(&[0, 0])]);
    let sizes = boxed(b"stsz", &[&words(&[0, 0, 0])]);
    boxed(b"stbl", &[stsd, &empty(b"stts"), &empty(b"stsc"), &sizes, &empty(b"stco")])
}

fn mvex() -> Vec<u8> {
    boxed(b"mvex", &[&boxed(b"trex", &[&words(&[0, 1, 1, 0, 0, 0])])])
}
