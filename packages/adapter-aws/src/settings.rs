//! Settings: the environment contract of a deployment, read once and whole.

use std::time::Duration;

use segue_domain::TaskKind;
use segue_ports::{PortError, PortErrorKind};

use crate::error::say;
use crate::ledger::Tables;
use crate::queue::Lanes;
use crate::store::Buckets;

/// A variable of the environment, for the table that documents them all.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it means, for people.
    pub meaning: &'static str,
    /// What holds where it is not set; `None` where it has to be.
    pub default: Option<&'static str>,
    /// Whether the services need it.
    needed: fn(Services) -> bool,
}

/// The services of a deployment that a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Services {
    /// The ledger.
    pub dynamodb: bool,
    /// The queues.
    pub sqs: bool,
    /// The media store.
    pub s3: bool,
}

impl Services {
    /// A whole deployment.
    pub const ALL: Services = Services { dynamodb: true, sqs: true, s3: true };
}

const fn must(name: &'static str, meaning: &'static str, needed: fn(Services) -> bool) -> Variable {
    Variable { name, meaning, default: None, needed }
}

const fn may(name: &'static str, meaning: &'static str, default: &'static str) -> Variable {
    Variable { name, meaning, default: Some(default), needed: |_| false }
}

/// Every variable that the AWS backend reads by itself. Credentials are found by the SDK's
/// own chain: environment, profile, SSO, web identity, the role of a task or an instance.
pub const VARIABLES: &[Variable] = &[
    must("INPUT_BUCKET_NAME", "S3 bucket of the sources and of what is cut from them", |of| of.s3),
    must("OUTPUT_BUCKET_NAME", "S3 bucket of attempts and of what is published", |of| of.s3),
    must("JOBS_TABLE_NAME", "DynamoDB table of the jobs", |of| of.dynamodb),
    must("SEGMENT_COMPLETIONS_TABLE_NAME", "DynamoDB table of the completions", |of| of.dynamodb),
    must("REASSEMBLY_TRIGGERED_TABLE_NAME", "DynamoDB table of the leases", |of| of.dynamodb),
    must("CHUNKING_QUEUE_URL", "SQS queue of the jobs to plan", |of| of.sqs),
    must("MAP_QUEUE_URL", "SQS queue of the tasks to do", |of| of.sqs),
    must("REASSEMBLY_QUEUE_URL", "SQS queue of the jobs to join", |of| of.sqs),
    may(
        "INGEST_QUEUE_URL",
        "SQS queue of the notices of uploads, for the role `ingest`",
        "notices come to `CHUNKING_QUEUE_URL`, and the chunker takes them",
    ),
    may(
        "MAP_GPU_QUEUE_URL",
        "SQS queue of the tasks that need a GPU; the role `gpu-worker` takes from it",
        "GPU tasks go to `MAP_QUEUE_URL`",
    ),
    may(
        "GPU_TASKS",
        "kinds of tasks that need a GPU, where there is a queue for them: `transcribe,map`",
        "`transcribe`",
    ),
    may("AWS_REGION", "region of all of them", "`us-east-1`"),
    may("AWS_ENDPOINT_URL", "endpoint of an emulator or another service", "that of the region"),
    may("CHUNK_SEGMENT_DURATION_SEC", "length of a segment, seconds", "what the recipe says"),
    may("JOB_RETENTION_DAYS", "days after which an ended job is forgotten", "90"),
];

/// A queue of its own for tasks that need a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuLane {
    /// Its URL.
    pub url: String,
    /// The kinds of tasks that go there.
    pub tasks: Vec<TaskKind>,
}

/// The kinds in a list of their names, or what is none.
fn kinds(list: &str) -> Result<Vec<TaskKind>, String> {
    let kind = |name: &str| {
        let found = TaskKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| format!("GPU_TASKS has {name:?}, which is no kind of task"))
    };
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(kind).collect()
}

/// What the backend needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// Where the media are.
    pub buckets: Buckets,
    /// Where the ledger is.
    pub tables: Tables,
    /// Where the messages are.
    pub queues: Lanes,
    /// URL of the queue of the notices of uploads, where they have their own.
    pub ingest_queue: Option<String>,
    /// Where the tasks are that need a GPU, and which kinds these are.
    pub gpu: Option<GpuLane>,
    /// Region of all of them.
    pub region: String,
    /// Another endpoint than the region's.
    pub endpoint_url: Option<String>,
    /// Length of a segment, where the deployment sets one.
    pub segment_duration: Option<Duration>,
    /// How long ended jobs stay in the ledger.
    pub keep_ended: Duration,
}

