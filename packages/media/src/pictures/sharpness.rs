//! How well a frame stands for a video: sharp, neither dark nor of one colour.

use super::frames::Picture;

/// Measures of a frame's luma, 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub contrast: f64,
    /// Variance of the Laplacian: edges of a sharp picture make it large.
    pub sharpness: f64,
}

/// Mean below which a frame is black.
const DARK: f64 = 24.0;
/// Mean above which it is white.
const WHITE: f64 = 235.0;
/// Contrast below which it is blank.
const BLANK: f64 = 8.0;

impl Look {
    /// Measures a picture.
    pub fn of(picture: &Picture) -> Look {
        let luma: Vec<f64> = picture
            .rgb
            .chunks_exact(3)
            .map(|p| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]))
            .collect();
        let (mean, variance) = spread(luma.iter().copied());
        let (width, height) = (picture.width as usize, picture.height as usize);
        let at = |x: usize, y: usize| luma[y * width + x];
        let edges =
            (1..height.saturating_sub(1)).flat_map(|y| (1..width.saturating_sub(1)).map(move |x| (x, y)));
        let edges =
            edges.map(|(x, y)| 4.0 * at(x, y) - at(x - 1, y) - at(x + 1, y) - at(x, y - 1) - at(x, y + 1));
        let (_, sharpness) = spread(edges);
        Look { mean, contrast: variance.sqrt(), sharpness }
    }

    /// Whether it shows something: neither black, nor white, nor of one colour.
    pub fn is_shown(&self) -> bool {
        (DARK..=WHITE).contains(&self.mean) && self.contrast >= BLANK
    }

    /// The greater, the better as a poster. A frame that shows nothing is worse than any that does.
    pub fn rank(&self) -> (bool, f64) {
        let value = if self.is_shown() { self.sharpness } else { self.contrast };
        (self.is_shown(), value)
    }
}

/// Mean and variance.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for value in values {
        count += 1.0;
        sum += value;
        squares += value * value;
    }
    if count == 0.0 {
        return (0.0, 0.0);
    }
    let mean = sum / count;
    (mean, (squares / count - mean * mean).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: u32, height: u32, of: impl Fn(u32, u32) -> u8) -> Picture {
        let rgb = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = rgb.flat_map(|(x, y)| [of(x, y); 3]).collect();
        Picture { width, height, rgb }
    }

    #[test]
    fn sharp_is_before_blurred_before_dark_and_blank() {
        let sharp = gray(64, 48, |x, _| if x / 8 % 2 == 0 { 40 } else { 200 });
        let blurred = gray(64, 48, |x, _| 120 + (80.0 * (f64::from(x) * 0.4).sin()) as u8);
        let dark = gray(64, 48, |x, y| if (x, y) == (5, 5) { 255 } else { 2 });
        let blank = gray(64, 48, |_, _| 128);
        let white = gray(64, 48, |_, _| 255);
        let rank = |picture: &Picture| Look::of(picture).rank();
        assert!(rank(&sharp) > rank(&blurred), "{:?} {:?}", Look::of(&sharp), Look::of(&blurred));
        for worse in [&dark, &blank, &white] {
            assert!(rank(&blurred) > rank(worse), "{:?}", Look::of(worse));
            assert!(!Look::of(worse).is_shown());
        }
        assert!(!Look::of(&gray(1, 1, |_, _| 128)).is_shown());
    }
}
