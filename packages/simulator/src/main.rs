//! `segue-simulator`: what `cargo xtask simulate` runs.

fn main() {
    let mut args = std::env::args().skip(1);
    let scenario = segue_simulator::Scenario::named(&args.next().unwrap()).unwrap();
    let from: u64 = args.next().unwrap().parse().unwrap();
    let to: u64 = args.next().unwrap().parse().unwrap();
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    let started = std::time::Instant::now();
    let (mut calls, mut ms, mut bytes) = (0, 0, 0);
    let mut ends = [0; 4];
    let mut kinds = std::collections::BTreeMap::new();
    for seed in from..to {
        let out = segue_simulator::run(segue_simulator::Params::draw(seed, scenario, Default::default()), root.path());
        calls += out.calls;
        ms += out.virtual_ms;
        bytes += out.log.len();
        for (a, b) in ends.iter_mut().zip(out.ends) { *a += b; }
        if let Some(v) = &out.violation {
            let n = kinds.entry(v.invariant).or_insert(0);
            *n += 1;
            if *n <= 2 || to - from == 1 {
                println!("seed {seed} {:016x}: {}: {}", out.hash(), v.invariant.as_str(), v.what);
            }
        }
        if to - from == 1 {
            println!("{}", out.log);
        }
    }
    let s = started.elapsed().as_secs_f64();
    let n = (to - from) as f64;
    println!("{kinds:?} ends {ends:?}");
    println!("{} histories in {s:.2} s, {:.0}/s, calls {:.0} each, virtual {:.0} s each, log {:.0} bytes each", to - from, n / s, calls as f64 / n, ms as f64 / n / 1000.0, bytes as f64 / n);
}
