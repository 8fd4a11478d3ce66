//! The output `stream`: an adaptive stream with its playlists, subtitles and certificate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use segue_domain::playlist::{
    Fragment, Part as StreamPart, Recorded, Rendition, RenditionKind, Stream, vod_playlists,
};
use segue_domain::recipe::StreamRecipe;
use segue_domain::transcript::Transcript;
use segue_domain::{FileKind, OutputMake, OutputSpec, Segment, TaskKind, TickRange, Timebase};
use segue_media::package::{
    Cue, MadePart, RenditionProof, SoundTrack, StreamPlan, check_rendition, whole_file, write_segments,
};
use segue_media::{StreamKind, open_index};
use segue_ports::{AssembleRequest, AssembledFile, EngineError, Part};
use segue_speech::{CueRules, cues};
use serde::{Deserialize, Serialize};

use super::video::{PictureCuts, lost_pictures, needed_transcript};
use super::{OutputRequest, Tasks, player, progressive, public_name_of, task};
use crate::context::EngineContext;
use crate::files::{borrow, finished};
use crate::media_plan::{MediaPlan, internal};
use crate::tasks::stream::PARTS_FILE;
use crate::{errors, work};

/// Name of the document that describes a stream, [`StreamDocument`].
pub const DOCUMENT: &str = "stream.json";

/// Version of the document.
const DOCUMENT_VERSION: u32 = 1;

/// Longest name of an audio track, characters.
const LONGEST_NAME: usize = 80;

/// What a stream consists of, as it is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamDocument {
    /// Document version, 1.
    pub version: u32,
    /// How the stream was divided.
    pub plan: StreamPlan,
    /// The renditions.
    pub stream: Stream,
    /// The parts of each.
    pub parts: Recorded,
}

/// The certificate of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamProof {
    /// Duration in microseconds.
    pub duration_us: i64,
    /// Each rendition of pictures and sound, read back from its files.
    pub renditions: Vec<RenditionProof>,
    /// Number of subtitle cues.
    pub cues: u64,
}

/// Plans the parts; a source without picture and sound gets none.
///
/// # Errors
/// A source that cannot be cut.
pub async fn plan(
    context: &EngineContext,
    source: &segue_media::Source,
    request: &OutputRequest<'_>,
    recipe: &StreamRecipe,
    pictures: &mut PictureCuts,
) -> Result<Tasks, EngineError> {
    let facts = request.facts;
    let sounds = sound_tracks(request);
    let picture =
        if facts.primary_video().is_some() { pictures.get(context, source, request).await? } else { None };
    if picture.is_none() && sounds.is_empty() {
        return Ok(Tasks::none(request, "no stream: the source has neither moving pictures nor sound"));
    }
    let (plan, frames) = match &picture {
        Some(picture) => {
            let open = open_index(picture, source, &request.run.scratch).map_err(errors::media)?;
            StreamPlan::of_pictures(picture, &open, facts, recipe, request.segment_us)
                .map_err(errors::media)?
        }
        None => (StreamPlan::of_sound(facts, recipe), vec![0]),
    };
    let anchor = picture.as_ref().map_or(0, |picture| picture.anchor);
    let segments: Vec<Segment> = (0u32..)
        .zip(&frames)
        .map(|(index, frames)| {
            let TickRange { start, end } = plan.range(index as usize);
            let to_source = anchor - plan.shift;
            let range = TickRange { start: start + to_source, end: end + to_source };
            Segment { index, range, frames: *frames, bytes: 0 }
        })
        .collect();
    let mut tasks = Vec::new();
    if !sounds.is_empty() {
        let whole_ms = (facts.duration_us.unwrap_or(0) / 1000).max(0) as u64;
        tasks.push(task(TaskKind::StreamSound, None, work::sound_ms(whole_ms) * sounds.len() as u64));
    }
    let pixels: u64 = plan.rungs.iter().map(|rung| u64::from(rung.width) * u64::from(rung.height)).sum();
    if picture.is_some() {
        let of = |s: &Segment| task(TaskKind::Stream, Some(s.index), work::encode_ms(pixels, s.frames));
        tasks.extend(segments.iter().map(of));
    }
    let files = match &picture {
        Some(picture) => pictures.track_file(picture, request)?.into_iter().collect(),
        None => Vec::new(),
    };
    let timebase = plan.timebase();
    let mut media = MediaPlan::new(facts.clone(), picture, None);
    media.warnings = request.warnings.to_vec();
    media.warnings.extend(lost_pictures(&media));
    media.stream = Some(plan);
    media.sounds = sounds;
    media.one_file = one_file(request);
    Ok(Tasks { media, timebase, segments, tasks, files, reason: None })
}

