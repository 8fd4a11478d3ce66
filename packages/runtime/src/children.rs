//! Permissions of the child processes that Segue starts, from the settings.

use std::path::PathBuf;

use segue_process::{MapAccess, Policy};

use crate::settings::Settings;

/// Who wrote the custom programs of recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapOwner {
    /// The user of this machine: programs have all permissions of the user.
    User,
    /// The submitter of a job: programs are untrusted.
    Submitter,
}

/// Applies the settings to all child processes started from now on.
pub fn apply(settings: &Settings, owner: MapOwner) {
    let policy = policy(settings);
    let map = match owner {
        MapOwner::User => MapAccess::Open,
        MapOwner::Submitter => policy.map,
    };
    segue_process::set_policy(Policy { map, ..policy });
}

/// Permissions and limits of child processes, as the settings define them.
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
