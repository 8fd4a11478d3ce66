//! GIF: its blocks, whose data is skipped.

use super::{Header, cut_off, le16};
use crate::error::Result;
use crate::facts::{ImageFormat, Limits};

/// Reads the header and counts the frames. The size of each frame is checked too: it may differ from that of
/// the image.
///
/// # Errors
/// A frame above the limit, more frames than the limit, or no frame at all.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Header> {
    let mut found = Header::default();
    let mut walk = Walk { bytes, at: 0 };
    let (width, height) = walk.screen().ok_or_else(|| cut_off(ImageFormat::Gif))?;
    (found.width, found.height) = (width, height);
    while let Some(block) = walk.next() {
        match block {
            Block::Control { transparent } => found.has_alpha |= transparent && found.frames == 0,
            Block::Frame { left, top, width, height } => {
                limits.check_size(width, height)?;
                let covers = left == 0 && top == 0 && width >= found.width && height >= found.height;
                found.has_alpha |= !covers && found.frames == 0;
                found.frames += 1;
                limits.check_frames(found.frames)?;
            }
            Block::Other => {}
        }
    }
    if found.frames == 0 {
        return Err(cut_off(ImageFormat::Gif));
    }
    Ok(found)
}

enum Block {
    Control { transparent: bool },
    Frame { left: u32, top: u32, width: u32, height: u32 },
    Other,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    /// The logical screen, and its colours.
    fn screen(&mut self) -> Option<(u32, u32)> {
        let flags = *self.bytes.get(10)?;
        let size = (u32::from(le16(self.bytes, 6)?), u32::from(le16(self.bytes, 8)?));
        self.at = 13 + colours(flags);
        Some(size)
    }

    fn next(&mut self) -> Option<Block> {
        let kind = *self.bytes.get(self.at)?;
        match kind {
            0x21 => {
                let label = *self.bytes.get(self.at + 1)?;
                let flags = self.bytes.get(self.at + 3).copied().unwrap_or_default();
                self.at += 2;
                self.skip_data();
                Some(match label {
                    0xf9 => Block::Control { transparent: flags & 1 == 1 },
                    _ => Block::Other,
                })
            }
            0x2c => {
                let number = |at: usize| le16(self.bytes, self.at + at).map(u32::from);
                let (left, top, width, height) = (number(1)?, number(3)?, number(5)?, number(7)?);
                let flags = *self.bytes.get(self.at + 9)?;
                // after the local colours comes the size of the first code
                self.at += 10 + colours(flags) + 1;
                self.skip_data();
                Some(Block::Frame { left, top, width, height })
            }
            _ => None,
        }
    }

    /// Skips pieces of data, each with its length, up to one that is empty.
    fn skip_data(&mut self) {
        while let Some(length) = self.bytes.get(self.at) {
            self.at += 1 + usize::from(*length);
            if *length == 0 {
                break;
            }
        }
    }
}

/// Bytes of a table of colours.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}
