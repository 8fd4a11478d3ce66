//! The macro behind the settings: one declaration generates the struct, the parser of the sources,
//! the defaults and the table of variables from which flags and documentation are generated.

/// Which settings files may set a setting: a `segue.toml` that was found in the current folder,
/// without being named by the user, is trusted less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Any file: the setting can neither start a program nor choose where data are written.
    AnyFile,
    /// Any file, if the value is the name of something built in.
    BuiltInNames,
    /// Only a file that the user named, or the user's own in the configuration folder.
    NamedFile,
}

/// A variable of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    pub(crate) key: Option<&'static str>,
    pub(crate) text: &'static str,
    /// Placeholder of the value in `--help`; empty for a switch.
    pub value: &'static str,
    /// The default, as text for documentation; code is marked by backticks.
    pub default: &'static str,
    pub(crate) trust: Trust,
}

impl Variable {
    /// The key in `segue.toml` and, with hyphens, the flag; absent for a variable that is read
    /// from the environment only.
    pub fn key(&self) -> Option<&'static str> {
        self.key
    }

    /// Its meaning, as text for documentation; code is marked by backticks.
    pub fn meaning(&self) -> &'static str {
        self.text.trim().trim_end_matches('.')
    }

    pub(crate) const fn environment_only(
        name: &'static str,
        text: &'static str,
        default: &'static str,
    ) -> Variable {
        Variable { name, key: None, text, value: "", default, trust: Trust::NamedFile }
    }
}

/// `/// meaning` and `key: Type, "VARIABLE" "PLACEHOLDER", trust, "default for people" => default;`
///
/// A default may name the settings before it, and return a failure with `?`.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $key:ident: $type:ty, $name:literal $value:literal, $trust:ident, $default:literal => $fallback:expr;
    )+) => {
        /// The settings of one command, every value checked.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $( $(#[doc = $doc])+ pub $key: $type, )+
        }

        /// What file, environment and flags give.
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            $( $key: Option<$type>, )+
        }

        /// Every setting, in the order of the documentation.
        pub const SETTINGS: &[Variable] = &[
            $( Variable {
                name: $name,
                key: Some(stringify!($key)),
                text: concat!($($doc),+),
                value: $value,
                default: $default,
                trust: Trust::$trust,
            }, )+
        ];

        impl Given {
            fn complete(self) -> Result<Settings, Failure> {
                $( let $key: $type = match self.$key {
                    Some(given) => given,
                    None => $fallback,
                }; )+
                Ok(Settings { $($key,)+ })
            }
        }
    };
}

pub(super) use settings;
