//! A job: a recipe applied to an asset. Its state is a function of its outputs.

use serde::{Deserialize, Serialize};

use crate::error::DomainError;
use crate::id::{AssetId, Epoch, JobId, OutputId, OutputRef};
use crate::output::{Failure, FaultKind, Gate, NewOutput, OutputRecord, OutputState};

/// Newest job document that this build reads, and the one it writes.
pub const JOB_VERSION: u32 = 1;

/// Maximum number of outputs of a job.
pub const OUTPUTS_MAX: usize = 32;

/// Maximum size of a job document, bytes, with every output sealed and committed; failures
/// ([`FAILURE_MAX`](crate::output::FAILURE_MAX)) come on top.
pub const DOCUMENT_MAX: usize = 64 << 10;

/// Folder of the published indexes below `jobs/JOB/`.
const INDEX_FOLDER: &str = "outputs";

/// State of a job. From `created` to `completed` it is that of the least advanced required
/// output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// The upload of its source is not confirmed yet.
    Awaiting,
    /// A required output is not planned yet.
    Created,
    /// Tasks of a required output are running or waiting.
    Mapping,
    /// A required output is being assembled.
    Assembling,
    /// The last required outputs are being published.
    Publishing,
    /// Every required output is published.
    Completed,
    /// A required output failed.
    Failed,
    /// A required output was cancelled.
    Cancelled,
    /// It is being deleted, or was deleted recently.
    Deleting,
}

impl JobState {
    /// Every state.
    pub const ALL: [JobState; 9] = [
        JobState::Awaiting,
        JobState::Created,
        JobState::Mapping,
        JobState::Assembling,
        JobState::Publishing,
        JobState::Completed,
        JobState::Failed,
        JobState::Cancelled,
        JobState::Deleting,
    ];

