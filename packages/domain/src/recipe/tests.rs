use super::*;
use proptest::prelude::*;

#[test]
fn built_in_recipes_survive_both_formats() {
    for name in BUILT_IN {
        let recipe = Recipe::built_in(name).unwrap();
        recipe.check().unwrap();
        assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
        let yaml = serde_yaml_ng::to_string(&recipe).unwrap();
        assert_eq!(Recipe::from_yaml(&yaml).unwrap(), recipe);
    }
    assert!(Recipe::built_in("nothing").is_none());
}

#[test]
fn errors_name_the_key() {
    let cases = [
        ("version = 1\nname = \"x\"\n[video]\ncolour = 1\n", "colour"),
        ("version = 1\nname = \"x\"\nvidoe = 1\n", "vidoe"),
        ("version = 9\nname = \"x\"\n", "version 9"),
        ("name = \"x\"\n", "version = 1"),
        ("version = 1\nname = \"x\"\n", "asks for nothing"),
        ("version = 1\nname = \"x\"\n[video]\n[map]\ncommand = \"cp a b\"\n", "{input}"),
        ("version = 1\nname = \"x\"\n[video]\n[video.encode]\ncrf = 60\n", "crf"),
        ("version = 1\nname = \"x\"\nsegment_duration = \"0s\"\n[video]\n", "0s"),
        ("version = 1\nname = \"x\"\n[transcript]\nbeam_size = 0\n", "transcript.beam_size"),
        ("version = 1\nname = \"x\"\n[transcript]\nbeam_size = 9\n", "transcript.beam_size"),
        ("version = 1\nname = \"x\"\n[video]\n[video.encode]\npreset = \"a b\"\n", "preset"),
    ];
    for (text, expected) in cases {
        let said = Recipe::from_toml(text).unwrap_err().to_string();
        assert!(said.contains(expected), "{text:?} said {said:?}");
        assert!(!said.contains('\n'), "{said:?}");
    }
    let said = Recipe::from_yaml("version: 1\nname: x\nvideo:\n  colour: 1\n").unwrap_err().to_string();
    assert!(said.contains("colour"), "{said}");
}

#[test]
fn the_reference_in_the_readme_is_of_this_file() {
    let readme = include_str!("../../../../README.md");
    let (_, section) = readme.split_once("\n## Recipes\n").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let recipe = Recipe::from_toml(block).unwrap();
    assert!(!format!("{recipe:?}").contains("None"), "a key is not in the README: {recipe:?}");
    let written = recipe.to_toml();
    let keys = written.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    for key in keys {
        assert!(
            block.lines().any(|line| line.starts_with(&format!("{key} ="))),
            "{key} is not in the README"
        );
    }
}

#[test]
fn spans() {
    for (text, millis) in
        [("300s", 300_000), ("1.5s", 1_500), ("250ms", 250), ("5m", 300_000), ("2h", 7_200_000), ("7", 7_000)]
    {
        let span: Span = text.parse().unwrap();
        assert_eq!(span.millis(), millis, "{text}");
        assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
    }
    for bad in ["", "s", "-1s", "0s", "0", "1e3s", "1 s", "1.s", ".5s", "99999999999s", "1001h", "1d", "٣s"]
    {
        assert!(bad.parse::<Span>().is_err(), "{bad:?} was taken");
    }
}

proptest! {
    #[test]
    fn reading_never_panics(text in ".{0,200}") {
        let _ = Recipe::from_toml(&text);
        let _ = Recipe::from_yaml(&text);
        let _ = text.parse::<Span>();
    }
}
