//! Folders of programs and of the files that they load.

use std::env;
use std::path::{Path, PathBuf};

/// Folders and files of the system that hold programs, libraries and the machine's
/// configuration.
pub(super) const SYSTEM: [&str; 22] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/snap",
    "/home/linuxbrew/.linuxbrew",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/fonts",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm",
    "/sys/devices/system",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
];

/// Files required by a program that uses the network: name resolution and certificates.
pub(super) const NETWORK: [&str; 6] = [
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/ssl",
    "/etc/ca-certificates",
];

/// Files required by a program that uses a GPU.
pub(super) const GPU_READ: [&str; 4] = ["/proc/driver/nvidia", "/proc/devices", "/sys", "/etc/OpenCL"];

/// Devices of GPUs.
pub(super) fn gpu_devices() -> Vec<PathBuf> {
    let names = std::fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_gpu = |name: &std::ffi::OsString| {
        name == "dri" || name == "kfd" || name.to_string_lossy().starts_with("nvidia")
    };
    names.filter(is_gpu).map(|name| Path::new("/dev").join(name)).collect()
}

/// Files that a child may read and execute because of its program: the program, its folder with the
/// libraries beside it, and the folders of PATH for a script that calls other programs.
pub(super) fn of(program: &Path) -> Vec<PathBuf> {
    let found = which::which(program).unwrap_or_else(|_| program.to_owned());
    let resolved = found.canonicalize().unwrap_or_else(|_| found.clone());
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter(|folder| folder.is_absolute());
    let library_path = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let libraries = env::split_paths(&library_path).filter(|folder| folder.is_absolute());
    let beside = [&found, &resolved].map(|program| program.parent().map(Path::to_owned));
    let folders: Vec<PathBuf> = beside.into_iter().flatten().chain(on_path).collect();
    let mut all: Vec<PathBuf> = folders.iter().flat_map(|folder| with_libraries(folder)).collect();
    all.extend(libraries.filter(|folder| !holds_home(folder)));
    all.extend([found, resolved]);
    all.retain(|path| !is_of_system(path));
    all.sort();
    all.dedup();
    all
}

/// A folder of programs, with the files installed under the same prefix. Not one that holds the
/// user's own files.
fn with_libraries(folder: &Path) -> Vec<PathBuf> {
    if folder.as_os_str().is_empty() || holds_home(folder) {
        return Vec::new();
    }
    let mut all = vec![folder.to_owned()];
    if let Some(prefix) = folder.parent().filter(|_| folder.ends_with("bin")) {
        all.extend(["lib", "lib64", "libexec", "pyvenv.cfg"].map(|name| prefix.join(name)));
    }
    all
}

/// Whether the user's home folder is this folder, or in it.
fn holds_home(folder: &Path) -> bool {
    let home = env::var_os("HOME").map(PathBuf::from);
    folder == Path::new("/") || home.is_some_and(|home| home.starts_with(folder))
}

fn is_of_system(path: &Path) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_system_needs_nothing_more() {
        let extra = of(Path::new("sh"));
        assert!(extra.iter().all(|path| !path.starts_with("/usr") && !path.starts_with("/bin")), "{extra:?}");
    }

    #[test]
    fn an_installed_prefix_comes_with_its_libraries_and_a_home_folder_does_not() {
        let of = |folder: &str| with_libraries(Path::new(folder));
        assert_eq!(of("/opt/venv/bin")[..2], [PathBuf::from("/opt/venv/bin"), "/opt/venv/lib".into()]);
        assert_eq!(of("/srv/ffmpeg"), [PathBuf::from("/srv/ffmpeg")]);
        let home = env::var("HOME").unwrap();
        for folder in [home.as_str(), "/", ""] {
            assert_eq!(of(folder), Vec::<PathBuf>::new(), "{folder}");
        }
    }
}
