//! What the sandbox costs for each child: runs a program with and without it, in turn, and prints
//! the median wall times. `cargo run --release -p segue-process --example cost [PAIRS] [PROGRAM]`

use std::time::{Duration, Instant};

use segue_process::{Invocation, Limits, Policy, ProcessError, SandboxMode, output, set_policy};

#[tokio::main]
async fn main() -> Result<(), ProcessError> {
    let pairs = std::env::args().nth(1).and_then(|pairs| pairs.parse().ok()).unwrap_or(200);
    let program = std::env::args().nth(2).unwrap_or_else(|| "ffprobe".to_owned());
    let mut times = [const { Vec::<Duration>::new() }; 2];
    for _ in 0..pairs {
        for (mode, times) in [SandboxMode::Off, SandboxMode::Best].into_iter().zip(&mut times) {
            set_policy(Policy { mode, ..Policy::default() });
            let call = Invocation::new("measuring", &program, vec!["-version".into()]);
            let call = call.reading("/etc/hostname").writing(std::env::temp_dir()).with_memory(2 << 30);
            let begun = Instant::now();
            output(&call, &Limits::default(), 1 << 20).await?;
            times.push(begun.elapsed());
        }
    }
    for (name, times) in ["without", "with"].into_iter().zip(&mut times) {
        times.sort();
        let at = |part: usize| times.get(times.len() * part / 4).copied().unwrap_or_default();
        println!("{name}: median {:?}, quartiles {:?} and {:?}", at(2), at(1), at(3));
    }
    Ok(())
}
