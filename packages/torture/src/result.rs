//! Checks of an output folder against its manifest and certificate.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use segue_domain::Manifest;
use segue_domain::manifest::OutputKind;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::finding::{Broken, Finding};

/// Name of the manifest.
const MANIFEST: &str = "manifest.json";
/// Prefixes of the names of published files.
const PUBLIC: [&str; 5] = ["final.", "transcript.", "thumbnail.", "certificate.", "manifest."];

/// A complete result without the values that differ between jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// The manifest without ids, terms and values derived from them.
    manifest: Value,
    /// The certificate without the hash of the plan, which names the job.
    certificate: Value,
}

impl Fixed {
    /// The first difference from `other`.
    pub fn difference(&self, other: &Fixed) -> Option<String> {
        let parts = [
            ("manifest", &self.manifest, &other.manifest),
            ("certificate", &self.certificate, &other.certificate),
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

/// Checks the folder of a complete job: one manifest, exactly the files that it lists, and a
/// certificate that passes.
pub fn complete(out: &Path) -> Result<(Manifest, Fixed), Vec<Finding>> {
    let one = |broken, what: String| vec![Finding::new(broken, what)];
    let bytes = fs::read(out.join(MANIFEST))
        .map_err(|e| one(Broken::Lost, format!("a completed job without its manifest: {e}")))?;
    let manifest = Manifest::decode(&bytes)
        .map_err(|e| one(Broken::Partial, format!("the manifest cannot be read: {e}")))?;
    let mut found = Vec::new();
    let mut named: Vec<String> = manifest.outputs.iter().map(|output| output.name.clone()).collect();
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
    let certificate = certificate(&manifest, out);
    if let Err(finding) = &certificate {
        found.push(finding.clone());
    }
    match certificate {
        Ok(certificate) if found.is_empty() => {
            let fixed = fixed(&bytes, &manifest, certificate);
            Ok((manifest, fixed))
        }
        _ => Err(found),
    }
}

fn certificate(manifest: &Manifest, out: &Path) -> Result<Value, Finding> {
    let bad = |what: String| Finding::new(Broken::Uncertified, what);
    let named: Vec<_> = manifest.outputs.iter().filter(|o| o.kind == OutputKind::Certificate).collect();
    let [output] = named.as_slice() else {
        return Err(bad(format!("the manifest names {} certificates", named.len())));
    };
    let bytes = fs::read(out.join(&output.name)).map_err(|e| bad(format!("{}: {e}", output.name)))?;
    let certificate: Value =
        serde_json::from_slice(&bytes).map_err(|e| bad(format!("{} is not JSON: {e}", output.name)))?;
    let verdicts = [&certificate["media"]["passed"], &certificate["speech"]["times_monotonic"]];
    let given: Vec<_> = verdicts.into_iter().filter(|verdict| !verdict.is_null()).collect();
    if given.is_empty() || given.iter().any(|verdict| **verdict != Value::Bool(true)) {
        return Err(bad(format!("the certificate does not pass: {given:?}")));
    }
    let media = manifest.outputs.iter().find(|output| output.kind == OutputKind::Media);
    if let Some(media) = media
        && certificate["media"]["result_sha256"] != media.sha256.as_str()
    {
        return Err(bad(format!("the certificate is not of {}", media.name)));
    }
    if certificate["plan"] != manifest.plan.0.as_str() {
        return Err(bad("the certificate is of another plan".to_owned()));
    }
    Ok(certificate)
}

/// Checks the folder of an incomplete job: public files must match the manifest in the state, if one
/// is committed.
pub fn incomplete(out: &Path, chosen: Option<&Manifest>) -> Vec<Finding> {
    let public = |name: &String| PUBLIC.iter().any(|start| name.starts_with(start));
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
    let Some(entry) = manifest.outputs.iter().find(|output| output.name == name) else {
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

fn fixed(bytes: &[u8], manifest: &Manifest, mut certificate: Value) -> Fixed {
    let mut document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    for key in ["job", "plan", "term"] {
        document[key].take();
    }
    for (index, output) in manifest.outputs.iter().enumerate() {
        document["outputs"][index]["work_key"].take();
        if output.kind == OutputKind::Certificate {
            document["outputs"][index]["bytes"].take();
            document["outputs"][index]["sha256"].take();
        }
    }
    certificate["plan"].take();
    Fixed { manifest: document, certificate }
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
