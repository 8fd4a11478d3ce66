//! The recipe of an uploaded source without a job, from the same settings as in workers.

use segue_domain::Recipe;
use segue_domain::recipe::{BUILT_IN, Span};

use std::time::Duration;

/// Environment variables of the recipe, as in `segue worker`.
pub const RECIPE_VARIABLES: [&str; 4] =
    ["SEGUE_RECIPE", "SEGUE_SEGMENT_DURATION", "SEGUE_MODEL", "SEGUE_LANGUAGE"];

/// The recipe of the deployment. `SEGUE_RECIPE` is the name of a built-in recipe, or a recipe
/// in TOML; `segment_duration` is the deployment's default, used where `SEGUE_SEGMENT_DURATION` is
/// not set.
///
/// # Errors
/// An unknown name or an invalid recipe.
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
        "SEGUE_RECIPE is {named:?}: neither a built-in recipe ({}) nor a recipe in TOML",
        BUILT_IN.join(", ")
    );
    Ok(Recipe::from_toml(named)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_recipe(variables: &[(&str, &str)], seconds: Option<u64>) -> anyhow::Result<Recipe> {
        let get =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        recipe(get, seconds.map(Duration::from_secs))
    }

    #[test]
    fn settings_determine_the_recipe() {
        assert_eq!(read_recipe(&[], None).unwrap(), Recipe::built_in("standard").unwrap());
        assert_eq!(
            read_recipe(&[("SEGUE_RECIPE", " ")], None).unwrap(),
            Recipe::built_in("standard").unwrap()
        );
        let recipe =
            read_recipe(&[("SEGUE_RECIPE", "transcript"), ("SEGUE_MODEL", "tiny")], Some(7)).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 7000);
        assert_eq!(recipe.transcript().unwrap().model, "tiny");
        // SEGUE_SEGMENT_DURATION overrides the deployment's default
        let recipe = read_recipe(&[("SEGUE_SEGMENT_DURATION", "2s")], Some(7)).unwrap();
        assert_eq!(recipe.segment_duration.millis(), 2000);
    }

    #[test]
    fn a_recipe_may_be_given_in_toml() {
        let own = "version = 2\nname = \"mine\"\n[outputs.video]\nkind = \"video\"\n";
        assert_eq!(read_recipe(&[("SEGUE_RECIPE", own)], None).unwrap().name, "mine");
        let older = "version = 1\nname = \"older\"\n[video]\n";
        assert_eq!(read_recipe(&[("SEGUE_RECIPE", older)], None).unwrap().version, 2);
        for (text, message) in [("mine", "built-in"), ("version = 2\nname = \"m\"\ncolour = 7", "colour")] {
            let error = read_recipe(&[("SEGUE_RECIPE", text)], None).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
