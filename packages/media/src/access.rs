//! Whether decoding can start at a keyframe. In H.264 only an IDR picture qualifies.
//!
//! A container's index only says that a sample is a random access point. In H.264 that may be a
//! recovery point: later pictures can still reference earlier ones. Only an IDR picture rules that out.

use crate::mp4::{ByteSource, Sample};

/// Maximum number of NAL units that are inspected.
const MAX_UNITS: usize = 64;

/// Whether decoding can start at `sample` without any earlier packet, by the bitstream.
/// Other codecs than H.264: every keyframe whose followers in decode order are presented after it.
pub fn is_clean(file: &impl ByteSource, stsd: &[u8], sample: &Sample) -> bool {
    let Some(length_bytes) = avc_length_bytes(stsd) else { return true };
    let mut at = 0u64;
    for _ in 0..MAX_UNITS {
        let mut head = [0u8; 5];
        let head = &mut head[..length_bytes + 1];
        if at + head.len() as u64 > u64::from(sample.size) || file.read_at(sample.offset + at, head).is_err()
        {
            return false;
        }
        let length = head[..length_bytes].iter().fold(0u64, |n, b| (n << 8) | u64::from(*b));
        match head[length_bytes] & 0x1f {
            5 => return true,
            1..=4 => return false,
            _ => at += length_bytes as u64 + length,
        }
    }
    false
}

/// Length of the size field before each NAL unit, if the description is of H.264.
fn avc_length_bytes(stsd: &[u8]) -> Option<usize> {
    let at = stsd.windows(4).position(|w| w == b"avcC")?;
    stsd.get(at + 8).map(|b| usize::from(b & 3) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(size: u32) -> Sample {
        Sample { offset: 0, dts: 0, size, composition: 0, description: 1, keyframe: true, hidden: false }
    }

    #[test]
    fn only_an_idr_picture_is_clean() {
        let stsd = b"....avcC\x01\x64\x00\x1f\xff";
        let unit = |kind: u8| [0, 0, 0, 2, kind, 0xaa];
        let of = |kinds: &[u8]| kinds.iter().flat_map(|k| unit(*k)).collect::<Vec<u8>>();
        let clean = |bytes: &[u8]| is_clean(&bytes, stsd, &sample(bytes.len() as u32));
        assert!(clean(&of(&[9, 6, 0x67, 0x68, 0x65])));
        assert!(!clean(&of(&[9, 6, 0x41])));
        assert!(!clean(&of(&[6])));
        assert!(!clean(&[]));
        assert!(!clean(&[0xff; 40]));
        let any: &[u8] = &[1, 2, 3];
        assert!(is_clean(&any, b"....hvcC", &sample(3)));
    }
}
