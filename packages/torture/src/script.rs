//! Script of one job: source, work and faults, determined by the seed and the job's number.

use std::time::Duration;

use fastrand::Rng;

use crate::fault::{Fault, LONGER_THAN_A_LEASE, Planned, Stage};
use crate::source::Source;

/// Most lives with faults; fewer than the ten starts after which a task counts as poison.
const MOST_LIVES: usize = 6;

/// Kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Copy all streams.
    Rejoin,
    /// Copy, with `cp` on every segment.
    MapCopy,
    /// Copy, with a slow ffmpeg.
    MapSlow,
    /// Copy, with a script that starts further programs.
    MapScript,
    /// Encode every segment.
    Encode,
    /// Transcribe.
    Transcript,
    /// Transcript, copy with subtitles, thumbnail.
    Standard,
}

impl Work {
    /// Whether the result must equal the source.
    pub fn copies(self) -> bool {
        !matches!(self, Work::Encode | Work::Transcript)
    }

    /// Whether it needs a speech model.
    pub fn needs_model(self) -> bool {
        matches!(self, Work::Transcript | Work::Standard)
    }
}

/// Capabilities of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Able {
    /// Whether a small disk can be mounted.
    pub small_disk: bool,
    /// Whether the speech models are installed.
    pub model: bool,
    /// Whether the run is long enough for stops longer than a lease.
    pub long_stops: bool,
}

/// One job and its faults.
#[derive(Debug, Clone)]
pub struct Script {
    /// The source.
    pub source: Source,
    /// Kind of work.
    pub work: Work,
    /// Concurrent workers.
    pub workers: u32,
    /// Whether the state has its own folder.
    pub own_state: bool,
    /// Whether the output folder is on a small disk.
    pub small_disk: bool,
    /// The faults of each life; a further life without faults follows.
    pub lives: Vec<Vec<Planned>>,
    /// Random numbers for choices at run time, such as one of several children.
    pub rng: Rng,
}

impl Script {
    /// The script of job `number`.
    pub fn new(seed: u64, number: u64, able: Able) -> Script {
        let mut rng = Rng::with_seed(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
                ^ number.wrapping_add(1).wrapping_mul(0xD1B5_4A32_D192_ED03),
        );
        let source = source(&mut rng);
        let wanted = work(&mut rng, source);
        let work = if wanted.needs_model() && !able.model { Work::Rejoin } else { wanted };
        let workers = rng.u32(1..=3);
        let own_state = rng.u32(0..5) == 0;
        let wanted_disk = rng.u32(0..4) == 0;
        let small_disk = wanted_disk && able.small_disk;
        let count = rng.usize(1..=MOST_LIVES);
        let mut lives: Vec<Vec<Planned>> = (0..count).map(|_| life(&mut rng, source, small_disk)).collect();
        for planned in lives.iter_mut().flatten().filter(|_| !able.long_stops) {
            if matches!(planned.fault, Fault::Stop(time) if time >= LONGER_THAN_A_LEASE) {
                planned.fault = Fault::Stop(Duration::from_secs(1));
            }
        }
        Script { source, work, workers, own_state, small_disk, lives, rng }
    }
}

fn source(rng: &mut Rng) -> Source {
    let all = [
        (Source::Closed, 5),
        (Source::OpenGop, 4),
        (Source::LateSound, 3),
        (Source::SoundOnly, 2),
        (Source::Vfr, 3),
        (Source::Unindexed, 3),
        (Source::Large, 3),
        (Source::Talk, 1),
        (Source::CutOff, 1),
        (Source::Noise, 1),
        (Source::Text, 1),
    ];
    pick(rng, &all)
}

fn work(rng: &mut Rng, source: Source) -> Work {
    let all: &[(Work, u32)] = match source {
        Source::Talk => &[(Work::Transcript, 1), (Work::Standard, 1)],
        Source::SoundOnly => &[(Work::Rejoin, 1)],
        Source::Large => &[(Work::Rejoin, 2), (Work::MapCopy, 1)],
        _ => &[
            (Work::Rejoin, 2),
            (Work::MapCopy, 2),
            (Work::MapSlow, 4),
            (Work::MapScript, 2),
            (Work::Encode, 3),
        ],
    };
    pick(rng, all)
}

