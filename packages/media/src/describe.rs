//! Sample descriptions: decoder configurations, and whether two parts have the same one.

/// Bytes of a video sample entry before its child boxes.
const VISUAL_ENTRY: usize = 86;
/// Offset of the first entry in a sample description box.
const FIRST_ENTRY: usize = 16;

/// A sample description box without the fields that do not affect decoding: bit rates, and the
/// encoder's name.
pub fn decoding_key(stsd: &[u8]) -> Vec<u8> {
    let Some(entry) = stsd.get(FIRST_ENTRY..) else { return stsd.to_vec() };
    let Some(fixed) = entry.get(..VISUAL_ENTRY) else { return stsd.to_vec() };
    let mut key = fixed[4..8].to_vec();
    key.extend_from_slice(&fixed[32..36]);
    for (kind, whole) in boxes(&entry[VISUAL_ENTRY..]) {
        match &kind {
            b"btrt" | b"fiel" | b"pasp" | b"colr" | b"gama" | b"clap" | b"chrm" => {}
            b"esds" => key.extend_from_slice(decoder_specific(whole)),
            _ => key.extend_from_slice(whole),
        }
    }
    key
}

/// The decoder configuration of an `esds` box, without the bit rates.
fn decoder_specific(esds: &[u8]) -> &[u8] {
    // tag 3 and its 3 bytes, tag 4 and its 13 bytes, tag 5: each with a length of 1 to 4 bytes
    let mut rest = esds.get(12..).unwrap_or_default();
    for (tag, fixed) in [(3, 3), (4, 13), (5, 0)] {
        let Some((&found, after)) = rest.split_first() else { return &[] };
        let length = after.iter().take(4).take_while(|b| **b & 0x80 != 0).count() + 1;
        match after.get(length + fixed..) {
            Some(inside) if found == tag => rest = inside,
            _ => return &[],
        }
    }
    rest
}

/// The body of one box of the first entry, such as `avcC`.
pub fn config<'a>(stsd: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let inside = stsd.get(FIRST_ENTRY + VISUAL_ENTRY..)?;
    boxes(inside).find(|(k, _)| k == kind).and_then(|(_, whole)| whole.get(8..))
}

/// Width and height in pixels.
pub fn size(stsd: &[u8]) -> Option<(u16, u16)> {
    let at = stsd.get(FIRST_ENTRY + 32..FIRST_ENTRY + 36)?;
    Some((u16::from_be_bytes([at[0], at[1]]), u16::from_be_bytes([at[2], at[3]])))
}

fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let head = rest.get(..8)?;
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = [head[4], head[5], head[6], head[7]];
        if size < 8 || size > rest.len() {
            return None;
        }
        let (whole, after) = rest.split_at(size);
        rest = after;
        Some((kind, whole))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stsd(boxes: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut entry = vec![0; VISUAL_ENTRY];
        entry[4..8].copy_from_slice(b"avc1");
        entry[32..36].copy_from_slice(&[1, 64, 0, 180]);
        for (kind, body) in boxes {
            entry.extend_from_slice(&(body.len() as u32 + 8).to_be_bytes());
            entry.extend_from_slice(*kind);
            entry.extend_from_slice(body);
        }
        [vec![0; FIRST_ENTRY], entry].concat()
    }

    #[test]
    fn a_bit_rate_is_no_difference_and_a_parameter_set_is() {
        let plain = stsd(&[(b"avcC", b"one")]);
        let rated = stsd(&[(b"avcC", b"one"), (b"btrt", b"123456789012")]);
        let other = stsd(&[(b"avcC", b"two")]);
        assert_eq!(decoding_key(&plain), decoding_key(&rated));
        assert_ne!(decoding_key(&plain), decoding_key(&other));
        assert_eq!(config(&rated, b"avcC"), Some(&b"one"[..]));
        assert_eq!(size(&plain), Some((320, 180)));
        assert_eq!(config(&[0; 10], b"avcC"), None);
    }
}
