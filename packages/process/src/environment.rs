//! The environment of a child: only listed variables, so that it contains none of Segue's credentials.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::invocation::{Invocation, Profile};
use crate::policy::{MapAccess, Policy, SandboxMode};

/// Variables that every child inherits if they are set: search paths, locale, time zone, and those that
/// select a GPU and its driver.
const ALLOWED: [&str; 16] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LANGUAGE",
    "TZ",
    "LD_LIBRARY_PATH",
    "MALLOC_ARENA_MAX",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_DEVICE_ORDER",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "LIBVA_DRIVER_NAME",
    "LIBVA_DRIVERS_PATH",
    "VDPAU_DRIVER",
    // marks the processes of one deployment or one test
    "SEGUE_MARK",
];

/// Whether every child gets this variable.
pub fn is_allowed(name: &OsStr) -> bool {
    ALLOWED.iter().any(|allowed| name == *allowed)
        || name.to_str().is_some_and(|name| name.starts_with("LC_"))
}

/// The variables of `ours` that `call` inherits, and its own.
pub(crate) fn of(
    call: &Invocation,
    policy: &Policy,
    ours: impl Iterator<Item = (OsString, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let is_map = call.profile == Profile::Map;
    let named = |name: &OsStr| is_map && policy.map_env.iter().any(|allowed| name == allowed.as_str());
    let mut environment: BTreeMap<OsString, OsString> =
        ours.filter(|(name, _)| is_allowed(name) || named(name)).collect();
    let restricted = policy.mode != SandboxMode::Off && policy.map != MapAccess::Open;
    if let Some(folder) = call.written_folders().next().filter(|_| is_map && restricted) {
        // it cannot write into the folder that all users share
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
        environment.insert("TMPDIR".into(), folder.into());
    }
    environment.insert("AV_LOG_FORCE_NOCOLOR".into(), "1".into());
    environment.extend(call.envs.iter().map(|(name, value)| (name.into(), value.clone())));
    environment
}

/// This process's variables.
pub(crate) fn ours() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(call: &Invocation, policy: &Policy) -> Vec<String> {
        let ours =
            ["PATH", "LC_ALL", "LCX", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "SEGUE_BACKEND", "TOKEN"];
        let ours = ours.map(|name| (name.into(), "canary".into()));
        of(call, policy, ours.into_iter()).into_keys().map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn only_listed_variables_pass() {
        let mut call = Invocation::new("test", "true", Vec::new());
        let policy = Policy { map_env: vec!["TOKEN".into()], ..Policy::default() };
        assert_eq!(names(&call, &policy), ["AV_LOG_FORCE_NOCOLOR", "LC_ALL", "PATH"]);
        call.envs.push(("SVT_LOG".into(), "1".into()));
        call.profile = Profile::Map;
        assert_eq!(names(&call, &policy), ["AV_LOG_FORCE_NOCOLOR", "LC_ALL", "PATH", "SVT_LOG", "TOKEN"]);
    }

    #[test]
    fn a_restricted_map_program_has_its_temporary_files_beside_its_output() {
        let mut call = Invocation::new("test", "true", Vec::new()).writing("/work/task/out.mp4");
        let tmp = |call: &Invocation, policy: &Policy| {
            of(call, policy, [("TMPDIR".into(), "/tmp".into())].into_iter())[OsStr::new("TMPDIR")].clone()
        };
        assert_eq!(tmp(&call, &Policy::default()), "/tmp");
        call.profile = Profile::Map;
        assert_eq!(tmp(&call, &Policy::default()), "/work/task");
        assert_eq!(tmp(&call, &Policy { map: MapAccess::Open, ..Policy::default() }), "/tmp");
    }
}