/// Path of a progressive file of this stream, relative to the stream's folder; `None` if the recipe has none.
fn one_file(request: &OutputRequest<'_>) -> Option<String> {
    let is_of_this = |spec: &&OutputSpec| {
        matches!(spec.make, OutputMake::Progressive(_)) && spec.needs.contains(request.output)
    };
    let (output, spec) = request.recipe.outputs.iter().find(|(_, spec)| is_of_this(spec))?;
    Some(format!("../{}", public_name_of(output, spec, progressive::FILE)))
}

/// The audio tracks of the source, the primary one first.
fn sound_tracks(request: &OutputRequest<'_>) -> Vec<SoundTrack> {
    let facts = request.facts;
    let primary = facts.primary_audio().map(|stream| stream.index);
    let mut streams: Vec<_> = facts.of(StreamKind::Audio).filter(|stream| stream.codec.is_some()).collect();
    streams.sort_by_key(|stream| Some(stream.index) != primary);
    let mut names: Vec<String> = Vec::new();
    let mut tracks = Vec::new();
    for (number, stream) in (1..).zip(streams) {
        let language = stream.language.as_deref().filter(|language| *language != "und");
        let language = language.and_then(isolang::Language::from_639_3);
        let title = stream.tags.get("title").and_then(|title| plain(title));
        let name = title.or_else(|| language.map(|language| language.to_name().to_owned()));
        let base = name.unwrap_or_else(|| format!("Audio {number}"));
        let more = (2..).map(|copy| format!("{base} ({copy})"));
        let name = std::iter::once(base.clone()).chain(more).find(|name| !names.contains(name));
        let name = name.unwrap_or(base);
        names.push(name.clone());
        tracks.push(SoundTrack {
            stream: stream.index,
            id: format!("audio-{number}"),
            name,
            language: language.map(|language| {
                language.to_639_1().map_or_else(|| language.to_639_3().to_owned(), str::to_owned)
            }),
            default: number == 1,
        });
    }
    tracks
}

/// A name that a playlist can hold, from a tag of the source; `None` if nothing is left of it.
fn plain(title: &str) -> Option<String> {
    let title: String =
        title.chars().map(|c| if c.is_control() || c == '"' { ' ' } else { c }).take(LONGEST_NAME).collect();
    let title = title.trim().trim_start_matches('#').trim();
    (!title.is_empty()).then(|| title.to_owned())
}

/// A published stream.
pub struct AssembledStream {
    /// The files to publish.
    pub files: Vec<AssembledFile>,
    /// The certificate.
    pub proof: StreamProof,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Certifies every rendition and writes the playlists.
///
/// # Errors
/// A rendition whose certificate fails.
pub async fn assemble(
    request: &AssembleRequest,
    notes: &Arc<MediaPlan>,
) -> Result<AssembledStream, EngineError> {
    let recipe = request.plan.spec.stream().ok_or_else(|| internal("the output is no stream"))?;
    let transcript = if recipe.subtitles { needed_transcript(request).await? } else { None };
    let (request, notes) = (request.clone(), Arc::clone(notes));
    let assembled = tokio::task::spawn_blocking(move || Assembly::new(&request, &notes)?.run(transcript));
    assembled.await.map_err(|e| internal(format!("the task that writes the stream failed: {e}")))?
}

/// Public name of a file of a stream: in a folder with the output's name.
fn public(request: &AssembleRequest, name: &str) -> String {
    format!("{}/{name}", request.plan.output)
}

struct Assembly<'a> {
    request: &'a AssembleRequest,
    recipe: &'a StreamRecipe,
    plan: &'a StreamPlan,
    /// Path of the stream in one file, relative to the page.
    one_file: Option<&'a str>,
    /// Parts of each rendition with their paths, in order; then the path of its initialisation segment.
    renditions: Vec<(Vec<(PathBuf, MadePart)>, PathBuf)>,
    files: Vec<AssembledFile>,
}

