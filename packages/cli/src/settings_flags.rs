//! Flags generated from the table of settings, so that each is declared once.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use segue_runtime::environment::unmarked;
use segue_runtime::settings::{SETTINGS, Variable};

/// Settings given as flags: key to value.
pub type Flags = BTreeMap<&'static str, String>;

/// The settings that are flags of one command.
pub trait Names {
    /// Names of the flags, in the order of the help.
    const FLAGS: &'static [&'static str];
}

/// The flags in `N`.
pub struct SettingFlags<N> {
    /// The settings that were given.
    pub given: Flags,
    names: PhantomData<N>,
}

impl<N> fmt::Debug for SettingFlags<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given.fmt(f)
    }
}

/// Flags that may follow a subcommand.
const GLOBAL: [&str; 2] = ["backend", "model-dir"];

fn setting(flag: &str) -> Option<(&'static str, &'static Variable)> {
    let key = flag.replace('-', "_");
    SETTINGS.iter().filter_map(|setting| Some((setting.key()?, setting))).find(|(known, _)| *known == key)
}

fn flag(name: &'static str) -> Option<Arg> {
    let (_, setting) = setting(name)?;
    let flag = Arg::new(name).long(name).global(GLOBAL.contains(&name));
    let meaning = unmarked(setting.meaning());
    Some(match setting.value {
        "" => flag.help(meaning).action(ArgAction::SetTrue),
        value => {
            let default = unmarked(setting.default);
            flag.help(format!("{meaning} [default: {default}]")).value_name(value)
        }
    })
}

impl<N: Names> Args for SettingFlags<N> {
    fn augment_args(command: Command) -> Command {
        command.args(N::FLAGS.iter().filter_map(|name| flag(name)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<N: Names> FromArgMatches for SettingFlags<N> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |name: &&'static str| {
            let (key, setting) = setting(name)?;
            let value = match setting.value {
                "" => matches.get_flag(name).then(|| "true".to_owned()),
                _ => matches.get_one::<String>(name).cloned(),
            };
            Some((key, value?))
        };
        Ok(SettingFlags { given: N::FLAGS.iter().filter_map(given).collect(), names: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $name:ident = [$($flag:literal),+];)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug)]
            pub struct $name;

            impl Names for $name {
                const FLAGS: &'static [&'static str] = &[$($flag),+];
            }
        )+

        /// The flags of every command.
        #[cfg(test)]
        const ALL: &[&[&str]] = &[$($name::FLAGS),+];
    };
}

flags! {
    /// `segue run` and `segue submit`: the recipe and what overrides it.
    OfRecipe = ["recipe", "segment-duration", "model", "language"];
    /// `segue run`: this machine.
    OfRun = ["model-dir", "threads", "workers", "state", "fsync", "progress"];
    /// `segue plan`.
    OfPlan = ["recipe", "segment-duration", "model", "language", "model-dir"];
    /// `segue models` and `segue doctor`.
    OfModels = ["model-dir"];
    /// `segue worker`.
    OfWorker = [
        "roles", "recipe", "segment-duration", "model", "language", "model-dir", "threads", "allow-map",
        "scratch", "health-file"
    ];
    /// Commands on the jobs of a backend.
    OfBackend = ["backend"];
    /// `segue submit`.
    OfSubmit = ["allow-map"];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_a_setting() {
        for name in ALL.iter().copied().flatten() {
            assert!(setting(name).is_some(), "--{name} is no setting");
        }
    }

    #[test]
    fn a_flag_says_what_its_setting_means() {
        let help = flag("late").unwrap().get_help().unwrap().to_string();
        assert!(help.starts_with("Retry a task elsewhere"), "{help}");
        assert!(help.ends_with("[default: 1.5 for segue worker on aws://, else off]"), "{help}");
    }
}
