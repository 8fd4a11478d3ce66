//! The edits that mutants consist of, and their application to the source.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The folder of the files that list the mutants, below the root.
const DATA: &str = "packages/simulator/mutants";

/// What a replacement calls to ask whether a mutant is enabled.
const SWITCH: &str = "mutant!(";
/// What that becomes in the copy.
const CALL: &str = "::segue_ports::mutants::is_on(";

/// A file of mutants.
#[derive(Debug, Deserialize)]
struct Mutants {
    mutant: Vec<Mutant>,
}

/// A deliberate bug; the simulator reads the rest of its entry.
#[derive(Debug, Deserialize)]
pub struct Mutant {
    name: String,
    edit: Vec<Edit>,
}

/// One change of the source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// The file, below the root.
    file: String,
    /// What is replaced. It occurs once in the file; any whitespace matches any other.
    find: String,
    /// What replaces it, with `mutant!("name")` for whether the mutant is enabled.
    replace: String,
}

/// Reads all mutants of the workspace.
///
/// # Errors
/// A file that cannot be read or has another form.
pub fn read(root: &Path) -> Result<Vec<Mutant>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root.join(DATA))? {
        let file = entry?.path();
        let text = std::fs::read_to_string(&file)?;
        let read: Mutants = toml::from_str(&text).with_context(|| file.display().to_string())?;
        all.extend(read.mutant);
    }
    Ok(all)
}

/// The files that the mutants change, with all edits applied.
///
/// # Errors
/// A fragment that does not occur exactly once, edits that overlap, a mutant without a switch, or a
/// switch without a mutant.
pub fn apply(
    mutants: &[Mutant],
    source: impl Fn(&str) -> Result<String>,
) -> Result<BTreeMap<String, String>> {
    check_switches(mutants)?;
    let mut edits = BTreeMap::<&str, Vec<(&Mutant, &Edit)>>::new();
    for mutant in mutants {
        for edit in &mutant.edit {
            edits.entry(&edit.file).or_default().push((mutant, edit));
        }
    }
    let mut edited = BTreeMap::new();
    for (file, edits) in edits {
        let text = source(file).with_context(|| file.to_owned())?;
        edited.insert(file.to_owned(), edit(&text, &edits).with_context(|| file.to_owned())?);
    }
    Ok(edited)
}

fn edit(source: &str, edits: &[(&Mutant, &Edit)]) -> Result<String> {
    let mut places = Vec::new();
    for (Mutant { name, .. }, edit) in edits {
        let found = occurrences(source, &edit.find);
        ensure!(
            found.len() == 1,
            "{name}: this occurs {} times instead of once:\n{}",
            found.len(),
            edit.find
        );
        places.push((found[0].clone(), name, edit.replace.trim()));
    }
    places.sort_by_key(|(place, ..)| place.start);
    for pair in places.windows(2) {
        ensure!(pair[0].0.end <= pair[1].0.start, "edits of {} and {} overlap", pair[0].1, pair[1].1);
    }
    let mut edited = source.to_owned();
    for (place, _, replacement) in places.into_iter().rev() {
        edited.replace_range(place, &replacement.replace(SWITCH, CALL));
    }
    Ok(edited)
}

/// Every mutant has a switch and every switch a mutant.
fn check_switches(mutants: &[Mutant]) -> Result<()> {
    let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
    ensure!(names.len() == mutants.len(), "a name of a mutant occurs twice");
    for mutant in mutants {
        let switches: Vec<&str> = mutant.edit.iter().flat_map(|edit| switches(&edit.replace)).collect();
        ensure!(switches.contains(&mutant.name.as_str()), "no edit of {} has its switch", mutant.name);
        for switch in switches {
            ensure!(names.contains(switch), "{}: there is no mutant {switch:?}", mutant.name);
        }
    }
    Ok(())
}