impl<'a> Assembly<'a> {
    fn new(request: &'a AssembleRequest, notes: &'a MediaPlan) -> Result<Assembly<'a>, EngineError> {
        let recipe = request.plan.spec.stream().ok_or_else(|| internal("the output is no stream"))?;
        let plan = notes.stream()?;
        let mut found: BTreeMap<String, BTreeMap<u32, (PathBuf, MadePart, PathBuf)>> = BTreeMap::new();
        for part in &request.parts {
            for made in parts_of(part)? {
                let path = |name: &str| {
                    let path = part.files.get(name).cloned();
                    path.ok_or_else(|| internal(format!("{} left no {name}", part.task.id)))
                };
                let (media, init) = (path(&made.part.uri)?, path(&made.part.init)?);
                found.entry(made.rendition.id.clone()).or_default().insert(made.index, (media, made, init));
            }
        }
        let sizes = plan.rungs.iter().map(|rung| format!("{}p", rung.lines));
        let order = sizes.chain(notes.sounds.iter().map(|track| track.id.clone()));
        let mut renditions = Vec::new();
        for id in order {
            let parts = found.remove(&id).ok_or_else(|| internal(format!("no task made {id}")))?;
            let init = parts.values().next().map(|(_, _, init)| init.clone());
            let init = init.ok_or_else(|| internal(format!("{id} has no part")))?;
            renditions.push((parts.into_values().map(|(path, made, _)| (path, made)).collect(), init));
        }
        let one_file = notes.one_file.as_deref();
        Ok(Assembly { request, recipe, plan, one_file, renditions, files: Vec::new() })
    }

    fn run(mut self, transcript: Option<Transcript>) -> Result<AssembledStream, EngineError> {
        let mut proofs = Vec::new();
        let mut stream = Stream { target_s: self.plan.target_s, renditions: Vec::new() };
        let mut recorded = Recorded::new();
        for (parts, init) in std::mem::take(&mut self.renditions) {
            let proof = check_rendition(self.plan, &parts, &init).map_err(errors::media)?;
            let Some((_, first)) = parts.first() else { continue };
            let (rendition, init_name) = (first.rendition.clone(), first.part.init.clone());
            self.add(
                &init_name,
                &init,
                FileKind::StreamPart,
                media_type(&rendition),
                "initialisation segment",
            )?;
            let made = format!("part of {} fragments addressed by byte ranges", rendition.id);
            for (path, part) in &parts {
                self.add(&part.part.uri, path, FileKind::StreamPart, media_type(&rendition), &made)?;
            }
            let parts = parts.into_iter().map(|(_, made)| (made.index, made.part)).collect();
            recorded.insert(rendition.id.clone(), parts);
            stream.renditions.push(rendition);
            proofs.push(proof);
        }
        let length = |proof: &RenditionProof| {
            let clock = Timebase { num: 1, den: proof.timescale.max(1) };
            clock.to_micros(proof.ticks)
        };
        let end_us = proofs.iter().map(length).fold(self.plan.timebase().to_micros(self.plan.end), i64::max);
        let cues = transcript.as_ref().map(of_transcript).unwrap_or_default();
        if let Some(transcript) = transcript.as_ref().filter(|_| !cues.is_empty()) {
            let (rendition, parts) = self.subtitles(&transcript.language, &cues, end_us)?;
            recorded.insert(rendition.id.clone(), parts);
            stream.renditions.push(rendition);
        }
        let playlists = vod_playlists(&stream, &recorded).map_err(|e| internal(e.to_string()))?;
        let playlists = playlists.ok_or_else(|| internal("the stream is not complete"))?;
        for file in playlists.files {
            if file.name.ends_with(".mpd") && !self.recipe.dash {
                continue;
            }
            self.write(
                &file.name,
                &file.text,
                FileKind::Playlist,
                file.media_type,
                "from the recorded parts",
            )?;
        }
        let document =
            StreamDocument { version: DOCUMENT_VERSION, plan: self.plan.clone(), stream, parts: recorded };
        let text = serde_json::to_string(&document).map_err(|e| internal(e.to_string()))? + "\n";
        self.write(DOCUMENT, &text, FileKind::Description, "application/json", "sizes, parts and fragments")?;
        if self.recipe.player {
            let page = player::page(transcript.as_ref(), self.one_file)?;
            self.write("player.html", &page, FileKind::Player, "text/html", "plays the stream")?;
        }
        let proof = StreamProof { duration_us: end_us, renditions: proofs, cues: cues.len() as u64 };
        let notes = self.notes();
        Ok(AssembledStream { files: self.files, proof, notes })
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let above = |height: &&u32| {
            !self.plan.rungs.is_empty() && !self.plan.rungs.iter().any(|r| r.lines == **height)
        };
        for height in self.recipe.heights.iter().filter(above) {
            notes.push(format!("no rendition with {height} lines: the source is smaller"));
        }
        notes
    }

    /// Subtitles in one file for each part of the pictures, and in one file for DASH.
    fn subtitles(
        &mut self,
        language: &str,
        cues: &[Cue],
        end_us: i64,
    ) -> Result<(Rendition, BTreeMap<u32, StreamPart>), EngineError> {
        let (id, clock, made) = ("subtitles", self.plan.timebase(), "subtitles from the transcript");
        let mut bounds: Vec<i64> =
            (0..self.plan.parts.len()).map(|part| clock.to_micros(self.plan.range(part).start)).collect();
        // sound and words can go on after the last picture
        bounds.push(cues.iter().map(|cue| cue.end_us).fold(end_us, i64::max));
        if let Some(first) = bounds.first_mut() {
            *first = 0;
        }
        let mut parts = BTreeMap::new();
        let ms = |us: i64| (us + 500) / 1000;
        for ((index, text), bound) in (0u32..).zip(write_segments(cues, &bounds)).zip(bounds.windows(2)) {
            let uri = format!("{id}-{index:05}.vtt");
            self.write(&uri, &text, FileKind::Subtitles, "text/vtt", made)?;
            let fragment = Fragment {
                offset: 0,
                bytes: text.len() as u64,
                ticks: ms(bound[1]) - ms(bound[0]),
                keyframe_bytes: 0,
            };
            let part = StreamPart {
                uri,
                init: String::new(),
                init_hash: String::new(),
                start: ms(bound[0]),
                fragments: vec![fragment],
            };
            parts.insert(index, part);
        }
        let whole = format!("{id}.vtt");
        self.write(&whole, &whole_file(cues), FileKind::Subtitles, "text/vtt", made)?;
        let known = isolang::Language::from_639_1(language);
        let rendition = Rendition {
            id: id.to_owned(),
            kind: RenditionKind::Subtitles { whole },
            timescale: 1000,
            codec: String::new(),
            language: known.map(|_| language.to_owned()),
            name: known.map_or_else(|| "Subtitles".to_owned(), |known| known.to_name().to_owned()),
            default: false,
            peak_limit: None,
            parts: parts.len() as u32,
        };
        Ok((rendition, parts))
    }

    fn add(
        &mut self,
        name: &str,
        path: &Path,
        kind: FileKind,
        media_type: &str,
        made: &str,
    ) -> Result<(), EngineError> {
        let own = borrow(path, self.request.run.scratch.join(format!("public-{name}")))?;
        self.files.push(finished(&public(self.request, name), own, kind, media_type, made)?);
        Ok(())
    }

    fn write(
        &mut self,
        name: &str,
        text: &str,
        kind: FileKind,
        media_type: &str,
        made: &str,
    ) -> Result<(), EngineError> {
        let path = self.request.run.scratch.join(format!("public-{name}"));
        std::fs::write(&path, text).map_err(|e| errors::io(path.display(), &e))?;
        self.files.push(finished(&public(self.request, name), path, kind, media_type, made)?);
        Ok(())
    }
}

