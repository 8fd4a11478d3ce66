//! Roles of a process and the number of instances of each.

use std::collections::BTreeMap;
use std::str::FromStr;

use segue_domain::Failure;

use crate::failure;

/// Maximum number of instances of one role in a process.
const MOST: usize = 256;

/// A role that a process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Creates jobs for sources from notices on a queue of their own.
    Ingest,
    /// Plans outputs; also creates jobs for sources where upload notices arrive on its queue.
    Planner,
    /// Runs tasks.
    Worker,
    /// Runs the tasks that need a GPU.
    GpuWorker,
    /// Assembles outputs.
    Assembler,
    /// Resumes outputs that stalled.
    Sweeper,
}

impl RoleName {
    /// Every role.
    pub const ALL: [RoleName; 6] = [
        RoleName::Ingest,
        RoleName::Planner,
        RoleName::Worker,
        RoleName::GpuWorker,
        RoleName::Assembler,
        RoleName::Sweeper,
    ];

    /// The name on the command line and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            RoleName::Ingest => "ingest",
            RoleName::Planner => "planner",
            RoleName::Worker => "worker",
            RoleName::GpuWorker => "gpu-worker",
            RoleName::Assembler => "assembler",
            RoleName::Sweeper => "sweeper",
        }
    }

    /// The role of that name, or of one of the older names `chunker` and `reassembler`.
    pub fn parse(name: &str) -> Option<RoleName> {
        match name {
            "chunker" => Some(RoleName::Planner),
            "reassembler" => Some(RoleName::Assembler),
            _ => RoleName::ALL.into_iter().find(|role| role.as_str() == name),
        }
    }
}

/// Roles and the number of concurrent instances of each: at least one role, at least one instance each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster(BTreeMap<RoleName, usize>);

impl Roster {
    /// Each role with its number of instances.
    pub fn iter(&self) -> impl Iterator<Item = (RoleName, usize)> + '_ {
        self.0.iter().map(|(role, count)| (*role, *count))
    }

    /// Number of instances of that role.
    pub fn count(&self, role: RoleName) -> usize {
        self.0.get(&role).copied().unwrap_or(0)
    }
}

impl Default for Roster {
    fn default() -> Roster {
        "planner,worker,assembler,sweeper".parse().expect("names of roles")
    }
}

impl FromStr for Roster {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Roster, Failure> {
        let mut found = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, count) = part.split_once('=').unwrap_or((part, "1"));
            let role = RoleName::parse(name.trim());
            let role = role.ok_or_else(|| {
                let known = RoleName::ALL.map(RoleName::as_str).join(", ");
                failure::usage(format!("there is no role {name:?}; there are {known}"))
            })?;
            let count = count.trim().parse().ok().filter(|count| (1..=MOST).contains(count));
            let count = count.ok_or_else(|| {
                failure::usage(format!("role {part:?}: how many is a number from 1 to {MOST}"))
            })?;
            if found.insert(role, count).is_some() {
                return Err(failure::usage(format!(
                    "role {name:?} is listed twice; write {name}=2 for two instances"
                )));
            }
        }
        if found.is_empty() {
            return Err(failure::usage("no role is named; try planner,worker,assembler,sweeper"));
        }
        Ok(Roster(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_with_how_many_there_are() {
        let roster: Roster = "worker=4, reassembler,gpu-worker = 2".parse().unwrap();
        assert_eq!(roster.count(RoleName::Worker), 4);
        assert_eq!(roster.count(RoleName::Assembler), 1);
        assert_eq!(roster.count(RoleName::GpuWorker), 2);
        assert_eq!(roster.count(RoleName::Planner), 0);
        assert_eq!(Roster::default().iter().count(), 4);
        assert_eq!("chunker,worker,reassembler,sweeper".parse::<Roster>().unwrap(), Roster::default());
        for (text, said) in [
            ("", "no role"),
            ("worker=0", "from 1 to"),
            ("worker=x", "from 1 to"),
            ("worker,worker=2", "twice"),
            ("dancer", "there are ingest, planner"),
        ] {
            let cause = text.parse::<Roster>().unwrap_err().cause;
            assert!(cause.contains(said), "{text}: {cause}");
        }
    }
}