/// Names of the mutants that a replacement asks for.
fn switches(replacement: &str) -> impl Iterator<Item = &str> {
    replacement.split(SWITCH).skip(1).filter_map(|rest| rest.split('"').nth(1))
}

/// Where a fragment occurs, in bytes.
fn occurrences(source: &str, fragment: &str) -> Vec<Range<usize>> {
    let (source, offsets) = squeeze(source);
    let (fragment, _) = squeeze(fragment.trim());
    let found = source.match_indices(&fragment);
    found.map(|(at, _)| offsets[at]..offsets[at + fragment.len() - 1] + 1).collect()
}

/// The text with one space for each run of whitespace, and the offset in the text of each of its bytes.
fn squeeze(text: &str) -> (String, Vec<usize>) {
    let (mut squeezed, mut offsets) = (String::new(), Vec::new());
    for (at, char) in text.char_indices() {
        if !char.is_whitespace() {
            squeezed.push(char);
            offsets.extend(at..at + char.len_utf8());
        } else if !squeezed.ends_with(' ') {
            squeezed.push(' ');
            offsets.push(at);
        }
    }
    (squeezed, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program;

    fn mutants(toml: &str) -> Vec<Mutant> {
        toml::from_str::<Mutants>(toml).unwrap().mutant
    }

    fn one(find: &str, replace: &str) -> String {
        format!(
            "[[mutant]]\nname = 'm'\n[[mutant.edit]]\nfile = 'f'\nfind = '{find}'\nreplace = '{replace}'\n"
        )
    }

    fn applied(toml: &str, source: &str) -> Result<String> {
        let edited = apply(&mutants(toml), |_| Ok(source.to_owned()))?;
        Ok(edited["f"].clone())
    }

    #[test]
    fn every_edit_applies_to_the_present_source() {
        let root = program::root();
        let mutants = read(&root).unwrap();
        let source = |file: &str| Ok(std::fs::read_to_string(root.join(file))?);
        let edited = apply(&mutants, source).unwrap_or_else(|error| panic!("{error:#}"));
        for (file, text) in edited {
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
    }

    #[test]
    fn whitespace_of_a_fragment_is_any_whitespace() {
        let edit = one("g( b,  ä )", r#"if mutant!("m") { h() }"#);
        let edited = applied(&edit, "fn f() {\n    g(\n        b, ä\n    )\n}\n").unwrap();
        assert_eq!(edited, "fn f() {\n    if ::segue_ports::mutants::is_on(\"m\") { h() }\n}\n");
    }

    #[test]
    fn a_fragment_occurs_once() {
        let edit = one("g()", r#"mutant!("m")"#);
        for (source, times) in [("g(); g()", "2 times"), ("h()", "0 times")] {
            let error = format!("{:#}", applied(&edit, source).unwrap_err());
            assert!(error.contains(times), "{source}: {error}");
        }
    }

    #[test]
    fn edits_do_not_overlap() {
        let second = "[[mutant.edit]]\nfile = 'f'\nfind = 'b c'\nreplace = 'x'\n";
        let edits = one("a b", r#"mutant!("m")"#) + second;
        let error = format!("{:#}", applied(&edits, "a b c").unwrap_err());
        assert!(error.contains("overlap"), "{error}");
        assert!(applied(&edits, "a b b c").is_ok());
    }

    #[test]
    fn every_mutant_has_its_switch_and_every_switch_its_mutant() {
        for (replace, expected) in [
            ("nothing", "no edit of m has its switch"),
            (r#"mutant!("m") || mutant!("n")"#, r#"there is no mutant "n""#),
        ] {
            let error = format!("{:#}", applied(&one("a", replace), "a").unwrap_err());
            assert!(error.contains(expected), "{replace}: {error}");
        }
        let twice = one("a", r#"mutant!("m")"#).repeat(2);
        assert!(format!("{:#}", applied(&twice, "a").unwrap_err()).contains("twice"));
    }
}
