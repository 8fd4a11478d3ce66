//! The orientation of EXIF: how stored pixels are turned and mirrored for display.

use serde::{Deserialize, Serialize};

/// An orientation of EXIF (tag 0x0112), 1 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Orientation(u8);

impl Default for Orientation {
    fn default() -> Self {
        Orientation(1)
    }
}

impl Orientation {
    /// An orientation by its number; other numbers than 1 to 8 count as 1, as in viewers.
    pub(crate) fn from_number(number: u16) -> Orientation {
        match number {
            1..=8 => Orientation(number as u8),
            _ => Orientation(1),
        }
    }

    /// Its number in EXIF.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// Size for display of pixels that are stored in this size, or the other way round.
    pub(crate) fn turned(self, size: (u32, u32)) -> (u32, u32) {
        if self.swaps_sides() { (size.1, size.0) } else { size }
    }

    /// Pixels in the order of display. `channels` bytes per pixel.
    pub(crate) fn apply(self, pixels: Vec<u8>, size: (u32, u32), channels: usize) -> Vec<u8> {
        if self.0 == 1 {
            return pixels;
        }
        let (width, height) = (size.0 as usize, size.1 as usize);
        let (out_width, out_height) = if self.swaps_sides() { (height, width) } else { (width, height) };
        let mut turned = Vec::with_capacity(pixels.len());
        for y in 0..out_height {
            for x in 0..out_width {
                let (from_x, from_y) = match self.0 {
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (y, height - 1 - x),
                    7 => (width - 1 - y, height - 1 - x),
                    8 => (width - 1 - y, x),
                    _ => (x, y),
                };
                let at = (from_y * width + from_x) * channels;
                turned.extend_from_slice(&pixels[at..at + channels]);
            }
        }
        turned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture `12 / 34` with a third row `56`, as each orientation shows it.
    #[test]
    fn each_orientation_turns_the_pixels() {
        let stored = vec![1, 2, 3, 4, 5, 6];
        for (number, shown) in [
            (1, [1, 2, 3, 4, 5, 6]),
            (2, [2, 1, 4, 3, 6, 5]),
            (3, [6, 5, 4, 3, 2, 1]),
            (4, [5, 6, 3, 4, 1, 2]),
            (5, [1, 3, 5, 2, 4, 6]),
            (6, [5, 3, 1, 6, 4, 2]),
            (7, [6, 4, 2, 5, 3, 1]),
            (8, [2, 4, 6, 1, 3, 5]),
        ] {
            let orientation = Orientation::from_number(number);
            assert_eq!(orientation.apply(stored.clone(), (2, 3), 1), shown, "{number}");
            assert_eq!(orientation.turned((2, 3)), if number >= 5 { (3, 2) } else { (2, 3) });
        }
        for number in [0, 9, 256, u16::MAX] {
            assert_eq!(Orientation::from_number(number).number(), 1);
        }
    }
}
