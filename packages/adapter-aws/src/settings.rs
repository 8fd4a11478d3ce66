//! Settings: the environment contract of a deployment, read and validated as a whole.

use std::time::Duration;

use segue_domain::TaskKind;
use segue_ports::{Lane, PortError, PortErrorKind};

use crate::error::say;
use crate::ledger::Tables;
use crate::queue::Lanes;
use crate::store::Buckets;

/// An environment variable, for the table that documents all of them.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its meaning, as text for documentation.
    pub meaning: &'static str,
    /// Its default, as text for documentation; `None` if it is required.
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
    must(
        "REASSEMBLY_TRIGGERED_TABLE_NAME",
        "DynamoDB table of the leases; `LEASES_TABLE_NAME` may be set instead",
        |of| of.dynamodb,
    ),
    may("LEASES_TABLE_NAME", "another name of the variable above", "`REASSEMBLY_TRIGGERED_TABLE_NAME`"),
    may("ASSETS_TABLE_NAME", "DynamoDB table of the assets", "there is no catalogue of assets"),
    must("CHUNKING_QUEUE_URL", "SQS queue of the lane `plan`: jobs to plan", |of| of.sqs),
    must("MAP_QUEUE_URL", "SQS queue of the lane `task-cpu`: tasks to run", |of| of.sqs),
    must("REASSEMBLY_QUEUE_URL", "SQS queue of the lane `assemble`: outputs to assemble", |of| of.sqs),
    may(
        "INGEST_QUEUE_URL",
        "SQS queue of the lane `ingest`: notices of uploads, for the role `ingest`",
        "notices come to `CHUNKING_QUEUE_URL`, and the role `chunker` handles them",
    ),
    may(
        "MAP_GPU_QUEUE_URL",
        "SQS queue of the lane `task-gpu`: tasks that need a GPU, for the role `gpu-worker`",
        "they are sent to `MAP_QUEUE_URL`",
    ),
    may("NET_QUEUE_URL", "SQS queue of the lane `task-net`: tasks that need the network", "no such tasks"),
    may(
        "NOTIFY_QUEUE_URL",
        "SQS queue of the lane `notify`: callbacks and events to deliver",
        "none are sent",
    ),
    may("STUDY_QUEUE_URL", "SQS queue of the lane `study`: study material to make", "none is made"),
    may("GPU_TASKS", "kinds of tasks that need a GPU, e.g. `transcribe,map`", "`transcribe`"),
    may("AWS_REGION", "region of all of them", "`us-east-1`"),
    may("AWS_ENDPOINT_URL", "endpoint of an emulator or another service", "that of the region"),
    may("CHUNK_SEGMENT_DURATION_SEC", "length of a segment, seconds", "what the recipe says"),
];

/// Names that may be set instead of a required variable, after it.
const ALIASES: &[(&str, &str)] = &[("REASSEMBLY_TRIGGERED_TABLE_NAME", "LEASES_TABLE_NAME")];

/// Parses a list of kinds of tasks.
fn kinds(list: &str) -> Result<Vec<TaskKind>, String> {
    let kind = |name: &str| {
        let found = TaskKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| format!("GPU_TASKS has {name:?}, which is not a kind of task"))
    };
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(kind).collect()
}

/// Configuration of the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The buckets.
    pub buckets: Buckets,
    /// The tables.
    pub tables: Tables,
    /// The table of the assets, where there is one.
    pub assets_table: Option<String>,
    /// The queues.
    pub queues: Lanes,
    /// Kinds of tasks that need a GPU.
    pub gpu_tasks: Vec<TaskKind>,
    /// Region of all of them.
    pub region: String,
    /// An endpoint other than the region's.
    pub endpoint_url: Option<String>,
    /// Length of a segment, if the deployment sets one.
    pub segment_duration: Option<Duration>,
}

