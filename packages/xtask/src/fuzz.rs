//! Fuzzing without coverage: damaged documents for the targets of `packages/fuzz`.
//!
//! It does not replace a coverage-guided fuzzer, but runs everywhere, within seconds, from a
//! printed seed. A panic or a slow parse is a finding; an error is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::measure::{Watch, run as run_program};

/// Timeout for one small document.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest document: 32,768 box headers, one inside the other. libFuzzer is given the same
/// (`-max_len`), as its own default of 4 KiB holds too few of them.
const MAX_LEN: usize = 262_144;

/// `cargo xtask fuzz-lite`
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// Seconds per parser
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// MP4 files to damage [default: two generated with ffmpeg]
    #[arg(long, value_name = "FILE")]
    index: Vec<PathBuf>,
}

/// A parser, and documents that it accepts.
struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    parse: fn(&[u8]),
}

/// Damages and parses documents; returns whether there were no findings.
///
/// # Errors
/// Files that cannot be created or read.
pub fn run(args: &FuzzArgs) -> Result<bool> {
    let mut random = Random(args.seed.max(1));
    let mut clean = true;
    for target in targets(&args.index)? {
        let until = Instant::now() + Duration::from_secs(args.seconds);
        let mut tries = 0u64;
        let mut found = None;
        while found.is_none() && Instant::now() < until {
            let document = damaged(&target.seeds, &mut random);
            found = finding(&document, target.parse);
            tries += 1;
            if let Some(what) = &found {
                let path = std::env::temp_dir().join(format!("segue-fuzz-{}-{}", target.name, args.seed));
                std::fs::write(&path, &document)?;
                println!(
                    "FOUND {}: {what} after {tries} documents; it is in {}",
                    target.name,
                    path.display()
                );
            }
        }
        clean &= found.is_none();
        println!("{}: {tries} documents from seed {}", target.name, args.seed);
    }
    Ok(clean)
}

/// Parses a document; returns the kind of failure, if any.
fn finding(document: &[u8], parse: fn(&[u8])) -> Option<&'static str> {
    let started = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| parse(document)));
    match ended {
        Err(_) => Some("a panic"),
        Ok(()) if started.elapsed() > TIMEOUT => Some("a timeout"),
        Ok(()) => None,
    }
}

/// The targets with their documents: the corpus, and MP4 files for `mp4_index`.
fn targets(files: &[PathBuf]) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for segue_fuzz::Target { name, parse } in segue_fuzz::TARGETS {
        let mut seeds = if *name == "mp4_index" { indexes(files)? } else { Vec::new() };
        let folder = segue_fuzz::corpus().join(name);
        for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            seeds.push(std::fs::read(entry?.path())?);
        }
        targets.push(Target { name, seeds, parse: *parse });
    }
    Ok(targets)
}

/// The given MP4 files, else two generated ones: with the index in front, and fragmented.
fn indexes(files: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("{}", path.display()));
    if !files.is_empty() {
        return files.iter().map(|path| read(path)).collect();
    }
    let dir = tempfile::tempdir()?;
    let mut all = Vec::new();
    for flags in ["+faststart", "+frag_keyframe+empty_moov"] {
        let path = dir.path().join("a.mp4");
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=64x64:r=10:d=3"]);
        ffmpeg.args(["-c:v", "mpeg4", "-bf", "2", "-g", "5", "-movflags", flags]).arg(&path);
        run_program(&mut ffmpeg, Watch::Time)?;
        all.push(read(&path)?);
    }
    Ok(all)
}

/// Reproducible random numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }
}

/// One of the documents with random edits: flipped bits, edge values, removed or duplicated ranges,
/// truncation.
fn damaged(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const EDGES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xff, b'"'];
    let mut document = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(document.len());
        let some = (at + 1 + random.below(16)).min(document.len());
        match random.below(6) {
            _ if document.is_empty() => document.push(b'{'),
            0 => document[at] ^= 1 << random.below(8),
            1 => document[at] = EDGES[random.below(EDGES.len())],
            2 => document[at..some].fill(EDGES[random.below(EDGES.len())]),
            3 => drop(document.drain(at..some)),
            4 => {
                let twice = document[at..some].to_vec();
                document.splice(at..at, twice);
            }
            // as long as a document may be: lists and levels that end late
            5 if random.below(16) == 0 => {
                let room = MAX_LEN.saturating_sub(document.len()) / (some - at);
                let many = document[at..some].repeat(random.below(room + 1));
                document.splice(at..at, many);
            }
            // truncate rarely, since it leaves little to damage
            _ if random.below(4) == 0 => document.truncate(at),
            _ => document[at] = random.below(256) as u8,
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_found_and_an_error_is_not() {
        assert_eq!(finding(b"x", |_| panic!("broken on purpose")), Some("a panic"));
        assert_eq!(finding(b"x", segue_fuzz::manifest), None);
    }

    #[test]
    fn the_same_seed_makes_the_same_documents() {
        let seeds = [b"a document".to_vec()];
        let all = |seed| {
            let mut random = Random(seed);
            (0..50).map(|_| damaged(&seeds, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(all(3), all(3));
        assert_ne!(all(3), all(4));
    }

    #[test]
    fn each_parser_survives_a_hundred_damaged_documents() {
        let mut random = Random(7);
        for target in targets(&[]).unwrap() {
            for _ in 0..100 {
                let document = damaged(&target.seeds, &mut random);
                assert_eq!(finding(&document, target.parse), None, "{} {document:?}", target.name);
            }
        }
    }
}
