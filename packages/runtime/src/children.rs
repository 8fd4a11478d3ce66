//! What the settings allow the programs that Segue starts.

use std::path::PathBuf;

use segue_process::{MapAccess, Policy};

use crate::settings::Settings;

/// Whose programs the custom programs of recipes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapOwner {
    /// The user's own, on their own machine: they may use all that the user has.
    User,
    /// Those of whoever submits a job.
    Submitter,
}

/// Applies the settings to every program that this process starts from now on.
pub fn apply(settings: &Settings, owner: MapOwner) {
    let policy = policy(settings);
    let map = match owner {
        MapOwner::User => MapAccess::Open,
        MapOwner::Submitter => policy.map,
    };
    segue_process::set_policy(Policy { map, ..policy });
}

/// What the settings allow every program that Segue starts.
pub(crate) fn policy(settings: &Settings) -> Policy {
    let list = |text: Option<&str>| -> Vec<String> {
        let items = text.unwrap_or_default().split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    Policy {
        mode: settings.sandbox,
        map: MapAccess::Restricted { network: settings.map_network },
        map_env: list(settings.map_env.as_deref()),
        read: list(settings.sandbox_read.as_deref()).into_iter().map(PathBuf::from).collect(),
        memory: settings.memory_limit,
    }
}
