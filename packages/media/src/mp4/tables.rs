//! Expands the sample tables (sizes, chunks, times, sync samples) into one list.

use super::IndexError;
use super::boxes::{self, BoxAt, Table, be32};
use super::parse::Sample;
use super::source::ByteSource;

/// Maximum number of samples: 19 hours at 60 frames per second; a larger count is an attack on memory.
const MAX_SAMPLES: usize = 1 << 22;

/// The samples of a sample table box, and the duration of the last one.
pub(super) fn samples(src: &impl ByteSource, stbl: &[BoxAt]) -> Result<(Vec<Sample>, u32), IndexError> {
    let sizes = Sizes::load(src, stbl)?;
    let mut samples = Vec::new();
    place(src, stbl, &sizes, &mut samples)?;
    let last_duration = decode_times(src, stbl, &mut samples)?;
    composition_offsets(src, stbl, &mut samples)?;
    keyframes(src, stbl, &mut samples)?;
    Ok((samples, last_duration))
}

fn required(stbl: &[BoxAt], kind: &[u8; 4]) -> Result<BoxAt, IndexError> {
    boxes::find(stbl, kind)
        .ok_or_else(|| IndexError::broken(format!("no {} box", String::from_utf8_lossy(kind))))
}

enum Sizes {
    Constant { size: u32, count: usize },
    Each(Table),
    Compact { bytes: Vec<u8>, bits: u8, count: usize },
}

impl Sizes {
    fn load(src: &impl ByteSource, stbl: &[BoxAt]) -> Result<Sizes, IndexError> {
        let sizes = match boxes::find(stbl, b"stsz") {
            Some(b) => {
                let mut size = [0; 4];
                if b.body_len() < 12 {
                    return Err(IndexError::broken("box stsz is too short"));
                }
                src.read_at(b.body + 4, &mut size)?;
                match u32::from_be_bytes(size) {
                    0 => Sizes::Each(Table::load(src, b, 4, 4)?),
                    size => Sizes::Constant { size, count: Table::load(src, b, 4, 0)?.rows },
                }
            }
            None => Sizes::compact(boxes::body(src, required(stbl, b"stz2")?)?)?,
        };
        let count = sizes.count();
        if count > MAX_SAMPLES {
            return Err(IndexError::broken(format!("{count} samples are more than we take")));
        }
        Ok(sizes)
    }

    fn compact(bytes: Vec<u8>) -> Result<Sizes, IndexError> {
        if bytes.len() < 12 {
            return Err(IndexError::broken("box stz2 is too short"));
        }
        let (bits, count) = (bytes[7], be32(&bytes, 8) as usize);
        let room = match bits {
            4 => (bytes.len() - 12).saturating_mul(2),
            8 => bytes.len() - 12,
            16 => (bytes.len() - 12) / 2,
            _ => return Err(IndexError::broken(format!("box stz2 with sizes of {bits} bits"))),
        };
        if count > room {
            return Err(IndexError::broken(format!(
                "box stz2 counts {count} entries and has room for {room}"
            )));
        }
        Ok(Sizes::Compact { bytes, bits, count })
    }

    fn count(&self) -> usize {
        match self {
            Sizes::Constant { count, .. } | Sizes::Compact { count, .. } => *count,
            Sizes::Each(table) => table.rows,
        }
    }

    fn get(&self, i: usize) -> u32 {
        match self {
            Sizes::Constant { size, .. } => *size,
            Sizes::Each(table) => table.u32(i, 0),
            Sizes::Compact { bytes, bits, .. } => match bits {
                4 => u32::from(if i.is_multiple_of(2) {
                    bytes[12 + i / 2] >> 4
                } else {
                    bytes[12 + i / 2] & 15
                }),
                8 => u32::from(bytes[12 + i]),
                _ => u32::from(u16::from_be_bytes([bytes[12 + 2 * i], bytes[13 + 2 * i]])),
            },
        }
    }
}