    /// The name in tables, logs and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Awaiting => "awaiting",
            JobState::Created => "created",
            JobState::Mapping => "mapping",
            JobState::Assembling => "assembling",
            JobState::Publishing => "publishing",
            JobState::Completed => "completed",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Deleting => "deleting",
        }
    }

    /// Parses a state from its name.
    pub fn parse(name: &str) -> Option<JobState> {
        JobState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether the job has ended: no required output changes any more unless a user retries it.
    pub fn is_terminal(self) -> bool {
        matches!(self, JobState::Completed | JobState::Failed | JobState::Cancelled | JobState::Deleting)
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<OutputState> for JobState {
    fn from(state: OutputState) -> JobState {
        match state {
            OutputState::Created => JobState::Created,
            OutputState::Mapping => JobState::Mapping,
            OutputState::Assembling => JobState::Assembling,
            OutputState::Publishing => JobState::Publishing,
            OutputState::Completed => JobState::Completed,
            OutputState::Failed => JobState::Failed,
            OutputState::Cancelled => JobState::Cancelled,
        }
    }
}

/// A job as stored in the ledger: one document, replaced as a whole by each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRecord {
    /// Document version, [`JOB_VERSION`].
    pub version: u32,
    /// Its id.
    pub id: JobId,
    /// Its epoch: a later job with the same id has another.
    pub epoch: Epoch,
    /// Increases with each change of the document.
    pub revision: u64,
    /// The asset it is applied to.
    pub asset: AssetId,
    /// Key of the source in the media store.
    pub source_key: String,
    /// The recipe document as it was submitted, JSON.
    pub recipe: String,
    /// Deadline of the source's upload, milliseconds since 1970; absent once
    /// the upload is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaiting_until_ms: Option<i64>,
    /// Whether it is being deleted: every other change is refused.
    pub deleting: bool,
    /// Its outputs, in the order in which they were requested.
    pub outputs: Vec<OutputRecord>,
    /// When it was created, milliseconds since 1970 by the ledger's clock.
    pub created_at_ms: i64,
    /// When the document last changed, likewise.
    pub updated_at_ms: i64,
    /// When it was completed for the first time, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<i64>,
}

impl JobRecord {
    /// The state, from the outputs.
    pub fn state(&self) -> JobState {
        if self.deleting {
            return JobState::Deleting;
        }
        if self.awaiting_until_ms.is_some() {
            return JobState::Awaiting;
        }
        let required = || self.outputs.iter().filter(|output| output.asked.required).map(|o| o.state);
        if required().any(|state| state == OutputState::Failed) {
            return JobState::Failed;
        }
        if required().any(|state| state == OutputState::Cancelled) {
            return JobState::Cancelled;
        }
        required().min().map_or(JobState::Completed, JobState::from)
    }

    /// Finds an output by name.
    pub fn output(&self, id: &OutputId) -> Option<&OutputRecord> {
        self.outputs.iter().find(|output| output.id() == id)
    }

    /// Finds an output by name, mutably.
    pub fn output_mut(&mut self, id: &OutputId) -> Option<&mut OutputRecord> {
        self.outputs.iter_mut().find(|output| output.id() == id)
    }

    /// Reference to an output in this epoch of the job.
    pub fn output_ref(&self, output: &OutputId) -> OutputRef {
        OutputRef { job: self.id.clone(), epoch: self.epoch.clone(), output: output.clone() }
    }

    /// Whether every output whose gate blocks the step is completed.
    pub fn needs_are_met(&self, output: &OutputRecord, gate: Gate) -> bool {
        let mut needs = output.asked.needs.iter().filter(|need| gate_holds(need.gate, gate));
        needs.all(|need| self.output(&need.output).is_some_and(|o| o.state == OutputState::Completed))
    }

    /// The first direct or indirect need of this output that failed or was cancelled.
    pub fn blocked_by<'a>(&'a self, output: &'a OutputRecord) -> Option<&'a OutputRecord> {
        let mut seen: Vec<&OutputId> = Vec::new();
        let mut next: Vec<&OutputRecord> = vec![output];
        while let Some(output) = next.pop() {
            for need in output.asked.needs.iter().rev() {
                let Some(needed) = self.output(&need.output) else { continue };
                if needed.state.is_unsuccessful() {
                    return Some(needed);
                }
                // outputs share needs: each is followed once
                if !seen.contains(&&need.output) {
                    seen.push(&need.output);
                    next.push(needed);
                }
            }
        }
        None
    }

    /// Whether the output can continue without a user: it has not ended, and none of its needs
    /// failed.
    pub fn is_open(&self, output: &OutputRecord) -> bool {
        !output.state.is_terminal() && self.blocked_by(output).is_none()
    }

    /// Outputs that can continue; none while the job is deleted or awaits its upload.
    pub fn open_outputs(&self) -> impl Iterator<Item = &OutputRecord> {
        let stopped = self.deleting || self.awaiting_until_ms.is_some();
        self.outputs.iter().filter(move |output| !stopped && self.is_open(output))
    }

    /// Whether the sweeper must inspect the job: an output is open, its upload is awaited, or it is
    /// being deleted.
    pub fn is_open_job(&self) -> bool {
        self.deleting || self.awaiting_until_ms.is_some() || self.open_outputs().next().is_some()
    }

    /// The first failure of a required output.
    pub fn failure(&self) -> Option<&Failure> {
        self.failed_output().map(|(_, failure)| failure)
    }

    /// The first required output that failed, and why.
    pub fn failed_output(&self) -> Option<(&OutputId, &Failure)> {
        let required = self.outputs.iter().filter(|output| output.asked.required);
        required.into_iter().find_map(|output| Some((output.id(), output.failure.as_ref()?)))
    }

    /// Validates a set of outputs.
    ///
    /// # Errors
    /// No output, too many, duplicate or reserved names, duplicate needs, a need of a missing output, a
    /// cycle of needs, or a required output that needs an optional one.
    pub fn check_outputs<'a>(
        outputs: impl Iterator<Item = &'a NewOutput> + Clone,
    ) -> Result<(), DomainError> {
        let bad = |why: String| Err(DomainError::Invalid { document: "outputs of the job", why });
        let all: Vec<&NewOutput> = outputs.collect();
        if all.is_empty() || all.len() > OUTPUTS_MAX {
            return bad(format!("{} outputs; a job has 1 to {OUTPUTS_MAX}", all.len()));
        }
        let find = |id: &OutputId| all.iter().find(|output| output.id == *id);
        for (position, output) in all.iter().enumerate() {
            let id = &output.id;
            if all[..position].iter().any(|other| other.id == *id) {
                return bad(format!("output {id} is listed twice"));
            }
            // its files lie in a folder of its name
            let is_same = |other: &&&NewOutput| other.id.as_str().eq_ignore_ascii_case(id.as_str());
            if let Some(other) = all[..position].iter().find(is_same) {
                return bad(format!("outputs {} and {id} differ only in upper and lower case", other.id));
            }
            if id.as_str().eq_ignore_ascii_case(INDEX_FOLDER) {
                return bad(format!("no output can have the name {id}, the folder of their indexes"));
            }
            for (place, need) in output.needs.iter().enumerate() {
                if output.needs[..place].iter().any(|other| other.output == need.output) {
                    return bad(format!("output {id} lists the need {} twice", need.output));
                }
                let Some(needed) = find(&need.output) else {
                    return bad(format!("output {id} needs {}, which is not an output", need.output));
                };
                if output.required && !needed.required {
                    return bad(format!("required output {id} needs {}, which is optional", needed.id));
                }
            }
        }
        // topological order: an output is settled when all its needs are
        let mut settled: Vec<&OutputId> = Vec::new();
        loop {
            let is_settled = |output: &&&NewOutput| {
                !settled.contains(&&output.id)
                    && output.needs.iter().all(|need| settled.contains(&&need.output))
            };
            let next: Vec<&OutputId> = all.iter().filter(is_settled).map(|output| &output.id).collect();
            if next.is_empty() {
                break;
            }
            settled.extend(next);
        }
        match all.iter().find(|output| !settled.contains(&&output.id)) {
            Some(output) => bad(format!("the needs of output {} form a cycle", output.id)),
            None => Ok(()),
        }
    }

    /// Validates that the document fits into a row of every ledger until its end: with the longest plan and index
    /// that each output can be given.
    ///
    /// # Errors
    /// A document that could exceed [`DOCUMENT_MAX`].
    pub fn check_size(&self) -> Result<(), DomainError> {
        let mut grown = self.clone();
        grown.outputs.iter_mut().for_each(|output| output.grow(&self.id));
        grown.outputs.iter_mut().for_each(|output| output.failure = None);
        (grown.revision, grown.completed_at_ms) = (u64::MAX, Some(i64::MAX));
        (grown.created_at_ms, grown.updated_at_ms) = (i64::MAX, i64::MAX);
        let bytes = grown.encode().len();
        if bytes <= DOCUMENT_MAX {
            return Ok(());
        }
        let why = format!(
            "its document could have {bytes} bytes once all {} outputs are sealed; a job has at most \
             {OUTPUTS_MAX} outputs and {DOCUMENT_MAX} bytes: shorten the recipe ({} bytes), or make two jobs",
            self.outputs.len(),
            self.recipe.len()
        );
        Err(DomainError::Invalid { document: "job", why })
    }

    /// Encodes the document for storage.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("a job has no key that is not a string")
    }

    /// Decodes a stored document.
    ///
    /// # Errors
    /// A newer version, a text that is not a job document, or an invalid set of outputs.
    pub fn decode(text: &str) -> Result<JobRecord, DomainError> {
        crate::wire::check_version("job", text.as_bytes(), JOB_VERSION)?;
        let job: JobRecord = serde_json::from_str(text)
            .map_err(|e| DomainError::Document { document: "job", why: e.to_string() })?;
        // a cycle of needs could not be followed to an end
        JobRecord::check_outputs(job.outputs.iter().map(|output| &output.asked))?;
        Ok(job)
    }
}

