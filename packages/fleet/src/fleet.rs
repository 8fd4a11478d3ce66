//! A deployment on an emulator, and the processes that work on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use segue_adapter_aws::AwsBackend;
use segue_adapter_aws::testing::{Emulator, Provisioned, emulator, provision};
use segue_domain::{JobId, JobRecord};
use segue_ports::JobLedger;

use crate::process::{Process, Start};
use crate::proxy::Proxy;

/// Times of a fleet. Short ones, so that what is lost comes again soon.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Length of a lease.
    pub lease: Duration,
    /// How long a message is hidden.
    pub visibility: Duration,
    /// How often the sweeper looks.
    pub sweep: Duration,
    /// The recipe of sources that arrive: a name or a file.
    pub recipe: String,
    /// Length of a segment.
    pub segment: Duration,
    /// An emulator of its own that can be stopped and started again.
    pub lasting: bool,
    /// Without the line: processes call the emulator itself.
    pub direct: bool,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            lease: Duration::from_secs(4),
            visibility: Duration::from_secs(4),
            sweep: Duration::from_secs(3),
            recipe: "rejoin".to_owned(),
            segment: Duration::from_secs(1),
            lasting: false,
            direct: false,
        }
    }
}

/// A deployment of its own.
pub struct Fleet {
    /// What lies on the emulator.
    pub deployment: Provisioned,
    /// Its ports, for those who look; not over the line.
    pub backend: AwsBackend,
    /// What the processes reach the emulator by.
    pub proxy: Proxy,
    s3: aws_sdk_s3::Client,
    tuning: Tuning,
    dir: tempfile::TempDir,
    own: Option<Emulator>,
}

impl Fleet {
    /// A new deployment whose input bucket tells the planners' queue of uploads.
    ///
    /// # Errors
    /// An emulator that does not do what it should.
    pub async fn new(tuning: Tuning) -> Result<Fleet> {
        let own = tuning.lasting.then(Emulator::lasting);
        let endpoint = own.as_ref().unwrap_or_else(|| emulator()).endpoint();
        let deployment = provision(endpoint).await;
        let (backend, s3) = (deployment.connect().await, deployment.s3().await);
        let proxy = Proxy::to(endpoint).await?;
        let dir = tempfile::Builder::new().prefix("segue-fleet-").tempdir()?;
        let fleet = Fleet { deployment, backend, proxy, s3, tuning, dir, own };
        fleet.tell_of_uploads().await?;
        Ok(fleet)
    }

    async fn tell_of_uploads(&self) -> Result<()> {
        let sqs = aws_sdk_sqs::Client::new(&self.deployment.sdk().await);
        let arn = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
        let asked = sqs
            .get_queue_attributes()
            .queue_url(&self.deployment.settings.queues.plan)
            .attribute_names(arn.clone());
        let asked = asked.send().await.context("the queue")?;
        let arn = asked.attributes().and_then(|all| all.get(&arn)).context("the queue has no name")?;
        let to = QueueConfiguration::builder().queue_arn(arn).events(Event::S3ObjectCreated).build()?;
        let config = NotificationConfiguration::builder().queue_configurations(to).build();
        let bucket = &self.deployment.settings.buckets.input;
        let put = self.s3.put_bucket_notification_configuration().bucket(bucket);
        put.notification_configuration(config).send().await.context("notifications")?;
        Ok(())
    }

    /// What it lies on.
    pub fn emulator(&self) -> &Emulator {
        self.own.as_ref().unwrap_or_else(|| emulator())
    }

