//! The environment table: every variable that Segue reads.
//!
//! Settings come from their declaration in [`crate::settings`]; what is read from the environment
//! only stands here. `segue environment` prints the table, and `docs/environment.md` is made from
//! it and compared with it by a test.

use std::fmt::Write;

use crate::settings::{SETTINGS, Trust, Variable};

/// Read before any setting.
const FIRST: &[Variable] = &[Variable::environment_only(
    "SEGUE_CONFIG",
    "Settings file, in TOML",
    "`segue.toml` in the current folder, over `segue/segue.toml` in the user's configuration folder \
     (`XDG_CONFIG_HOME`)",
)];

/// Variables of the system.
const OF_SYSTEM: &[Variable] = &[
    Variable::environment_only("RUST_LOG", "As `SEGUE_LOG`, which overrides it", "not set"),
    Variable::environment_only(
        "SEGUE_MARK",
        "Any text; every program that Segue starts has it in its environment, so that its processes can be found",
        "not set",
    ),
    Variable::environment_only("TMPDIR", "Folder for temporary files", "`/tmp`"),
    Variable::environment_only("XDG_CONFIG_HOME", "The user's configuration folder", "`~/.config`"),
    Variable::environment_only("XDG_DATA_HOME", "The user's data folder", "`~/.local/share`"),
    Variable::environment_only(
        "XDG_CACHE_HOME",
        "The user's cache folder, which holds the versions of ffmpeg and ffprobe",
        "`~/.cache`",
    ),
];

/// Every variable, in the order of the documentation.
pub fn all() -> impl Iterator<Item = &'static Variable> {
    FIRST.iter().chain(SETTINGS).chain(OF_SYSTEM)
}

/// The table as plain text for a terminal.
pub fn plain() -> String {
    let mut text = String::new();
    for variable in all() {
        let (meaning, default) = (unmarked(variable.meaning()), unmarked(variable.default));
        let _ = writeln!(text, "{}\n    {meaning}\n    default: {default}", variable.name);
    }
    for variable in segue_backends::variables() {
        let (meaning, default) = (unmarked(variable.meaning), unmarked(variable.default));
        let _ = writeln!(text, "{}\n    aws://: {meaning}\n    default: {default}", variable.name);
    }
    text
}

/// Text without the backticks that mark code.
pub fn unmarked(text: &str) -> String {
    text.replace('`', "")
}

/// The table as a page of the documentation.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Settings\n\nEvery setting has a default. A settings file overrides the default, the environment overrides \
         the\nfile, a flag overrides them all. The settings file is the one that `--config` or `SEGUE_CONFIG` names; \
         without\none, `segue.toml` in the current folder overrides `segue/segue.toml` in the user's configuration \
         folder.\n\nA `segue.toml` that only lies in the current folder may set the keys marked *any file*: it can \
         neither\nname programs nor choose where data go. To use such a file whole, name it: `--config segue.toml`.\n\n\
         This page is printed by `segue environment --markdown`.\n\n\
         | variable | key in `segue.toml` | meaning | default |\n|---|---|---|---|\n",
    );
    for variable in all() {
        let mark = match variable.trust {
            Trust::NamedFile => "",
            Trust::AnyFile => ", any file",
            Trust::BuiltInNames => ", any file for built-in names",
        };
        let key = variable.key().map(|key| format!("`{key}`{mark}")).unwrap_or_default();
        let _ =
            writeln!(text, "| `{}` | {key} | {} | {} |", variable.name, variable.meaning(), variable.default);
    }
    let of_backends = segue_backends::variables();
    if !of_backends.is_empty() {
        text.push_str(
            "\n## The AWS backend\n\n`aws://` reads these from the environment only. Credentials come from the SDK's \
             default chain:\nenvironment, profile, SSO, web identity, the role of a task or of an instance. A backend \
             that uses only\n`dynamodb://`, `sqs://` or `s3://` needs only the variables of that service.\n\n\
             | variable | meaning | default |\n|---|---|---|\n",
        );
    }
    for variable in of_backends {
        let _ = writeln!(text, "| `{}` | {} | {} |", variable.name, variable.meaning, variable.default);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_keys_stand_once_and_belong_together() {
        let names: HashSet<_> = all().map(|variable| variable.name).collect();
        assert_eq!(names.len(), all().count());
        for variable in all() {
            assert!(!variable.meaning().is_empty() && !variable.default.is_empty(), "{}", variable.name);
            if let Some(key) = variable.key() {
                assert_eq!(variable.name, format!("SEGUE_{}", key.to_uppercase()));
            }
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn the_documentation_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/environment.md");
        let page = std::fs::read_to_string(path).expect("docs/environment.md is there");
        assert!(
            page == markdown(),
            "docs/environment.md is old; write it anew: segue environment --markdown > docs/environment.md"
        );
    }
}
