//! Permission of a process to run the programs that a recipe names.
//!
//! A recipe comes from any client that may submit a job, or write a row of the ledger. So each role that
//! plans or runs such a program checks the permission of its own process, whatever was checked
//! when the job was submitted.

use std::fmt;

use segue_domain::{Failure, FaultKind, OutputSpec, Recipe};
use segue_media::map_command::MapCommand;
use serde::Deserialize;

/// Which map commands of recipes a process may run: a recipe names programs, and any client that may
/// submit a job chooses the recipe.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AllowMap {
    /// No map command.
    None,
    /// Every map command.
    Any,
    /// Commands whose program, the first word of the command line, is exactly one of these.
    Programs(Vec<String>),
}

impl TryFrom<String> for AllowMap {
    type Error = String;

    fn try_from(text: String) -> Result<AllowMap, String> {
        match text.trim() {
            "none" => return Ok(AllowMap::None),
            "any" => return Ok(AllowMap::Any),
            _ => {}
        }
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        if names.iter().any(|name| name.is_empty() || matches!(*name, "none" | "any") || name.contains('{')) {
            return Err(format!("{text:?} is neither none, any, nor a comma-separated list of programs"));
        }
        Ok(AllowMap::Programs(names.into_iter().map(str::to_owned).collect()))
    }
}

impl fmt::Display for AllowMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AllowMap::None => f.write_str("none"),
            AllowMap::Any => f.write_str("any"),
            AllowMap::Programs(names) => f.write_str(&names.join(",")),
        }
    }
}

impl AllowMap {
    /// Checks the map commands of every output of a recipe against this permission.
    ///
    /// # Errors
    /// A usage failure that names the key and the setting, for a command that is not allowed.
    pub fn check(&self, recipe: &Recipe) -> Result<(), Failure> {
        recipe.outputs.values().try_for_each(|spec| self.check_output(spec))
    }

    /// The same for one output.
    ///
    /// # Errors
    /// As [`AllowMap::check`].
    pub fn check_output(&self, spec: &OutputSpec) -> Result<(), Failure> {
        let video = spec.video();
        let map = video.and_then(|video| video.map.as_ref()).map(|map| ("map.command", map.command.as_str()));
        let sound = video.and_then(|video| video.sound.map.as_deref());
        let sound = sound.map(|command| ("sound.map", command));
        for (key, command) in map.into_iter().chain(sound) {
            let program = program_of(command)?;
            if !self.allows(&program) {
                let cause = format!(
                    "the recipe's {key} runs the program {program:?}, and SEGUE_ALLOW_MAP here is {self}; \
                     an operator who trusts everyone who can submit jobs sets SEGUE_ALLOW_MAP=any, or lists the \
                     program, on the workers and for segue submit"
                );
                return Err(Failure::new(FaultKind::Usage, cause));
            }
        }
        Ok(())
    }

    fn allows(&self, program: &str) -> bool {
        match self {
            AllowMap::None => false,
            AllowMap::Any => true,
            AllowMap::Programs(names) => names.iter().any(|name| name == program),
        }
    }
}

