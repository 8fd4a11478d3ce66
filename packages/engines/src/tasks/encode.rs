//! The map task that encodes the frames of one segment.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use segue_domain::recipe::VideoCodec;
use segue_domain::{FaultKind, TaskKind};
use segue_media::encode::{EncodeRequest, PictureEncoder, choose_encoder, encode_segment};
use segue_media::{PicturePlan, StreamFacts};
use segue_ports::{EngineError, Event, MapEngine, ProducedFile, Stage, TaskRequest, TaskResult};
use tokio::sync::OnceCell;

use crate::context::EngineContext;
use crate::media_plan::{MediaPlan, internal};
use crate::{errors, picture};

/// Name of the file with a segment's frames.
pub const PART_FILE: &str = "part.mp4";

/// The encoders that were chosen, each once.
pub struct Encoders {
    context: Arc<EngineContext>,
    chosen: Mutex<Vec<(VideoCodec, Arc<OnceCell<PictureEncoder>>)>>,
}

impl Encoders {
    /// Encoders of these tools.
    pub fn new(context: Arc<EngineContext>) -> Encoders {
        Encoders { context, chosen: Mutex::default() }
    }

    /// The encoder for a codec; ffmpeg's encoders are listed once.
    ///
    /// # Errors
    /// A codec for which ffmpeg has no encoder.
    pub async fn get(&self, codec: VideoCodec, stream: &StreamFacts) -> Result<PictureEncoder, EngineError> {
        let cell = {
            let mut chosen = self.chosen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let known = chosen.iter().find(|(c, _)| *c == codec).map(|(_, cell)| Arc::clone(cell));
            known.unwrap_or_else(|| {
                let cell = Arc::<OnceCell<PictureEncoder>>::default();
                chosen.push((codec, Arc::clone(&cell)));
                cell
            })
        };
        let encoder = cell.get_or_try_init(|| choose_encoder(&self.context.tools, codec, stream)).await;
        encoder.copied().map_err(errors::media)
    }
}

/// Encodes segments.
pub struct EncodeEngine {
    context: Arc<EngineContext>,
    encoders: Encoders,
}

impl EncodeEngine {
    /// An engine with these tools.
    pub fn new(context: Arc<EngineContext>) -> EncodeEngine {
        EncodeEngine { encoders: Encoders::new(Arc::clone(&context)), context }
    }
}

#[async_trait]
impl MapEngine for EncodeEngine {
    fn kinds(&self) -> &[TaskKind] {
        &[TaskKind::Encode]
    }

    async fn run(&self, request: TaskRequest) -> Result<TaskResult, EngineError> {
        self.context.check_same_tools(&request.plan)?;
        let notes = self.context.media_plan(&request.plan)?;
        let plan = notes.picture()?.clone();
        let video =
            request.plan.spec.video().ok_or_else(|| internal("an encoding of something that is no video"))?;
        let segment = picture::segment(&plan, &request)?.clone();
        let stream = stream_of(&notes, &plan)?;
        let encoder = self.encoders.get(video.encode.codec, stream).await?;
        picture::fetch_index(&plan, &request.inputs).await?;
        let (inputs, for_index) = (request.inputs.clone(), plan.clone());
        let open = tokio::task::spawn_blocking(move || picture::open(&for_index, &inputs))
            .await
            .map_err(|e| internal(format!("the task that reads the index failed: {e}")))??;
        let out = request.run.scratch.join(PART_FILE);
        let track = picture::track(&plan, &request.inputs)?;
        let what = EncodeRequest {
            track: &track,
            plan: &plan,
            stream,
            segment: segment.index,
            recipe: &video.encode,
            encoder,
            out: &out,
            scratch: &request.run.scratch,
            threads: request.run.threads as u32,
        };
        let mut before = 0;
        let on_frames = |frames: u64| {
            let done = frames.min(segment.frames) * request.task.work_ms / segment.frames.max(1);
            if done > before {
                let job = request.run.job.clone();
                let stage = Stage::Task(TaskKind::Encode);
                request.run.reporter.report(Event::StageAdvanced { job, stage, done: done - before });
                before = done;
            }
        };
        let limits = self.context.limits(&request.run.cancel);
        let made = encode_segment(&self.context.tools, Arc::new(open), &what, &limits, on_frames).await;
        made.map_err(errors::media)?;
        let ledger = picture::ledger_of_file(out.clone(), segment).await?;
        let files = vec![ProducedFile { name: PART_FILE.to_owned(), path: out }];
        Ok(TaskResult { files, facts: picture::facts(&ledger)? })
    }
}

/// The facts of the video stream.
pub fn stream_of<'a>(notes: &'a MediaPlan, plan: &PicturePlan) -> Result<&'a StreamFacts, EngineError> {
    let stream = notes.facts.streams.iter().find(|stream| stream.index == plan.stream);
    stream.ok_or_else(|| {
        EngineError::new(FaultKind::Internal, "the plan's picture is not a stream of the source")
    })
}
