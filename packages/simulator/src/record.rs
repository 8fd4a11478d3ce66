//! Recorded histories: parameters and an explicit list of faults as text, replayed without drawing others.
//!
//! A seed names other faults as soon as anything that is drawn changes; a recorded history keeps its
//! faults. Only durations and latencies are still drawn from its seed. `tests/recorded` has one for each
//! deliberate bug.

use std::fmt::{Debug, Write as _};
use std::str::FromStr;

use anyhow::{Context, bail};
use segue_domain::Gate;

use crate::event::Event;
use crate::fault::{FaultId, FaultKind};
use crate::history::Outcome;
use crate::op::{Op, Service};
use crate::oracle::Invariant;
use crate::params::{JobParams, OutputParams, Params, ProcessParams, Recorded, Role};
use crate::scenario::Scenario;

/// A history as a text keeps it.
#[derive(Debug, Clone)]
pub struct Record {
    /// What goes wrong, for a person.
    pub about: String,
    /// The deliberate bug that it finds.
    pub mutant: String,
    /// The invariant that is then violated.
    pub invariant: Invariant,
    /// Its parameters.
    pub params: Params,
}

impl Record {
    /// The record of a history that violated an invariant, with the faults that occurred.
    pub fn of(params: &Params, outcome: &Outcome, mutant: &str, about: &str) -> Option<Record> {
        let invariant = outcome.violation.as_ref()?.invariant;
        let mut params = params.clone();
        let mut recorded = Recorded { calls: outcome.of_calls.clone(), ..Recorded::default() };
        let mut events = Vec::new();
        for fault in &outcome.fired {
            match fault {
                FaultId::Call(..) => {}
                FaultId::Event(number) => events.push(params.events[*number as usize]),
                FaultId::Trait(kind, number) => drop(recorded.traits.insert((*kind, *number))),
            }
        }
        events.sort_by_key(|(at, _)| *at);
        params.events = events;
        params.recorded = Some(recorded);
        Some(Record { about: about.to_owned(), mutant: mutant.to_owned(), invariant, params })
    }

    /// The record as text.
    pub fn write(&self) -> String {
        let (params, mut text) = (&self.params, String::new());
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("about", &self.about);
        line("mutant", &self.mutant);
        line("invariant", &format!("{:?}", self.invariant));
        line("scenario", &params.scenario.name);
        line("seed", &params.seed);
        line("faults-end", &params.chaos_ms);
        line("page", &params.page);
        line("spares", &params.spares);
        for process in &params.processes {
            line("process", &process_text(process));
        }
        for job in &params.jobs {
            line("job", &job_text(job));
            for output in &job.outputs {
                line("output", &output_text(output));
            }
        }
        let none = Recorded::default();
        let recorded = params.recorded.as_ref().unwrap_or(&none);
        for ((op, n), kind) in &recorded.calls {
            line("call", &format!("{op:?} {n} {kind:?}"));
        }
        for (kind, number) in &recorded.traits {
            line("trait", &format!("{kind:?} {number}"));
        }
        for (at, event) in &params.events {
            line("event", &format!("{at} {event:?}"));
        }
        text
    }

    /// Reads a text.
    ///
    /// # Errors
    /// The line that is not one of a record.
    pub fn read(text: &str) -> anyhow::Result<Record> {
        let mut record = Record {
            about: String::new(),
            mutant: String::new(),
            invariant: Invariant::Ends,
            params: Params::draw(0, &crate::scenario::SCENARIOS[0], Default::default()),
        };
        let params = &mut record.params;
        (params.directed, params.call_faults) = (None, 0);
        params.recorded = Some(Recorded::default());
        params.enabled.clear();
        params.processes.clear();
        params.jobs.clear();
        params.events.clear();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").with_context(|| format!("{line} has no name"))?;
            record.take(name, value).with_context(|| format!("in the line {line}"))?;
        }
        Ok(record)
    }

    fn take(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let params = &mut self.params;
        match name {
            "about" => self.about = value.to_owned(),
            "mutant" => self.mutant = value.to_owned(),
            "invariant" => self.invariant = by_name(Invariant::ALL, value)?,
            "scenario" => params.scenario = Scenario::named(value).context("no such scenario")?,
            "seed" => params.seed = value.parse()?,
            "faults-end" => params.chaos_ms = value.parse()?,
            "page" => params.page = value.parse()?,
            "spares" => params.spares = value.parse()?,
            "process" => {
                let process = read_process(value)?;
                if process.version > 1 {
                    params.enabled.insert(FaultKind::Skew);
                }
                params.processes.push(process);
            }
            "job" => params.jobs.push(read_job(value)?),
            "output" => params.jobs.last_mut().context("no job")?.outputs.push(read_output(value)?),
            "event" => {
                let (at, event) = value.split_once(' ').context("no event")?;
                params.events.push((at.parse()?, read_event(event)?));
            }
            "call" | "trait" => {
                let recorded = params.recorded.as_mut().context("no list of faults")?;
                let words: Vec<&str> = value.split(' ').collect();
                match words[..] {
                    [op, n, kind] => {
                        let call = (by_name(Op::ALL, op)?, n.parse()?);
                        recorded.calls.insert(call, by_name(FaultKind::ALL, kind)?);
                    }
                    [kind, number] => {
                        recorded.traits.insert((by_name(FaultKind::ALL, kind)?, number.parse()?));
                    }
                    _ => bail!("no fault"),
                }
            }
            _ => bail!("no such name"),
        }
        Ok(())
    }
}