impl AwsSettings {
    /// Reads them through `get`, which is `|name| std::env::var(name).ok()` in a program. A
    /// variable with an empty value counts as not set.
    ///
    /// # Errors
    /// `Environment`, with all missing and invalid variables.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<AwsSettings, PortError> {
        AwsSettings::read_for(Services::ALL, get)
    }

    /// As [`AwsSettings::read`], for a process that uses only these services: variables of the others
    /// may be missing.
    ///
    /// # Errors
    /// As [`AwsSettings::read`].
    pub fn read_for(
        services: Services,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<AwsSettings, PortError> {
        let get = |name: &str| get(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let mut wrong = Vec::new();
        for (name, other) in ALIASES {
            if let (Some(one), Some(two)) = (get(name), get(other))
                && one != two
            {
                wrong.push(format!("{name} is {one:?} and {other} is {two:?}, set one of them"));
            }
        }
        let other = |name: &str| ALIASES.iter().find(|(known, _)| *known == name).map(|(_, other)| *other);
        let get = |name: &str| get(name).or_else(|| get(other(name)?));
        let missing: Vec<&str> = VARIABLES
            .iter()
            .filter(|variable| (variable.needed)(services) && get(variable.name).is_none())
            .map(|variable| variable.name)
            .collect();
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
        for name in Lane::ALL.map(Lanes::variable).into_iter().chain(["AWS_ENDPOINT_URL"]) {
            if let Some(url) = get(name)
                && !url.starts_with("https://")
                && !url.starts_with("http://")
            {
                wrong.push(format!("{name} is {url:?}, a URL is wanted"));
            }
        }
        let gpu_tasks =
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
            assets_table: get("ASSETS_TABLE_NAME"),
            queues: Lanes {
                plan: must("CHUNKING_QUEUE_URL"),
                task_cpu: must("MAP_QUEUE_URL"),
                task_gpu: get("MAP_GPU_QUEUE_URL"),
                task_net: get("NET_QUEUE_URL"),
                assemble: must("REASSEMBLY_QUEUE_URL"),
                ingest: get("INGEST_QUEUE_URL"),
                notify: get("NOTIFY_QUEUE_URL"),
                study: get("STUDY_QUEUE_URL"),
            },
            gpu_tasks,
            region: get("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned()),
            endpoint_url: get("AWS_ENDPOINT_URL"),
            segment_duration,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use segue_ports::Resource;

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
        assert_eq!((settings.segment_duration, settings.tables.leases.as_str()), (None, "leases"));
        assert_eq!(settings.gpu_tasks, [TaskKind::Transcribe]);
        assert_eq!(settings.assets_table, None);
        assert_eq!(settings.queues.url(Lane::Task(Resource::Gpu)), Some("http://127.0.0.1:1/0/map"));
        assert_eq!(settings.queues.url(Lane::Ingest), None);
        let mut more = environment();
        more.extend([("AWS_REGION", "eu-west-1"), ("CHUNK_SEGMENT_DURATION_SEC", "300")]);
        more.extend([("GPU_TASKS", "map, encode"), ("ASSETS_TABLE_NAME", "assets")]);
        let lanes = Lane::ALL.map(|lane| (Lanes::variable(lane), format!("http://127.0.0.1:1/0/{lane}")));
        more.extend(lanes.iter().map(|(name, url)| (*name, url.as_str())));
        let settings = read(&more).unwrap();
        for (lane, (_, url)) in Lane::ALL.iter().zip(&lanes) {
            assert_eq!(settings.queues.own(*lane), Some(url.as_str()));
        }
        assert_eq!(settings.gpu_tasks, [TaskKind::Map, TaskKind::Encode]);
        assert_eq!(
            (settings.region.as_str(), settings.assets_table.as_deref()),
            ("eu-west-1", Some("assets"))
        );
        let leases = more.remove("REASSEMBLY_TRIGGERED_TABLE_NAME").unwrap();
        more.insert("LEASES_TABLE_NAME", leases);
        assert_eq!(read(&more).unwrap().tables.leases, "leases");
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
            ("CHUNK_SEGMENT_DURATION_SEC", "0"),
            ("STUDY_QUEUE_URL", "study"),
            ("LEASES_TABLE_NAME", "others"),
            ("GPU_TASKS", "dance"),
        ]);
        let error = read(&less).unwrap_err();
        assert_eq!(error.kind, PortErrorKind::Environment);
        for name in [
            "JOBS_TABLE_NAME",
            "MAP_QUEUE_URL",
            "AWS_ENDPOINT_URL",
            "CHUNK_SEGMENT_DURATION_SEC",
            "STUDY_QUEUE_URL",
            "LEASES_TABLE_NAME",
            "GPU_TASKS",
        ] {
            assert!(error.message.contains(name), "{error}");
        }
        assert!(!error.message.contains("INPUT_BUCKET_NAME"), "{error}");
    }
}
