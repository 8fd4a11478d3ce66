//! A strict reader of HLS playlists, written from RFC 8216 and independent of the writer.

use std::collections::BTreeMap;

/// Playlists of one stream by name, and an earlier version of those that grow.
#[derive(Debug, Clone)]
pub struct Set {
    pub files: BTreeMap<String, String>,
    pub before: BTreeMap<String, String>,
    /// Sizes of the files of the parts.
    pub sizes: BTreeMap<String, u64>,
}

pub type Found = Result<(), String>;

/// A tag with the text after its colon.
pub fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|l| l.starts_with("#EXT"));
    lines.map(|l| l.split_once(':').unwrap_or((l, "")))
}

/// The values of all tags of this name.
pub fn values<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    tags(text).filter(|(tag, _)| *tag == name).map(|(_, value)| value).collect()
}

pub fn has(text: &str, name: &str) -> bool {
    tags(text).any(|(tag, _)| tag == name)
}

/// An attribute list, section 4.2.
pub fn attributes(list: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut found = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| format!("no value in {rest:?}"))?;
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("attribute name {name:?}"));
        }
        let end = match after.strip_prefix('"') {
            Some(quoted) => 2 + quoted.find('"').ok_or_else(|| format!("open quotation in {after:?}"))?,
            None => after.find(',').unwrap_or(after.len()),
        };
        let (value, left) = after.split_at(end);
        if value.is_empty() || (!value.starts_with('"') && value.contains([' ', '"'])) {
            return Err(format!("value {value:?} of {name}"));
        }
        found.push((name, value));
        rest = match left.strip_prefix(',') {
            Some("") => return Err("a comma at the end of a list".into()),
            Some(more) => more,
            None if left.is_empty() => left,
            None => return Err(format!("{left:?} after the value of {name}")),
        };
    }
    Ok(found)
}

/// One attribute without its quotation marks.
pub fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    let all = attributes(list).ok()?;
    all.into_iter().find(|(n, _)| *n == name).map(|(_, value)| value.trim_matches('"'))
}

/// A media segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Duration in microseconds, if stated.
    pub us: Option<u64>,
    pub range: Option<(u64, Option<u64>)>,
    pub uri: String,
    pub map: Option<String>,
}

pub fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = format!("{part:0<6}");
    (part.len() == 6).then_some(())?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + part.parse::<u64>().ok()?)
}

/// The media segments of a media playlist.
pub fn segments(text: &str) -> Vec<Segment> {
    let (mut all, mut us, mut range, mut map) = (Vec::new(), None, None, None);
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#EXTINF:") {
            us = micros(value.split(',').next().unwrap_or_default());
        } else if let Some(value) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (length, offset) = match value.split_once('@') {
                Some((length, offset)) => (length, offset.parse().ok()),
                None => (value, None),
            };
            range = length.parse().ok().map(|length| (length, offset));
        } else if let Some(value) = line.strip_prefix("#EXT-X-MAP:") {
            map = Some(attribute(value, "URI").unwrap_or_default().to_owned());
        } else if !line.is_empty() && !line.starts_with('#') {
            all.push(Segment { us: us.take(), range: range.take(), uri: line.to_owned(), map: map.clone() });
        }
    }
    all
}

impl Set {
    pub fn master(&self) -> &str {
        &self.files["master.m3u8"]
    }

    /// The media playlists.
    pub fn media(&self) -> impl Iterator<Item = (&str, &str)> {
        let media = self.files.iter().filter(|(name, _)| *name != "master.m3u8");
        media.map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Checks each playlist.
    pub fn each(&self, check: impl Fn(&str) -> Found) -> Found {
        self.files.iter().try_for_each(|(name, text)| check(text).map_err(|e| format!("{name}: {e}")))
    }

    /// Checks each media playlist.
    pub fn each_media(&self, check: impl Fn(&str) -> Found) -> Found {
        self.media().try_for_each(|(name, text)| check(text).map_err(|e| format!("{name}: {e}")))
    }

    /// Checks each tag of this name in the master playlist.
    pub fn each_tag(&self, name: &str, check: impl Fn(&str) -> Found) -> Found {
        values(self.master(), name)
            .into_iter()
            .try_for_each(|v| check(v).map_err(|e| format!("{name}:{v}: {e}")))
    }
}

/// An error unless it holds.
pub fn ensure(holds: bool, message: impl Into<String>) -> Found {
    if holds { Ok(()) } else { Err(message.into()) }
}
