//! Reads the sizes of Matroska elements, to determine how much of a truncated file is missing.

use crate::mp4::ByteSource;

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;

/// How many bytes a file is short of, by its element sizes; 0 if it does not state them.
pub fn short_by(src: &impl ByteSource) -> u64 {
    claimed_end(src).map_or(0, |end| end.saturating_sub(src.len()))
}

fn claimed_end(src: &impl ByteSource) -> Option<u64> {
    let (size, body) = element(src, 0, EBML)?;
    let segment = body.checked_add(size?)?;
    let (size, body) = element(src, segment, SEGMENT)?;
    body.checked_add(size?)
}

/// Size (if known) and offset of the body of the element at `pos`.
fn element(src: &impl ByteSource, pos: u64, id: u32) -> Option<(Option<u64>, u64)> {
    let mut head = [0; 12];
    let n = head.len().min(usize::try_from(src.len().checked_sub(pos)?).unwrap_or(usize::MAX));
    src.read_at(pos, &mut head[..n]).ok()?;
    if u32::from_be_bytes([head[0], head[1], head[2], head[3]]) != id {
        return None;
    }
    let width = head[4].leading_zeros() as usize + 1;
    if width > 8 {
        return None;
    }
    let mask = 0xffu64 >> width;
    let size = head[5..4 + width].iter().fold(u64::from(head[4]) & mask, |n, b| (n << 8) | u64::from(*b));
    let unknown = (1u64 << (7 * width)) - 1;
    Some(((size != unknown).then_some(size), pos + 4 + width as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(segment_size: &[u8], rest: usize) -> Vec<u8> {
        let mut bytes = vec![0x1A, 0x45, 0xDF, 0xA3, 0x83, 1, 2, 3, 0x18, 0x53, 0x80, 0x67];
        bytes.extend_from_slice(segment_size);
        bytes.resize(bytes.len() + rest, 0);
        bytes
    }

    #[test]
    fn a_cut_segment_is_short_by_what_it_claims() {
        let of = |size: &[u8], rest| short_by(&file(size, rest).as_slice());
        assert_eq!(of(&[0x40, 100], 100), 0);
        assert_eq!(of(&[0x40, 100], 60), 40);
        assert_eq!(of(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 9), 0);
        assert_eq!(short_by(&b"nothing of the kind".as_slice()), 0);
        assert_eq!(short_by(&[0u8; 0].as_slice()), 0);
    }
}