/// The value of an enumeration that is written like this.
fn by_name<T: Copy + Debug>(all: &[T], name: &str) -> anyhow::Result<T> {
    let found = all.iter().find(|value| format!("{value:?}") == name).copied();
    found.with_context(|| format!("there is no {name}"))
}

/// The words of a line: `NAME key=value key=value …`.
struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    fn of(text: &'a str) -> (&'a str, Words<'a>) {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        (name, Words(rest.split(' ').filter_map(|word| word.split_once('=')).collect()))
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    /// The value of a key; that of the type where it is absent.
    fn value<T: FromStr + Default>(&self, key: &str) -> anyhow::Result<T> {
        let Some(text) = self.get(key) else { return Ok(T::default()) };
        text.parse().ok().with_context(|| format!("{key}={text}"))
    }

    fn optional<T: FromStr>(&self, key: &str) -> anyhow::Result<Option<T>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        Ok(Some(text.parse().ok().with_context(|| format!("{key}={text}"))?))
    }
}

/// Appends ` key=value`, unless it is that of the type.
fn append<T: Default + PartialEq + std::fmt::Display>(text: &mut String, key: &str, value: T) {
    if value != T::default() {
        let _ = write!(text, " {key}={value}");
    }
}

fn process_text(process: &ProcessParams) -> String {
    let mut text =
        format!("{} role={:?} rate={} version={}", process.name, process.role, process.rate, process.version);
    append(&mut text, "hangs", process.hangs);
    append(&mut text, "fails", process.fails);
    text
}

fn read_process(text: &str) -> anyhow::Result<ProcessParams> {
    let roles = [Role::Planner, Role::Worker, Role::Assembler, Role::Sweeper, Role::User];
    let (name, words) = Words::of(text);
    Ok(ProcessParams {
        role: by_name(&roles, words.get("role").context("no role")?)?,
        name: name.to_owned(),
        rate: words.value("rate")?,
        version: words.value("version")?,
        hangs: words.value("hangs")?,
        fails: words.value("fails")?,
    })
}

fn job_text(job: &JobParams) -> String {
    let mut text = format!("{} at={}", job.id, job.at_ms);
    if let Some(at) = job.cancel_ms {
        let _ = write!(text, " cancel={at}");
    }
    if let Some((at, output)) = job.cancel_output {
        let _ = write!(text, " cancel-output={at}/{output}");
    }
    append(&mut text, "retries", job.retries);
    append(&mut text, "retries-one", job.retries_one);
    append(&mut text, "delete", job.delete);
    append(&mut text, "delete-early", job.delete_early);
    append(&mut text, "remakes", job.remakes);
    let again: Vec<String> = job.again_ms.iter().map(u64::to_string).collect();
    append(&mut text, "again", again.join(","));
    text
}

fn read_job(text: &str) -> anyhow::Result<JobParams> {
    let (id, words) = Words::of(text);
    let cancel_output = words.get("cancel-output").map(|text| {
        let (at, output) = text.split_once('/').context("no output")?;
        anyhow::Ok((at.parse()?, output.parse()?))
    });
    let again = words.get("again").unwrap_or_default().split(',').filter(|at| !at.is_empty());
    Ok(JobParams {
        id: id.to_owned(),
        outputs: Vec::new(),
        at_ms: words.value("at")?,
        cancel_ms: words.optional("cancel")?,
        cancel_output: cancel_output.transpose()?,
        retries: words.value("retries")?,
        retries_one: words.value("retries-one")?,
        delete: words.value("delete")?,
        delete_early: words.value("delete-early")?,
        remakes: words.value("remakes")?,
        again_ms: again.map(str::parse).collect::<Result<_, _>>()?,
    })
}