fn program_of(command: &str) -> Result<String, Failure> {
    let command =
        MapCommand::parse(command).map_err(|error| Failure::new(FaultKind::Usage, error.to_string()))?;
    Ok(command.program().to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use segue_domain::{Plan, Task, TaskId, TaskKind, Timebase};
    use segue_media::Tools;
    use segue_ports::{Inputs, NoReport, PlanRequest, Source, TaskRequest, WorkContext};

    use super::*;
    use crate::{EngineContext, Engines, ModelShelf, SpeechShare};

    fn recipe(map: Option<&str>, sound: Option<&str>) -> Recipe {
        let mut recipe = Recipe::built_in("rejoin").unwrap();
        for video in recipe.videos_mut() {
            let map_of = |command: &str| serde_json::from_value(serde_json::json!({ "command": command }));
            video.map = map.map(|command| map_of(command).unwrap());
            video.sound.map = sound.map(str::to_owned);
        }
        recipe
    }

    #[test]
    fn a_program_of_a_recipe_runs_only_where_it_is_allowed() {
        let picture = recipe(Some("'/opt/my tool' -x {input} {output}"), None);
        let sound = recipe(None, Some("sox {input} {output}"));
        let cases = [
            (AllowMap::None, [false, false]),
            (AllowMap::Any, [true, true]),
            (AllowMap::Programs(vec!["sox".into()]), [false, true]),
            (AllowMap::Programs(vec!["/opt/my tool".into(), "s".into()]), [true, false]),
        ];
        for (allow, expected) in cases {
            for (recipe, allowed) in [&picture, &sound].into_iter().zip(expected) {
                let checked = allow.check(recipe);
                assert_eq!(checked.is_ok(), allowed, "{allow:?}: {checked:?}");
            }
            assert_eq!(allow.check(&recipe(None, None)), Ok(()));
        }
        let both = recipe(Some("sox {input} {output}"), Some("rm {input} {output}"));
        let failure = AllowMap::Programs(vec!["sox".into()]).check(&both).unwrap_err();
        assert_eq!(failure.kind, FaultKind::Usage);
        for word in ["sound.map", "\"rm\"", "SEGUE_ALLOW_MAP here is sox", "SEGUE_ALLOW_MAP=any"] {
            assert!(failure.cause.contains(word), "{:?} lacks {word:?}", failure.cause);
        }
    }

    fn engines_without_permission() -> Engines {
        let tools = Tools {
            ffmpeg: "/nowhere/ffmpeg".into(),
            ffprobe: "/nowhere/ffprobe".into(),
            ffmpeg_version: "7.1".into(),
            ffprobe_version: "7.1".into(),
        };
        let speech = SpeechShare { side_by_side: 1, threads: 1 };
        let context = EngineContext::new(tools, ModelShelf::new("/nowhere"), speech, AllowMap::None);
        crate::all(Arc::new(context))
    }

    fn run() -> WorkContext {
        WorkContext {
            job: "j".parse().unwrap(),
            cancel: Default::default(),
            reporter: Arc::new(NoReport),
            threads: 1,
            scratch: "/nowhere".into(),
        }
    }

    /// A plan that an untrusted planner, or any client with write access to the store, may have made.
    fn plan_of(recipe: &Recipe) -> Arc<Plan> {
        Arc::new(Plan {
            version: 1,
            job: "j".parse().unwrap(),
            output: "video".parse().unwrap(),
            recipe: recipe.name.clone(),
            spec: recipe.outputs.values().next().unwrap().clone(),
            source_key: "input/j/source.mp4".into(),
            source_bytes: 1,
            duration_ms: None,
            timebase: Timebase { num: 1, den: 1000 },
            segments: Vec::new(),
            tasks: Vec::new(),
            reason: None,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
            tools: BTreeMap::new(),
            engine: serde_json::Value::Null,
        })
    }

    #[tokio::test]
    async fn planner_and_workers_refuse_whatever_was_checked_before() {
        let engines = engines_without_permission();
        let cases = [
            (recipe(Some("sox {input} {output}"), None), TaskKind::Map),
            (recipe(None, Some("sox {input} {output}")), TaskKind::Sound),
        ];
        for (recipe, kind) in cases {
            let source = Source::whole("/nowhere/source.mp4");
            let request = PlanRequest {
                run: run(),
                source: source.clone(),
                source_key: "input/j/source.mp4".into(),
                recipe: recipe.clone(),
                outputs: vec!["video".parse().unwrap()],
                needs: BTreeMap::new(),
            };
            let mut planned = engines.planner.plan(request).await.unwrap().outputs;
            let planned = planned.remove(&"video".parse().unwrap()).unwrap().map(|_| ()).unwrap_err();
            let task =
                Task { id: TaskId::of(kind, 0), kind, segment: Some(0), work_ms: 1, attempts: Some(3) };
            let inputs = Inputs { source, files: BTreeMap::new() };
            let request = TaskRequest { run: run(), plan: plan_of(&recipe), task, inputs };
            let engine = engines.map.iter().find(|engine| engine.kinds().contains(&kind)).unwrap();
            let worked = engine.run(request).await.unwrap_err();
            for error in [planned, worked] {
                assert_eq!((error.kind, error.retryable), (FaultKind::Usage, false), "{error:?}");
                assert!(error.message.contains("SEGUE_ALLOW_MAP"), "{error:?}");
            }
        }
    }
}
