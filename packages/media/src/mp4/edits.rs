//! Edit lists: which part of a track's own clock is shown, and when.

use serde::{Deserialize, Serialize};

use super::parse::{Index, Track};

/// One row of an edit list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// Length, in ticks of the movie's clock.
    pub duration: u64,
    /// First tick shown, on the track's clock; -1 shows nothing.
    pub media_time: i64,
    /// Speed as 16.16; anything but 1.0 is left to ffmpeg.
    pub rate: u32,
}

const NORMAL_SPEED: u32 = 1 << 16;

/// What a simple edit list says: shown is `[start, end)` of the track's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// First tick of the track's clock that is shown.
    pub start: i64,
    /// First tick that is not shown any more.
    pub end: i64,
}

impl Index {
    /// Marks what the edit list hides, and forgets what it hides after the last frame shown,
    /// which nothing needs; `false` where the list is not simple.
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
    /// The range of the track's clock that is shown, where the edit list is one that a player
    /// cannot read in two ways: none at all, or one edit at normal speed, perhaps after an
    /// empty one.
    pub fn shown(&self, movie_timescale: u32) -> Option<Shown> {
        let edits = match self.edits.as_slice() {
            [first, rest @ ..] if first.media_time == -1 => rest,
            all => all,
        };
        match edits {
            [] => Some(Shown { start: i64::MIN, end: i64::MAX }),
            [one] if one.media_time >= 0 && one.rate == NORMAL_SPEED => {
                // a length of nothing means "to the end" to some writers and nothing to others
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

    /// Marks the samples that the edit list hides; `None` where the list is not simple.
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