/// Sets the offset of every sample: chunks start at their offsets, samples are contiguous.
fn place(
    src: &impl ByteSource,
    stbl: &[BoxAt],
    sizes: &Sizes,
    samples: &mut Vec<Sample>,
) -> Result<(), IndexError> {
    let runs = Table::load(src, required(stbl, b"stsc")?, 0, 12)?;
    let (chunks, wide) = match boxes::find(stbl, b"co64") {
        Some(b) => (Table::load(src, b, 0, 8)?, true),
        None => (Table::load(src, required(stbl, b"stco")?, 0, 4)?, false),
    };
    let count = sizes.count();
    samples.reserve_exact(count);
    let mut run = 0;
    for chunk in 0..chunks.rows {
        if samples.len() == count {
            break;
        }
        while run + 1 < runs.rows && runs.u32(run + 1, 0) as usize <= chunk + 1 {
            run += 1;
        }
        if runs.rows == 0 {
            break;
        }
        let description = u16::try_from(runs.u32(run, 8)).unwrap_or(1).max(1);
        let mut offset = if wide { chunks.u64(chunk, 0) } else { u64::from(chunks.u32(chunk, 0)) };
        for _ in 0..runs.u32(run, 4) {
            if samples.len() == count {
                break;
            }
            let size = sizes.get(samples.len());
            samples.push(Sample {
                offset,
                dts: 0,
                size,
                composition: 0,
                description,
                keyframe: false,
                hidden: false,
            });
            offset = offset
                .checked_add(u64::from(size))
                .ok_or_else(|| IndexError::broken("a sample lies beyond any file"))?;
        }
    }
    if samples.len() < count {
        return Err(IndexError::broken(format!("{count} sizes and places for {} samples", samples.len())));
    }
    Ok(())
}

fn decode_times(src: &impl ByteSource, stbl: &[BoxAt], samples: &mut [Sample]) -> Result<u32, IndexError> {
    let table = Table::load(src, required(stbl, b"stts")?, 0, 8)?;
    let mut durations =
        (0..table.rows).flat_map(|i| std::iter::repeat_n(table.u32(i, 4), table.u32(i, 0) as usize));
    let (mut dts, mut last) = (0i64, 0u32);
    for sample in samples {
        sample.dts = dts;
        // after a table that ends early the last duration repeats, as in players
        last = durations.next().unwrap_or(last);
        if last > i32::MAX as u32 {
            return Err(IndexError::Unsupported("a sample of negative length".into()));
        }
        dts += i64::from(last);
    }
    Ok(last)
}

fn composition_offsets(
    src: &impl ByteSource,
    stbl: &[BoxAt],
    samples: &mut [Sample],
) -> Result<(), IndexError> {
    let Some(b) = boxes::find(stbl, b"ctts") else { return Ok(()) };
    let table = Table::load(src, b, 0, 8)?;
    let offsets =
        (0..table.rows).flat_map(|i| std::iter::repeat_n(table.u32(i, 4) as i32, table.u32(i, 0) as usize));
    for (sample, offset) in samples.iter_mut().zip(offsets) {
        sample.composition = offset;
    }
    Ok(())
}

fn keyframes(src: &impl ByteSource, stbl: &[BoxAt], samples: &mut [Sample]) -> Result<(), IndexError> {
    let Some(b) = boxes::find(stbl, b"stss") else {
        samples.iter_mut().for_each(|s| s.keyframe = true);
        return Ok(());
    };
    let table = Table::load(src, b, 0, 4)?;
    for i in 0..table.rows {
        // numbered from 1; some writers start at 0 and mean 1
        let number = (table.u32(i, 0) as usize).max(1);
        if let Some(sample) = samples.get_mut(number - 1) {
            sample.keyframe = true;
        }
    }
    Ok(())
}

/// Offset and size of every chunk.
pub(super) fn chunks(src: &impl ByteSource, stbl: &[BoxAt]) -> Result<Vec<(u64, u64)>, IndexError> {
    let sizes = Sizes::load(src, stbl)?;
    let runs = Table::load(src, required(stbl, b"stsc")?, 0, 12)?;
    let (places, wide) = match boxes::find(stbl, b"co64") {
        Some(b) => (Table::load(src, b, 0, 8)?, true),
        None => (Table::load(src, required(stbl, b"stco")?, 0, 4)?, false),
    };
    let (mut run, mut sample) = (0, 0usize);
    let mut chunks = Vec::with_capacity(places.rows);
    for chunk in 0..places.rows {
        while run + 1 < runs.rows && runs.u32(run + 1, 0) as usize <= chunk + 1 {
            run += 1;
        }
        let count = if runs.rows == 0 { 0 } else { runs.u32(run, 4) as usize };
        let stop = sample.saturating_add(count).min(sizes.count());
        let len = (sample..stop).map(|i| u64::from(sizes.get(i))).sum();
        let place = if wide { places.u64(chunk, 0) } else { u64::from(places.u32(chunk, 0)) };
        chunks.push((place, len));
        sample = stop;
    }
    if sample < sizes.count() {
        return Err(IndexError::broken("more samples than places"));
    }
    Ok(chunks)
}
