//! Checks of an output folder against its manifest and certificate.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use segue_domain::{FileKind, Manifest, ManifestOutput};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::finding::{Broken, Finding};

/// Name of the manifest.
const MANIFEST: &str = "manifest.json";
/// Prefixes of the names of published files.
const PUBLIC: [&str; 4] = ["final.", "transcript.", "thumbnail.", "manifest."];
/// End of the names of certificates.
const CERTIFICATE: &str = ".certificate.json";

/// A complete result without the values that differ between jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The manifest without ids, terms and values derived from them.
    manifest: Value,
    /// The certificates by output, without the hash of the plan, which names the job.
    certificates: Value,
}

impl Fixed {
    /// The first difference from `other`.
    pub fn difference(&self, other: &Fixed) -> Option<String> {
        let parts = [
            ("manifest", &self.manifest, &other.manifest),
            ("certificates", &self.certificates, &other.certificates),
        ];
        parts.iter().find_map(|(name, a, b)| first_difference(name, a, b))
    }
}

/// Relative paths of the files in a folder and its subfolders, without `.segue`.
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if name != ".segue" {
                collect(root, &path, found);
            }
        } else {
            found.push(name);
        }
    }
}

/// Checks the folder of a complete job: one manifest, exactly the files that it lists, and for each
/// output a certificate that passes.
pub fn complete(out: &Path) -> Result<(Manifest, Fixed), Vec<Finding>> {
    let one = |broken, what: String| vec![Finding::new(broken, what)];
    let bytes = fs::read(out.join(MANIFEST))
        .map_err(|e| one(Broken::Lost, format!("a completed job without its manifest: {e}")))?;
    let manifest = Manifest::decode(&bytes)
        .map_err(|e| one(Broken::Partial, format!("the manifest cannot be read: {e}")))?;
    let mut found = Vec::new();
    let mut named: Vec<String> = manifest.files().map(|file| file.name.clone()).collect();
    for name in &named {
        if let Some(what) = mismatch(&manifest, name, &out.join(name)) {
            let broken = if out.join(name).exists() { Broken::Partial } else { Broken::Lost };
            found.push(Finding::new(broken, what));
        }
    }
    named.push(MANIFEST.to_owned());
    for name in files(out).into_iter().filter(|name| !named.contains(name)) {
        let broken = if name.contains("manifest") { Broken::Doubled } else { Broken::Orphan };
        found.push(Finding::new(broken, format!("{name} exists and is not in the manifest")));
    }
    let mut certificates = json!({});
    for (name, output) in &manifest.outputs {
        match certificate(output, out) {
            Ok(certificate) => certificates[name.as_str()] = certificate,
            Err(what) => found.push(Finding::new(Broken::Uncertified, format!("output {name}: {what}"))),
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let fixed = fixed(&bytes, &manifest, certificates);
    Ok((manifest, fixed))
}

/// The certificate of an output without the hash of the plan; null for an output that has no files.
fn certificate(output: &ManifestOutput, out: &Path) -> Result<Value, String> {
    if output.files.is_empty() && output.reason.is_some() {
        return Ok(Value::Null);
    }
    let named: Vec<_> = output.files.iter().filter(|file| file.kind == FileKind::Certificate).collect();
    let [file] = named.as_slice() else {
        return Err(format!("the manifest names {} certificates", named.len()));
    };
    let bytes = fs::read(out.join(&file.name)).map_err(|e| format!("{}: {e}", file.name))?;
    let mut certificate: Value =
        serde_json::from_slice(&bytes).map_err(|e| format!("{} is not JSON: {e}", file.name))?;
    let verdict = match output.kind.as_str() {
        "video" => &certificate["media"]["passed"],
        "transcript" => &certificate["speech"]["times_monotonic"],
        _ => &Value::Bool(true),
    };
    if *verdict != Value::Bool(true) {
        return Err(format!("the certificate does not pass: {verdict}"));
    }
    let media = output.files.iter().find(|file| file.kind == FileKind::Media);
    if let Some(media) = media
        && certificate["media"]["result_sha256"] != media.sha256.as_str()
    {
        return Err(format!("the certificate is not of {}", media.name));
    }
    if certificate["plan"].take() != output.plan.0.as_str() {
        return Err("the certificate is of another plan".to_owned());
    }
    Ok(certificate)
}

/// Checks the folder of an incomplete job: public files must match the manifest in the state, if one
/// is committed.
pub fn incomplete(out: &Path, chosen: Option<&Manifest>) -> Vec<Finding> {
    let public =
        |name: &String| PUBLIC.iter().any(|start| name.starts_with(start)) || name.ends_with(CERTIFICATE);
    let partial = |name: String| {
        let what = match chosen {
            None => Some(format!("{name} is public and no manifest is committed")),
            Some(manifest) => mismatch(manifest, &name, &out.join(&name)),
        };
        what.map(|what| Finding::new(Broken::Partial, what))
    };
    files(out).into_iter().filter(public).filter_map(partial).collect()
}

/// The committed manifest in a state folder.
pub fn chosen(state: &Path) -> Option<Manifest> {
    let jobs = fs::read_dir(state.join("media/jobs")).ok()?;
    let bytes = jobs.flatten().find_map(|job| fs::read(job.path().join(MANIFEST)).ok())?;
    Manifest::decode(&bytes).ok()
}

/// How a file differs from its entry in the manifest.
fn mismatch(manifest: &Manifest, name: &str, path: &Path) -> Option<String> {
    let Some(entry) = manifest.files().find(|file| file.name == name) else {
        return Some(format!("{name} is public and not in the manifest"));
    };
    match sha256(path) {
        Err(error) => Some(format!("{name}: {error}")),
        Ok((bytes, hash)) if bytes == entry.bytes && hash == entry.sha256 => None,
        Ok((bytes, hash)) => Some(format!(
            "{name} has {bytes} bytes, sha256 {hash}; its manifest says {} and {}",
            entry.bytes, entry.sha256
        )),
    }
}

/// Size and hash of a file.
pub fn sha256(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 18]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            n => {
                hash.update(&piece[..n]);
                bytes += n as u64;
            }
        }
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

fn fixed(bytes: &[u8], manifest: &Manifest, certificates: Value) -> Fixed {
    let mut document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    for key in ["job", "epoch"] {
        document[key].take();
    }
    for (name, output) in &manifest.outputs {
        let of_output = &mut document["outputs"][name.as_str()];
        for key in ["plan", "index_hash"] {
            of_output[key].take();
        }
        for (index, file) in output.files.iter().enumerate() {
            let of_file = &mut of_output["files"][index];
            of_file["work_key"].take();
            if file.kind == FileKind::Certificate {
                of_file["bytes"].take();
                of_file["sha256"].take();
            }
        }
    }
    Fixed { manifest: document, certificates }
}

fn first_difference(at: &str, a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: BTreeMap<&String, ()> = x.keys().chain(y.keys()).map(|key| (key, ())).collect();
            keys.keys().find_map(|key| first_difference(&format!("{at}.{key}"), &a[*key], &b[*key]))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            (0..x.len()).find_map(|n| first_difference(&format!("{at}[{n}]"), &a[n], &b[n]))
        }
        _ => (a != b).then(|| format!("{at} is {b}, undisturbed it is {a}")),
    }
}

/// All paths below a folder.
pub fn everything(folder: &Path) -> Vec<PathBuf> {
    files(folder).into_iter().map(|name| folder.join(name)).collect()
}
