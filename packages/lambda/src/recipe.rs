//! The recipe of a source that arrives without a job, from the settings that `segue worker` reads too.

use segue_domain::Recipe;
use segue_domain::recipe::{BUILT_IN, Span};

use std::time::Duration;

/// The variables that choose the recipe.
pub const RECIPE_VARIABLES: [&str; 4] =
    ["SEGUE_RECIPE", "SEGUE_SEGMENT_DURATION", "SEGUE_MODEL", "SEGUE_LANGUAGE"];

/// The recipe of the deployment. `SEGUE_RECIPE` names a built-in one or is a recipe itself, in TOML;
/// `segment_duration` is the deployment's where `SEGUE_SEGMENT_DURATION` is not set.
///
/// # Errors
/// The name of no recipe, a recipe that cannot be used.
pub fn recipe(
    get: impl Fn(&str) -> Option<String>,
    segment_duration: Option<Duration>,
) -> anyhow::Result<Recipe> {
    let get = |name: &str| get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let named = get("SEGUE_RECIPE").unwrap_or_else(|| "standard".to_owned());
    let mut recipe = find(&named)?;
    let own = get("SEGUE_SEGMENT_DURATION").map(|text| text.parse::<Span>()).transpose()?;
    let deployed = segment_duration.map(|length| Span::from_millis(length.as_millis() as u64));
    if let Some(length) = own.or(deployed) {
        recipe.segment_duration = length;
    }
    let (model, language) = (get("SEGUE_MODEL"), get("SEGUE_LANGUAGE"));
    for transcript in recipe.transcripts_mut() {
        if let Some(model) = &model {
            transcript.model.clone_from(model);
        }
        if let Some(language) = &language {
            transcript.language.clone_from(language);
        }
    }
    recipe.check()?;
    Ok(recipe)
}

fn find(named: &str) -> anyhow::Result<Recipe> {
    if let Some(recipe) = Recipe::built_in(named) {
        return Ok(recipe);
    }
    anyhow::ensure!(
        named.contains('='),
        "SEGUE_RECIPE is {named:?}, which is neither a built-in recipe ({}) nor a recipe in TOML",
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
        recipe(get, seconds.map(Duration::from_secs))
    }

    #[test]
    fn the_settings_choose_the_recipe() {
        assert_eq!(of(&[], None).unwrap(), Recipe::built_in("standard").unwrap());
        assert_eq!(of(&[("SEGUE_RECIPE", " ")], None).unwrap(), Recipe::built_in("standard").unwrap());
        let recipe = of(&[("SEGUE_RECIPE", "transcript"), ("SEGUE_MODEL", "tiny")], Some(7)).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 7000);
        assert_eq!(recipe.transcript().unwrap().model, "tiny");
        // the deployment's length is a default
        let recipe = of(&[("SEGUE_SEGMENT_DURATION", "2s")], Some(7)).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 2000);
    }

    #[test]
    fn a_recipe_can_be_given_as_text() {
        let own = "version = 2\nname = \"mine\"\n[outputs.video]\nkind = \"video\"\n";
        assert_eq!(of(&[("SEGUE_RECIPE", own)], None).unwrap().name, "mine");
        let older = "version = 1\nname = \"older\"\n[video]\n";
        assert_eq!(of(&[("SEGUE_RECIPE", older)], None).unwrap().version, 2);
        for (text, said) in [("mine", "built-in"), ("version = 2\nname = \"m\"\ncolour = 7", "colour")] {
            let error = of(&[("SEGUE_RECIPE", text)], None).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
