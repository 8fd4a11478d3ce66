//! Bit rates, measured from the playlists and the files.

use super::members;
use crate::document::{Found, Segment, Set, attribute, ensure, segments, values};

/// Size in bytes and microseconds of each segment.
fn sizes(set: &Set, name: &str) -> Vec<(u64, u64)> {
    let all = segments(set.files.get(name).map_or("", String::as_str));
    let size = |x: &Segment| x.range.map_or_else(|| set.sizes[&x.uri], |r| r.0);
    all.iter().map(|x| (size(x), x.us.unwrap_or(0))).collect()
}

fn rate(all: &[(u64, u64)]) -> f64 {
    let (bytes, us) = all.iter().fold((0, 0), |sum, x| (sum.0 + x.0, sum.1 + x.1));
    bytes as f64 * 8e6 / us as f64
}

pub fn average(set: &Set, name: &str) -> f64 {
    rate(&sizes(set, name))
}

pub fn peak(set: &Set, name: &str) -> f64 {
    let all = sizes(set, name);
    let target: f64 = values(&set.files[name], "#EXT-X-TARGETDURATION")[0].parse().unwrap();
    let mut most = 0f64;
    for from in 0..all.len() {
        for to in from + 1..=all.len() {
            let length = all[from..to].iter().map(|x| x.1).sum::<u64>() as f64 / 1e6;
            if length >= 0.5 * target && length <= 1.5 * target {
                most = most.max(rate(&all[from..to]));
            }
        }
    }
    most
}

/// Compares an attribute of each variant with the bytes, to one bit per second and rendition.
pub fn bandwidth(set: &Set, name: &str, measure: fn(&Set, &str) -> f64) -> Found {
    let lines: Vec<&str> = set.master().lines().collect();
    let variants = lines
        .iter()
        .enumerate()
        .filter_map(|(i, l)| Some((l.strip_prefix("#EXT-X-STREAM-INF:")?, lines[i + 1])));
    for (list, uri) in variants {
        let mut sum = measure(set, uri);
        for kind in ["AUDIO", "SUBTITLES"] {
            let own = members(set).into_iter().filter(|m| m.0 == kind && Some(m.1) == attribute(list, kind));
            sum += own.map(|m| measure(set, attribute(m.2, "URI").unwrap())).fold(0.0, f64::max);
        }
        let stated: f64 = attribute(list, name).and_then(|v| v.parse().ok()).unwrap_or(0.0);
        ensure((0.0..=4.0).contains(&(stated - sum)), format!("{uri} states {stated}, measured is {sum}"))?;
    }
    Ok(())
}
