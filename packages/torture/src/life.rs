//! One life of a job: a program from start to end, and the faults injected meanwhile.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;
use nix::sys::signal::Signal;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::fault::{Fault, Planned, Stage, Times};
use crate::patience::Patience;
use crate::place::Place;
use crate::processes::{file_table, marked, send};
use crate::program::{Ended, Program, Role};

/// Timeout of a life, for busy machines.
const LONGEST: Duration = Duration::from_secs(600);
/// Timeout for the last lines of output after the end of the program.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(10);
/// Interval at which a child process to inject a fault into is searched for.
const RETRY_AFTER: Duration = Duration::from_millis(4);

/// An injected fault, and the stage in which it happened.
#[derive(Debug, Clone, Copy)]
pub struct Met {
    /// The fault.
    pub fault: Fault,
    /// The stage.
    pub stage: Stage,
}

/// How a life ended.
#[derive(Debug)]
pub struct LifeEnd {
    /// The ended programs, that of the job first.
    pub ended: Vec<Ended>,
    /// The injected faults.
    pub met: Vec<Met>,
    /// Whether it was killed at the timeout.
    pub hung: bool,
    /// Duration of each stage.
    pub times: Times,
}

impl LifeEnd {
    /// Whether a matching fault was injected.
    pub fn met(&self, is: impl Fn(Fault) -> bool) -> bool {
        self.met.iter().any(|met| is(met.fault))
    }
}

/// Parameters of a life.
pub struct Life<'a> {
    /// The command of the job.
    pub command: &'a dyn Fn() -> Command,
    /// The command of another job in the same folder.
    pub other: &'a dyn Fn() -> Command,
    /// Its folders.
    pub place: &'a Place,
    /// Mark of its processes.
    pub mark: &'a str,
    /// Stage of the job at the end of the previous life.
    pub prior: Stage,
    /// Durations of its stages without faults.
    pub times: Times,
    /// Number of the life.
    pub number: usize,
}

enum Act {
    Do(Fault),
    Continue(i32),
    Signal(Signal),
    FreeDisk,
}

struct Running<'a> {
    life: &'a Life<'a>,
    programs: Vec<Program>,
    /// Number of programs whose stdout is open.
    open: usize,
    send: Sender<(usize, String)>,
    lines: Receiver<(usize, String)>,
    started: Instant,
    stage: Stage,
    begins: Vec<(Stage, Duration)>,
    waiting: Vec<Planned>,
    due: Vec<(Instant, Act)>,
    met: Vec<Met>,
    rng: &'a mut Rng,
    log: &'a mut Vec<String>,
}

impl Life<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// Programs that cannot be started or waited for.
    pub fn run(&self, planned: &[Planned], rng: &mut Rng, log: &mut Vec<String>) -> Result<LifeEnd> {
        let (send, lines) = channel();
        let mut running = Running {
            life: self,
            programs: Vec::new(),
            open: 0,
            send,
            lines,
            started: Instant::now(),
            stage: Stage::Starting,
            begins: vec![(Stage::Starting, Duration::ZERO)],
            waiting: planned.to_vec(),
            due: Vec::new(),
            met: Vec::new(),
            rng,
            log,
        };
        running.start()?;
        let hung = running.until_end()?;
        let met = std::mem::take(&mut running.met);
        let times = Times::between(&running.begins, running.started.elapsed());
        let ended = running.programs.into_iter().map(Program::end).collect::<Result<Vec<_>>>()?;
        for ended in &ended {
            log.push(format!("  {:?} ended with {}", ended.role, ended.describe()));
        }
        Ok(LifeEnd { ended, met, hung, times })
    }
}

