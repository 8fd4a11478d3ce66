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
        ("version = 2\nname = \"x\"\n[outputs.v]\nkind = \"video\"\ncolour = 1\n", "colour"),
        ("version = 2\nname = \"x\"\n[outputs.v]\nkind = \"dance\"\n", "dance"),
        ("version = 2\nname = \"x\"\n[outputs.v]\nmode = \"copy\"\n", "needs a kind"),
        ("version = 2\nname = \"x\"\n[outputs]\n", "has no outputs"),
        ("version = 2\nname = \"x\"\n[outputs.v]\nkind = \"video\"\nrequired = false\n", "required"),
        ("version = 2\nname = \"x\"\n[outputs.v]\nkind = \"video\"\nneeds = [\"w\"]\n", "not an output"),
        (
            "version = 2\nname = \"x\"\n[outputs.v]\nkind = \"video\"\nsubtitles = true\n",
            "output v: subtitles",
        ),
        ("version = 2\nname = \"x\"\n[outputs.t]\nkind = \"thumbnail\"\nwidth = 1\n", "output t: width"),
        ("version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nformats = []\n", "output a: formats"),
        (
            "version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nformats = [\"mp3\", \"mp3\"]\n",
            "mp3 twice",
        ),
        ("version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nformats = [\"wma\"]\n", "wma"),
        ("version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nnormalize = 3\n", "LUFS"),
        ("version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nkbps = { mp3 = 100 }\n", "kbps.mp3"),
        ("version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nkbps = { ogg = 100 }\n", "ogg"),
        ("version = 2\nname = \"x\"\n[outputs.p]\nkind = \"poster\"\nwidth = 9000\n", "output p: width"),
        ("version = 2\nname = \"x\"\n[outputs.p]\nkind = \"poster\"\nformats = []\n", "formats"),
        ("version = 2\nname = \"x\"\n[outputs.s]\nkind = \"storyboard\"\nrows = 0\n", "rows"),
        ("version = 2\nname = \"x\"\n[outputs.s]\nkind = \"storyboard\"\ninterval = \"9ms\"\n", "100ms"),
        (
            "version = 2\nname = \"x\"\n[outputs.s]\nkind = \"storyboard\"\nwidth = 500\ncolumns = 20\n",
            "8192",
        ),
        ("version = 2\nname = \"x\"\n[outputs.i]\nkind = \"image\"\nquality = 0\n", "output i: quality"),
        ("version = 2\nname = \"x\"\n[outputs.i]\nkind = \"image\"\nvariants = []\n", "1 to 20 sizes"),
        ("version = 2\nname = \"x\"\n[outputs.i]\nkind = \"image\"\nmax_megapixels = 0\n", "max_megapixels"),
        ("version = 2\nname = \"x\"\n[outputs.i]\nkind = \"image\"\nmax_frames = 0\n", "max_frames"),
        (
            "version = 2\nname = \"x\"\n[outputs.i]\nkind = \"image\"\n\
             variants = [{ width = 9, height = 8 }, { width = 9, height = 8, fit = \"cover\" }]\n",
            "9x8 twice",
        ),
        (
            "version = 2\nname = \"x\"\n[outputs.i]\nkind = \"image\"\nvariants = [{ width = 0, height = 8 }]\n",
            "between 1 and 16383",
        ),
        ("version = 1\nname = \"x\"\n[video]\nsubtitles = true\n", "needs a [transcript]"),
        ("version = 1\nname = \"x\"\n[video]\ncolour = 1\n", "colour"),
        ("version = 1\nname = \"x\"\nvidoe = 1\n", "vidoe"),
        ("version = 9\nname = \"x\"\n", "version 9"),
        ("name = \"x\"\n", "version = 2"),
        ("version = 1\nname = \"x\"\n", "has no outputs"),
        ("version = 1\nname = \"x\"\n[video]\n[map]\ncommand = \"cp a b\"\n", "{input}"),
        ("version = 1\nname = \"x\"\n[video]\n[video.encode]\ncrf = 60\n", "crf"),
        ("version = 1\nname = \"x\"\nsegment_duration = \"0s\"\n[video]\n", "0s"),
        ("version = 1\nname = \"x\"\n[transcript]\nbeam_size = 0\n", "output transcript: beam_size"),
        ("version = 1\nname = \"x\"\n[transcript]\nbeam_size = 9\n", "output transcript: beam_size"),
        ("version = 1\nname = \"x\"\n[video]\n[video.encode]\npreset = \"a b\"\n", "preset"),
    ];
    for (text, expected) in cases {
        let message = Recipe::from_toml(text).unwrap_err().to_string();
        assert!(message.contains(expected), "{text:?}: {message:?}");
        assert!(!message.contains('\n'), "{message:?}");
    }
    let message = Recipe::from_yaml("version: 1\nname: x\nvideo:\n  colour: 1\n").unwrap_err().to_string();
    assert!(message.contains("colour"), "{message}");
}

