//! The operator's settings for all children of this process.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

/// Whether children are sandboxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum SandboxMode {
    /// Start no child where the kernel lacks Landlock or seccomp.
    Require,
    /// Use what the kernel has.
    #[default]
    Best,
    /// No limits and no rules. The environment of a child stays a list of allowed variables.
    Off,
}

impl TryFrom<String> for SandboxMode {
    type Error = String;

    fn try_from(text: String) -> Result<SandboxMode, String> {
        match text.as_str() {
            "require" => Ok(SandboxMode::Require),
            "best" => Ok(SandboxMode::Best),
            "off" => Ok(SandboxMode::Off),
            _ => Err(format!("{text:?} is none of require, best, off")),
        }
    }
}

/// File and network access of custom map programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapAccess {
    /// All permissions of the user: for users who run their own programs on their own machine.
    Open,
    /// System folders, the program's own folder, the input and the folder of the output.
    Restricted {
        /// Whether sockets are allowed.
        network: bool,
    },
}

impl Default for MapAccess {
    fn default() -> MapAccess {
        MapAccess::Restricted { network: false }
    }
}

/// The operator's settings for children. The default suits a library: sandbox where possible,
/// custom map programs restricted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether children are sandboxed.
    pub mode: SandboxMode,
    /// Permissions of custom map programs.
    pub map: MapAccess,
    /// Variables of this process's environment that custom map programs inherit in addition.
    pub map_env: Vec<String>,
    /// Further folders and files that children may read and run programs from.
    pub read: Vec<PathBuf>,
    /// Address space in bytes for a program whose invocation sets a limit, instead of that limit.
    pub memory: Option<u64>,
}

static POLICY: RwLock<Option<Arc<Policy>>> = RwLock::new(None);

/// Replaces the policy for children that start from now on.
pub fn set_policy(policy: Policy) {
    *POLICY.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(policy));
}

/// The policy in force; the default one until [`set_policy`] was called.
pub fn policy() -> Arc<Policy> {
    POLICY.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}