/// The parts that a task recorded.
fn parts_of(part: &Part) -> Result<Vec<MadePart>, EngineError> {
    let path =
        part.files.get(PARTS_FILE).ok_or_else(|| internal(format!("{} left no parts", part.task.id)))?;
    let bytes = std::fs::read(path).map_err(|e| errors::io(path.display(), &e))?;
    serde_json::from_slice(&bytes).map_err(|e| internal(format!("the parts of {}: {e}", part.task.id)))
}

fn media_type(rendition: &Rendition) -> &'static str {
    if rendition.is_sound() { "audio/mp4" } else { "video/mp4" }
}

fn of_transcript(transcript: &Transcript) -> Vec<Cue> {
    let cues = cues(transcript, &CueRules::default());
    let cue = |cue: &segue_speech::Cue| Cue {
        start_us: cue.start_ms * 1000,
        end_us: cue.end_ms * 1000,
        text: cue.lines.join("\n"),
    };
    cues.iter().map(cue).collect()
}

/// Timebase of a plan without segments.
pub const NO_SEGMENTS: Timebase = Timebase::MICROS;

/// Fails for a document of a newer build.
///
/// # Errors
/// A document that cannot be parsed.
pub fn read_document(bytes: &[u8]) -> Result<StreamDocument, EngineError> {
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| internal(format!("the stream's document: {e}")))?;
    let version = value.get("version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if version > u64::from(DOCUMENT_VERSION) {
        return Err(EngineError::newer(format!("the stream's document has version {version}")));
    }
    serde_json::from_value(value).map_err(|e| internal(format!("the stream's document: {e}")))
}
