//! Streams for the tests.

use segue_domain::playlist::{Fragment, FrameRate, Part, Recorded, Rendition, RenditionKind, Stream};

/// A rendition without particulars.
pub fn rendition(id: &str, kind: RenditionKind, codec: &str, timescale: u32, parts: u32) -> Rendition {
    Rendition {
        id: id.into(),
        kind,
        timescale,
        codec: codec.into(),
        language: None,
        name: id.into(),
        default: false,
        peak_limit: None,
        parts,
    }
}

/// Fragments of these bytes, one after the other in a file.
pub fn fragments(sizes: &[u64], ticks: i64, keyframe_bytes: u64) -> Vec<Fragment> {
    let mut offset = 0;
    sizes
        .iter()
        .map(|bytes| {
            let fragment = Fragment { offset, bytes: *bytes, ticks, keyframe_bytes };
            offset += bytes;
            fragment
        })
        .collect()
}

/// A part that continues those before it.
pub fn part(id: &str, index: usize, init: &str, start: i64, fragments: Vec<Fragment>) -> Part {
    Part { uri: format!("{id}-{index}.m4s"), init: init.into(), init_hash: init.into(), start, fragments }
}

/// Two sizes at 30000/1001, sound in two languages, subtitles; 20 s in fragments of 120 frames, the last one of 60.
pub fn stream() -> Stream {
    let rate = FrameRate { num: 30_000, den: 1001 };
    let picture = |width, height| RenditionKind::Picture { width, height, frame_rate: rate };
    let sound = |channels| RenditionKind::Sound { channels, sample_rate: 48_000 };
    let mut renditions = vec![
        rendition("720p", picture(1280, 720), "avc1.64001f", 30_000, 3),
        rendition("360p", picture(640, 360), "avc1.64001e", 30_000, 3),
        rendition("audio-en", sound(2), "mp4a.40.2", 48_000, 1),
        rendition("audio-zh", sound(6), "mp4a.40.2", 48_000, 1),
        rendition("text-en", RenditionKind::Subtitles { whole: "en.vtt".into() }, "", 1000, 5),
    ];
    renditions[0].peak_limit = Some(6_000_000);
    for (at, language, name) in [(2, "en", "English"), (3, "zh", "中文"), (4, "en", "English")] {
        renditions[at].language = Some(language.into());
        renditions[at].name = name.into();
        renditions[at].default = at != 3;
    }
    Stream { target_s: 4, renditions }
}

/// Everything that [`stream`] plans, recorded.
pub fn recorded() -> Recorded {
    let mut all = Recorded::new();
    let mut add =
        |id: &str, index: usize, part| all.entry(id.to_owned()).or_default().insert(index as u32, part);
    for (id, scale) in [("720p", 4), ("360p", 1)] {
        let (mut start, init) = (0, format!("{id}-init.mp4"));
        for (index, sizes) in [&[300_000, 250_000][..], &[310_001, 200_000], &[150_000]].iter().enumerate() {
            let sizes: Vec<u64> = sizes.iter().map(|s| s * scale).collect();
            let ticks = if index == 2 { 60 * 1001 } else { 120 * 1001 };
            let part = part(id, index, &init, start, fragments(&sizes, ticks, 20_000 * scale));
            start = part.end();
            add(id, index, part);
        }
    }
    for (id, size) in [("audio-en", 64_000), ("audio-zh", 96_000)] {
        let mut fragments = fragments(&[size; 5], 192_192, 0);
        fragments[4].ticks = 96_096;
        add(id, 0, part(id, 0, &format!("{id}-init.mp4"), 0, fragments));
    }
    for index in 0..5 {
        let (from, to) = (index as i64 * 4004, (index as i64 * 4004 + 4004).min(18_018));
        let mut part = part("text-en", index, "", from, fragments(&[180], to - from, 0));
        part.uri = format!("text-en-{index}.vtt");
        add("text-en", index, part);
    }
    all
}