    /// Its folder on this machine.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The environment of a process of it; `more` comes last and wins.
    pub fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let span = |span: Duration| format!("{}ms", span.as_millis());
        let mut all: Vec<(String, String)> =
            self.deployment.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let endpoint = if self.tuning.direct { self.emulator().endpoint() } else { self.proxy.endpoint() };
        let own = [
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("SEGUE_RECIPE", self.tuning.recipe.clone()),
            ("SEGUE_SEGMENT_DURATION", span(self.tuning.segment)),
            ("SEGUE_LEASE", span(self.tuning.lease)),
            ("SEGUE_VISIBILITY", span(self.tuning.visibility)),
            ("SEGUE_SWEEP_EVERY", span(self.tuning.sweep)),
            ("SEGUE_SCRATCH", self.dir.path().join("scratch").display().to_string()),
            ("SEGUE_LOG", "warn,segue_pipeline=info".to_owned()),
            ("SEGUE_THREADS", "1".to_owned()),
            ("SEGUE_ALLOW_MAP", "any".to_owned()),
        ];
        all.extend(own.map(|(name, value)| (name.to_owned(), value)));
        all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    }

    /// Starts a process with these roles.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start(&self, roles: &str) -> Result<Process> {
        self.start_with(roles, &[])
    }

    /// The same with more in its environment.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_with(&self, roles: &str, more: &[(&str, &str)]) -> Result<Process> {
        let number = uuid::Uuid::new_v4().simple().to_string();
        let log = self.dir.path().join(format!("{}-{}.log", roles.replace([',', '='], "-"), &number[..8]));
        Process::start(Start { roles: roles.to_owned(), environment: self.environment(more), log })
    }

    /// One process for each role, and two of the worker and the assembler.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_all(&self) -> Result<Vec<Process>> {
        self.start_all_with(&[])
    }

    /// The same with more in their environment.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_all_with(&self, more: &[(&str, &str)]) -> Result<Vec<Process>> {
        ["planner", "worker", "worker", "assembler", "assembler", "sweeper"]
            .into_iter()
            .map(|roles| self.start_with(roles, more))
            .collect()
    }

    /// A command of the program on this deployment.
    pub fn segue<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(segue_tests::segue());
        command.args(args).envs(self.environment(&[])).current_dir(self.dir.path());
        command
    }

    /// Puts a file where users put it, past the line.
    ///
    /// # Errors
    /// The store's.
    pub async fn put(&self, key: &str, file: &Path) -> Result<()> {
        let body = ByteStream::from_path(file).await.context("a file")?;
        let put = self.s3.put_object().bucket(&self.deployment.settings.buckets.input).key(key).body(body);
        put.send().await.with_context(|| format!("putting {key}"))?;
        Ok(())
    }

    /// Puts a file in parts of 5 MiB.
    ///
    /// # Errors
    /// The store's.
    pub async fn put_in_parts(&self, key: &str, file: &Path) -> Result<usize> {
        use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
        let bucket = &self.deployment.settings.buckets.input;
        let begun = self.s3.create_multipart_upload().bucket(bucket).key(key).send().await?;
        let id = begun.upload_id().context("an upload without an id")?;
        let (bytes, mut parts) = (std::fs::read(file)?, Vec::new());
        for (number, part) in (1..).zip(bytes.chunks(5 << 20)) {
            let sent = self.s3.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number);
            let sent = sent.body(ByteStream::from(part.to_vec())).send().await?;
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        }
        let count = parts.len();
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let done = self.s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
        done.multipart_upload(all).send().await?;
        Ok(count)
    }

    /// Waits until no output of the job is open any more.
    ///
    /// # Errors
    /// One that does not end in time.
    pub async fn ended(&self, job: &JobId, patience: Duration) -> Result<JobRecord> {
        let begun = Instant::now();
        loop {
            let record = self.backend.ledger.job(job).await.context("the ledger")?;
            if let Some(record) = record.as_ref().filter(|record| !record.is_open_job()) {
                return Ok(record.clone());
            }
            if begun.elapsed() > patience {
                bail!("job {job} does not end: {record:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Everything that its processes said last.
    pub fn words(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|ext| ext == "log") {
                all += &format!("--- {}\n{}\n", entry.path().display(), crate::words(&entry.path()));
            }
        }
        all
    }
}

/// A clip of 3 s with a keyframe every half second and sound, made once.
///
/// # Errors
/// ffmpeg's.
pub fn clip(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("clip.mp4");
    let made = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=128x72:rate=12:duration=3",
        ])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:duration=3", "-c:v", "libx264", "-g", "6"])
        .args(["-preset", "ultrafast", "-bf", "0", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "48k"])
        .args(["-movflags", "+faststart", "-shortest"])
        .arg(&path)
        .output()
        .context("ffmpeg")?;
    ensure!(made.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
    Ok(path)
}
