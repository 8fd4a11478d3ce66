//! Edit lists: the presented range of a track's media time, and its start in the movie.

use serde::{Deserialize, Serialize};

use super::parse::{Index, Track};

/// One entry of an edit list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Duration, in ticks of the movie's timescale.
    pub duration: u64,
    /// Media time: first presented tick of the track's clock; -1 is an empty edit.
    pub media_time: i64,
    /// Rate as 16.16; ffmpeg handles all but 1.0.
    pub rate: u32,
}

const NORMAL_SPEED: u32 = 1 << 16;

/// Presented range `[start, end)` of a simple edit list, in the track's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// First presented tick of the track's clock.
    pub start: i64,
    /// First tick after the presented range.
    pub end: i64,
}

impl Index {
    /// Marks the samples that the edit list hides, and removes those hidden after the last presented frame,
    /// which no frame references; `false` if the list is not simple.
    pub fn settle_edits(&mut self) -> bool {
        if self.track.mark_hidden(self.movie_timescale).is_none() {
            return false;
        }
        let samples = &mut self.track.samples;
        let keep = samples.iter().rposition(|s| !s.hidden).map_or(0, |i| i + 1);
        samples.truncate(keep);
        true
    }
}

impl Track {
    /// The presented range of the track's clock, if the edit list is unambiguous among
    /// players: none at all, or one edit at normal rate, perhaps after an
    /// empty edit.
    pub fn shown(&self, movie_timescale: u32) -> Option<Shown> {
        let edits = match self.edits.as_slice() {
            [first, rest @ ..] if first.media_time == -1 => rest,
            all => all,
        };
        match edits {
            [] => Some(Shown { start: i64::MIN, end: i64::MAX }),
            [one] if one.media_time >= 0 && one.rate == NORMAL_SPEED => {
                // a duration of 0 means "to the end" to some writers and an empty range to others
                if one.duration == 0 || movie_timescale == 0 {
                    return None;
                }
                let ticks = (u128::from(one.duration) * u128::from(self.timescale)
                    + u128::from(movie_timescale / 2))
                    / u128::from(movie_timescale);
                let end = i64::try_from(ticks).ok()?.checked_add(one.media_time)?;
                Some(Shown { start: one.media_time, end })
            }
            _ => None,
        }
    }

    /// Marks the samples that the edit list hides; `None` if the list is not simple.
    pub fn mark_hidden(&mut self, movie_timescale: u32) -> Option<usize> {
        let shown = self.shown(movie_timescale)?;
        let mut hidden = 0;
        for sample in &mut self.samples {
            let pts = sample.pts();
            sample.hidden = pts < shown.start || pts >= shown.end;
            hidden += usize::from(sample.hidden);
        }
        Some(hidden)
    }
}