fn output_text(output: &OutputParams) -> String {
    let mut text = format!("{} segments={}", output.name, output.segments);
    append(&mut text, "whole", output.whole);
    append(&mut text, "required", output.required);
    append(&mut text, "priority", output.priority);
    if let Some((need, gate)) = output.need {
        let _ = write!(text, " needs={need} gate={gate:?}");
    }
    if let Some(at) = output.add_ms {
        let _ = write!(text, " add={at}");
    }
    text
}

fn read_output(text: &str) -> anyhow::Result<OutputParams> {
    let (name, words) = Words::of(text);
    let need = match words.optional("needs")? {
        Some(need) => {
            Some((need, by_name(&[Gate::Plan, Gate::Assembly], words.get("gate").context("no gate")?)?))
        }
        None => None,
    };
    Ok(OutputParams {
        name: name.to_owned(),
        segments: words.value("segments")?,
        whole: words.value("whole")?,
        required: words.value("required")?,
        need,
        priority: words.value("priority")?,
        add_ms: words.optional("add")?,
    })
}

fn read_event(text: &str) -> anyhow::Result<Event> {
    let (name, rest) = text.split_once('(').context("no event")?;
    let parts: Vec<&str> = rest.trim_end_matches(')').split(", ").collect();
    let part = |place: usize| parts.get(place).copied().context("too few numbers");
    let place = || anyhow::Ok(part(0)?.parse::<usize>()?);
    let dice = || anyhow::Ok(part(0)?.parse::<u64>()?);
    let service = |place: usize| by_name(&Service::ALL, part(place)?);
    Ok(match name {
        "Crash" => Event::Crash(place()?),
        "CrashForLong" => Event::CrashForLong(place()?),
        "CrashAtAwait" => Event::CrashAtAwait(place()?, part(1)?.parse()?),
        "Pause" => Event::Pause(place()?, part(1)?.parse()?),
        "Partition" => Event::Partition(place()?, service(1)?, part(2)?.parse()?),
        "Throttle" => Event::Throttle(service(0)?, part(1)?.parse()?),
        "ClockJump" => Event::ClockJump(place()?, part(1)?.parse()?),
        "LedgerClockJump" => Event::LedgerClockJump(part(0)?.parse()?, part(1)?.parse()?),
        "Forget" => Event::Forget(dice()?),
        "Duplicate" => Event::Duplicate(dice()?),
        "EarlyShow" => Event::EarlyShow(dice()?),
        "Foreign" => Event::Foreign(dice()?),
        "Stray" => Event::Stray(dice()?),
        _ => bail!("there is no event {name}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A history and the replay of its record are the same, and so is the text of the record.
    #[test]
    fn a_record_is_replayed_as_the_history_was() {
        let scratch = crate::sweep::scratch_folder().unwrap();
        let scenario = Scenario::named("everything").unwrap();
        for seed in 0..40 {
            let params = Params::draw(seed, scenario, HashSet::new());
            let mut outcome = crate::history::run(params.clone(), scratch.path());
            let invariant = Invariant::Model;
            outcome.violation = Some(crate::oracle::Violation { invariant, what: String::new() });
            let record = Record::of(&params, &outcome, "none", "a test").unwrap();
            let read = Record::read(&record.write()).unwrap();
            assert_eq!(read.write(), record.write());
            assert_eq!((&read.params.processes, &read.params.jobs), (&params.processes, &params.jobs));
            let again = crate::history::run(read.params, scratch.path());
            let faults = |outcome: &Outcome| {
                let calls = outcome.fired.iter().filter(|fault| !matches!(fault, FaultId::Event(_)));
                calls.copied().collect::<HashSet<_>>()
            };
            assert_eq!(faults(&again), faults(&outcome), "seed {seed}");
            assert_eq!(again.violation, None, "seed {seed}");
        }
        assert!(Record::read("call: Send 3").is_err() && Record::read("event: 3 Nothing(1)").is_err());
    }
}
