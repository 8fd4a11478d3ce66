//! The sample entry of a track: its kind, its size and the boxes in it.

use crate::mp4::IndexError;

/// Bytes of the sample description box before its first entry.
const ENTRY_AT: usize = 16;
/// Bytes of a visual sample entry before its boxes.
const PICTURE_HEAD: usize = 86;
/// Bytes of an audio sample entry before its boxes.
const SOUND_HEAD: usize = 36;
/// The name of the encoder in a visual sample entry.
const ENCODER_NAME: std::ops::Range<usize> = 50..82;

/// The one sample entry of a sample description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleEntry {
    /// Its type, e.g. `avc1`.
    pub kind: [u8; 4],
    /// Whether it is a visual one; otherwise an audio one.
    pub is_picture: bool,
    head: Vec<u8>,
    boxes: Vec<([u8; 4], Vec<u8>)>,
}

impl SampleEntry {
    /// Reads the entry of a complete sample description box.
    ///
    /// # Errors
    /// Not exactly one entry, an unknown type, or sizes that exceed the box.
    pub fn read(stsd: &[u8]) -> Result<SampleEntry, IndexError> {
        let broken = |message: &str| IndexError::Broken(format!("sample description: {message}"));
        if stsd.get(12..16) != Some(&[0, 0, 0, 1]) {
            return Err(broken("not exactly one entry"));
        }
        let entry = stsd.get(ENTRY_AT..).unwrap_or_default();
        let size = number(entry, 0).ok_or_else(|| broken("too short"))?;
        let entry = entry.get(..size).ok_or_else(|| broken("an entry larger than its box"))?;
        let kind: [u8; 4] =
            entry.get(4..8).and_then(|k| k.try_into().ok()).ok_or_else(|| broken("too short"))?;
        let is_picture = match &kind {
            b"avc1" | b"avc3" | b"hvc1" | b"hev1" | b"av01" | b"vp09" => true,
            b"mp4a" | b"Opus" | b"fLaC" | b"ac-3" | b"ec-3" => false,
            _ => return Err(broken(&format!("{} is no codec of a stream", String::from_utf8_lossy(&kind)))),
        };
        let at = if is_picture { PICTURE_HEAD } else { SOUND_HEAD };
        let head = entry.get(..at).ok_or_else(|| broken("too short"))?.to_vec();
        let mut boxes = Vec::new();
        let mut rest = &entry[at..];
        while rest.len() >= 8 {
            let size = number(rest, 0).filter(|n| (8..=rest.len()).contains(n));
            let size = size.ok_or_else(|| broken("a box larger than its entry"))?;
            let kind = [rest[4], rest[5], rest[6], rest[7]];
            boxes.push((kind, rest[8..size].to_vec()));
            rest = &rest[size..];
        }
        Ok(SampleEntry { kind, is_picture, head, boxes })
    }

    /// The body of a box in it.
    ///
    /// # Errors
    /// No such box.
    pub fn body(&self, kind: &[u8; 4]) -> Result<&[u8], IndexError> {
        let found = self.boxes.iter().find(|(k, _)| k == kind).map(|(_, body)| body.as_slice());
        found.ok_or_else(|| {
            IndexError::Broken(format!("sample description: no {} box", String::from_utf8_lossy(kind)))
        })
    }

    /// Width and height in pixels; 0 for sound.
    pub fn size(&self) -> (u16, u16) {
        if !self.is_picture {
            return (0, 0);
        }
        let side = |at: usize| u16::from_be_bytes([self.head[at], self.head[at + 1]]);
        (side(32), side(34))
    }

    /// The sample description box without bit rates, and without the name of the encoder.
    pub fn canonical(&self) -> Vec<u8> {
        let mut entry = self.head.clone();
        if self.is_picture {
            entry[ENCODER_NAME].fill(0);
        }
        for (kind, body) in self.boxes.iter().filter(|(kind, _)| kind != b"btrt") {
            entry.extend((body.len() as u32 + 8).to_be_bytes());
            entry.extend(kind);
            entry.extend(body);
        }
        let size = (entry.len() as u32).to_be_bytes();
        entry[..4].copy_from_slice(&size);
        let mut out = (entry.len() as u32 + ENTRY_AT as u32).to_be_bytes().to_vec();
        out.extend(b"stsd\0\0\0\0\0\0\0\x01");
        out.extend(entry);
        out
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let found: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(found)).ok()
}
