//! HEIF (HEIC and AVIF): size, rotation, transparency and profile of the primary item, from its properties.

use super::{Header, be16, be32};
use crate::facts::ImageFormat;

/// Boxes are looked for in at most this many of one level.
const MAX_BOXES: usize = 4096;

/// The format by the brands of a file, of which the first is decisive unless it is generic.
pub fn format(head: &[u8]) -> Option<ImageFormat> {
    if head.get(4..8)? != b"ftyp" {
        return None;
    }
    let end = usize::try_from(be32(head, 0)?).ok()?.min(head.len());
    let brands =
        head.get(8..12).into_iter().chain(head.get(16..end).into_iter().flat_map(|b| b.chunks_exact(4)));
    let mut generic = None;
    for (place, brand) in brands.enumerate() {
        match brand {
            b"avif" | b"avis" => return Some(ImageFormat::Avif),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" => return Some(ImageFormat::Heic),
            b"mif1" | b"msf1" if place == 0 => generic = Some(ImageFormat::Heic),
            // a film that names an image's brand among others is a film
            _ if place == 0 => return None,
            _ => {}
        }
    }
    generic
}

/// Reads the header. Sizes are those after the container's rotation, which the decoder applies.
pub fn read(bytes: &[u8]) -> Option<Header> {
    let meta = child(bytes, b"meta")?.get(4..)?;
    let primary = primary(child(meta, b"pitm")?)?;
    let properties = child(meta, b"iprp")?;
    let all: Vec<Box<'_>> = boxes(child(properties, b"ipco")?).collect();
    let mut found = Header { frames: 1, ..Header::default() };
    let mut turns = false;
    for index in associations(child(properties, b"ipma")?, primary)? {
        let Some(property) = index.checked_sub(1).and_then(|index| all.get(index)) else { continue };
        match &property.kind {
            b"ispe" => {
                found.width = be32(property.data, 4)?;
                found.height = be32(property.data, 8)?;
            }
            b"irot" => turns = property.data.first()? & 1 == 1,
            b"colr" => found.has_profile |= matches!(property.data.get(..4)?, b"prof" | b"rICC"),
            _ => {}
        }
    }
    found.has_alpha = all.iter().any(|property| &property.kind == b"auxC" && is_alpha(property.data));
    if turns {
        std::mem::swap(&mut found.width, &mut found.height);
    }
    (found.width > 0).then_some(found)
}

/// Whether an auxiliary picture is the transparency of another, by the name of its type.
fn is_alpha(auxiliary: &[u8]) -> bool {
    let name = auxiliary.get(4..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
    name.ends_with(b":alpha") || name.ends_with(b":auxid:1")
}

struct Box<'a> {
    kind: [u8; 4],
    data: &'a [u8],
}

fn boxes(bytes: &[u8]) -> impl Iterator<Item = Box<'_>> {
    let mut at = 0;
    let next = move || {
        let short = be32(bytes, at)?;
        let kind = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let (head, length) = match short {
            0 => (8, bytes.len() - at),
            1 => {
                (16, usize::try_from(u64::from_be_bytes(bytes.get(at + 8..at + 16)?.try_into().ok()?)).ok()?)
            }
            short => (8, usize::try_from(short).ok()?),
        };
        let end = at.checked_add(length)?;
        // the last box may be cut off: its data is what there is
        let data = bytes.get(at + head..end.min(bytes.len()))?;
        at = end;
        Some(Box { kind, data })
    };
    std::iter::from_fn(next).take(MAX_BOXES)
}

fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|found| &found.kind == kind).map(|found| found.data)
}

fn primary(pitm: &[u8]) -> Option<u32> {
    match pitm.first()? {
        0 => be16(pitm, 4).map(u32::from),
        _ => be32(pitm, 4),
    }
}

/// Numbers of the properties of an item, from 1.
fn associations(ipma: &[u8], item: u32) -> Option<Vec<usize>> {
    let (version, flags, entries) = (*ipma.first()?, *ipma.get(3)?, be32(ipma, 4)?);
    let mut at = 8;
    for _ in 0..entries {
        let id = if version < 1 { u32::from(be16(ipma, at)?) } else { be32(ipma, at)? };
        at += if version < 1 { 2 } else { 4 };
        let count = usize::from(*ipma.get(at)?);
        at += 1;
        let wide = flags & 1 == 1;
        if id == item {
            let number = |i: usize| {
                if wide {
                    be16(ipma, at + 2 * i).map(|n| usize::from(n & 0x7fff))
                } else {
                    ipma.get(at + i).map(|n| usize::from(n & 0x7f))
                }
            };
            return (0..count).map(number).collect();
        }
        at += if wide { 2 * count } else { count };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [&(data.len() as u32 + 8).to_be_bytes(), kind.as_slice(), data].concat()
    }

    /// A file whose second item is the primary one, with these properties.
    fn file(properties: &[Vec<u8>], of_primary: &[u8]) -> Vec<u8> {
        let mut ipma = vec![0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 2, of_primary.len() as u8];
        ipma.extend(of_primary);
        let iprp = [boxed(b"ipco", &properties.concat()), boxed(b"ipma", &ipma)].concat();
        let meta = [vec![0; 4], boxed(b"pitm", &[0, 0, 0, 0, 0, 2]), boxed(b"iprp", &iprp)].concat();
        [boxed(b"ftyp", b"heic\0\0\0\0mif1heic"), boxed(b"meta", &meta)].concat()
    }

    fn size(width: u32, height: u32) -> Vec<u8> {
        let data = [[0; 4], width.to_be_bytes(), height.to_be_bytes()].concat();
        boxed(b"ispe", &data)
    }

    #[test]
    fn properties_are_those_of_the_primary_item() {
        let auxiliary = boxed(b"auxC", b"\0\0\0\0urn:mpeg:hevc:2015:auxid:1\0");
        let all = [
            size(512, 512),
            boxed(b"irot", &[1]),
            size(4032, 3024),
            boxed(b"colr", b"prof"),
            auxiliary,
            boxed(b"irot", &[2]),
        ];
        let read = |of_primary: &[u8]| read(&file(&all, of_primary)).unwrap();
        let found = read(&[3]);
        assert_eq!(
            (found.width, found.height, found.has_profile, found.has_alpha),
            (4032, 3024, false, true)
        );
        let found = read(&[0x83, 0x82, 4, 9]);
        assert_eq!((found.width, found.height, found.has_profile), (3024, 4032, true));
        assert_eq!(read(&[3, 6]).width, 4032);
        assert!(super::read(&file(&all, &[2])).is_none());
    }

    #[test]
    fn brands_tell_images_from_films() {
        for (brands, expected) in [
            ("heicmif1", Some(ImageFormat::Heic)),
            ("mif1heic", Some(ImageFormat::Heic)),
            ("mif1miafavif", Some(ImageFormat::Avif)),
            ("avifmif1", Some(ImageFormat::Avif)),
            ("isomheic", None),
            ("qt  ", None),
            ("mif1", Some(ImageFormat::Heic)),
        ] {
            let (first, others) = brands.split_at(4);
            let head = boxed(b"ftyp", format!("{first}\0\0\0\0{others}").as_bytes());
            assert_eq!(format(&head), expected, "{brands}");
        }
    }
}