impl Running<'_> {
    fn start(&mut self) -> Result<()> {
        let now = |fault: Fault| self.waiting.iter().any(|planned| planned.fault == fault);
        let (bare, twins) = (now(Fault::NoDescriptors), now(Fault::TwinAtOnce));
        self.waiting.retain(|planned| !planned.fault.is_at_start());
        self.spawn(Role::Main, (self.life.command)(), bare)?;
        if bare {
            self.note(Fault::NoDescriptors);
        }
        if twins {
            self.spawn(Role::Twin, (self.life.command)(), false)?;
            self.note(Fault::TwinAtOnce);
        }
        Ok(())
    }

    fn spawn(&mut self, role: Role, command: Command, bare: bool) -> Result<()> {
        let index = self.programs.len();
        let stderr = self.life.place.root.join(format!("stderr-{}-{index}", self.life.number));
        let mut command = if bare { without_descriptors(&command) } else { command };
        let stderr = (!bare).then_some(stderr);
        self.programs.push(Program::start(&mut command, role, stderr, index, self.send.clone())?);
        self.open += 1;
        Ok(())
    }

    /// Runs until all programs have ended; returns whether the timeout was reached.
    fn until_end(&mut self) -> Result<bool> {
        let mut patience = Patience::new(LONGEST);
        loop {
            self.plan();
            self.act()?;
            let mut running = 0;
            for program in &mut self.programs {
                running += usize::from(program.is_running()?);
            }
            if running == 0 {
                self.read_remaining_lines();
                return Ok(false);
            }
            if patience.is_over() {
                self.log.push(format!("  +{} it does not end", self.at()));
                return Ok(true);
            }
            let next = self.due.iter().map(|(at, _)| at.saturating_duration_since(Instant::now())).min();
            match self.lines.recv_timeout(next.unwrap_or(POLL_EVERY).min(POLL_EVERY)) {
                Ok((index, line)) => self.read_line(index, &line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Reads the remaining lines, until every stdout is closed.
    fn read_remaining_lines(&mut self) {
        let mut patience = Patience::new(OUTPUT_TIMEOUT);
        while self.open > 0 && !patience.is_over() {
            if let Ok((index, line)) = self.lines.recv_timeout(POLL_EVERY) {
                self.read_line(index, &line);
            }
        }
    }

    fn read_line(&mut self, index: usize, line: &str) {
        if line.is_empty() {
            self.open -= 1;
            return;
        }
        let program = &mut self.programs[index];
        let Some(event) = program.record_event(line) else { return };
        if program.role() != Role::Intruder
            && let Some(stage) = stage_of(&event)
        {
            // a resumed life first reports the stages of earlier lives
            let stage = self.stage.max(stage).max(self.life.prior);
            if stage != self.stage {
                self.begins.push((stage, self.started.elapsed()));
            }
            self.stage = stage;
        }
    }

    /// Schedules the faults whose stage has begun.
    fn plan(&mut self) {
        let reached = self.stage.max(self.life.prior);
        let (now, later) = self.waiting.drain(..).partition(|planned| planned.stage <= reached);
        self.waiting = later;
        let times = self.life.times;
        let at = |planned: &Planned| Instant::now() + times.part(planned.stage, planned.part);
        let now: Vec<Planned> = now;
        self.due.extend(now.iter().map(|planned| (at(planned), Act::Do(planned.fault))));
    }

    fn act(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut index = 0;
        while index < self.due.len() {
            if self.due[index].0 > now {
                index += 1;
                continue;
            }
            match self.due.swap_remove(index).1 {
                Act::Do(fault) => self.fault(fault)?,
                Act::Continue(pid) => {
                    self.log.push(format!("  +{} continues {pid}", self.at()));
                    send(pid, Signal::SIGCONT);
                }
                Act::Signal(signal) => {
                    self.log.push(format!("  +{} again", self.at()));
                    self.target().map(|pid| send(pid, signal));
                }
                Act::FreeDisk => {
                    self.log.push(format!("  +{} the disk has room", self.at()));
                    self.life.place.free_disk();
                }
            }
        }
        Ok(())
    }

    fn fault(&mut self, fault: Fault) -> Result<()> {
        // an ended program cannot get a fault
        let Some(pid) = self.target() else { return Ok(()) };
        let met = match fault {
            Fault::Kill => send(pid, Signal::SIGKILL),
            Fault::Interrupt => send(pid, Signal::SIGINT),
            Fault::Terminate => send(pid, Signal::SIGTERM),
            Fault::InterruptTwice(gap) => {
                self.after(gap, Act::Signal(Signal::SIGINT));
                send(pid, Signal::SIGINT)
            }
            Fault::Stop(time) => {
                self.after(time, Act::Continue(pid));
                send(pid, Signal::SIGSTOP)
            }
            Fault::KillChild | Fault::StopChild(_) => return self.child_fault(fault),
            Fault::Memory(most) => limit(pid, Resource::As, most),
            Fault::Files(room) => limit(pid, Resource::Nofile, file_table(pid).unwrap_or(8) + room),
            Fault::FullDisk(free_after) => {
                self.life.place.fill_disk()?;
                if let Some(time) = free_after {
                    self.after(time, Act::FreeDisk);
                }
                true
            }
            Fault::CloseOutput => {
                self.programs[0].close_output();
                true
            }
            Fault::Twin => self.spawn(Role::Twin, (self.life.command)(), false).map(|()| true)?,
            Fault::Intruder => self.spawn(Role::Intruder, (self.life.other)(), false).map(|()| true)?,
            Fault::NoDescriptors | Fault::TwinAtOnce | Fault::Outage => false,
        };
        if met {
            self.note(fault);
        }
        Ok(())
    }

    fn child_fault(&mut self, fault: Fault) -> Result<()> {
        let own = |pid: i32| self.programs.iter().any(|program| program.pid == pid);
        let children: Vec<_> =
            marked(self.life.mark).into_iter().filter(|process| !own(process.pid)).collect();
        if children.is_empty() {
            self.after(RETRY_AFTER, Act::Do(fault));
            return Ok(());
        }
        let child = &children[self.rng.usize(0..children.len())];
        let met = match fault {
            Fault::StopChild(time) => {
                self.after(time, Act::Continue(child.pid));
                send(child.pid, Signal::SIGSTOP)
            }
            _ => send(child.pid, Signal::SIGKILL),
        };
        if met {
            self.log.push(format!("  +{} child: {}", self.at(), child.line));
            self.note(fault);
        }
        Ok(())
    }

    /// The process that runs the job.
    fn target(&mut self) -> Option<i32> {
        let able = self.programs.iter_mut().filter(|program| program.role() != Role::Intruder);
        able.filter_map(|program| program.is_running().ok()?.then_some(program.pid)).next()
    }

    fn after(&mut self, time: Duration, act: Act) {
        self.due.push((Instant::now() + time, act));
    }

    fn note(&mut self, fault: Fault) {
        self.log.push(format!("  +{} {fault:?} while {}", self.at(), self.stage.name()));
        self.met.push(Met { fault, stage: self.stage });
    }

    fn at(&self) -> String {
        format!("{:.3} s", self.started.elapsed().as_secs_f64())
    }
}

/// The stage that an event reports.
fn stage_of(event: &Value) -> Option<Stage> {
    match event["event"].as_str()? {
        "state" => Stage::of_state(event["state"].as_str()?),
        "stage-started" => match &event["stage"] {
            Value::String(name) if name == "plan" => Some(Stage::Planning),
            Value::String(name) if name == "join" || name == "certify" => Some(Stage::Reducing),
            Value::String(name) if name == "publish" => Some(Stage::Publishing),
            Value::Object(_) => Some(Stage::Mapping),
            _ => None,
        },
        _ => None,
    }
}

/// Sets a resource limit of a process.
pub fn limit(pid: i32, what: Resource, most: u64) -> bool {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    prlimit(Pid::from_raw(pid), what, limit).is_ok()
}

/// The same command through a shell that closes stdin and stderr.
fn without_descriptors(command: &Command) -> Command {
    let mut bare = Command::new("sh");
    bare.args(["-c", "exec \"$0\" \"$@\" <&- 2>&-"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bare.env(name, value),
            None => bare.env_remove(name),
        };
    }
    bare.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    bare
}