impl AwsSettings {
    /// Reads them through `get`, which is `|name| std::env::var(name).ok()` in a program. A
    /// variable with an empty value counts as not set.
    ///
    /// # Errors
    /// `Environment`, naming everything that is missing or odd at once.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<AwsSettings, PortError> {
        AwsSettings::read_for(Services::ALL, get)
    }

    /// As [`AwsSettings::read`], for a process that uses only these services: what the others need
    /// may be missing.
    ///
    /// # Errors
    /// As [`AwsSettings::read`].
    pub fn read_for(
        services: Services,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<AwsSettings, PortError> {
        let get = |name: &str| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let missing: Vec<&str> = VARIABLES
            .iter()
            .filter(|variable| (variable.needed)(services) && get(variable.name).is_none())
            .map(|variable| variable.name)
            .collect();
        let mut wrong = Vec::new();
        if !missing.is_empty() {
            wrong.push(format!("not set: {}", missing.join(", ")));
        }
        let number = |name: &str, wrong: &mut Vec<String>| {
            let text = get(name)?;
            let number = text.parse::<u64>().ok().filter(|number| (1..=1_000_000).contains(number));
            if number.is_none() {
                wrong.push(format!("{name} is {text:?}, a number from 1 to 1000000 is wanted"));
            }
            number
        };
        let segment_duration = number("CHUNK_SEGMENT_DURATION_SEC", &mut wrong).map(Duration::from_secs);
        let keep_days = number("JOB_RETENTION_DAYS", &mut wrong).unwrap_or(90);
        for name in [
            "CHUNKING_QUEUE_URL",
            "MAP_QUEUE_URL",
            "REASSEMBLY_QUEUE_URL",
            "MAP_GPU_QUEUE_URL",
            "INGEST_QUEUE_URL",
            "AWS_ENDPOINT_URL",
        ] {
            if let Some(url) = get(name)
                && !url.starts_with("https://")
                && !url.starts_with("http://")
            {
                wrong.push(format!("{name} is {url:?}, a URL is wanted"));
            }
        }
        let tasks =
            kinds(&get("GPU_TASKS").unwrap_or_else(|| "transcribe".to_owned())).unwrap_or_else(|why| {
                wrong.push(why);
                Vec::new()
            });
        if !wrong.is_empty() {
            let message = format!("the settings of the AWS backend: {}", wrong.join("; "));
            return Err(say(PortErrorKind::Environment, message));
        }
        let must = |name: &str| get(name).unwrap_or_default();
        Ok(AwsSettings {
            buckets: Buckets { input: must("INPUT_BUCKET_NAME"), output: must("OUTPUT_BUCKET_NAME") },
            tables: Tables {
                jobs: must("JOBS_TABLE_NAME"),
                completions: must("SEGMENT_COMPLETIONS_TABLE_NAME"),
                leases: must("REASSEMBLY_TRIGGERED_TABLE_NAME"),
            },
            queues: Lanes {
                chunk: must("CHUNKING_QUEUE_URL"),
                map: must("MAP_QUEUE_URL"),
                reassemble: must("REASSEMBLY_QUEUE_URL"),
            },
            ingest_queue: get("INGEST_QUEUE_URL"),
            gpu: get("MAP_GPU_QUEUE_URL").map(|url| GpuLane { url, tasks }),
            region: get("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
            endpoint_url: get("AWS_ENDPOINT_URL"),
            segment_duration,
            keep_ended: Duration::from_secs(keep_days * 24 * 3600),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn environment() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("INPUT_BUCKET_NAME", "in"),
            ("OUTPUT_BUCKET_NAME", "out"),
            ("JOBS_TABLE_NAME", "jobs"),
            ("SEGMENT_COMPLETIONS_TABLE_NAME", "completions"),
            ("REASSEMBLY_TRIGGERED_TABLE_NAME", "leases"),
            ("CHUNKING_QUEUE_URL", "http://127.0.0.1:1/0/chunk"),
            ("MAP_QUEUE_URL", "http://127.0.0.1:1/0/map"),
            ("REASSEMBLY_QUEUE_URL", "http://127.0.0.1:1/0/reassemble"),
        ])
    }

    fn read(environment: &HashMap<&str, &str>) -> Result<AwsSettings, PortError> {
        AwsSettings::read(|name| environment.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_contract_is_enough() {
        let settings = read(&environment()).unwrap();
        assert_eq!((settings.region.as_str(), settings.endpoint_url), ("us-east-1", None));
        assert_eq!((settings.segment_duration, settings.gpu), (None, None));
        assert_eq!(settings.keep_ended.as_secs(), 90 * 86400);
        assert_eq!(settings.queues.map, "http://127.0.0.1:1/0/map");
        let mut more = environment();
        more.extend([("AWS_REGION", "eu-west-1"), ("CHUNK_SEGMENT_DURATION_SEC", "300")]);
        more.extend([("MAP_GPU_QUEUE_URL", "http://127.0.0.1:1/0/gpu"), ("GPU_TASKS", "map, encode")]);
        let settings = read(&more).unwrap();
        assert_eq!(settings.gpu.unwrap().tasks, [TaskKind::Map, TaskKind::Encode]);
        assert_eq!(settings.region, "eu-west-1");
        assert_eq!(settings.segment_duration, Some(Duration::from_secs(300)));
    }

    #[test]
    fn a_service_that_is_not_used_needs_nothing() {
        let store = Services { dynamodb: false, sqs: false, s3: true };
        let read = |pairs: &[(&str, &str)]| {
            let environment: HashMap<&str, &str> = pairs.iter().copied().collect();
            AwsSettings::read_for(store, |name| environment.get(name).map(|value| (*value).to_owned()))
        };
        let buckets = [("INPUT_BUCKET_NAME", "in"), ("OUTPUT_BUCKET_NAME", "out")];
        assert_eq!(read(&buckets).unwrap().buckets.input, "in");
        let error = read(&buckets[..1]).unwrap_err().message;
        assert!(error.contains("OUTPUT_BUCKET_NAME") && !error.contains("TABLE"), "{error}");
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let mut less = environment();
        less.remove("JOBS_TABLE_NAME");
        less.extend([
            ("MAP_QUEUE_URL", "  "),
            ("AWS_ENDPOINT_URL", "localhost:4566"),
            ("JOB_RETENTION_DAYS", "0"),
            ("GPU_TASKS", "dance"),
        ]);
        let error = read(&less).unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Environment);
        for name in
            ["JOBS_TABLE_NAME", "MAP_QUEUE_URL", "AWS_ENDPOINT_URL", "JOB_RETENTION_DAYS", "GPU_TASKS"]
        {
            assert!(error.message.contains(name), "{error}");
        }
        assert!(!error.message.contains("INPUT_BUCKET_NAME"), "{error}");
    }
}
