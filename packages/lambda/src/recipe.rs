//! The recipe of a source that arrives without a job: what the workers' settings say.

use segue_domain::Recipe;
use segue_domain::recipe::{BUILT_IN, Span};

use std::time::Duration;

/// What says how a source is worked on, here as in `segue worker`.
pub const RECIPE_VARIABLES: [&str; 4] =
    ["SEGUE_RECIPE", "SEGUE_SEGMENT_DURATION", "SEGUE_MODEL", "SEGUE_LANGUAGE"];

/// The recipe as it is kept with a job, JSON. `SEGUE_RECIPE` names a built-in one or is a
/// recipe itself, in TOML; `segment_duration` is the deployment's where `SEGUE_SEGMENT_DURATION`
/// is not set.
///
/// # Errors
/// A name that is none, a recipe that makes no sense.
pub fn recipe_document(
    get: impl Fn(&str) -> Option<String>,
    segment_duration: Option<Duration>,
) -> anyhow::Result<String> {
    let get = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let named = get("SEGUE_RECIPE").unwrap_or_else(|| "standard".to_owned());
    let mut recipe = find(&named)?;
    let own = get("SEGUE_SEGMENT_DURATION").map(|text| text.parse::<Span>()).transpose()?;
    let deployed = segment_duration.map(|length| Span::from_millis(length.as_millis() as u64));
    if let Some(length) = own.or(deployed) {
        recipe.segment_duration = length;
    }
    if let Some(transcript) = &mut recipe.transcript {
        if let Some(model) = get("SEGUE_MODEL") {
            transcript.model = model;
        }
        if let Some(language) = get("SEGUE_LANGUAGE") {
            transcript.language = language;
        }
    }
    recipe.check()?;
    Ok(serde_json::to_string(&recipe)?)
}

fn find(named: &str) -> anyhow::Result<Recipe> {
    if let Some(recipe) = Recipe::built_in(named) {
        return Ok(recipe);
    }
    anyhow::ensure!(
        named.contains('='),
        "SEGUE_RECIPE is {named:?}: the built-in recipes are {}, and a recipe in TOML it is not",
        BUILT_IN.join(", ")
    );
    Ok(Recipe::from_toml(named)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], seconds: Option<u64>) -> anyhow::Result<Recipe> {
        let get =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let document = recipe_document(get, seconds.map(Duration::from_secs))?;
        Ok(serde_json::from_str(&document)?)
    }

    #[test]
    fn the_settings_say_what_the_recipe_is() {
        assert_eq!(of(&[], None).unwrap(), Recipe::built_in("standard").unwrap());
        assert_eq!(of(&[("SEGUE_RECIPE", " ")], None).unwrap(), Recipe::built_in("standard").unwrap());
        let recipe = of(&[("SEGUE_RECIPE", "transcript"), ("SEGUE_MODEL", "tiny")], Some(7)).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 7000);
        assert_eq!(recipe.transcript.unwrap().model, "tiny");
        // the deployment's length is the default, not the last word
        let recipe = of(&[("SEGUE_SEGMENT_DURATION", "2s")], Some(7)).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 2000);
    }

    #[test]
    fn a_recipe_of_ones_own_is_brought_along() {
        let own = "version = 1\nname = \"mine\"\n[video]\n";
        assert_eq!(of(&[("SEGUE_RECIPE", own)], None).unwrap().name, "mine");
        for (text, said) in [("mine", "built-in"), ("version = 1\nname = \"m\"\ncolour = 7", "colour")] {
            let error = of(&[("SEGUE_RECIPE", text)], None).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