#[test]
fn the_reference_in_the_readme_is_of_this_file() {
    let readme = include_str!("../../../../README.md");
    let (_, section) = readme.split_once("\n## Recipes\n").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let recipe = Recipe::from_toml(block).unwrap();
    // every key of every kind is there at least once
    let shown = format!("{recipe:?}");
    for (kind, keys) in [
        ("TranscriptRecipe", vec!["beam_size: Some"]),
        (
            "VideoRecipe",
            vec![
                "map: Some(Map",
                "map: Some(\"",
                "crf: Some",
                "preset: Some",
                "tune: Some",
                "max_height: Some",
                "pixel_format: Some",
                "extension: Some",
            ],
        ),
        ("ThumbnailRecipe", vec!["at: Some"]),
        ("AudioRecipe", vec!["track: Some"]),
        ("PosterRecipe", vec!["PosterRecipe { at: Some", "width: Some"]),
        ("StoryboardRecipe", vec!["interval: Some", "preview: Some"]),
    ] {
        for key in keys {
            assert!(shown.contains(key), "{kind}: {key} is not in the README");
        }
    }
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
fn format_1_is_read_and_converted() {
    let old = "version = 1\nname = \"x\"\n[transcript]\nlanguage = \"de\"\n[video]\nsubtitles = true\n\
               [thumbnail]\nwidth = 320\n[map]\ncommand = \"cp {input} {output}\"\n";
    let recipe = Recipe::from_toml(old).unwrap();
    assert_eq!(recipe.version, RECIPE_VERSION);
    let names: Vec<&str> = recipe.outputs.keys().map(OutputId::as_str).collect();
    assert_eq!(names, ["thumbnail", "transcript", "video"]);
    assert!(recipe.outputs.values().all(|spec| spec.required));
    assert_eq!(recipe.outputs[&output_id("video")].needs, [output_id("transcript")]);
    assert_eq!(recipe.video().unwrap().map.as_ref().unwrap().command, "cp {input} {output}");
    assert_eq!(recipe.transcript().unwrap().language, "de");
    assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
    let json = "{\"version\":1,\"name\":\"x\",\"video\":{}}";
    assert_eq!(Recipe::from_json(json).unwrap().outputs, Recipe::built_in("rejoin").unwrap().outputs);
}

#[test]
fn a_newer_recipe_is_distinguished_before_its_keys_are_read() {
    let newer = Recipe::from_json("{\"version\":3,\"dances\":[]}").unwrap_err();
    assert!(matches!(newer, DomainError::Version { found: 3, .. }), "{newer}");
}

#[test]
fn another_setting_is_another_specification() {
    let recipe = Recipe::built_in("standard").unwrap();
    let mut other = recipe.clone();
    other.transcripts_mut().for_each(|transcript| transcript.language = "de".into());
    let specs = |recipe: &Recipe| {
        recipe.new_outputs().into_iter().map(|o| (o.id, o.spec)).collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (specs(&recipe), specs(&other));
    let changed: Vec<&str> =
        before.iter().filter(|(id, spec)| after[*id] != **spec).map(|(id, _)| id.as_str()).collect();
    assert_eq!(changed, ["transcript"]);
}

#[test]
fn loudness_is_off_the_standard_or_a_number() {
    let read = |value: &str| {
        let text = format!("version = 2\nname = \"x\"\n[outputs.a]\nkind = \"audio\"\nnormalize = {value}\n");
        let recipe = Recipe::from_toml(&text).unwrap();
        assert_eq!(Recipe::from_toml(&recipe.to_toml()).unwrap(), recipe);
        assert_eq!(Recipe::from_json(&recipe.to_json()).unwrap(), recipe);
        recipe.outputs[&output_id("a")].audio().unwrap().normalize.target()
    };
    assert_eq!(read("false"), None);
    assert_eq!(read("true"), Some(EBU_R128_LUFS));
    assert_eq!(read("-16"), Some(-16.0));
    assert_eq!(read("-18.5"), Some(-18.5));
}

#[test]
fn a_storyboard_without_an_interval_has_some_pictures_and_not_too_many() {
    let board = StoryboardRecipe::default();
    for (length_ms, expected) in [
        (0, 500),
        (4_000, 500),
        (20_000, 1_000),
        (200_000, 10_000),
        (7_200_000, 10_000),
        (36_000_000, 36_000),
    ] {
        assert_eq!(board.interval_ms(length_ms).unwrap(), expected, "{length_ms} ms");
    }
    let second = StoryboardRecipe { interval: Some(Span::from_millis(1_000)), ..board };
    assert_eq!(second.interval_ms(10_000_000).unwrap(), 1_000);
    let refused = second.interval_ms(10_000_001).unwrap_err().to_string();
    assert!(refused.contains("10001 pictures") && refused.contains("10000"), "{refused}");
    let files = StoryboardRecipe { files: true, ..second };
    assert!(files.interval_ms(1_000_000).is_ok() && files.interval_ms(1_000_001).is_err());
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
