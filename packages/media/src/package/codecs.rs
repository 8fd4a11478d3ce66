//! Codec strings by RFC 6381, from the decoder configuration.

use super::sample_entry::SampleEntry;
use crate::mp4::IndexError;

/// The codec of a sample entry, e.g. `avc1.64001f` or `mp4a.40.2`.
///
/// # Errors
/// A configuration that is missing or too short.
pub fn codec_string(entry: &SampleEntry) -> Result<String, IndexError> {
    let kind = String::from_utf8_lossy(&entry.kind).into_owned();
    match &entry.kind {
        b"avc1" | b"avc3" => {
            let [profile, constraints, level] = at::<3>(entry.body(b"avcC")?, 1)?;
            Ok(format!("{kind}.{profile:02x}{constraints:02x}{level:02x}"))
        }
        b"hvc1" | b"hev1" => hevc(&kind, entry.body(b"hvcC")?),
        b"av01" => av1(entry.body(b"av1C")?),
        b"vp09" => {
            let [profile, level, depth] = at::<3>(entry.body(b"vpcC")?, 4)?;
            Ok(format!("vp09.{profile:02}.{level:02}.{:02}", depth >> 4))
        }
        b"mp4a" => mpeg4_audio(entry.body(b"esds")?),
        // the name that browsers know; their type is Opus
        b"Opus" => entry.body(b"dOps").map(|_| "opus".to_owned()),
        b"fLaC" => entry.body(b"dfLa").map(|_| kind),
        _ => Ok(kind),
    }
}

fn at<const N: usize>(bytes: &[u8], from: usize) -> Result<[u8; N], IndexError> {
    let found = bytes.get(from..from + N).and_then(|b| b.try_into().ok());
    found.ok_or_else(|| IndexError::Broken("a decoder configuration is too short".into()))
}

/// ISO/IEC 14496-15, annex E.3.
fn hevc(kind: &str, config: &[u8]) -> Result<String, IndexError> {
    let head: [u8; 12] = at(config, 1)?;
    let space = ["", "A", "B", "C"][usize::from(head[0] >> 6)];
    let tier = if head[0] & 0x20 == 0 { 'L' } else { 'H' };
    let profile = head[0] & 0x1f;
    let compatible = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).reverse_bits();
    let level = head[11];
    let mut text = format!("{kind}.{space}{profile}.{compatible:X}.{tier}{level}");
    let constraints = &head[5..11];
    let used = constraints.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..used] {
        text.push_str(&format!(".{byte:X}"));
    }
    Ok(text)
}

/// AV1 codec ISO media file format binding, section 5.
fn av1(config: &[u8]) -> Result<String, IndexError> {
    let [first, second] = at::<2>(config, 1)?;
    let (profile, level) = (first >> 5, first & 0x1f);
    let tier = if second & 0x80 == 0 { 'M' } else { 'H' };
    let (high, twelve) = (second & 0x40 != 0, second & 0x20 != 0);
    let depth = match (high, twelve) {
        (false, _) => 8,
        (true, true) if profile == 2 => 12,
        (true, _) => 10,
    };
    Ok(format!("av01.{profile}.{level:02}{tier}.{depth:02}"))
}

/// ISO/IEC 14496-1: the descriptors of an elementary stream.
fn mpeg4_audio(esds: &[u8]) -> Result<String, IndexError> {
    let short = || IndexError::Broken("a decoder configuration is too short".into());
    let stream = descriptor(esds.get(4..).unwrap_or_default(), 3).ok_or_else(short)?;
    let flags = *stream.get(2).ok_or_else(short)?;
    let url = if flags & 0x40 == 0 { 0 } else { usize::from(*stream.get(3).ok_or_else(short)?) + 1 };
    let optional =
        [(0x80, 2), (0x20, 2)].iter().filter(|(f, _)| flags & f != 0).map(|(_, n)| n).sum::<usize>();
    let decoder = stream.get(3 + url + optional..).and_then(|rest| descriptor(rest, 4)).ok_or_else(short)?;
    let object = *decoder.first().ok_or_else(short)?;
    if object != 0x40 {
        return Ok(format!("mp4a.{object:02x}"));
    }
    let config = decoder.get(13..).and_then(|rest| descriptor(rest, 5)).ok_or_else(short)?;
    let [first, second] = at::<2>(config, 0)?;
    let kind = match first >> 3 {
        31 => 32 + ((first & 7) << 3 | second >> 5),
        kind => kind,
    };
    Ok(format!("mp4a.40.{kind}"))
}

/// The body of a descriptor of this tag at the start of `bytes`.
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    if *bytes.first()? != tag {
        return None;
    }
    let (mut size, mut at) = (0usize, 1);
    for _ in 0..4 {
        let byte = *bytes.get(at)?;
        at += 1;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    bytes.get(at..at.checked_add(size)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hevc_has_its_compatibility_reversed_and_its_constraints_trimmed() {
        let main = [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0];
        assert_eq!(hevc("hvc1", &main).unwrap(), "hvc1.1.6.L93.90");
        let high = [1, 0x22, 0x20, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 150, 0];
        assert_eq!(hevc("hev1", &high).unwrap(), "hev1.2.4.H150.B0");
        assert!(hevc("hvc1", &main[..12]).is_err());
    }

    #[test]
    fn av1_states_profile_level_tier_and_depth() {
        assert_eq!(av1(&[0x81, 0x04, 0x0c, 0]).unwrap(), "av01.0.04M.08");
        assert_eq!(av1(&[0x81, 0x08, 0xcc, 0]).unwrap(), "av01.0.08H.10");
        assert_eq!(av1(&[0x81, 0x50, 0x60, 0]).unwrap(), "av01.2.16M.12");
    }

    #[test]
    fn audio_objects_of_two_lengths() {
        let esds = |config: &[u8], object: u8| {
            let mut decoder = vec![object, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, config.len() as u8];
            decoder.extend(config);
            let mut stream = vec![0, 1, 0, 4, 0x80, 0x80, 0x80, decoder.len() as u8];
            stream.extend(decoder);
            let mut all = vec![0, 0, 0, 0, 3, stream.len() as u8];
            all.extend(stream);
            all
        };
        assert_eq!(mpeg4_audio(&esds(&[0x12, 0x10], 0x40)).unwrap(), "mp4a.40.2");
        assert_eq!(mpeg4_audio(&esds(&[0xf9, 0x40, 0], 0x40)).unwrap(), "mp4a.40.42");
        assert_eq!(mpeg4_audio(&esds(&[], 0x6b)).unwrap(), "mp4a.6b");
        let whole = esds(&[0x12, 0x10], 0x40);
        for end in 0..whole.len() {
            assert!(mpeg4_audio(&whole[..end]).is_err(), "{end}");
        }
    }
}