fn life(rng: &mut Rng, source: Source, small_disk: bool) -> Vec<Planned> {
    let first = planned(rng, source, small_disk);
    // after a fault that does not end the life, a second one is more likely
    let more = if first.fault.is_mild() { 3 } else { 1 };
    let second = planned(rng, source, small_disk);
    let clash =
        first.fault == Fault::Intruder || second.fault == Fault::Intruder || second.fault.is_at_start();
    if rng.u32(0..4) < more && !clash { vec![first, second] } else { vec![first] }
}

fn planned(rng: &mut Rng, source: Source, small_disk: bool) -> Planned {
    let stages = [
        (Stage::Starting, 2),
        (Stage::Planning, 2),
        (Stage::Mapping, 5),
        (Stage::Reducing, 4),
        (Stage::Publishing, 3),
        (Stage::Delivering, 2),
    ];
    let fault = fault(rng, source, small_disk);
    let stage = match fault {
        // before that, the intruder could claim the folder first
        Fault::Intruder => Stage::Mapping.max(pick(rng, &stages)),
        _ => pick(rng, &stages),
    };
    // up to slightly after the end of the stage
    Planned { fault, stage, part: rng.u32(0..1_050) }
}

fn fault(rng: &mut Rng, source: Source, small_disk: bool) -> Fault {
    let ms = |rng: &mut Rng, from: u64, to: u64| Duration::from_millis(rng.u64(from..to));
    let mut all = vec![
        (Fault::Kill, 12),
        (Fault::KillChild, 6),
        (Fault::Stop(ms(rng, 20, 2_000)), 3),
        (Fault::Stop(LONGER_THAN_A_LEASE + ms(rng, 0, 4_000)), 1),
        (Fault::StopChild(ms(rng, 20, 2_000)), 2),
        (Fault::Interrupt, 3),
        (Fault::Terminate, 3),
        (Fault::InterruptTwice(ms(rng, 0, 300)), 3),
        // from below the current use, where allocations fail at once, to somewhat above
        (Fault::Memory(rng.u64(64 << 20..700 << 20)), 3),
        (Fault::Files(rng.u64(0..12)), 3),
        (Fault::CloseOutput, 1),
        (Fault::NoDescriptors, 1),
        (Fault::Twin, 2),
        (Fault::TwinAtOnce, 2),
    ];
    if source.is_good() {
        all.push((Fault::Intruder, 2));
    }
    if small_disk {
        all.push((Fault::FullDisk(None), 12));
        all.push((Fault::FullDisk(Some(ms(rng, 50, 6_000))), 12));
    }
    pick(rng, &all)
}

fn pick<T: Copy>(rng: &mut Rng, weighted: &[(T, u32)]) -> T {
    let sum = weighted.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.u32(0..sum);
    for (item, weight) in weighted {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return *item,
        }
    }
    weighted[weighted.len() - 1].0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABLE: Able = Able { small_disk: true, model: true, long_stops: true };

    #[test]
    fn the_same_seed_and_number_is_the_same_script() {
        let text = |seed, number| format!("{:?}", Script::new(seed, number, ABLE));
        assert_eq!(text(3, 7), text(3, 7));
        assert_ne!(text(3, 7), text(3, 8));
        assert_ne!(text(3, 7), text(4, 7));
    }

    #[test]
    fn every_fault_is_planned_for_every_possible_stage() {
        let mut met = std::collections::HashSet::new();
        for number in 0..4_000 {
            let script = Script::new(1, number, ABLE);
            assert!((1..=MOST_LIVES).contains(&script.lives.len()));
            for planned in script.lives.iter().flatten() {
                assert!(script.small_disk || !planned.fault.needs_small_disk());
                met.insert((planned.fault.name(), planned.stage));
            }
        }
        for fault in Fault::ALL.into_iter().filter(|fault| *fault != Fault::Outage) {
            for stage in Stage::ALL {
                if fault != Fault::Intruder || stage >= Stage::Mapping {
                    assert!(met.contains(&(fault.name(), stage)), "{} in {}", fault.name(), stage.name());
                }
            }
        }
    }
}