/// Whether a need with gate `need` blocks `step`: the assembly waits for everything the plan waits for.
fn gate_holds(need: Gate, step: Gate) -> bool {
    step == Gate::Assembly || need == Gate::Plan
}

/// The failure of a job whose upload timed out.
pub fn expired() -> Failure {
    Failure {
        kind: FaultKind::Source,
        cause: "the upload was not confirmed in time; create the job again".to_owned(),
        task: None,
        stderr_tail: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Need;

    fn asked(id: &str, required: bool, needs: &[&str]) -> NewOutput {
        let need = |id: &&str| Need { output: id.parse().unwrap(), gate: Gate::Assembly };
        NewOutput {
            id: id.parse().unwrap(),
            kind: "video".into(),
            needs: needs.iter().map(need).collect(),
            required,
            priority: 0,
            spec: "s".into(),
        }
    }

    fn job(outputs: &[(NewOutput, OutputState)]) -> JobRecord {
        let record = |(asked, state): &(NewOutput, OutputState)| OutputRecord {
            state: *state,
            ..OutputRecord::new(asked.clone(), 0)
        };
        JobRecord {
            version: JOB_VERSION,
            id: "j".parse().unwrap(),
            epoch: "1".parse().unwrap(),
            revision: 1,
            asset: "j".parse().unwrap(),
            source_key: "input/j/source.mp4".into(),
            recipe: "{}".into(),
            awaiting_until_ms: None,
            deleting: false,
            outputs: outputs.iter().map(record).collect(),
            created_at_ms: 0,
            updated_at_ms: 0,
            completed_at_ms: None,
        }
    }

    #[test]
    fn the_state_of_a_job_is_that_of_its_required_outputs() {
        use OutputState::{Cancelled, Completed, Created, Failed, Mapping, Publishing};
        let (a, b) = (asked("a", true, &[]), asked("b", true, &[]));
        let optional = asked("o", false, &[]);
        for (first, second, third, state) in [
            (Created, Completed, Completed, JobState::Created),
            (Mapping, Completed, Failed, JobState::Mapping),
            (Publishing, Mapping, Failed, JobState::Mapping),
            (Completed, Completed, Failed, JobState::Completed),
            (Completed, Completed, Mapping, JobState::Completed),
            (Completed, Failed, Completed, JobState::Failed),
            (Cancelled, Failed, Completed, JobState::Failed),
            (Cancelled, Mapping, Completed, JobState::Cancelled),
        ] {
            let job = job(&[(a.clone(), first), (b.clone(), second), (optional.clone(), third)]);
            assert_eq!(job.state(), state, "{first} {second} {third}");
            assert_eq!(JobRecord { deleting: true, ..job.clone() }.state(), JobState::Deleting);
            assert_eq!(JobRecord { awaiting_until_ms: Some(1), ..job }.state(), JobState::Awaiting);
        }
        for state in JobState::ALL {
            assert_eq!(JobState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn an_output_whose_need_failed_is_not_open() {
        let all = [
            (asked("a", false, &[]), OutputState::Failed),
            (asked("b", false, &["a"]), OutputState::Mapping),
            (asked("c", false, &["b"]), OutputState::Created),
            (asked("d", true, &[]), OutputState::Mapping),
        ];
        let job = job(&all);
        let open: Vec<_> = job.open_outputs().map(|output| output.id().as_str()).collect();
        assert_eq!(open, ["d"]);
        assert_eq!(job.blocked_by(&job.outputs[2]).unwrap().id().as_str(), "a");
        assert!(!job.needs_are_met(&job.outputs[1], Gate::Assembly));
        assert!(job.needs_are_met(&job.outputs[1], Gate::Plan), "the need gates the assembly alone");
    }

    #[test]
    fn outputs_that_cannot_stand_together_are_refused() {
        let ok = [asked("a", true, &[]), asked("b", true, &["a"]), asked("c", false, &["a", "b"])];
        JobRecord::check_outputs(ok.iter()).unwrap();
        let many: Vec<_> = (0..33).map(|i| asked(&format!("o{i}"), true, &[])).collect();
        for (outputs, why) in [
            (vec![], "0 outputs"),
            (many, "33 outputs"),
            (vec![asked("a", true, &[]), asked("a", true, &[])], "twice"),
            (vec![asked("a", true, &["x"])], "not an output"),
            (vec![asked("a", true, &["a"])], "cycle"),
            (vec![asked("a", true, &["b"]), asked("b", true, &["a"])], "cycle"),
            (vec![asked("a", true, &["b"]), asked("b", false, &[])], "optional"),
        ] {
            let refused = JobRecord::check_outputs(outputs.iter()).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn a_newer_job_document_is_distinguished_from_a_broken_one() {
        let job = job(&[(asked("a", true, &[]), OutputState::Created)]);
        assert_eq!(JobRecord::decode(&job.encode()).unwrap(), job);
        let newer = job.encode().replacen("\"version\":1", "\"version\":2,\"new\":true", 1);
        assert!(matches!(JobRecord::decode(&newer), Err(DomainError::Version { found: 2, .. })));
        assert!(matches!(JobRecord::decode("{}"), Err(DomainError::Document { .. })));
        let circle = [
            (asked("a", true, &["b"]), OutputState::Created),
            (asked("b", true, &["a"]), OutputState::Created),
        ];
        let error = JobRecord::decode(&self::job(&circle).encode()).unwrap_err();
        assert!(error.to_string().contains("cycle"), "{error}");
    }

    #[test]
    fn names_and_needs_that_would_collide_are_refused() {
        for (outputs, why) in [
            (vec![asked("outputs", true, &[])], "the folder of their indexes"),
            (vec![asked("Talk", true, &[]), asked("talk", true, &[])], "upper and lower case"),
            (vec![asked("a", true, &[]), asked("b", true, &["a", "a"])], "twice"),
        ] {
            let error = JobRecord::check_outputs(outputs.iter()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    /// Each need is followed once, however many outputs share it.
    #[test]
    fn many_shared_needs_are_followed_in_little_time() {
        let names: Vec<String> = (0..OUTPUTS_MAX).map(|n| format!("o{n:02}")).collect();
        let all = names.iter().enumerate().map(|(n, name)| {
            let needs: Vec<&str> = names[..n].iter().map(String::as_str).collect();
            (asked(name, true, &needs), OutputState::Created)
        });
        let mut job = job(&all.collect::<Vec<_>>());
        let last = job.outputs.len() - 1;
        assert!(job.blocked_by(&job.outputs[last]).is_none());
        job.outputs[0].state = OutputState::Failed;
        assert_eq!(job.blocked_by(&job.outputs[last]).map(OutputRecord::id), Some(job.outputs[0].id()));
    }
}
