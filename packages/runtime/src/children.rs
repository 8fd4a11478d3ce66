//! What the settings allow the programs that Segue starts.

use std::path::PathBuf;

use segue_process::{MapAccess, Policy, SandboxMode};

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
    let map = match owner {
        MapOwner::User => MapAccess::Open,
        MapOwner::Submitter => settings.children.map,
    };
    segue_process::set_policy(Policy { map, ..settings.children.clone() });
}

/// The policy that these values of settings make.
pub(crate) fn policy(
    mode: Option<SandboxMode>,
    read: Option<&str>,
    map_env: Option<&str>,
    map_network: Option<bool>,
    memory: Option<u64>,
) -> Policy {
    let list = |text: Option<&str>| -> Vec<String> {
        let items = text.unwrap_or_default().split(',').map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    Policy {
        mode: mode.unwrap_or_default(),
        map: MapAccess::Restricted { network: map_network.unwrap_or_default() },
        map_env: list(map_env),
        read: list(read).into_iter().map(PathBuf::from).collect(),
        memory,
    }
}
